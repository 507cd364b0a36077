"""What the journal remembers of delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from borgwatch.errors import JournalError
from borgwatch.journal.notes import DeliveryState
from borgwatch.journal.store import Journal
from borgwatch.model import Alert, Level
from borgwatch.service.memory import DeliveryMemory, Told
from borgwatch.truenas.delivery import Delivered, Mailed
from borgwatch.truenas.errors import Unreachable
from borgwatch.truenas.ladder import Ladder
from borgwatch.truenas.session import Session

START = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALERT = Alert("k", "nas", "backup", "failure", Level.ERROR, "text", True, "e", START)


@dataclass
class Everything:
    """Takes note of which methods were called."""

    heard: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: self.heard.append(name)


class World:
    """A memory, its clock, its journal, and who is told."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.time = START
        self.told = Everything()
        self.memory = DeliveryMemory(journal, cast(Told, self.told), lambda: self.time)

    def session(self, no_alert: str = "", no_mail: str = "") -> Session:
        parts: dict[str, Any] = {"connection": None, "waits_for_jobs": True, "username": "root", "roles": frozenset()}
        return Session(**parts, release="25.10.6", ladder=Ladder(no_alert, no_mail))

    @property
    def state(self) -> DeliveryState | None:
        return self.journal.note(DeliveryState)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(Journal.open(tmp_path)) as journal:
        yield World(journal)


def test_the_rung_is_remembered_with_its_time_and_its_reason(world: World) -> None:
    world.memory.begin(enabled=True)
    assert world.state == DeliveryState("none", START, START, "no session with TrueNAS yet")
    world.time += HOUR
    world.memory.ready(world.session())
    assert world.state == DeliveryState("alert", START + HOUR, None, "", "25.10.6", "root")
    world.time += HOUR
    world.memory.ready(world.session("TrueNAS 27 takes no alerts"))
    assert world.state == DeliveryState("mail", START + 2 * HOUR, None, "TrueNAS 27 takes no alerts", "25.10.6", "root")
    assert world.told.heard == ["ready", "ready"]


def test_a_session_that_ends_leaves_the_rung_and_says_since_when_it_is_gone(world: World) -> None:
    world.memory.ready(world.session())
    world.time += HOUR
    world.memory.lost("closed")
    world.time += HOUR
    world.memory.failed(Unreachable("no route to host"), 1.0)
    assert world.state == DeliveryState("alert", START, START + HOUR, "no route to host", "25.10.6", "root")
    world.memory.ready(world.session())
    assert world.state == DeliveryState("alert", START, None, "", "25.10.6", "root")
    assert world.told.heard == ["ready", "lost", "failed", "ready"]


def test_a_rung_that_breaks_in_the_middle_of_a_session_is_remembered(world: World) -> None:
    world.memory.ready(world.session())
    world.time += HOUR
    world.memory.delivered(ALERT, Mailed(raised=True, told=True, why="refused"), 0.1)
    assert (world.state or DeliveryState("", START)).rung == "mail"
    world.time += HOUR
    world.memory.delivered(ALERT, Delivered(raised=True), 0.1)
    assert world.state == DeliveryState("alert", START + 2 * HOUR, None, "", "25.10.6", "root")


def test_a_restart_keeps_since_when_and_off_stays_off(world: World) -> None:
    world.memory.ready(world.session())
    world.time += HOUR
    again = DeliveryMemory(world.journal, cast(Told, world.told), lambda: world.time)
    again.begin(enabled=True)
    again.ready(world.session())
    assert (world.state or DeliveryState("", world.time)).since == START
    again.begin(enabled=False)
    assert world.state == DeliveryState("off", START + HOUR)
    world.time += HOUR
    DeliveryMemory(world.journal, cast(Told, world.told), lambda: world.time).begin(enabled=False)
    assert world.state == DeliveryState("off", START + HOUR)


def test_a_note_that_cannot_be_written_keeps_nobody_from_being_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise JournalError("disk full")

    monkeypatch.setattr(world.journal, "set_note", full)
    world.memory.ready(world.session())
    world.memory.lost("closed")
    assert world.told.heard == ["ready", "lost"]
