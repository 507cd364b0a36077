"""`borgwatch run` as a process of its own beside recorded Borg output: what TrueNAS shows, over all that can happen."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from borgwatch.journal.store import Journal
from borgwatch.truenas.simulator import Simulator
from tests.process import ROOT, borgwatch, environment, running

RECORDINGS = ROOT / "tests" / "data" / "borg-logs"
LOCKED = (RECORDINGS / "borg-1.4.5" / "create-lock-timeout.stderr").read_bytes()
GOOD = (RECORDINGS / "borg-1.4.5" / "create-ok-full.stderr").read_bytes()
KEY = "borgwatch:main:nas"


@pytest.fixture
async def nas() -> AsyncIterator[Simulator]:
    async with Simulator() as nas:
        yield nas


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "watch" / "nas" / "backup.log"
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def settings(nas: Simulator, tmp_path: Path) -> dict[str, str]:
    """The settings of docker-borg-client as its old guide had them, and borgwatch's directories."""
    return {
        "NOTIFY_TRUENAS_ENABLED": "true",
        "NOTIFY_TRUENAS_API_URL": nas.url.replace("wss://127.0.0.1", "ws://localhost"),
        "NOTIFY_TRUENAS_API_KEY": nas.keys[0].key,
        "NOTIFY_EVENTS": "backup.failure,backup.missed",
        "BORGWATCH_WATCH": str(tmp_path / "watch"),
        "BORGWATCH_STATE": str(tmp_path / "state"),
        "BORGWATCH_RULES": str(tmp_path / "rules"),
    }


def append(log: Path, data: bytes) -> None:
    with log.open("ab") as file:
        file.write(data)


def keys(nas: Simulator) -> list[str]:
    return [alert["key"].strip('"') for alert in nas.alerts]


def created(nas: Simulator) -> int:
    return [method for method, _ in nas.calls].count("alert.oneshot_create")


async def test_a_failure_is_raised_and_the_next_success_clears_it(
    nas: Simulator, settings: dict[str, str], log: Path
) -> None:
    async with running(settings) as service:
        append(log, LOCKED)
        line = await service.line_with("alert.raised", KEY)
        assert "confirmed=True" in line
        assert keys(nas) == [KEY]
        append(log, GOOD)
        await service.line_with("alert.cleared", KEY)
        assert nas.alerts == []
        assert await service.end() == 0
    assert not nas.keys[0].revoked


async def test_what_stood_in_the_log_before_is_learnt_from_and_alerts_nobody(
    nas: Simulator, settings: dict[str, str], log: Path
) -> None:
    append(log, GOOD + LOCKED)
    async with running(settings) as service:
        await service.line_with("past.learnt")
        append(log, LOCKED)
        await service.line_with("alert.raised")
        await service.end()
    assert created(nas) == 1
    journal = Journal.open(Path(settings["BORGWATCH_STATE"]))
    state = journal.jobs()["nas", "backup"]
    assert state.last_success is not None
    assert state.last_success.year == 2026
    journal.close()


async def test_what_is_written_while_borgwatch_is_down_is_judged_once_when_it_is_back(
    nas: Simulator, settings: dict[str, str], log: Path
) -> None:
    async with running(settings) as service:
        append(log, LOCKED)
        await service.line_with("alert.raised")
        await service.end(signal.SIGKILL)
    append(log, GOOD)
    async with running(settings) as service:
        await service.line_with("alert.cleared")
        await service.end()
    journal = Journal.open(Path(settings["BORGWATCH_STATE"]))
    assert [event.name for event in journal.events()] == ["backup.failure", "backup.success"]
    journal.close()
    assert nas.alerts == []


async def test_an_alert_found_while_truenas_is_away_survives_kill_9_and_arrives_once(
    nas: Simulator, settings: dict[str, str], log: Path
) -> None:
    await nas.stop()
    async with running(settings) as service:
        append(log, LOCKED)
        await service.line_with("run.finished", "outcome=failure")
        await service.line_with("truenas.failed", "kind=Unreachable")
        await service.end(signal.SIGKILL)
    await nas.start()
    async with running(settings) as service:
        await service.line_with("alert.raised", KEY)
        await service.end()
    async with running(settings) as service:
        await service.line_with("truenas.ready")
        await service.end()
    assert keys(nas) == [KEY]
    assert created(nas) == 1


async def test_case_19_a_kill_9_between_a_delivery_and_its_record_shows_it_once(
    nas: Simulator, settings: dict[str, str], log: Path
) -> None:
    """TrueNAS has made the alert, and borgwatch was killed before it heard so: the next one looks before it writes."""
    nas.faults.never_answer.add("alert.oneshot_create")
    async with running(settings) as service:
        append(log, LOCKED)
        await nas.changed(lambda nas: keys(nas) == [KEY], 60)
        await service.end(signal.SIGKILL)
    nas.faults.never_answer.clear()
    async with running(settings) as service:
        await service.line_with("alert.raised", KEY, "confirmed=True")
        await service.end()
    assert keys(nas) == [KEY]
    assert created(nas) == 1


async def test_a_service_that_starts_without_truenas_delivers_when_it_comes(
    nas: Simulator, settings: dict[str, str], log: Path
) -> None:
    await nas.stop()
    async with running(settings) as service:
        append(log, LOCKED)
        await service.line_with("truenas.failed")
        await nas.start()
        await service.line_with("alert.raised", KEY)
        await service.end()
    assert keys(nas) == [KEY]


async def test_wrong_settings_rules_and_directories_are_one_line_each_and_what_is_sound_goes_on(
    nas: Simulator, settings: dict[str, str], log: Path, tmp_path: Path
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "broken.yaml").write_text("schema: 1\npack: broken\nrules:\n- id: a\n  match: {text: x}\n  emitt: y\n")
    (rules / "sound.yaml").write_text(
        "schema: 1\npack: mine\nrules:\n- id: tape\n  match: {text: tape full}\n  emit: backup.failure\n"
    )
    settings["BORGWATCH_WATCH"] += f",{tmp_path / 'nowhere'}"
    async with running({**settings, "BORGWATCH_WACH": "x", "BORGWATCH_POLL": "often"}) as service:
        assert "did you mean 'BORGWATCH_WATCH'?" in await service.line_with("config.problem", "BORGWATCH_WACH")
        assert "must be a span" in await service.line_with("config.problem", "BORGWATCH_POLL")
        assert "did you mean 'emit'?" in await service.line_with("rules.rejected", "broken.yaml:6:3")
        assert "does not exist" in await service.line_with("source.problem", "nowhere")
        append(log, b"tape full\n")
        await service.line_with("alert.raised", KEY)
        await service.end()
    assert keys(nas) == [KEY]


async def test_without_a_key_it_watches_and_says_that_nothing_can_be_delivered(
    nas: Simulator, settings: dict[str, str], log: Path
) -> None:
    del settings["NOTIFY_TRUENAS_API_KEY"]
    async with running(settings) as service:
        await service.line_with("config.problem", "NOTIFY_TRUENAS_API_KEY: missing")
        await service.line_with("truenas.unusable")
        append(log, LOCKED)
        await service.line_with("run.finished", "outcome=failure")
        await service.end()
    async with running({**settings, "NOTIFY_TRUENAS_API_KEY": nas.keys[0].key}) as service:
        await service.line_with("alert.raised", KEY)
        await service.end()
    assert keys(nas) == [KEY]


async def test_over_the_unix_socket_it_misses_no_key(settings: dict[str, str], log: Path, tmp_path: Path) -> None:
    path = tmp_path / "middlewared.sock"
    async with Simulator(unix_path=path) as nas:
        del settings["NOTIFY_TRUENAS_API_KEY"]
        async with running({**settings, "NOTIFY_TRUENAS_API_URL": f"unix://{path}"}) as service:
            await service.line_with("truenas.ready", "unix socket")
            append(log, LOCKED)
            await service.line_with("alert.raised", KEY)
            assert not any("truenas.unusable" in line for line in service.lines)
            await service.end()
        assert keys(nas) == [KEY]


async def test_not_enabled_means_watched_and_logged_and_no_connection(
    nas: Simulator, settings: dict[str, str], log: Path
) -> None:
    async with running({**settings, "NOTIFY_TRUENAS_ENABLED": "false"}) as service:
        await service.line_with("truenas.off")
        append(log, LOCKED)
        await service.line_with("run.finished", "outcome=failure")
        await service.end()
    assert nas.calls == []


async def test_sighup_reads_the_rules_again_and_broken_ones_leave_the_old(
    nas: Simulator, settings: dict[str, str], log: Path, tmp_path: Path
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    async with running(settings) as service:
        (rules / "mine.yaml").write_text(
            "schema: 1\npack: mine\nrules:\n- id: tape\n  match: {text: tape full}\n  emit: backup.failure\n"
        )
        service.process.send_signal(signal.SIGHUP)
        await service.line_with("rules.reloaded", "rules=")
        (rules / "mine.yaml").write_text("schema: 1\npack: [")
        service.process.send_signal(signal.SIGHUP)
        await service.line_with("rules.rejected", "not valid YAML")
        append(log, b"tape full\n")
        await service.line_with("alert.raised", KEY)
        await service.end()
    assert keys(nas) == [KEY]


async def test_a_second_service_on_the_same_state_is_refused(settings: dict[str, str], log: Path) -> None:  # noqa: ARG001 - the directory must be there
    async with running(settings) as service:
        second = await borgwatch("run", settings=settings)
        assert second.code == 2
        assert "another borgwatch already runs on the state directory" in second.err
        await service.end()


async def test_a_state_directory_that_cannot_be_made_is_one_line_and_exit_2(
    settings: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    done = await borgwatch("run", settings={**settings, "BORGWATCH_STATE": str(tmp_path / "file" / "state")})
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert "BORGWATCH_STATE" in done.err


async def test_a_backup_that_does_not_come_is_told_once_and_cleared_by_a_success(
    nas: Simulator, settings: dict[str, str], log: Path
) -> None:
    text = b'Creating archive at "/r::a"\nterminating with success status, rc 0\n'
    async with running({**settings, "BORGWATCH_EXPECT": "2s", "BORGWATCH_POLL": "1s"}) as service:
        append(log, text)
        await service.line_with("run.finished", "outcome=success")
        await service.line_with("run.missed")
        await service.line_with("alert.raised", "outcome=missed")
        assert keys(nas) == [KEY]
        append(log, text.replace(b"::a", b"::b"))
        await service.line_with("alert.cleared", KEY)
        await service.end()
    assert [line for line in service.lines if " run.missed " in line][1:] == []


async def test_the_key_stands_in_no_line_and_not_in_the_process_list(
    nas: Simulator, settings: dict[str, str], log: Path
) -> None:
    secret = nas.keys[0].key.partition("-")[2]
    async with running(settings) as service:
        append(log, LOCKED.replace(b"lock.exclusive", nas.keys[0].key.encode()))
        await service.line_with("alert.raised")
        command_line = Path(f"/proc/{service.process.pid}/cmdline").read_bytes()
        await service.end()
    assert secret not in "\n".join(service.lines)
    assert secret.encode() not in command_line
    assert secret not in str(nas.alerts)


async def test_sigterm_ends_it_in_time_even_in_the_middle_of_a_login_that_never_ends(
    nas: Simulator,
    settings: dict[str, str],
    log: Path,  # noqa: ARG001 - the directory must be there
) -> None:
    nas.faults.never_answer.add("core.set_options")
    async with running(settings) as service:
        async with asyncio.timeout(5):
            assert await service.end() == 0


def test_the_environment_of_the_tests_holds_no_settings_of_others() -> None:
    assert [name for name in environment({}) if name.startswith("NOTIFY_")] == []
