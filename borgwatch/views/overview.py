"""What the status page shows: how each job stands, its last ninety days, and what deserves a look.

`read_overview` reads the journal in one go, of thousands of runs in outline; `overview` puts it together, pure. Texts
are as the journal has them: who shows them makes them harmless.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from borgwatch.journal.lookback import Lookback
from borgwatch.journal.outlines import Outline
from borgwatch.model import Outcome
from borgwatch.service.live import Live, SourceState
from borgwatch.views.facts import Facts, Place, read_facts
from borgwatch.views.history import Row, history
from borgwatch.views.review import Review, review
from borgwatch.views.status import JobStatus

__all__ = ["DAYS", "DRAWN", "MANY", "Day", "JobView", "Overview", "outcomes_of", "overview", "read_overview"]

DAYS = 91
"""Thirteen weeks."""
MANY = 100
"""How many jobs, alerts and sources are shown; those that somebody must see to come first."""
DRAWN = 91
"""How many of the runs of a job are drawn, the newest."""
_ROWS = 20
_MOST = 50_000
"""So many runs at most are looked at, and so many events."""
_REVIEWED = timedelta(days=7)
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
    """One operation of a job: how it stands, its days (oldest first) and what ended last (oldest first)."""

    status: JobStatus
    days: tuple[Day, ...]
    ended: tuple[Outline, ...]

    @property
    def standing_out(self) -> tuple[Day, ...]:
        """The days with anything but success, the newest first."""
        return tuple(day for day in reversed(self.days) if day.outcome not in ("", Outcome.SUCCESS))


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that the page shows at a moment; of what is more than `MANY`, the first ones and how many more.

    `verdict` and `troubles` (of delivery) are those of the review of a week.
    """

    time: datetime
    verdict: str
    troubles: tuple[str, ...]
    facts: Facts
    live: Live
    jobs: tuple[JobView, ...]
    more_jobs: int
    recent: tuple[Row, ...]
    alerts: tuple[JobStatus, ...]
    more_alerts: int
    sources: tuple[SourceState, ...]
    more_sources: int


def read_overview(past: Lookback, live: Live, now: datetime) -> Overview:
    """Read what the page shows; raises `JournalError`."""
    facts = read_facts(past, live.expect, now)
    begin, week = now - timedelta(days=DAYS), now - _REVIEWED
    ended = past.outlines(begin, _MOST)
    recent: dict[Place, list[Outline]] = {}
    for outline in ended:
        if outline.run:
            recent.setdefault((outline.job, outline.operation), []).append(outline)
    unclaimed = [line for line in past.unclaimed() if line.last > week]
    summed = review(facts.status, week, past.events_since(week), recent, unclaimed, live.own_rules, facts.hits)
    since = ended[_ROWS - 1].time if len(ended) >= _ROWS else begin
    told = [found for found in past.events_since(since) if found.event.outcome != Outcome.RECOVERED]
    rows = history(past.runs(since), told, facts.standings, _ROWS).rows
    return overview(summed, facts, live, ended, rows)


def overview(summed: Review, facts: Facts, live: Live, ended: Iterable[Outline], newest: Sequence[Row]) -> Overview:
    """Put the page together; `ended` is what ended of late, newest first, `newest` the last rows, oldest first."""
    by_place: dict[Place, list[Outline]] = {}
    for outline in ended:
        by_place.setdefault((outline.job, outline.operation), []).append(outline)
    now = facts.status.time
    dates = [now.astimezone().date() - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    days = [(day, datetime.combine(day, time()).astimezone(UTC)) for day in dates]
    broken = {(job.job, job.operation) for job in facts.status.broken}
    jobs = sorted(facts.status.jobs, key=lambda job: (job.job, job.operation) not in broken)
    behind = sorted(live.sources, key=lambda source: (-source.unread, source.job, source.source))
    alerts = tuple(job for job in jobs if job.alert != "none")
    return Overview(
        now, summed.verdict, summed.delivery, facts, live,
        jobs=tuple(_view(job, by_place.get((job.job, job.operation), []), days) for job in jobs[:MANY]),
        more_jobs=max(0, len(jobs) - MANY),
        recent=tuple(reversed(newest)),
        alerts=alerts[:MANY], more_alerts=max(0, len(alerts) - MANY),
        sources=tuple(behind[:MANY]), more_sources=max(0, len(behind) - MANY),
    )  # fmt: skip


def _view(job: JobStatus, ended: Sequence[Outline], days: Sequence[tuple[date, datetime]]) -> JobView:
    return JobView(job, tuple(_days(ended, days)), tuple(reversed(ended[:DRAWN])))


def _days(ended: Iterable[Outline], days: Sequence[tuple[date, datetime]]) -> Iterable[Day]:
    """Find the worst of each day; `days` are local dates and when they begin, oldest first."""
    begins = [begin for _, begin in days]
    worst, runs = [0] * len(days), [0] * len(days)
    for outline in ended:
        at = bisect_right(begins, outline.time) - 1
        if at >= 0:
            worst[at] = max(worst[at], _severity(outline.outcome))
            runs[at] += 1
    for at, (day, _) in enumerate(days):
        yield Day(day, str(_SEVERITY[worst[at]]), runs[at])


def _severity(outcome: str) -> int:
    return _SEVERITY.index(outcome) if outcome in _SEVERITY else 0


def outcomes_of(days: Iterable[Day]) -> Mapping[str, int]:
    """Count the days by their outcome, the worst first."""
    counts: dict[str, int] = {}
    for day in days:
        counts[day.outcome] = counts.get(day.outcome, 0) + 1
    return {str(word): counts[word] for word in reversed(_SEVERITY) if word in counts}
