from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from borgwatch.deadman import JobState, missed
from borgwatch.model import Level

LAST = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
DAY = timedelta(hours=26)
STATE = JobState("nas", "backup", last_outcome="success", last_run=LAST, last_success=LAST)


def test_the_switch_trips_when_the_time_has_passed_and_not_before() -> None:
    assert missed(STATE, DAY, LAST + DAY) is None
    event = missed(STATE, DAY, LAST + DAY + timedelta(seconds=1))

    assert event is not None
    assert (event.name, event.level, event.job) == ("backup.missed", Level.ERROR, "nas")
    assert event.message == "No backup has succeeded since 2026-11-22T02:00:00+00:00"


@pytest.mark.parametrize(
    "state",
    [
        JobState("nas", "backup"),
        JobState("nas", "backup", last_outcome="failure", last_run=LAST),
        replace(STATE, operation="prune"),
        replace(STATE, missed_since=LAST),
    ],
    ids=["never ran", "never succeeded", "a prune", "told already"],
)
def test_what_is_not_armed_does_not_trip(state: JobState) -> None:
    assert missed(state, DAY, LAST + timedelta(days=400)) is None


def test_a_new_success_arms_it_again() -> None:
    again = replace(STATE, missed_since=LAST, last_success=LAST + timedelta(days=3))

    assert missed(again, DAY, LAST + timedelta(days=3, hours=27)) is not None


def test_the_same_miss_has_the_same_id_and_the_next_another() -> None:
    first, second = (missed(STATE, DAY, LAST + timedelta(days=days)) for days in (2, 3))
    other = missed(replace(STATE, last_success=LAST + timedelta(days=1)), DAY, LAST + timedelta(days=3))

    assert first is not None
    assert second is not None
    assert other is not None
    assert first.id == second.id != other.id


def test_the_night_of_the_clock_change_counts_real_hours() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    before = datetime(2026, 10, 24, 2, 30, tzinfo=berlin)
    state = replace(STATE, last_success=before.astimezone(UTC))

    assert (
        missed(state, timedelta(hours=25), datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1).astimezone(UTC)) is None
    )
    assert missed(state, timedelta(hours=24), datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1).astimezone(UTC))


@pytest.mark.parametrize("success", [datetime(2199, 12, 31, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)])
@pytest.mark.parametrize("within", [DAY, timedelta.max])
def test_a_success_in_the_far_future_breaks_nothing(success: datetime, within: timedelta) -> None:
    assert missed(replace(STATE, last_success=success), within, LAST) is None
