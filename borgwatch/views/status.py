"""How each operation of each job stands, and whether borgwatch itself is at work. Pure.

The fields of `Status` are the documented JSON of `borgwatch status` (docs/review.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from borgwatch.journal.notes import DeliveryState, RejectedRules, ServiceState, Standing
from borgwatch.model import Outcome
from borgwatch.policy.deadman import Expectation, expected
from borgwatch.policy.jobs import JobState
from borgwatch.views.history import VERSION, Row

__all__ = ["TROUBLE", "JobStatus", "Status", "status"]

_UNSEEN_AFTER = timedelta(hours=3)
"""The service notes each hour that it works."""
TROUBLE = frozenset({Outcome.FAILURE, Outcome.STALLED, Outcome.MISSED})
"""Outcomes that somebody must see to."""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How one operation of a job stands: `ok`, `warning`, `failing`, `overdue`, or what its last outcome was.

    `due` is when the next success must have come, if one is waited for. `alert` is what TrueNAS shows: `none`,
    `raised` (read back), `mailed`, or `waiting` (not delivered yet), with its text. `alert_raised` says whether it is
    to be shown; what waits may also be that it goes.
    """

    job: str
    operation: str
    state: str
    last_success: datetime | None = None
    last_run: datetime | None = None
    last_outcome: str = ""
    duration: float | None = None
    message: str = ""
    failures: int = 0
    failing_since: datetime | None = None
    due: datetime | None = None
    alert: str = "none"
    alert_raised: bool = False
    alert_text: str = ""
    alert_key: str = ""
    alert_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """How everything stands. `at_work` says whether the service was seen at work of late.

    `rejected_rules` are rule files that are wrong and not in force, if there are any.
    """

    time: datetime
    at_work: bool
    service: ServiceState | None
    delivery: DeliveryState | None
    waiting: int
    jobs: tuple[JobStatus, ...]
    rejected_rules: RejectedRules | None = None
    version: int = VERSION

    @property
    def is_off(self) -> bool:
        """Whether nobody is to be told of anything."""
        return self.delivery is not None and self.delivery.is_off

    @property
    def broken(self) -> tuple[JobStatus, ...]:
        """The jobs that somebody must see to."""
        return tuple(job for job in self.jobs if job.state in ("failing", "overdue"))


def status(
    jobs: Iterable[JobState],
    last_runs: Mapping[tuple[str, str], Row],
    standings: Sequence[Standing],
    expectations: Sequence[Expectation],
    service: ServiceState | None,
    delivery: DeliveryState | None,
    rejected: RejectedRules | None,
    now: datetime,
) -> Status:
    """Say how each operation of each job stands."""
    is_off = delivery is not None and delivery.is_off
    by_place = {
        (standing.alert.job, standing.alert.operation): standing
        for standing in standings if standing.alert.raised or not (standing.done or is_off)
    }  # fmt: skip
    places = sorted(jobs, key=lambda state: (state.job, state.operation))
    return Status(
        time=now,
        at_work=service is not None and service.stopped is None and now - service.looked < _UNSEEN_AFTER,
        service=service,
        delivery=delivery,
        waiting=sum(not standing.done for standing in standings),
        jobs=tuple(
            _job_status(
                state, last_runs.get((state.job, state.operation)), by_place.get((state.job, state.operation)),
                expected(expectations, state.job, state.operation), now,
            )
            for state in places
        ),
        rejected_rules=rejected if rejected is not None and rejected.count else None,
    )  # fmt: skip


def _job_status(
    state: JobState, last: Row | None, standing: Standing | None, expectation: Expectation | None, now: datetime
) -> JobStatus:
    due = expectation.due(state.last_success) if expectation is not None else None
    told = last if last is not None and last.run == state.run else None
    found = JobStatus(
        state.job, state.operation, _state(state, due, now), state.last_success, state.last_run, state.last_outcome,
        duration=told.duration if told else None,
        message=told.message if told else "",
        failures=state.failures, failing_since=state.failing_since, due=due,
    )  # fmt: skip
    if standing is None:
        return found
    alert, done = standing.alert, "raised" if standing.shown else "mailed"
    return replace(
        found, alert=done if standing.done else "waiting", alert_raised=alert.raised, alert_text=alert.text,
        alert_key=alert.key, alert_time=alert.time,
    )  # fmt: skip


def _state(state: JobState, due: datetime | None, now: datetime) -> str:
    if state.last_outcome in TROUBLE:
        return "failing"
    if due is not None and now > due:
        return "overdue"
    return {Outcome.SUCCESS: "ok", "": "unknown"}.get(state.last_outcome, state.last_outcome)
