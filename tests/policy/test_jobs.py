"""What only the past of a job can tell of an event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from borgwatch.model import Event, Level
from borgwatch.policy.jobs import JobState, learn, recovery

T0 = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)
NOW = T0 + 30 * DAY


def event(outcome: str, day: float = 0, run: str = "", *, past: bool = False) -> Event:
    name = f"backup.{outcome}"
    run = run or f"run-{day}"
    return Event(run, name, Level.INFO, "nas", "title", "message", T0 + day * DAY, "rule", "log", run, past=past)


def after(*events: Event) -> tuple[JobState, Sequence[Event]]:
    state, told = JobState("nas", "backup"), []
    for each in events:
        state, one = learn(state, each, NOW)
        told.append(one)
    return state, told


def test_failures_in_a_row_are_counted_from_the_second_on() -> None:
    state, told = after(event("failure"), event("stalled", 1), event("failure", 2))

    assert (state.failures, state.failing_since) == (3, T0)
    assert [one.fields.get("failures") for one in told] == [None, 2, 3]
    assert told[2].fields["failing_since"] == "2026-11-20T02:00:00+00:00"


def test_a_success_says_for_how_long_it_had_failed_and_begins_anew() -> None:
    state, told = after(event("failure"), event("failure", 1), event("success", 2.5), event("failure", 3))

    assert (told[2].fields["recovered_after"], told[2].fields["failures"]) == (2.5 * 86400, 2)
    assert (state.failures, state.last_success) == (1, T0 + 2.5 * DAY)
    assert told[3].fields == {}


def test_a_good_run_after_a_good_one_says_nothing_of_it() -> None:
    _, told = after(event("success"), event("success", 1))

    assert [one.fields for one in told] == [{}, {}]


@pytest.mark.parametrize("outcome", ["warning", "skipped", "missed", "recovered"])
def test_what_is_no_success_neither_arms_the_switch_nor_ends_a_row_of_failures(outcome: str) -> None:
    state, told = after(event("failure"), event(outcome, 1), event("failure", 2))

    assert (state.last_success, state.failures) == (None, 2)
    assert told[2].fields["failures"] == 2


def test_a_run_whose_outcome_is_amended_counts_once() -> None:
    state, _ = after(event("stalled", run="r"), event("failure", 0.5, run="r"))

    assert state.failures == 1


def test_a_success_from_the_future_gives_way_to_one_of_now() -> None:
    state, _ = learn(JobState("nas", "backup", last_success=NOW + 3650 * DAY), event("success", 1), NOW)

    assert state.last_success == T0 + DAY


def test_an_older_success_that_is_read_late_does_not_move_the_last_one_back() -> None:
    state, _ = after(event("success", 2), event("success", 1))

    assert state.last_success == T0 + 2 * DAY


def test_a_success_of_the_past_is_known_as_one_until_the_next() -> None:
    state, _ = after(event("success", past=True))
    later, _ = learn(state, event("success", 1), NOW)

    assert (state.from_past, later.from_past) == (True, False)


def test_a_recovery_is_told_only_of_a_success_that_ends_trouble() -> None:
    _, told = after(event("success"), event("failure", 1), event("failure", 2), event("success", 3.25))
    found = [recovery(one) for one in told]

    assert found[:3] == [None, None, None]
    assert found[3] is not None
    assert (found[3].name, found[3].level) == ("backup.recovered", Level.NOTICE)
    assert found[3].message == "It works again after 2 days 6 hours and 2 failed runs"
