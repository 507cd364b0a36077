from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta

import pytest

from borgwatch.model import EVENT_NAMES, OPERATIONS, Event, Level, Line, Outcome, Phase, Position, Signal, is_event_name

T0 = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("offset", "past_until", "past"), [(10, 0, False), (10, 9, False), (10, 10, True), (10, 11, True), (0, 0, True)]
)
def test_a_line_is_past_if_it_ends_before_the_file_was_first_seen(offset: int, past_until: int, *, past: bool) -> None:
    assert past is Line("log", b"", Position(1, 1, offset, past_until=past_until), T0).past


def test_the_time_of_a_line_is_its_own_before_that_of_reading() -> None:
    signal = Signal("r", Phase.DETAIL, "nas", "log", "l", T0)
    own = T0 - timedelta(hours=1)

    assert signal.seen_at == T0
    assert own == Signal("r", Phase.DETAIL, "nas", "log", "l", T0, own).seen_at


def test_the_name_of_an_event_is_operation_and_outcome() -> None:
    event = Event("id", "backup.failure", Level.ERROR, "nas", "", "", T0, "r", "log")

    assert (event.operation, event.outcome) == ("backup", "failure")


def test_values_cannot_be_changed() -> None:
    position = Position(1, 1, 0)
    with pytest.raises(FrozenInstanceError):
        position.offset = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    "name", ["backup.success", "backup.failure", "prune.failure", "verify.skipped", "container.shutdown", "lock.stale"]
)
def test_names_that_users_know_are_events(name: str) -> None:
    assert is_event_name(name)


@pytest.mark.parametrize(
    "name", ["", "backup", "backup.", "backup.failed", "Backup.failure", "init.success", "backup.*"]
)
def test_anything_else_is_none(name: str) -> None:
    assert not is_event_name(name)


def test_every_operation_has_every_outcome() -> None:
    assert {f"{operation}.{outcome}" for operation in OPERATIONS for outcome in Outcome} <= EVENT_NAMES


def test_levels_are_ordered_by_how_much_they_matter() -> None:
    assert sorted(Level) == [Level.INFO, Level.NOTICE, Level.WARNING, Level.ERROR, Level.CRITICAL]
