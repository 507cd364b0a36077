"""What the status page shows: how each job stands, its last ninety days, and what deserves a look. Pure.

The journal's values come in; an `Overview` leaves. Texts are as the journal has them: who shows them makes them
harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from borgwatch.model import Outcome
from borgwatch.service.live import Live, SourceState
from borgwatch.views.facts import Facts
from borgwatch.views.history import Row
from borgwatch.views.status import JobStatus

__all__ = ["DAYS", "Day", "JobView", "Overview", "outcomes_of", "overview"]

DAYS = 91
"""Thirteen weeks."""
_ROWS = 20
_SOURCES = 100
_SEVERITY = (
    "", Outcome.SUCCESS, Outcome.SKIPPED, Outcome.WARNING, Outcome.STALLED, Outcome.MISSED, Outcome.FAILURE
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Day:
    """The worst outcome of a day; "" where nothing ran."""

    date: date
    outcome: str = ""
    runs: int = 0


@dataclass(frozen=True, slots=True)
class JobView:
    """One operation of a job: how it stands, its days (oldest first) and its runs (oldest first)."""

    status: JobStatus
    days: tuple[Day, ...]
    rows: tuple[Row, ...]

    @property
    def standing_out(self) -> tuple[Day, ...]:
        """The days with anything but success, the newest first."""
        return tuple(day for day in reversed(self.days) if day.outcome not in ("", Outcome.SUCCESS))


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that the page shows at a moment."""

    time: datetime
    verdict: str
    facts: Facts
    live: Live
    jobs: tuple[JobView, ...]
    recent: tuple[Row, ...]
    alerts: tuple[JobStatus, ...]
    sources: tuple[SourceState, ...]
    more_sources: int


def overview(verdict: str, facts: Facts, live: Live, rows: Sequence[Row]) -> Overview:
    """Put the page together; `rows` is the history of the last ninety days, oldest first."""
    by_place: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_place.setdefault((row.job, row.operation), []).append(row)
    now = facts.status.time
    jobs = tuple(_view(job, by_place.get((job.job, job.operation), []), now) for job in facts.status.jobs)
    behind = sorted(live.sources, key=lambda source: (-source.unread, source.job, source.source))
    return Overview(
        now, verdict, facts, live, jobs, tuple(reversed(rows[-_ROWS:])),
        alerts=tuple(job for job in facts.status.jobs if job.alert != "none"),
        sources=tuple(behind[:_SOURCES]), more_sources=max(0, len(behind) - _SOURCES),
    )  # fmt: skip


def _view(job: JobStatus, rows: Sequence[Row], now: datetime) -> JobView:
    return JobView(job, tuple(_days(rows, now.astimezone().date())), tuple(rows))


def _days(rows: Iterable[Row], today: date) -> Iterable[Day]:
    worst: dict[date, tuple[int, int]] = {}
    for row in rows:
        day = row.time.astimezone().date()
        severity, runs = worst.get(day, (0, 0))
        worst[day] = max(severity, _severity(row.outcome)), runs + 1
    for back in range(DAYS - 1, -1, -1):
        day = today - timedelta(days=back)
        severity, runs = worst.get(day, (0, 0))
        yield Day(day, str(_SEVERITY[severity]), runs)


def _severity(outcome: str) -> int:
    return _SEVERITY.index(outcome) if outcome in _SEVERITY else 0


def outcomes_of(days: Iterable[Day]) -> Mapping[str, int]:
    """Count the days by their outcome, the worst first."""
    counts: dict[str, int] = {}
    for day in days:
        counts[day.outcome] = counts.get(day.outcome, 0) + 1
    return {str(word): counts[word] for word in reversed(_SEVERITY) if word in counts}
