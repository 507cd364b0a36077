"""What `status`, the metrics and the status page need of the journal, read in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from borgwatch.journal.lookback import Lookback
from borgwatch.journal.notes import DeliveryState, RejectedRules, ServiceState, Standing
from borgwatch.matching.suspicious import RuleHits
from borgwatch.policy.deadman import Expectation
from borgwatch.policy.jobs import JobState
from borgwatch.views.history import Row, row_of_run
from borgwatch.views.status import Status, status

__all__ = ["Facts", "Place", "read_facts", "read_status"]

Place = tuple[str, str]
"""A job and one of its operations."""
_NOTHING: Mapping[Place, Row] = {}


@dataclass(frozen=True, slots=True)
class Facts:
    """How everything stands, and the sums that were counted since the journal was begun."""

    status: Status
    standings: tuple[Standing, ...]
    last: Mapping[Place, Row]
    counters: Mapping[str, int]
    hits: Mapping[str, RuleHits]
    bytes: int


def read_status(past: Lookback, expect: Sequence[Expectation], now: datetime) -> Status:
    """Read how each job stands."""
    return _read(past, expect, now)[0]


def read_facts(
    past: Lookback, expect: Sequence[Expectation], now: datetime, known: Mapping[Place, Row] = _NOTHING
) -> Facts:
    """Read what the metrics are made of; `known` are the last runs that were found before in the same journal."""
    found, last, standings = _read(past, expect, now, known)
    return Facts(found, standings, last, past.counters(), past.rule_hits(), past.size())


def _read(
    past: Lookback, expect: Sequence[Expectation], now: datetime, known: Mapping[Place, Row] = _NOTHING
) -> tuple[Status, Mapping[Place, Row], tuple[Standing, ...]]:
    jobs = past.jobs()
    last = {place: row for place, state in jobs.items() if (row := _last_run(past, state, known.get(place)))}
    service, delivery, rejected = past.note(ServiceState), past.note(DeliveryState), past.note(RejectedRules)
    standings = tuple(past.standings())
    return status(jobs.values(), last, standings, expect, service, delivery, rejected, now), last, standings


def _last_run(past: Lookback, state: JobState, known: Row | None) -> Row | None:
    """Read the newest run of a job, unless it is still the one that is known: of many jobs, few have run since."""
    if known is not None and (known.run, known.outcome, known.time) == (state.run, state.last_outcome, state.last_run):
        return known
    runs = past.runs_of(state.job, state.operation, 1)
    return row_of_run(runs[0], {}) if runs else None
