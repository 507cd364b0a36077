"""borgwatch in its real image: another user, a read-only root, recorded logs of real Borgs, a TrueNAS outside."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from borgwatch.journal.lookback import Lookback
from borgwatch.journal.schema import MIGRATIONS
from borgwatch.journal.store import Journal
from borgwatch.truenas.simulator import Simulator
from tests.image.builder import Image
from tests.image.container import Host, finished, started
from tests.process import ROOT

RECORDINGS = ROOT / "tests" / "data" / "borg-logs"
LOCKED = (RECORDINGS / "borg-1.4.5" / "create-lock-timeout.stderr").read_bytes()
GOOD = (RECORDINGS / "borg-1.4.5" / "create-ok-full.stderr").read_bytes()
WEEK = (RECORDINGS / "cron-script-borg-1.4.5" / "json-week-in-one-file.log").read_bytes()
KEY = "borgwatch:main:nas"
TAPE = "schema: 1\npack: mine\nrules:\n- id: tape\n  match: {text: tape full}\n  emit: backup.failure\n"
MEGABYTE = 1_000_000
PLACES = {"/state": True, "/tmp": True, "/": False, "/watch/nas": False, "/rules": False}  # noqa: S108 - the container's
AGE = """
import glob, json
(path,) = glob.glob("/tmp/*.heartbeat")
beat = json.load(open(path))
json.dump({**beat, "monotonic": beat["monotonic"] - 90}, open(path, "w"))
"""

pytestmark = pytest.mark.slow


@pytest.fixture
async def nas() -> AsyncIterator[Simulator]:
    async with Simulator() as nas:
        yield nas


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host").make()


@pytest.fixture
def settings(nas: Simulator) -> dict[str, str]:
    return {
        "NOTIFY_TRUENAS_ENABLED": "true",
        "NOTIFY_TRUENAS_API_URL": nas.url,
        "NOTIFY_TRUENAS_API_KEY": nas.keys[0].key,
        "NOTIFY_TRUENAS_VERIFY_SSL": "pin",
        "BORGWATCH_POLL": "0.2s",
        "TZ": "Asia/Kolkata",
    }


# -- what is in the image ----------------------------------------------------------------------------------------------


def test_the_configuration_is_what_engines_need(image: Image) -> None:
    config = image.config
    assert config["User"] == "568:568"
    assert (config["Entrypoint"], config["Cmd"]) == (["borgwatch"], ["run"])
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "borgwatch", "healthcheck"]
    assert config["Volumes"] == {"/state": {}}
    labels = {name.rpartition(".")[2]: text for name, text in config["Labels"].items()}
    assert (labels["version"], labels["revision"], labels["licenses"]) == ("1.2.3", "abcdef", "MIT")


def test_a_new_volume_takes_any_user_and_every_mount_has_its_place(image: Image) -> None:
    """An engine gives a new volume the owner and mode that the image has in its place."""
    assert stat.S_IMODE((image.root / "state").stat().st_mode) == 0o1777
    assert all((image.root / name).is_dir() for name in ("watch", "rules", "config"))


def test_there_is_no_installer_no_compiler_and_no_trace_of_the_build(image: Image) -> None:
    environment = image.root / "opt" / "borgwatch"
    assert {path.name for path in (environment / "bin").iterdir()} & {"pip", "pip3", "hatchling"} == set()
    assert list(environment.glob("lib/*/site-packages/pip*")) == []
    assert list(environment.glob("lib/*/site-packages/hatch*")) == []
    assert not (image.root / "build").exists()
    assert not list((image.root / "run").glob("secrets/*"))
    assert not (image.root / "etc" / "pip.conf").exists()
    history = subprocess.run(["grep", "-rlE", r"pip_ca|\.crt'", str(environment)], capture_output=True, check=False)
    assert history.stdout == b""


def test_everything_is_compiled_for_the_root_is_read_only(image: Image) -> None:
    packages = next((image.root / "opt" / "borgwatch").glob("lib/*/site-packages"))
    sources = set((packages / "borgwatch").rglob("*.py"))
    compiled = {path.parent.parent / f"{path.name.partition('.')[0]}.py" for path in packages.rglob("*.pyc")}
    assert sources
    assert sources <= compiled


def test_it_is_small(image: Image) -> None:
    print(f"compressed: {image.own / MEGABYTE:.1f} MB above the base, {image.whole / MEGABYTE:.1f} MB in all")  # noqa: T201 - the figures
    assert image.own < 20 * MEGABYTE
    assert image.whole < 80 * MEGABYTE


# -- its life ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uid", [568, 4242, 0])
async def test_it_runs_as_any_user_writes_to_state_and_tmp_alone_and_ends_on_sigterm(
    image: Image, settings: dict[str, str], tmp_path: Path, uid: int
) -> None:
    host = Host(tmp_path / "host", uid).make()
    host.append(WEEK)
    async with started(image, host, settings) as container:
        assert "+05:30 [info] borgwatch.start" in await container.line_with("borgwatch.start", f"uid={uid}")
        await container.line_with("past.learnt")
        await container.line_with("truenas.ready", "delivery=alert")
        host.append(LOCKED)
        await container.line_with("alert.raised", KEY, "confirmed=True")
        for place, allowed in PLACES.items():
            done = await container.execute("touch", f"{place}/probe")
            assert (done.code == 0) is allowed, f"{place}: {done.err}"
        host.append(GOOD)
        await container.line_with("run.finished", "outcome=success")
        code, took = await container.stop()
    assert code == 0
    assert took < 5
    assert container.lines[-1].endswith("borgwatch.stop")
    journal = Journal.open(host.state)
    assert [event.name for event in journal.events()][-2:] == ["backup.failure", "backup.success"]
    journal.close()
    assert host.state.joinpath("journal.sqlite3").stat().st_uid == uid


async def test_it_is_healthy_then_degraded_without_truenas_and_healthy_again(
    image: Image, nas: Simulator, settings: dict[str, str], host: Host
) -> None:
    async with started(image, host, settings) as container:
        assert await container.becomes("healthy") == "healthy: connected to TrueNAS, alerts are read back"
        await nas.stop()
        assert "TrueNAS has been away for" in await container.becomes("degraded")
        host.append(LOCKED)
        await container.line_with("run.finished", "outcome=failure")
        assert "1 alert waits" in await container.becomes("degraded: TrueNAS has been away")
        await nas.start()
        await container.line_with("alert.raised", KEY)
        await container.becomes("healthy")
        assert (await container.stop())[0] == 0


async def test_it_starts_without_truenas_and_without_any_log(
    image: Image, nas: Simulator, settings: dict[str, str], host: Host
) -> None:
    await nas.stop()
    async with started(image, host, settings) as container:
        await container.becomes("degraded")
        host.append(LOCKED)
        await container.line_with("run.finished", "outcome=failure")
        await nas.start()
        await container.line_with("alert.raised", KEY)
        assert (await container.stop())[0] == 0


async def test_a_watcher_that_is_stuck_is_unhealthy(image: Image, settings: dict[str, str], host: Host) -> None:
    """A sign of life that grows old is what a stopped process leaves; it is aged here instead of waiting a minute."""
    async with started(image, host, settings) as container:
        await container.becomes("healthy")
        container.send(signal.SIGSTOP)
        assert (await container.execute("python3", "-c", AGE)).code == 0
        assert "the watcher is stuck" in await container.becomes("unhealthy")
        container.send(signal.SIGCONT)
        await container.becomes("healthy")


# -- hard case 20: the journal -----------------------------------------------------------------------------------------


async def test_a_state_directory_that_is_read_only_is_refused_with_what_to_do(
    image: Image, settings: dict[str, str], tmp_path: Path
) -> None:
    host = Host(tmp_path / "host", state_writable=False).make()
    done = await finished(image, host, settings)
    assert done.code == 2
    assert "/state cannot be used: Read-only file system" in done.out
    assert "BORGWATCH_STATE" in done.out.splitlines()[-1]


async def test_a_state_directory_of_another_user_is_refused_with_what_to_do(
    image: Image, settings: dict[str, str], host: Host
) -> None:
    os.chown(host.state, 0, 0)
    done = await finished(image, host, settings)
    assert done.code == 2
    assert "must be writable for the user that borgwatch runs as" in done.out


async def test_a_full_disk_is_unhealthy_and_nothing_is_lost_when_there_is_room_again(
    image: Image, settings: dict[str, str], tmp_path: Path
) -> None:
    host = Host(tmp_path / "host", small=MEGABYTE).make()
    async with started(image, host, settings) as container:
        await container.becomes("healthy")
        await container.execute("sh", "-c", "cat /dev/zero > /state/fill")
        host.append(LOCKED * 50)
        await container.line_with("journal.failed")
        assert "the journal cannot be written" in await container.becomes("unhealthy")
        await container.execute("rm", "/state/fill")
        await container.line_with("alert.raised", KEY)
        await container.becomes("healthy")


async def test_a_damaged_journal_is_moved_aside_and_watching_goes_on(
    image: Image, settings: dict[str, str], host: Host
) -> None:
    (host.state / "journal.sqlite3").write_bytes(b"no database " * 1000)
    os.chown(host.state / "journal.sqlite3", host.uid, host.uid)
    async with started(image, host, settings) as container:
        await container.line_with("journal.recovered")
        await container.line_with(" ready ")
        host.append(LOCKED)
        await container.line_with("alert.raised", KEY)


async def test_a_journal_of_an_older_version_is_taken_over(
    image: Image, nas: Simulator, settings: dict[str, str], host: Host
) -> None:
    path = host.state / "journal.sqlite3"
    with sqlite3.connect(path) as database:
        database.executescript(f"{MIGRATIONS[0]}; PRAGMA user_version = 1")
    database.close()
    os.chown(path, host.uid, host.uid)
    async with started(image, host, settings) as container:
        await container.line_with(" ready ")
        host.append(LOCKED)
        await container.line_with("alert.raised", KEY)
        assert (await container.stop())[0] == 0
    assert len(nas.alerts) == 1


async def test_a_journal_of_a_newer_version_is_refused(image: Image, settings: dict[str, str], host: Host) -> None:
    path = host.state / "journal.sqlite3"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 999")
    database.close()
    os.chown(path, host.uid, host.uid)
    done = await finished(image, host, settings)
    assert done.code == 2
    assert "newer" in done.out


async def test_a_second_container_on_the_same_state_is_refused(
    image: Image, settings: dict[str, str], host: Host
) -> None:
    async with started(image, host, settings) as container:
        await container.line_with(" ready ")
        done = await finished(image, host, settings)
        assert done.code == 2
        assert await container.becomes("healthy")


# -- hard case 21: signals and rules -----------------------------------------------------------------------------------


async def test_sighup_reads_the_rules_again_and_broken_ones_leave_the_old(
    image: Image, settings: dict[str, str], host: Host
) -> None:
    async with started(image, host, settings) as container:
        await container.line_with(" ready ")
        (host.rules / "mine.yaml").write_text(TAPE)
        container.send(signal.SIGHUP)
        await container.line_with("rules.reloaded")
        (host.rules / "mine.yaml").write_text("schema: 1\npack: [")
        container.send(signal.SIGHUP)
        assert "/rules/mine.yaml:2:" in await container.line_with("rules.rejected")
        host.append(b"tape full\n")
        await container.line_with("alert.raised", KEY)


async def test_sigterm_in_the_middle_of_a_long_log_loses_nothing(
    image: Image, nas: Simulator, settings: dict[str, str], host: Host
) -> None:
    """It ends within the grace period, and the next container goes on where it was."""
    async with started(image, host, settings) as container:
        await container.line_with(" ready ")
        host.append((GOOD * 20 + LOCKED) * 40)
        await asyncio.sleep(0.3)
        code, took = await container.stop()
        assert (code, took < 5) == (0, True)
    async with started(image, host, settings) as container:
        host.append(GOOD)
        async with asyncio.timeout(60):
            while len(ended(host)) < 40 * 21 + 1:  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.1)
        await nas.changed(lambda _: not nas.alerts)
        await container.becomes("healthy")
        assert (await container.stop())[0] == 0
    names = ended(host)
    assert (names.count("backup.failure"), names.count("backup.success")) == (40, 40 * 20 + 1)


def ended(host: Host) -> list[str]:
    """Name the outcomes that the journal holds now."""
    with closing(Lookback.open(host.state)) as journal:
        return [event.name for event in journal.events(5000) if event.name != "backup.recovered"]


# -- the page ----------------------------------------------------------------------------------------------------------


async def test_the_page_and_the_metrics_are_served_where_a_port_is_set(
    image: Image, settings: dict[str, str], host: Host
) -> None:
    """The image listens on all addresses of its container: only what is published is reached."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with started(image, host, {**settings, "BORGWATCH_WEB_PORT": str(port)}) as running:
        await running.line_with(" ready ")
        host.append(LOCKED)
        await running.line_with("alert.raised")
        page = await asyncio.to_thread(get, port, "/")
        assert "broken now: nas backup" in page
        assert "shown under the bell, read back" in page
        assert "borgwatch_consecutive_failures" in await asyncio.to_thread(get, port, "/metrics")


def get(port: int, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return str(answer.read(), "utf-8")
