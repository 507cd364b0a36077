"""What is known of each operation of each job beyond the run at hand: its last success, its failures in a row. Pure.

An event comes in with the state as it was; the state as it is now leaves, with the event that now also says what only
the past can tell: that it failed for the third time, or for how long it had failed before this success.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from borgwatch.model import Event, FieldValue, Outcome
from borgwatch.runs.events import LEVELS, human_span, title_of

__all__ = ["TROUBLE", "JobState", "is_echo", "learn", "recovery"]

_ONE_RUN = frozenset({Outcome.SUCCESS, Outcome.WARNING, Outcome.FAILURE, Outcome.STALLED})
_A_MOMENT = timedelta(minutes=2)
TROUBLE = frozenset({Outcome.FAILURE, Outcome.STALLED})
"""Outcomes after which a job is broken until it succeeds."""
_OWN = frozenset({"failures", "failing_since", "recovered_after", "reminder"})
"""Fields that say what the past tells: no line and no rule can say it in its place."""


@dataclass(frozen=True, slots=True)
class JobState:
    """The past of one operation of one job, as far as it matters later.

    `missed_since` is the success whose successor was told to be missing: one success trips the switch once;
    `missed_at` is when it was last told. `failures` counts the runs that failed since the last success, the first of
    them (or the first that was missing) at `failing_since`. `run` is the id of the last run, which may yet be amended.
    `from_past` says that the last success stood in the log when borgwatch first came, which was at `learnt`.
    `source` is where it was last told of.
    """

    job: str
    operation: str
    last_outcome: str = ""
    last_run: datetime | None = None
    last_success: datetime | None = None
    missed_since: datetime | None = None
    missed_at: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None
    run: str = ""
    from_past: bool = False
    learnt: datetime | None = None
    source: str = ""


def is_echo(state: JobState, event: Event) -> bool:
    """Say whether another source has just told the same: the record that a wrapper keeps, beside its output."""
    if state.last_outcome != event.outcome or state.last_run is None or bool(state.run) == bool(event.run):
        return False
    return abs(event.time - state.last_run) <= _A_MOMENT


def learn(state: JobState, event: Event, now: datetime) -> tuple[JobState, Event]:
    """Take an event into what is known of its job, and tell in it what the past adds.

    Only a success counts as one: a warning or a run that was skipped is none. A last success that lies in the future
    was learnt while the clock was wrong, and gives way.
    """
    if not _OWN.isdisjoint(event.fields):
        event = replace(event, fields={name: value for name, value in event.fields.items() if name not in _OWN})
    if event.outcome not in _ONE_RUN:
        return state, event
    fields: dict[str, FieldValue] = {}
    if event.outcome in TROUBLE:
        is_amended = bool(event.run) and event.run == state.run and state.last_outcome in TROUBLE
        count = state.failures + (not is_amended)
        state = replace(state, failures=count, failing_since=state.failing_since or event.time)
        if count > 1:
            fields = {"failures": count, "failing_since": _text(state.failing_since)}
    elif event.outcome == Outcome.SUCCESS:
        fields = _recovered(state, event)
        known = state.last_success
        if known is None or event.time > known or known > now:
            learnt = now if event.past else None
            state = replace(state, last_success=min(event.time, now), from_past=event.past, learnt=learnt)
        state = replace(state, failures=0, failing_since=None)
    state = replace(
        state, last_outcome=event.outcome, last_run=event.time, run=event.run, source=event.source or state.source
    )
    return state, replace(event, fields={**event.fields, **fields}) if fields else event


def _recovered(state: JobState, event: Event) -> dict[str, FieldValue]:
    if state.failing_since is None:
        return {}
    fields: dict[str, FieldValue] = {"failing_since": _text(state.failing_since)}
    span = event.time - state.failing_since
    if span > timedelta():
        fields["recovered_after"] = round(span.total_seconds(), 3)
    if state.failures:
        fields["failures"] = state.failures
    return fields


def recovery(event: Event) -> Event | None:
    """Make the event of a success that ends trouble; None for any other event."""
    if event.outcome != Outcome.SUCCESS or "failing_since" not in event.fields:
        return None
    name = f"{event.operation}.{Outcome.RECOVERED}"
    return replace(
        event,
        id=f"{event.id}-recovered",
        name=name,
        level=LEVELS[Outcome.RECOVERED],
        title=title_of(name),
        message=f"It works again{_after(event.fields)}",
    )


def _after(fields: Mapping[str, FieldValue]) -> str:
    span, count = fields.get("recovered_after"), fields.get("failures")
    told = f" after {human_span(timedelta(seconds=span))}" if isinstance(span, int | float) else ""
    return told + (f" and {count} failed runs" if isinstance(count, int) and count > 1 else "")


def _text(time: datetime | None) -> str:
    return time.isoformat(timespec="seconds") if time is not None else ""
