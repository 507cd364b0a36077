"""A sign of life, and what is made of it: only what a restart may mend is unhealthy."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from borgwatch.errors import SourceError
from borgwatch.service.heartbeat import Beat, Condition, Heart, Link, TrueNASState, health, heartbeat_path, read_beat
from borgwatch.truenas.simulator import Simulator
from tests.process import borgwatch, health_that_says, running, settings_for

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
CONNECTED = TrueNASState(Link.CONNECTED, "alert")
AWAY = TrueNASState(Link.AWAY)
REFUSED = TrueNASState(Link.AWAY, trouble="LoginRefused")
GOOD = Beat(NOW, 1000.0, 2.0, "", CONNECTED, NOW - timedelta(hours=2), 0)


@pytest.mark.parametrize(
    ("beat", "condition", "says"),
    [
        (GOOD, Condition.HEALTHY, "connected to TrueNAS, alerts are read back"),
        (replace(GOOD, queue=1), Condition.HEALTHY, "1 alert waits"),
        (replace(GOOD, truenas=TrueNASState(Link.CONNECTED, "mail")), Condition.HEALTHY, "mails in place of alerts"),
        (replace(GOOD, truenas=TrueNASState(Link.CONNECTED, "none")), Condition.DEGRADED, "neither make alerts nor"),
        (replace(GOOD, truenas=AWAY, queue=3), Condition.DEGRADED, "TrueNAS has been away for 2h; 3 alerts wait"),
        (replace(GOOD, truenas=REFUSED), Condition.DEGRADED, "TrueNAS has been away for 2h (LoginRefused)"),
        (replace(GOOD, truenas=TrueNASState(Link.UNUSABLE)), Condition.DEGRADED, "is missing or wrong"),
        (replace(GOOD, truenas=TrueNASState(Link.OFF)), Condition.HEALTHY, "watching and logging"),
        (replace(GOOD, wrong="the journal cannot be written"), Condition.UNHEALTHY, "the journal cannot be written"),
        (replace(GOOD, truenas=AWAY, wrong="broken"), Condition.UNHEALTHY, "broken"),
        (replace(GOOD, monotonic=1000.0 - 67), Condition.UNHEALTHY, "stuck: no sign of life for 1m7s"),
        (replace(GOOD, monotonic=1000.0 - 65), Condition.HEALTHY, ""),
        (replace(GOOD, monotonic=1000.0 - 65, poll=0.1), Condition.UNHEALTHY, "stuck"),
        (replace(GOOD, monotonic=1000.0 - 600, poll=300.0), Condition.HEALTHY, ""),
        (replace(GOOD, monotonic=5000.0), Condition.UNHEALTHY, "from before this machine was started"),
        (replace(GOOD, time=NOW + timedelta(days=3)), Condition.HEALTHY, ""),
        (
            replace(GOOD, unread=("a: gone",), unread_count=1),
            Condition.DEGRADED,
            "1 source cannot be read: a: g",
        ),
        (
            replace(GOOD, unread=("a: x", "b: y"), unread_count=9),
            Condition.DEGRADED,
            "9 sources cannot be read: a: x, b: y, ...",
        ),
        (replace(GOOD, unread=("a: x",), unread_count=1, truenas=AWAY), Condition.DEGRADED, "; TrueNAS has been away"),
        (replace(GOOD, unread=("a: x",), unread_count=1, wrong="broken"), Condition.UNHEALTHY, "broken"),
        (
            replace(GOOD, rejected=("my.yaml:5:1: no",), rejected_count=1),
            Condition.DEGRADED,
            "1 fault in rule files, which are not in force: my.yaml:5:1: no; connected to TrueNAS",
        ),
        (
            replace(GOOD, unread=("a: x",), unread_count=1, rejected=("b: y",), rejected_count=7),
            Condition.DEGRADED,
            "1 source cannot be read: a: x; 7 faults in rule files, which are not in force: b: y, ...; connected",
        ),
    ],
)
def test_what_a_sign_of_life_means(beat: Beat, condition: Condition, says: str) -> None:
    verdict = health(beat, NOW, 1000.0)
    assert verdict.condition is condition
    assert says in verdict.reason


def test_it_is_written_when_something_changed_and_every_ten_seconds(tmp_path: Path) -> None:
    path = heartbeat_path(tmp_path, tmp_path / "state")
    heart = Heart(path, timedelta(seconds=2))
    written = []
    for monotonic, truenas, wrong in (
        (0, CONNECTED, ""), (2, CONNECTED, ""), (9, CONNECTED, ""), (10, CONNECTED, ""), (11, AWAY, ""), (12, AWAY, ""),
        (13, AWAY, "disk full"), (14, CONNECTED, ""),
    ):  # fmt: skip
        heart.beat(wrong, truenas, 0, NOW + timedelta(seconds=monotonic), monotonic)
        written.append(read_beat(path).monotonic)
    assert written == [0, 0, 0, 10, 11, 11, 13, 14]
    assert read_beat(path).truenas_since == NOW + timedelta(seconds=14)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    heart.stop()
    assert list(tmp_path.iterdir()) == []


def test_the_time_since_when_truenas_is_away_stays(tmp_path: Path) -> None:
    heart = Heart(tmp_path / "beat", timedelta(seconds=2))
    for monotonic in (0, 20, 40):
        heart.beat("", AWAY, 0, NOW + timedelta(seconds=monotonic), monotonic)
    beat = read_beat(tmp_path / "beat")
    assert (beat.monotonic, beat.truenas_since) == (40, NOW)


def test_two_services_have_two_files(tmp_path: Path) -> None:
    assert heartbeat_path(tmp_path, Path("/state")) != heartbeat_path(tmp_path, Path("/other"))


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"time": 5}', b"x" * 100_000, b"\xff\x00"])
def test_what_is_no_sign_of_life_is_told_as_such(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "beat").write_bytes(content)
    with pytest.raises(SourceError, match="is no sign of life"):
        read_beat(tmp_path / "beat")


def test_a_link_a_fifo_and_nothing_at_all_are_no_sign_of_life(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fifo")
    for name, says in (("link", "cannot be read"), ("fifo", "not written by this user"), ("none", "not running here")):
        with pytest.raises(SourceError, match=says):
            read_beat(tmp_path / name)


def test_a_link_in_the_way_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """In a directory where anybody may write, somebody may have put one."""
    other = tmp_path / "other"
    other.write_text("precious")
    (tmp_path / "beat").symlink_to(other)
    Heart(tmp_path / "beat", timedelta(seconds=2)).beat("", CONNECTED, 0, NOW, 0)
    assert other.read_text() == "precious"
    assert read_beat(tmp_path / "beat").truenas == CONNECTED


async def test_a_running_service_is_healthy_then_degraded_without_truenas_and_afterwards_gone(tmp_path: Path) -> None:
    (tmp_path / "watch").mkdir()
    (tmp_path / "run").mkdir()
    async with Simulator() as nas:
        settings = settings_for(nas, tmp_path, BORGWATCH_RUN=str(tmp_path / "run"), BORGWATCH_POLL="0.1s")
        async with running(settings) as service:
            await service.line_with("truenas.ready")
            assert await health_that_says(settings, "healthy: ") == (
                0,
                "healthy: connected to TrueNAS, alerts are read back\n",
            )
            await nas.stop()
            await service.line_with("truenas.lost")
            code, out = await health_that_says(settings, "degraded")
            assert (code, out.startswith("degraded: TrueNAS has been away for ")) == (0, True)
            nas.keys[0].revoked = True
            await nas.start()
            await service.line_with("truenas.failed", "LoginRefused")
            assert (await health_that_says(settings, r"degraded: .* \(LoginRefused\)"))[0] == 0
            await service.end()
        done = await borgwatch("healthcheck", "--json", settings=settings)
        assert done.code == 1
        assert json.loads(done.out)["health"] == "unhealthy"
        assert list((tmp_path / "run").iterdir()) == []


async def test_a_service_that_cannot_leave_a_sign_of_life_says_so_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "watch").mkdir()
    settings = {
        "BORGWATCH_WATCH": str(tmp_path / "watch"),
        "BORGWATCH_STATE": str(tmp_path / "state"),
        "BORGWATCH_RUN": str(tmp_path / "nowhere"),
    }
    async with running(settings) as service:
        await service.line_with("heartbeat.failed", "nowhere: No such file or directory (BORGWATCH_RUN)")
        assert await service.end() == 0
