"""The metrics: which there are, and their values at a moment. Pure.

`METRICS` is the table of all of them, also behind docs/metrics.md; `measure` makes the samples of `Facts` (the
journal) and `Live` (the running service). How samples are written down is the business of `borgwatch.web.exposition`.

Names follow Prometheus' conventions: base units, `_total` for what only grows, times as seconds since 1970. What can be
one of a few words is one sample for each word, 1 for the one that holds. The number of series is bounded: of jobs and
rules the first `MANY` have theirs, and `borgwatch_omitted_series` says how many are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from borgwatch.matching.templates import one_line
from borgwatch.model import Outcome
from borgwatch.redact import redact
from borgwatch.service.heartbeat import Condition, Link
from borgwatch.service.live import Live, SourceState
from borgwatch.views.facts import Facts
from borgwatch.views.status import JobStatus

__all__ = ["MANY", "METRICS", "Metric", "Samples", "measure"]

MANY = 500
"""How many operations of jobs, and how many rules, have series of their own."""
_OUTCOMES = tuple(str(outcome) for outcome in Outcome if outcome not in (Outcome.STARTED, Outcome.RECOVERED))
_ALERTS = ("none", "waiting", "raised", "mailed")
_RUNGS = ("alert", "mail", "none", "off")
_RESULTS = ("raised", "cleared", "mailed", "failed")
_MAX_LABEL = 200
_T = TypeVar("_T")

Samples = Mapping[str, Sequence[tuple[tuple[str, ...], float]]]
"""The values of each metric, by its name: label values in the order of its labels, and the number."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: a `counter` or a `gauge`, what it means in one sentence, and its labels."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


_JOB = ("backup_job", "operation")  # not `job`: that is what Prometheus calls what it scrapes
METRICS = (
    Metric("borgwatch_build_info", "gauge", "1, labelled with the version that runs.", ("version",)),
    Metric("borgwatch_start_time_seconds", "gauge", "When the service was started."),
    Metric("borgwatch_health", "gauge", "1 for the word that `borgwatch healthcheck` says.", ("condition",)),
    Metric("borgwatch_last_success_timestamp_seconds", "gauge", "When an operation of a job last succeeded.", _JOB),
    Metric("borgwatch_last_run_timestamp_seconds", "gauge", "When its last run ended.", _JOB),
    Metric("borgwatch_last_run_outcome", "gauge", "1 for the outcome of its last run.", (*_JOB, "outcome")),
    Metric("borgwatch_last_run_duration_seconds", "gauge", "How long its last run took, if that is known.", _JOB),
    Metric("borgwatch_last_run_original_size_bytes", "gauge", "How much its last run read, if that is known.", _JOB),
    Metric("borgwatch_last_run_added_size_bytes", "gauge", "How much its last run added to the repository.", _JOB),
    Metric("borgwatch_last_run_files", "gauge", "How many files its last run saw, if that is known.", _JOB),
    Metric("borgwatch_consecutive_failures", "gauge", "How many runs failed since its last success.", _JOB),
    Metric("borgwatch_due_timestamp_seconds", "gauge", "When its next success is due, if one is awaited.", _JOB),
    Metric("borgwatch_alert", "gauge", "1 for what TrueNAS shows of it.", (*_JOB, "state")),
    Metric("borgwatch_events_total", "counter", "Events since the service was started.", ("event",)),
    Metric("borgwatch_deliveries_total", "counter", "Deliveries since the service was started.", ("result",)),
    Metric("borgwatch_delivery_rung", "gauge", "1 for the way by which people are told.", ("rung",)),
    Metric("borgwatch_truenas_connected", "gauge", "1 while there is a session with TrueNAS."),
    Metric("borgwatch_queue_alerts", "gauge", "Alerts that wait for delivery."),
    Metric("borgwatch_queue_oldest_age_seconds", "gauge", "How long the oldest of them has waited; 0 if none does."),
    Metric("borgwatch_sources", "gauge", "Logs that are followed."),
    Metric("borgwatch_source_unread_bytes", "gauge", "Bytes in the logs of a job yet to be read.", ("backup_job",)),
    Metric("borgwatch_source_lag_seconds", "gauge", "How far reading the logs of a job is behind.", ("backup_job",)),
    Metric("borgwatch_lines_total", "counter", "Lines read since the journal was begun."),
    Metric("borgwatch_unclaimed_lines_total", "counter", "Lines that look like trouble and that no rule knows."),
    Metric("borgwatch_rules", "gauge", "Rules in force."),
    Metric("borgwatch_rule_hits_total", "counter", "How often a rule spoke since the journal was begun.", ("rule",)),
    Metric("borgwatch_journal_size_bytes", "gauge", "Size of the journal."),
    Metric("borgwatch_omitted_series", "gauge", f"Jobs and rules beyond the {MANY} that have series of their own."),
)  # fmt: skip
"""Every metric of borgwatch itself; those of its process (`process_...`) come from the client library."""


def measure(facts: Facts, live: Live) -> Samples:
    """Make the samples of a moment."""
    now = facts.status.time
    jobs = _labelled(((job.job, job.operation), job) for job in facts.status.jobs)
    rules = _labelled(((rule,), hits.count) for rule, hits in sorted(facts.hits.items()))
    lags = list(_lags(live.sources, now))
    omitted = len(facts.status.jobs) - len(jobs) + len(facts.hits) - len(rules) + max(0, len(lags) - MANY)
    waiting = [standing.alert.time for standing in facts.standings if not standing.done]
    rung = facts.status.delivery.rung if facts.status.delivery is not None else "none"
    return {
        "borgwatch_build_info": [((live.version,), 1)],
        "borgwatch_start_time_seconds": _one(live.started.timestamp()),
        "borgwatch_health": _one_of(Condition, live.health.condition),
        **_of_jobs(jobs, facts),
        "borgwatch_events_total": [((name,), count) for name, count in sorted(live.events.items())],
        "borgwatch_deliveries_total": [((result,), live.deliveries.get(result, 0)) for result in _RESULTS],
        "borgwatch_delivery_rung": _one_of(_RUNGS, rung),
        "borgwatch_truenas_connected": _one(live.truenas.link is Link.CONNECTED),
        "borgwatch_queue_alerts": _one(len(waiting)),
        "borgwatch_queue_oldest_age_seconds": _one(max([0.0, *((now - time).total_seconds() for time in waiting)])),
        "borgwatch_sources": _one(len(live.sources)),
        "borgwatch_source_unread_bytes": [((job,), unread) for job, unread, _ in lags[:MANY]],
        "borgwatch_source_lag_seconds": [((job,), lag) for job, _, lag in lags[:MANY]],
        "borgwatch_lines_total": _one(facts.counters.get("lines", 0)),
        "borgwatch_unclaimed_lines_total": _one(facts.counters.get("unclaimed", 0)),
        "borgwatch_rules": _one(live.rules),
        "borgwatch_rule_hits_total": list(rules.items()),
        "borgwatch_journal_size_bytes": _one(facts.bytes),
        "borgwatch_omitted_series": _one(omitted),
    }


def _labelled(values: Iterable[tuple[tuple[str, ...], _T]]) -> dict[tuple[str, ...], _T]:
    """Make labels of names; of two that are the same label then, the first stays: Prometheus refuses doubles."""
    found: dict[tuple[str, ...], _T] = {}
    for names, value in values:
        if len(found) < MANY:
            found.setdefault(tuple(map(_label, names)), value)
    return found


def _of_jobs(jobs: Mapping[tuple[str, ...], JobStatus], facts: Facts) -> Samples:
    samples: dict[str, list[tuple[tuple[str, ...], float]]] = {
        metric.name: [] for metric in METRICS if _is_of_job(metric)
    }
    for labels, job in jobs.items():
        for name, value in _values(job, facts):
            if value is not None:
                samples[f"borgwatch_{name}"].append((labels, value))
        samples["borgwatch_last_run_outcome"] += _one_of(_OUTCOMES, job.last_outcome, labels)
        samples["borgwatch_alert"] += _one_of(_ALERTS, job.alert, labels)
    return samples


def _values(job: JobStatus, facts: Facts) -> Iterator[tuple[str, float | None]]:
    yield "last_success_timestamp_seconds", _timestamp(job.last_success)
    yield "last_run_timestamp_seconds", _timestamp(job.last_run)
    yield "due_timestamp_seconds", _timestamp(job.due)
    yield "consecutive_failures", job.failures
    row = facts.last.get((job.job, job.operation))
    if row is not None:
        yield "last_run_duration_seconds", row.duration
        yield "last_run_original_size_bytes", row.original_size
        yield "last_run_added_size_bytes", row.deduplicated_size
        yield "last_run_files", row.files


def _lags(sources: Iterable[SourceState], now: datetime) -> Iterator[tuple[str, int, float]]:
    """Put the logs of a job together: what is unread of all, and how long the most patient of it has waited."""
    table: dict[str, tuple[int, float]] = {}
    labels: dict[str, str] = {}
    for source in sources:
        job = labels.get(source.job) or labels.setdefault(source.job, _label(source.job))
        unread, lag = table.get(job, (0, 0.0))
        waited = (now - source.behind).total_seconds() if source.behind is not None else 0.0
        table[job] = unread + source.unread, max(lag, waited)
    for job, (unread, lag) in sorted(table.items()):
        yield job, unread, lag


def _is_of_job(metric: Metric) -> bool:
    return metric.labels[:2] == _JOB


def _one(value: float) -> list[tuple[tuple[str, ...], float]]:
    return [((), value)]


def _one_of(words: Iterable[str], holds: str, labels: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], float]]:
    return [((*labels, str(word)), float(word == holds)) for word in words]


def _timestamp(time: datetime | None) -> float | None:
    return time.timestamp() if time is not None else None


def _label(text: str) -> str:
    return one_line(redact(text), _MAX_LABEL)
