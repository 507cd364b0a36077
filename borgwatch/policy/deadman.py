"""The dead-man's switch: tells when a backup did not run. Pure.

Armed by the first success of a job (also by one that the log's past holds), fed by nothing but successes, it trips
once when the time allowed has passed, again for each reminder that was asked for, and is reset by the next success.
What is expected may change: what was told to be missing and is not waited for any more is taken back (`withdrawn`).

All times are instants, so summer time changes nothing. A clock that jumps forward proves no lateness: for a while
after a jump (`Steadiness`) nothing is called missing. A success from a future that never came counts as one of now.
Nor does the silence of what cannot be read prove anything (`unread`).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from borgwatch.model import Event, FieldValue, Outcome
from borgwatch.policy.jobs import JobState
from borgwatch.policy.unread import Unread
from borgwatch.runs.events import LEVELS, noun_of, title_of

__all__ = ["Expectation", "Steadiness", "expected", "missed", "rewound", "withdrawn"]

_RETIRED = timedelta(days=30)
"""A job whose last success was older than this when borgwatch first came is not waited for."""
_JUMP = timedelta(minutes=1)
_GRACE = timedelta(minutes=10)
_ALL_READ = Unread()
_NEXT_STEP = (
    "Does the schedule still run, and is the machine on at that time?"
    " Of a job that is gone for good, expect within: never."
)
_NEXT_STEP_UNREAD = "Whether it ran cannot be seen until borgwatch can read this again."


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is to succeed how often: `operation` of the jobs that match the glob `job`, at least once `within` a span.

    `within` None says that it is never waited for. With `remind`, what is still missing is told again after each such
    span.
    """

    job: str
    operation: str
    within: timedelta | None
    remind: timedelta | None = None

    def is_about(self, job: str, operation: str) -> bool:
        """Say whether it speaks of this operation of this job."""
        return operation == self.operation and (job == self.job or fnmatch.fnmatchcase(job, self.job))

    def due(self, last_success: datetime | None) -> datetime | None:
        """Say by when the success after `last_success` must have come; None where none is waited for."""
        return None if last_success is None or self.within is None else last_success + self.within


def expected(table: Iterable[Expectation], job: str, operation: str) -> Expectation | None:
    """Find the first expectation that speaks of an operation of a job."""
    return next((row for row in table if row.is_about(job, operation)), None)


@dataclass(frozen=True, slots=True)
class Steadiness:
    """Whether the clock has run evenly, judged by a second one that cannot be set."""

    now: datetime
    monotonic: float
    steady_from: datetime

    @classmethod
    def begin(cls, now: datetime, monotonic: float) -> Steadiness:
        """Trust the clock as it is found."""
        return cls(now, monotonic, now)

    def look(self, now: datetime, monotonic: float) -> Steadiness:
        """Compare the two clocks since the last look."""
        went = timedelta(seconds=monotonic - self.monotonic)
        jumped = abs(now - self.now - went) > _JUMP
        steady_from = now + _GRACE if jumped else min(self.steady_from, now + _GRACE)
        return Steadiness(now, monotonic, steady_from)

    @property
    def is_steady(self) -> bool:
        """Say whether it is long enough since the last jump."""
        return self.now >= self.steady_from


def rewound(state: JobState, now: datetime) -> JobState:
    """Bring what lies in the future back to now: it was learnt while the clock was wrong."""
    limit = now + _GRACE

    def no_later(time: datetime | None) -> datetime | None:
        return now if time is not None and time > limit else time

    times = state.last_success, state.missed_since, state.missed_at
    success, since, told = map(no_later, times)
    if (success, since, told) == times:
        return state
    return replace(state, last_success=success, missed_since=since, missed_at=told)


def missed(
    state: JobState, expectation: Expectation, now: datetime, unread: Unread = _ALL_READ
) -> tuple[JobState, Event] | None:
    """Tell of a success that should have come by now; None where there is nothing (new) to tell.

    Returns the state that remembers that it was told, and the event. Where what could hold the success is `unread`, it
    is waited for, and then told as what it is.
    """
    last, within = state.last_success, expectation.within
    if last is None or within is None or now - last <= within:
        return None
    if state.from_past and state.missed_since is None and (state.learnt or now) - last > within + _RETIRED:
        return None
    is_reminder = state.missed_since == last
    if is_reminder and not _is_due(state, expectation, now):
        return None
    if unread.holds(state):
        return None
    name = f"{state.operation}.{Outcome.MISSED}"
    since = last.isoformat(timespec="seconds")
    message = f"No {noun_of(state.operation).lower()} has succeeded since {since}"
    fields: dict[str, FieldValue] = {"last_success": since, "next_step": _NEXT_STEP}
    if what := unread.reason(state):
        message = f"No {noun_of(state.operation).lower()} is known to have succeeded since {since}: {what}"
        fields |= {"unread": what, "next_step": _NEXT_STEP_UNREAD}
    if is_reminder:
        fields["reminder"] = True
    event = Event(
        id=f"missed-{state.job}-{state.operation}-{since}" + (f"-{now.isoformat()}" if is_reminder else ""),
        name=name,
        level=LEVELS[Outcome.MISSED],
        job=state.job,
        title=title_of(name),
        message=message,
        time=now,
        rule="deadman",
        source="",
        fields=fields,
    )
    told = replace(state, missed_since=last, missed_at=now, failing_since=state.failing_since or now)
    return told, event


def withdrawn(state: JobState, expectation: Expectation | None, now: datetime) -> JobState | None:
    """Take back that a success was told to be missing, where by now none is waited for or more time is allowed.

    Returns the state that has forgotten it; None where there is nothing to take back.
    """
    last = state.last_success
    if last is None or state.missed_since != last:
        return None
    within = expectation.within if expectation is not None else None
    if within is not None and now - last > within:
        return None
    failing_since = state.failing_since if state.failures else None
    return replace(state, missed_since=None, missed_at=None, failing_since=failing_since)


def _is_due(state: JobState, expectation: Expectation, now: datetime) -> bool:
    return (
        expectation.remind is not None and state.missed_at is not None and now - state.missed_at >= expectation.remind
    )
