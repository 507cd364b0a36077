"""`history`, `status` and `review` as people and dashboards call them."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len

from borgwatch.journal.notes import DeliveryState, RuleExpectations, ServiceState
from borgwatch.journal.store import Change, Journal
from borgwatch.matching.suspicious import Unclaimed
from borgwatch.model import Alert, Level, Outcome
from borgwatch.policy.deadman import Expectation
from borgwatch.policy.jobs import JobState
from tests.bench.history import make_year
from tests.process import borgwatch, environment, running
from tests.views.test_review import run, told

HOSTILE = "<script>alert(1)</script> \x1b[31mred\x1b[0m \x1b]0;title\x07 \u202egnp.exe [bold]x[/bold] 'q' $(reboot)"
HARMLESS = "<script>alert(1)</script> red gnp.exe [bold]x[/bold] 'q' $(reboot)"
COMMANDS = (("status",), ("history", "--since", "3000d"), ("review",))


def settings(state: Path) -> dict[str, str]:
    return {"BORGWATCH_STATE": str(state), "BORGWATCH_RULES": str(state / "rules"), "TZ": "UTC"}


def write(state: Path, message: str, job: str = "nas") -> None:
    """A journal with one failure, one warning and one unclaimed line, all with the same words."""
    now = datetime.now(UTC)
    failed, warned = run(0, Outcome.FAILURE, message, job), run(1, Outcome.WARNING, message, job)
    events = [told(warned, 1).event, told(failed, 2).event]
    line = Unclaimed(job, message, 1, now, now, message, "log")
    with closing(Journal.open(state, exclusive=True)) as journal:
        state_of_job = JobState(
            job, "backup", "failure", failed.ended, failures=1, failing_since=failed.ended, run="r0"
        )
        journal.commit(Change(runs=[failed, warned], events=events, unclaimed=[line], jobs=[state_of_job]))
        journal.set_note(ServiceState("1.0.0", now, now))
        journal.set_note(DeliveryState("alert", now, release="25.10.6"))


@pytest.fixture
def year(tmp_path: Path) -> Path:
    make_year(tmp_path, datetime(2026, 11, 23, tzinfo=UTC), days=60)
    return tmp_path


async def test_the_history_is_a_table_of_runs(tmp_path: Path) -> None:
    write(tmp_path, "lock timeout")
    done = await borgwatch("history", "--since", "3000d", settings=settings(tmp_path))
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "when (UTC)        job  operation  outcome  duration  size     added  rc  alert  message",
        "2026-11-22 02:10  nas  backup     warning  10m       1.00 TB  -      0   none   lock timeout",
        "2026-11-23 02:10  nas  backup     failure  10m       1.00 TB  -      0   none   lock timeout",
    ]  # fmt: skip


async def test_where_nothing_is_found_it_is_said_what_there_is(tmp_path: Path) -> None:
    with closing(Journal.open(tmp_path)):
        pass
    said = (await borgwatch("history", "--job", "naas", settings=settings(tmp_path))).out
    assert said == "nothing is known of a job 'naas'; no job has run yet\n"
    said = (await borgwatch("status", settings=settings(tmp_path))).out
    assert said.startswith("no job has run yet; `borgwatch check` says which logs there are")
    write(tmp_path, "m")
    said = (await borgwatch("history", "--job", "naas", settings=settings(tmp_path))).out
    assert said == "nothing is known of a job 'naas' (did you mean 'nas'?); the jobs are nas\n"
    said = (await borgwatch("history", "--job", "nas", "--since", "1s", settings=settings(tmp_path))).out
    assert re.fullmatch(r"nothing has run since 20.* \(UTC\): --since looks further back\n", said)


async def test_what_waits_is_told_as_an_alert_or_as_its_end(tmp_path: Path) -> None:
    """Where nobody is to be told at all, nothing waits to be taken back."""
    write(tmp_path, "m")
    alert = Alert("borgwatch:main:nas", "nas", "backup", "failure", Level.ERROR, "m", True, "e", datetime.now(UTC))
    for is_raised, rung, says in (
        (True, "alert", "waiting for delivery: borgwatch:main:nas (delivery by alert since "),
        (False, "alert", "to be cleared, waiting for delivery: borgwatch:main:nas (delivery by alert since "),
        (True, "off", "waiting for delivery: borgwatch:main:nas (delivery is off since "),
        (False, "off", "none (delivery is off since "),
    ):
        with closing(Journal.open(tmp_path)) as journal:
            journal.commit(Change(alerts=[replace(alert, raised=is_raised)]))
            journal.set_note(DeliveryState(rung, datetime.now(UTC)))
        said = (await borgwatch("status", settings=settings(tmp_path))).out
        assert f"\n  alert         {says}" in said
        assert ("; 1 alert waiting\n" in said) is (rung == "alert")


async def test_the_status_is_five_lines_a_job(year: Path) -> None:
    done = await borgwatch("status", settings=settings(year))
    assert done.err == ""
    lines = done.out.splitlines()
    start = lines.index("ok: host-4 backup")
    ago = r"\(\d+ \w+ \d+ \w+ (ago|from now)\)|\(.*\)"
    assert [re.sub(ago, "(ago)", line) for line in lines[start : start + 5]] == [
        "ok: host-4 backup",
        "  last success  2026-11-22 02:12 (ago)",
        "  last run      2026-11-22 02:12 (ago), success, 12m7s",
        "  due           not awaited (ago)",
        "  alert         none (ago)",
    ]
    assert len(lines) == 5 * 20 + 3


async def test_the_review_ends_with_a_verdict_and_begins_anew_after_ack(tmp_path: Path) -> None:
    write(tmp_path, "disk 3 is hot")
    done = await borgwatch("review", "--ack", settings=settings(tmp_path))
    assert (done.code, done.err) == (1, "")
    assert done.out.startswith("Review since the beginning, times in UTC\n")
    for part in (
        "Broken now",
        "What happened", "1 failure", "Failures and missing runs", "Warnings",
        "Lines that look like trouble and that no rule knows", "borgwatch explain -- 'disk 3 is hot'",
        "    - {id: my-rule, match: {text|contains: 'disk 3 is hot'}, emit: backup.failure}",
        "alerts under the bell of TrueNAS 25.10.6, read back",
    ):  # fmt: skip
        assert part in done.out
    assert done.out.splitlines()[-1] == "ACT: broken now: nas backup. 2 runs in all, 1 failed or missing."
    again = await borgwatch("review", settings=settings(tmp_path))
    assert again.out.splitlines()[-1].startswith("ACT: broken now: nas backup. 0 runs since 20")
    assert "Broken now" in again.out
    assert [part for part in ("What happened", "Warnings", "no rule knows") if part in again.out] == []


async def test_a_line_that_is_read_late_is_in_the_next_review(tmp_path: Path) -> None:
    """Its own time may be long before the last review: a log that could not be read then, for one."""
    write(tmp_path, "disk 3 is hot")
    await borgwatch("review", "--ack", settings=settings(tmp_path))
    old = datetime.now(UTC) - timedelta(days=30)
    with closing(Journal.open(tmp_path)) as journal:
        journal.commit(Change(unclaimed=[Unclaimed("nas", "ERROR: late", 1, old, old, "ERROR: late", "log")]))
    done = await borgwatch("review", "--json", settings=settings(tmp_path))
    assert [line["sample"] for line in json.loads(done.out)["unclaimed"]] == ["ERROR: late"]


async def test_the_json_has_a_version_and_the_documented_fields(year: Path) -> None:
    for arguments, keys in (
        (("status",), {"version", "time", "at_work", "service", "delivery", "waiting", "jobs", "rejected_rules"}),
        (("history", "--since", "3000d", "--limit", "5"), {"version", "rows", "more"}),
        (
            ("review",),
            {
                "version", "since", "status", "broken", "happened", "troubles", "warnings", "unclaimed", "outliers",
                "dead_rules", "delivery", "mailed", "verdict",
            },
        ),
    ):  # fmt: skip
        done = await borgwatch(*arguments, "--json", settings=settings(year))
        found = json.loads(done.out)
        assert found.keys() == keys
        assert found["version"] == 1
    done = await borgwatch("history", "--job", "host-3", "--json", "--since", "3000d", settings=settings(year))
    rows = json.loads(done.out)["rows"]
    assert {row["job"] for row in rows} == {"host-3"}
    assert datetime.fromisoformat(rows[0]["time"]).utcoffset() == timedelta(0)


@pytest.mark.parametrize("arguments", [*COMMANDS, *((*command, "--json") for command in COMMANDS)])
async def test_hostile_words_of_a_log_are_shown_harmless(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    write(tmp_path, HOSTILE, job="n\x1b[2Ja\u202es")
    done = await borgwatch(*arguments, settings=settings(tmp_path))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]|\\\\u001b|\\\\u202e", done.out)
    if "history" in arguments:
        assert HARMLESS in done.out


async def test_on_a_terminal_only_our_own_colours_come_and_words_are_no_markup(tmp_path: Path) -> None:
    write(tmp_path, HOSTILE)
    for command in COMMANDS:
        out = await on_terminal(*command, state=tmp_path)
        assert re.search(r"\x1b\[[\d;]*m", out)
        plain = re.sub(r"\x1b\[[\d;]*m", "", out)
        assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]", plain)
        words = re.sub(r"\s+", " ", plain)
        assert command == ("status",) or "[bold]x[/bold]" in words
        assert "\x1b[31mred" not in out


@pytest.mark.parametrize("columns", [40, 80, 200])
async def test_on_a_narrow_terminal_every_word_is_readable(tmp_path: Path, columns: int) -> None:
    """A table that does not fit is written row by row: no cell is cut to a letter, no line is broken by force.

    What is to be copied is written as it is: the terminal wraps it, and what is copied is whole.
    """
    path = "/mnt/" + "long/" * 12 + "index"
    write(tmp_path, f"{path}: the lock cannot be had")
    for command in COMMANDS:
        out = await on_terminal(*command, state=tmp_path, more={"COLUMNS": str(columns), "NO_COLOR": "1"})
        lines = re.sub(r"\x1b\[[\d;]*m", "", out).splitlines()
        too_long = [line for line in lines if len(line) > columns]
        assert [line for line in too_long if "emit: " not in line and "borgwatch explain -- " not in line] == []
        assert "…" not in out
        assert path in re.sub(r"\s+", "", " ".join(lines))
        assert "the lock cannot be had" in re.sub(r"\s+", " ", " ".join(lines))
        assert "2026-11-23 02:10" in re.sub(r"\s+", " ", " ".join(lines))


async def test_letters_that_take_two_columns_do_not_shift_a_table(tmp_path: Path) -> None:
    write(tmp_path, "lock timeout", job="备份 💾")
    done = await borgwatch("history", "--since", "3000d", settings=settings(tmp_path))
    head, *rows = done.out.splitlines()
    assert {cell_len(row[: row.index("backup")]) for row in rows} == {head.index("operation")}


async def test_no_color_is_heeded(tmp_path: Path) -> None:
    write(tmp_path, "m")
    out = await on_terminal("history", "--since", "3000d", state=tmp_path, more={"NO_COLOR": "1"})
    assert not re.search(r"\x1b\[3\d", out)


async def on_terminal(*arguments: str, state: Path, more: dict[str, str] | None = None) -> str:
    """Run a command on a terminal of 200 columns; returns all that it wrote."""
    master, slave = pty.openpty()
    env = environment({**settings(state), "COLUMNS": "250", "TERM": "xterm-256color", **(more or {})})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "borgwatch", *arguments, env=env, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    pieces = []
    while True:
        try:
            piece = await asyncio.to_thread(os.read, master, 65536)
        except OSError:  # the other end was closed
            break
        pieces.append(piece)
        if not piece:
            break
    os.close(master)
    await process.wait()
    return b"".join(pieces).decode()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("history", "--since", "often"), "must be a span such as 26h, 15m, 10s or 1d (it is 'often')"),
        (("history", "--limit", "9" * 30), "is not in the range"),
        (("review", "--ack", "--since", "1h"), "it does not go with --since"),
        (("status",), "there is no journal in"),
        (("review", "--ack"), "there is no journal in"),
    ],
)
async def test_what_cannot_be_is_one_line_and_exit_2(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = await borgwatch(*arguments, settings=settings(tmp_path / "state"))
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert len(done.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


async def test_what_a_rule_file_expects_is_overdue_as_well(tmp_path: Path) -> None:
    """The dead-man's switch of a rule file is the service's and the reader's: an alert that stands is no `ok`."""
    state, rules, watched = (tmp_path / name for name in ("state", "rules", "watch"))
    for directory in (rules, watched):
        directory.mkdir()
    (rules / "own.yaml").write_text(
        "schema: 1\npack: own\nexpect:\n  - {job: nas, operation: backup, within: 26h}\nrules: []\n"
    )
    last = datetime.now(UTC) - timedelta(hours=40)
    with closing(Journal.open(state)) as journal:
        journal.commit(Change(jobs=[JobState("nas", "backup", "success", last, last)]))
    inside = {**settings(state), "BORGWATCH_RULES": str(rules), "BORGWATCH_WATCH": str(watched)}
    async with running(inside) as service:
        await service.line_with("run.missed")
        done = await borgwatch("status", settings=inside)
        assert (done.code, done.out.splitlines()[0]) == (1, "overdue: nas backup")
        done = await borgwatch("review", settings=inside)
        assert "ACT: broken now: nas backup" in done.out
        (rules / "own.yaml").write_text("schema: 1\npack: own\nrules: []\n")
        await service.line_with("deadman.withdrawn")
        done = await borgwatch("status", settings=inside)
        assert (done.code, done.out.splitlines()[0]) == (0, "ok: nas backup")


async def test_rules_that_are_rejected_are_seen_wherever_one_looks_until_they_are_mended(tmp_path: Path) -> None:
    rules, watched, run_dir = (tmp_path / name for name in ("rules", "watch", "run"))
    for directory in (rules, watched, run_dir):
        directory.mkdir()
    own = rules / "own.yaml"
    inside = {
        **settings(tmp_path / "state"), "BORGWATCH_RULES": str(rules), "BORGWATCH_WATCH": str(watched),
        "BORGWATCH_RUN": str(run_dir),
    }  # fmt: skip
    fault = f"{own}:3:1: unknown key 'rulez' in a rule file (did you mean 'rules'?)"
    async with running(inside) as service:
        own.write_text("schema: 1\npack: own\nrulez: []\nrules: []\n")
        await service.line_with("rules.rejected", "unknown key")
        service.process.send_signal(signal.SIGHUP)
        await service.until(lambda lines: sum("rules.rejected" in line for line in lines) == 2)
        status, review, health = [
            await borgwatch(name, settings=inside) for name in ("status", "review", "healthcheck")
        ]
        assert health.out == (
            f"degraded: 1 fault in rule files, which are not in force: {fault};"
            " watching and logging; NOTIFY_TRUENAS_ENABLED is not true\n"
        )
        assert re.search(
            r"^rules: 1 fault in rule files, which are not in force since \S+ \S+ ", status.out, re.MULTILINE
        )
        assert f", the first: {fault}\n" in status.out
        assert (review.code, f", the first: {fault}\n" in review.out) == (1, True)
        assert "ACT: rule files are wrong and not in force." in review.out
        own.write_text("schema: 1\npack: own\nrules: []\n")
        await service.line_with("rules.reloaded")
        status, review, health = [
            await borgwatch(name, settings=inside) for name in ("status", "review", "healthcheck")
        ]
        assert "rules: " not in status.out
        assert (review.code, health.out.split(":")[0]) == (0, "healthy")


async def test_a_rule_file_that_is_broken_at_the_start_withdraws_nothing_that_it_expected(tmp_path: Path) -> None:
    """The switch goes on by what the rule files said when they last were sound."""
    state, rules, watched = (tmp_path / name for name in ("state", "rules", "watch"))
    for directory in (rules, watched):
        directory.mkdir()
    (rules / "own.yaml").write_text("schema: 1\npack: own\nexpect: [{within: 26h}]\nrules: [\n")
    last = datetime.now(UTC) - timedelta(hours=40)
    with closing(Journal.open(state)) as journal:
        journal.commit(Change(jobs=[JobState("nas", "backup", "success", last, last)]))
        journal.set_note(RuleExpectations((Expectation("nas", "backup", timedelta(hours=26)),)))
    inside = {**settings(state), "BORGWATCH_RULES": str(rules), "BORGWATCH_WATCH": str(watched)}
    async with running(inside) as service:
        await service.line_with("run.missed")
        assert (await borgwatch("status", settings=inside)).out.startswith("overdue: nas backup")
    with closing(Journal.open(state)) as journal:
        assert journal.alerts()["nas", "backup"].raised
        assert journal.note(RuleExpectations) == RuleExpectations((Expectation("nas", "backup", timedelta(hours=26)),))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
@pytest.mark.parametrize("arguments", [*COMMANDS, ("status", "--json")])
async def test_a_full_disk_behind_the_output_is_one_line(year: Path, arguments: tuple[str, ...]) -> None:
    """Whoever writes a report into a full disk reads why it is cut, not a traceback."""
    with Path("/dev/full").open("w") as full:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "borgwatch", *arguments, env=environment(settings(year)),
            stdout=full, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await process.communicate()
    assert (process.returncode, said.decode()) == (
        1, "borgwatch: the output could not be written: No space left on device\n"
    )  # fmt: skip


async def loaded(module: str, *names: str) -> list[str]:
    """Which of the modules `names` an import of `module` loads."""
    code = f"import sys, json, {module}; print(json.dumps([name for name in {names} if name in sys.modules]))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=environment({}), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return list(json.loads(out))


async def test_little_is_loaded_for_a_command_that_a_dashboard_calls() -> None:
    assert await loaded("borgwatch.cli.status", "rich", "cryptography", "websockets", "click") == ["click"]


async def test_the_service_does_not_load_what_draws_tables() -> None:
    assert await loaded("borgwatch.cli.run", "structlog", "rich") == ["structlog"]
