"""Commands as users call them: what they print, where, and how they exit."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from borgwatch.truenas.simulator import Key, Simulator
from tests.process import ROOT, borgwatch

RECORDINGS = ROOT / "tests" / "data" / "borg-logs"
TEST = ("notify", "backup.success", "INFO", "Test Notification", "This is a test message from Borg Backup")


@pytest.fixture
async def nas() -> AsyncIterator[Simulator]:
    async with Simulator(insecure_port=0) as nas:
        yield nas


def inherited(nas: Simulator, **more: str) -> dict[str, str]:
    """The settings of docker-borg-client."""
    return {
        "NOTIFY_TRUENAS_ENABLED": "true",
        "NOTIFY_TRUENAS_API_URL": nas.url,
        "NOTIFY_TRUENAS_API_KEY": nas.keys[0].key,
        "NOTIFY_TRUENAS_VERIFY_SSL": "false",
        **more,
    }


def shown(nas: Simulator) -> list[tuple[str, str]]:
    return [(alert["klass"], alert["formatted"]) for alert in nas.alerts]


# -- notify ------------------------------------------------------------------------------------------------------------


async def test_notify_takes_the_arguments_of_notify_sh_and_says_delivered_after_the_read_back(nas: Simulator) -> None:
    done = await borgwatch(*TEST, settings=inherited(nas, NOTIFY_EVENTS="backup.failure,backup.success"))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("delivered: read back from alert.list as RsyncSuccess borgwatch:main:borg")
    ((klass, text),) = shown(nas)
    assert klass == "RsyncSuccess"
    assert 'task for "Test Notification: This is a test message from Borg Backup (20' in text


async def test_notify_without_a_message(nas: Simulator) -> None:
    done = await borgwatch("notify", "backup.failure", "critical", "Disk on fire", settings=inherited(nas))
    assert done.code == 0
    ((klass, text),) = shown(nas)
    assert klass == "CloudBackupTaskFailed"
    assert text.startswith('Cloud backup task "Disk on fire (20')


async def test_notify_takes_a_ws_address_to_tls_and_pins_the_certificate(nas: Simulator, tmp_path: Path) -> None:
    """`ws://` as the old guide recommended it: the key arrives encrypted, and is not revoked."""
    address = nas.url.replace("wss://127.0.0.1", "ws://localhost")
    settings = inherited(nas, NOTIFY_TRUENAS_API_URL=address, BORGWATCH_STATE=str(tmp_path))
    del settings["NOTIFY_TRUENAS_VERIFY_SSL"]
    done = await borgwatch(*TEST, settings=settings)
    assert done.code == 0
    assert nas.fingerprint in done.err
    assert not nas.keys[0].revoked
    pins = sqlite3.connect(tmp_path / "journal.sqlite3").execute("SELECT pin FROM pins").fetchall()
    assert [nas.fingerprint in str(pin) for (pin,) in pins] == [True]


@pytest.mark.parametrize("path", ["/api/v2.0", "/websocket", "/"])
async def test_notify_puts_the_right_path_in_place_of_the_inherited_one(nas: Simulator, path: str) -> None:
    address = nas.url.replace("wss:", "https:") + path
    done = await borgwatch(*TEST, settings=inherited(nas, NOTIFY_TRUENAS_API_URL=address))
    assert done.code == 0
    assert len(nas.alerts) == 1


async def test_notify_sends_nothing_unless_enabled(nas: Simulator) -> None:
    done = await borgwatch(*TEST, settings=inherited(nas, NOTIFY_TRUENAS_ENABLED="false"))
    assert (done.code, done.out) == (0, "not sent: NOTIFY_TRUENAS_ENABLED is not true\n")
    assert nas.calls == []


async def test_notify_heeds_notify_events_where_it_is_set(nas: Simulator) -> None:
    done = await borgwatch(*TEST, settings=inherited(nas, NOTIFY_EVENTS="backup.failure"))
    assert (done.code, done.out) == (0, "not sent: backup.success is not in NOTIFY_EVENTS\n")
    assert nas.calls == []


async def test_a_number_is_not_taken_for_a_delivery(nas: Simulator) -> None:
    """The predecessor's mistake: TrueNAS answers with a job's number, and nothing is ever listed."""
    nas.faults.swallow_creates = True
    done = await borgwatch(*TEST, settings=inherited(nas))
    assert (done.code, done.out) == (1, "")
    assert "not delivered (NotShown)" in done.err


async def test_the_same_notification_again_is_told_again(nas: Simulator) -> None:
    """Whoever calls it twice wants to be told twice: an alert that only stays is mailed to nobody."""
    for _ in range(2):
        done = await borgwatch(*TEST, settings=inherited(nas))
        assert done.code == 0
        await asyncio.sleep(1)  # the text holds the second
    assert [method for method, _ in nas.calls].count("alert.dismiss") == 1


async def test_a_closed_socket_is_not_taken_for_a_delivery(nas: Simulator) -> None:
    nas.faults.close_before["alert.oneshot_create"] = 1011
    nas.faults.swallow_creates = True
    done = await borgwatch(*TEST, settings=inherited(nas))
    assert (done.code, done.out) == (1, "")
    assert "not delivered yet (ConnectionLost)" in done.err
    assert "not delivered (" in done.err


async def test_a_closed_socket_after_the_alert_was_made_ends_as_one_alert_read_back(nas: Simulator) -> None:
    nas.faults.close_after["alert.oneshot_create"] = 1011
    done = await borgwatch(*TEST, settings=inherited(nas))
    assert done.code == 0
    assert "not delivered yet (ConnectionLost)" in done.err
    assert len(nas.alerts) == 1


async def test_a_refused_key_is_told_as_such(nas: Simulator) -> None:
    nas.keys[0].revoked = True
    done = await borgwatch(*TEST, settings=inherited(nas))
    assert (done.code, done.out) == (1, "")
    assert "not delivered (LoginRefused)" in done.err


async def test_a_key_without_rights_is_told_as_such() -> None:
    async with Simulator(keys=[Key("reader", "2-" + "r" * 64, ("READONLY_ADMIN",))]) as nas:
        done = await borgwatch(*TEST, settings=inherited(nas))
    assert done.code == 1
    assert "no full administrator" in done.err


async def test_where_there_can_be_no_alert_a_mail_is_sent_and_not_called_delivered() -> None:
    async with Simulator("27-master") as nas:
        done = await borgwatch(*TEST, settings=inherited(nas))
        as_json = await borgwatch(*TEST, "--json", settings=inherited(nas))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("mailed: ")
    assert "delivered" not in done.out
    assert json.loads(as_json.out)["delivered"] is False
    assert len(nas.mails) == 2


async def test_the_key_is_in_nothing_that_is_printed(nas: Simulator) -> None:
    for fault in ("", "revoked"):
        nas.keys[0].revoked = bool(fault)
        done = await borgwatch(*TEST, settings=inherited(nas))
        assert nas.keys[0].key.partition("-")[2] not in done.out + done.err


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"NOTIFY_TRUENAS_ENABLD": "true"}, "unknown setting (did you mean 'NOTIFY_TRUENAS_ENABLED'?)"),
        ({"NOTIFY_TRUENAS_ENABLED": "maybe"}, "NOTIFY_TRUENAS_ENABLED: must be true or false (it is 'maybe')"),
        ({"NOTIFY_TRUENAS_API_KEY": ""}, "NOTIFY_TRUENAS_API_KEY: missing"),
        ({"NOTIFY_TRUENAS_API_KEY": "nokey"}, "NOTIFY_TRUENAS_API_KEY: must look like <number>-<secret>"),
        ({"NOTIFY_TRUENAS_API_URL": "wss://"}, "NOTIFY_TRUENAS_API_URL: has no host; write wss://<host>"),
        ({"NOTIFY_TRUENAS_API_URL": "ftp://nas"}, "cannot begin with ftp://; write wss://<host>"),
        ({"NOTIFY_EVENTS": "backup.failur"}, "no event is called 'backup.failur' (did you mean 'backup.failure'?)"),
        ({"BORGWATCH_EXPECT": "soon"}, "BORGWATCH_EXPECT: must be a span such as 26h"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_a_bad_setting_is_one_clear_line_and_exit_2(nas: Simulator, settings: dict[str, str], says: str) -> None:
    done = await borgwatch(*TEST, settings={**inherited(nas), **settings})
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("borgwatch: ")
    assert says in line
    assert nas.calls == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nonsense",), "no such command 'nonsense'"),
        (("rnu",), "did you mean 'run'?"),
        (("notify", "backup.failure"), "Missing argument 'LEVEL'"),
        (("notify", "failure", "INFO", "t"), "not an event name such as backup.failure"),
        (("notify", "backup.failure", "LOUD", "t"), "none of INFO, NOTICE, WARNING, ERROR, CRITICAL"),
        (("replay", "/no/such/file"), "/no/such/file: cannot be read: No such file or directory"),
        (("simulate", "--release", "24.10"), "24.10"),
        (("simulate", "--fault", "http_status=nan"), "http_status needs a number"),
    ],
)
async def test_a_usage_error_is_one_clear_line_and_exit_2(arguments: tuple[str, ...], says: str) -> None:
    done = await borgwatch(*arguments)
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert says in line


# -- replay, rules, check, simulate ------------------------------------------------------------------------------------


async def test_replay_prints_one_event_a_line() -> None:
    log = RECORDINGS / "cron-script-borg-1.4.5" / "json-week-in-one-file.log"
    done = await borgwatch("replay", "--job", "nas", "--json", str(log))
    assert (done.code, done.err) == (0, "")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [event["event"] for event in events if event["event"].startswith("backup.")] == [
        "backup.success", "backup.warning", "backup.failure", "backup.success", "backup.failure", "backup.success",
    ]  # fmt: skip
    assert {event["job"] for event in events} == {"nas"}
    assert set(events[0]) == {
        "event", "level", "job", "title", "message", "time", "rule", "source", "run", "id", "fields",
    }  # fmt: skip


async def test_replay_of_the_same_log_gives_the_same_ids() -> None:
    log = RECORDINGS / "borg-1.4.5" / "create-lock-timeout.stderr"
    first, second = [await borgwatch("replay", "--json", str(log)) for _ in range(2)]
    assert first.out == second.out
    assert json.loads(first.out)["event"] == "backup.failure"


async def test_replay_reads_standard_input_and_the_operation_of_a_bare_closing_line() -> None:
    line = b"terminating with success status, rc 0\n"
    done = await borgwatch("replay", "--operation", "prune", "--json", "-", stdin=line)
    assert json.loads(done.out)["event"] == "prune.success"


async def test_replay_takes_rules_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(
        "schema: 1\npack: my\nrules:\n- id: tape\n  match: {text|contains: tape is full}\n  emit: backup.failure\n"
    )
    done = await borgwatch("replay", "--rules", str(tmp_path), "--json", "-", stdin=b"the tape is full\n")
    assert json.loads(done.out)["rule"] == "my.tape"


async def test_broken_rules_are_told_with_their_places_and_exit_2(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("schema: 1\npack: my\nrules:\n- id: a\n  mach: {text: x}\n  emit: backup.failur\n")
    done = await borgwatch("rules", "test", str(tmp_path))
    assert done.code == 2
    assert done.err.splitlines() == [
        f"borgwatch: {path}:4:3: rule my.a must say match:",
        f"borgwatch: {path}:5:3: unknown key 'mach' in a rule (did you mean 'match'?)",
        f"borgwatch: {path}:6:9: unknown event 'backup.failur' (did you mean 'backup.failure'?)",
    ]


async def test_rules_test_shows_what_differs(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(
        "schema: 1\npack: my\nrules:\n- id: tape\n  match: {text|contains: tape}\n  emit: backup.failure\n"
        "  samples:\n  - line: the tape is full\n    event: {name: backup.warning}\n"
    )
    done = await borgwatch("rules", "test", str(tmp_path))
    assert done.code == 1
    assert "name: expected 'backup.warning'; got 'backup.failure'" in done.out


async def test_the_shipped_rules_pass_their_samples_and_each_has_some() -> None:
    done = await borgwatch("rules", "test")
    assert done.code == 0
    assert "no samples" not in done.out
    assert "0 failed" in done.out


async def test_check_walks_every_step_and_sends_a_real_alert(nas: Simulator, tmp_path: Path) -> None:
    log = tmp_path / "watch" / "nas" / "backup.log"
    log.parent.mkdir(parents=True)
    log.write_bytes((RECORDINGS / "borg-1.4.5" / "create-lock-timeout.stderr").read_bytes())
    (tmp_path / "state").mkdir()
    settings = {"BORGWATCH_WATCH": str(tmp_path / "watch"), "BORGWATCH_STATE": str(tmp_path / "state")}
    done = await borgwatch("check", "--send", "--json", settings=inherited(nas, **settings))
    steps = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 0, done.out
    assert [(step["step"], step["result"]) for step in steps] == [
        ("settings", "ok"), ("rules", "ok"), ("state", "ok"), ("sources", "ok"), ("access", "note"),
        ("resolve", "ok"), ("connect", "ok"), ("tls", "ok"), ("tls", "note"), ("login", "ok"), ("rights", "ok"),
        ("classes", "ok"),
        ("services", "ok"), ("mail", "ok"), ("delivery", "ok"), ("alert", "ok"), ("alert", "ok"),
    ]  # fmt: skip
    assert "(job nas): last event backup.failure" in next(step for step in steps if step["step"] == "sources")["what"]
    assert [method for method, _ in nas.calls].count("alert.oneshot_create") == 1
    assert nas.alerts == []


async def test_check_looks_at_what_run_would_read_and_at_nothing_else(tmp_path: Path) -> None:
    """Of Docker's directory, the output of the chosen containers, out of its envelopes, and no configuration."""
    for name, identity in (("borg-backup", "a" * 64), ("web", "b" * 64)):
        directory = tmp_path / "watch" / identity
        directory.mkdir(parents=True)
        (directory / "config.v2.json").write_text(json.dumps({"ID": identity, "Name": f"/{name}"}))
        (directory / "hostconfig.json").write_text("{}")
        said = {"log": "terminating with error status, rc 2\n", "stream": "stderr", "time": "2026-11-23T02:10:11Z"}
        (directory / f"{identity}-json.log").write_text(json.dumps(said) + "\n")
    os.mkfifo(tmp_path / "watch" / "pipe.log")
    done = await borgwatch("check", "--json", settings={
        "BORGWATCH_WATCH": str(tmp_path / "watch"), "BORGWATCH_STATE": str(tmp_path / "state"),
    })  # fmt: skip
    sources = [step for step in map(json.loads, done.out.splitlines()) if step["step"] == "sources"]

    assert [step["result"] for step in sources] == ["wrong", "ok"]
    assert "pipe.log is a FIFO" in sources[0]["what"]
    assert "aaa-json.log (job borg-backup): last event backup.failure" in sources[1]["what"]


async def test_check_is_not_content_with_the_test_alert_that_an_earlier_one_left(nas: Simulator) -> None:
    nas.faults.error["alert.dismiss"] = {"code": -32001, "data": {"error": 14, "reason": "[EFAULT] no"}}
    first = await borgwatch("check", "--send", settings=inherited(nas))
    del nas.faults.error["alert.dismiss"]
    assert "WRONG  alert" in first.out
    assert len(nas.alerts) == 1

    second = await borgwatch("check", "--send", settings=inherited(nas))
    assert "ok     alert     cleared, and read back as gone" in second.out
    assert [method for method, _ in nas.calls].count("alert.oneshot_create") == 2
    assert nas.alerts == []


async def test_check_does_not_call_a_certificate_unchecked_that_a_fingerprint_checks(nas: Simulator) -> None:
    done = await borgwatch("check", settings=inherited(nas, NOTIFY_TRUENAS_FINGERPRINT=nas.fingerprint))
    assert "ok     tls" in done.out
    assert "is not checked" not in done.out


async def test_check_says_what_to_do_for_each_thing_that_is_wrong(nas: Simulator, tmp_path: Path) -> None:
    settings = {"BORGWATCH_WATCH": str(tmp_path / "no"), "BORGWATCH_STATE": str(tmp_path / "none" / "state")}
    done = await borgwatch(
        "check", settings=inherited(nas, NOTIFY_TRUENAS_VERIFY_SSL="true", NOTIFY_EVENT="x", **settings)
    )
    assert done.code == 2
    wrong = [line for line in done.out.splitlines() if line.startswith("WRONG")]
    assert [words in line for words, line in zip(
        ("did you mean 'NOTIFY_EVENTS'?", "BORGWATCH_STATE", "is it mounted?", "NOTIFY_TRUENAS_VERIFY_SSL=pin"),
        wrong, strict=True,
    )] == [True] * 4  # fmt: skip


@pytest.mark.parametrize(
    ("release", "roles", "send", "code", "delivery"),
    [
        ("27-master", ("FULL_ADMIN",), (), 0, ("note", "was not tried")),
        ("27-master", ("FULL_ADMIN",), ("--send",), 0, ("note", "by mail, for TrueNAS 27")),
        ("27-master", ("MAIL_WRITE",), (), 0, ("note", "by mail, for TrueNAS 27")),
        ("27-master", ("READONLY_ADMIN",), (), 1, ("wrong", "by nothing: TrueNAS 27")),
        ("25.10.6", ("READONLY_ADMIN",), (), 1, ("wrong", "by nothing: the API key's user is no full administrator")),
        ("25.10.6", ("FULL_ADMIN",), (), 0, ("ok", "by alert, read back")),
    ],
)
async def test_check_says_by_which_way_people_will_hear(
    release: str, roles: tuple[str, ...], send: tuple[str, ...], code: int, delivery: tuple[str, str], tmp_path: Path
) -> None:
    """What is not wrong is not called wrong, and what was not tried is not called good."""
    async with Simulator(release, keys=[Key("root", "1-" + "s" * 64, roles)]) as nas:
        settings = {"BORGWATCH_WATCH": str(tmp_path), "BORGWATCH_STATE": str(tmp_path.parent / "none" / "state")}
        (tmp_path.parent / "none").mkdir(exist_ok=True)
        done = await borgwatch("check", "--json", *send, settings=inherited(nas, **settings))
        steps = {step["step"]: step for step in map(json.loads, done.out.splitlines())}
    assert (done.code, steps["delivery"]["result"]) == (code, delivery[0]), done.out
    assert delivery[1] in steps["delivery"]["what"]
    if release == "27-master" and code:
        assert "full administrators" not in steps["rights"]["what"], "that would not help here"
    assert len(nas.mails) == bool(send)


async def test_check_says_what_the_policies_of_truenas_do_to_its_alerts(nas: Simulator, tmp_path: Path) -> None:
    nas.set_policy("CloudBackupTaskFailed", "NEVER")
    nas.set_policy("RsyncSuccess", "DAILY")
    done = await borgwatch("check", "--json", settings=inherited(nas, BORGWATCH_WATCH=str(tmp_path)))
    steps = [step for step in map(json.loads, done.out.splitlines()) if step["step"] == "classes"]

    assert [(step["result"], step["what"][:40]) for step in steps] == [
        ("wrong", "CloudBackupTaskFailed has the policy NEV"),
        ("note", "RsyncSuccess has the policy DAILY: shown"),
    ]


async def test_check_says_that_a_certificate_file_beside_a_pin_is_not_looked_at(nas: Simulator, tmp_path: Path) -> None:
    file = {"NOTIFY_TRUENAS_CA_FILE": str(tmp_path / "ca.pem")}

    done = await borgwatch("check", settings=inherited(nas, NOTIFY_TRUENAS_VERIFY_SSL="pin", **file))

    assert "NOTIFY_TRUENAS_CA_FILE is not looked at beside NOTIFY_TRUENAS_VERIFY_SSL=pin" in done.out


async def test_check_says_that_it_pins_a_certificate(nas: Simulator, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    settings = {"NOTIFY_TRUENAS_VERIFY_SSL": "pin", "BORGWATCH_STATE": str(tmp_path / "state")}
    done = await borgwatch("check", settings=inherited(nas, BORGWATCH_WATCH=str(tmp_path / "no"), **settings))
    assert f"trusted from now on, for it was seen first: {nas.fingerprint}" in done.out


async def test_the_demo_confirms_every_night_with_recorded_output() -> None:
    done = await borgwatch("demo", "--recorded")
    assert done.code == 0, done.out + done.err
    assert done.out.count("read back from alert.list") >= 3
    assert "4 of 4 nights confirmed" in done.out


async def test_the_demo_runs_the_borg_that_is_installed(borg: str) -> None:
    done = await borgwatch("demo")
    assert done.code == 0, done.out + done.err
    assert borg in done.out
    assert "4 of 4 nights confirmed" in done.out
