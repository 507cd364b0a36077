"""The dead-man's switch: what arms it, what trips it, and what a clock that is set must not do to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from borgwatch.model import Event, Level
from borgwatch.policy.deadman import Expectation, Steadiness, expected, missed, rewound, withdrawn
from borgwatch.policy.jobs import JobState

LAST = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DAILY = Expectation("*", "backup", timedelta(hours=26))
STATE = JobState("nas", "backup", last_outcome="success", last_run=LAST, last_success=LAST)


def told(state: JobState, now: datetime, expectation: Expectation = DAILY) -> Event | None:
    found = missed(state, expectation, now)
    return found[1] if found else None


def test_the_switch_trips_when_the_time_has_passed_and_not_before() -> None:
    assert told(STATE, LAST + 26 * HOUR) is None
    event = told(STATE, LAST + 26 * HOUR + timedelta(seconds=1))

    assert event is not None
    assert (event.name, event.level, event.job) == ("backup.missed", Level.ERROR, "nas")
    assert event.message == "No backup has succeeded since 2026-11-22T02:00:00+00:00"


@pytest.mark.parametrize(
    "state",
    [JobState("nas", "backup"), JobState("nas", "backup", last_outcome="failure", last_run=LAST)],
    ids=["never ran", "never succeeded"],
)
def test_what_never_succeeded_is_not_armed(state: JobState) -> None:
    assert told(state, LAST + 400 * DAY) is None


def test_it_trips_once_for_each_success() -> None:
    first = missed(STATE, DAILY, LAST + 2 * DAY)
    assert first is not None
    state, event = first
    assert told(state, LAST + 3 * DAY) is None
    again = replace(state, last_success=LAST + 3 * DAY)
    other = told(again, LAST + 3 * DAY + 27 * HOUR)

    assert other is not None
    assert event.id != other.id


def test_a_reminder_comes_after_each_span_and_says_that_it_is_one() -> None:
    remind = replace(DAILY, remind=2 * DAY)
    first = missed(STATE, remind, LAST + 2 * DAY)
    assert first is not None
    state, event = first
    assert "reminder" not in event.fields
    assert told(state, LAST + 3 * DAY, remind) is None
    second = missed(state, remind, LAST + 4 * DAY)
    assert second is not None
    assert second[1].fields["reminder"] is True
    assert second[1].id != event.id
    assert told(second[0], LAST + 5 * DAY, remind) is None


@pytest.mark.parametrize(
    ("job", "operation", "row"),
    [("nas", "backup", 1), ("attic", "backup", 0), ("nas", "verify", 2), ("nas", "prune", None)],
)
def test_the_first_row_that_speaks_of_an_operation_of_a_job_counts(job: str, operation: str, row: int | None) -> None:
    table = (
        Expectation("att*", "backup", HOUR),
        Expectation("*", "backup", DAY),
        Expectation("*", "verify", 30 * DAY),
    )

    assert expected(table, job, operation) == (None if row is None else table[row])


def test_a_row_finds_the_job_of_its_very_name_whatever_letters_that_holds() -> None:
    """`[` begins a set of letters in a glob, and stands in names of jobs as well."""
    assert expected([Expectation("db[1]", "backup", DAY)], "db[1]", "backup") is not None


def test_what_is_never_waited_for_is_due_at_no_time_and_never_missing() -> None:
    never = replace(DAILY, within=None)

    assert (never.due(LAST), DAILY.due(None), DAILY.due(LAST)) == (None, None, LAST + 26 * HOUR)
    assert told(STATE, LAST + 400 * DAY, never) is None


# what is expected once the switch has tripped two days after the success; whether that is taken back
@pytest.mark.parametrize(
    ("expectation", "is_taken_back"),
    [(None, True), (replace(DAILY, within=None), True), (replace(DAILY, within=8 * DAY), True), (DAILY, False)],
    ids=["nothing", "never", "more time", "the same"],
)
def test_what_was_told_to_be_missing_is_taken_back_where_it_is_not_waited_for_any_more(
    expectation: Expectation | None, is_taken_back: bool
) -> None:
    now = LAST + 2 * DAY
    tripped = missed(STATE, DAILY, now)
    assert tripped is not None

    assert withdrawn(tripped[0], expectation, now) == (STATE if is_taken_back else None)
    assert withdrawn(STATE, expectation, now) is None
    assert withdrawn(replace(tripped[0], last_success=now), expectation, now) is None


def test_what_is_taken_back_is_told_anew_once_it_is_late_by_what_is_expected_then() -> None:
    tripped = missed(STATE, DAILY, LAST + 2 * DAY)
    assert tripped is not None
    state = withdrawn(tripped[0], replace(DAILY, within=8 * DAY), LAST + 2 * DAY)

    assert state is not None
    assert told(state, LAST + 9 * DAY, replace(DAILY, within=8 * DAY)) is not None


def test_failures_are_remembered_when_a_missing_success_is_taken_back() -> None:
    tripped = missed(replace(STATE, failures=2, failing_since=LAST + HOUR), DAILY, LAST + 2 * DAY)
    assert tripped is not None
    state = withdrawn(tripped[0], None, LAST + 2 * DAY)

    assert state is not None
    assert (state.failures, state.failing_since) == (2, LAST + HOUR)


def test_another_operation_is_called_by_its_name() -> None:
    event = told(replace(STATE, operation="verify"), LAST + 40 * DAY, Expectation("*", "verify", 30 * DAY))

    assert event is not None
    assert (event.name, event.message[:25]) == ("verify.missed", "No verification has succe")


def test_a_job_that_was_long_retired_when_borgwatch_came_is_not_waited_for() -> None:
    learnt = replace(STATE, from_past=True)

    assert told(learnt, LAST + 27 * HOUR) is not None
    assert told(learnt, LAST + 40 * DAY) is None
    assert told(replace(learnt, from_past=False), LAST + 40 * DAY) is not None
    assert told(replace(learnt, learnt=LAST + DAY), LAST + 40 * DAY) is not None
    assert told(replace(learnt, learnt=LAST + 40 * DAY), LAST + 50 * DAY) is None


def test_the_night_of_the_clock_change_counts_real_hours() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    before = datetime(2026, 10, 24, 2, 30, tzinfo=berlin)
    after = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1).astimezone(UTC)
    state = replace(STATE, last_success=before.astimezone(UTC))

    assert told(state, after, replace(DAILY, within=25 * HOUR)) is None
    assert told(state, after, replace(DAILY, within=24 * HOUR)) is not None


@pytest.mark.parametrize("success", [datetime(2199, 12, 31, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)])
@pytest.mark.parametrize("within", [DAILY.within, timedelta.max])
def test_a_success_in_the_far_future_breaks_nothing(success: datetime, within: timedelta) -> None:
    assert told(replace(STATE, last_success=success), LAST, replace(DAILY, within=within)) is None


def test_a_success_that_was_learnt_under_a_wrong_clock_counts_as_one_of_now() -> None:
    wrong = replace(STATE, last_success=LAST + 3650 * DAY)
    state = rewound(wrong, LAST)

    assert state.last_success == LAST
    assert told(state, LAST + 27 * HOUR) is not None
    assert rewound(STATE, LAST) is STATE


# two looks a minute apart by the clock that cannot be set; how far the other was set, and whether it is trusted then
@pytest.mark.parametrize(
    ("jump", "steady"),
    [(timedelta(), True), (timedelta(seconds=40), True), (HOUR, False), (-HOUR, False), (3650 * DAY, False)],
    ids=["none", "a little", "forward", "back", "ten years"],
)
def test_a_clock_that_jumps_is_not_trusted_for_a_while(jump: timedelta, steady: bool) -> None:
    clock = Steadiness.begin(LAST, 0.0).look(LAST + timedelta(minutes=1) + jump, 60.0)
    later = clock.look(LAST + timedelta(minutes=12) + jump, 720.0)

    assert (clock.is_steady, later.is_steady) == (steady, True)


def test_a_clock_that_is_set_right_again_is_trusted_after_the_same_while() -> None:
    far = Steadiness.begin(LAST, 0.0).look(LAST + 3650 * DAY, 1.0)
    back = far.look(LAST + timedelta(seconds=2), 2.0)

    assert not back.is_steady
    assert back.look(LAST + timedelta(minutes=11), 660.0).is_steady
