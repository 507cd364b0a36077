"""What a person should look at who sits down once a week: what is broken, what happened, what stands out. Pure.

The fields of `Review` are the documented JSON of `borgwatch review` (docs/review.md). Texts are as the journal has
them: who shows them makes them harmless.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from borgwatch.journal.notes import Recorded, last_words
from borgwatch.journal.outlines import Outline
from borgwatch.matching.suspicious import RuleHits, Unclaimed, telling_part
from borgwatch.model import Event, Outcome
from borgwatch.views.formats import stamp
from borgwatch.views.history import VERSION
from borgwatch.views.status import TROUBLE, JobStatus, Status

__all__ = ["USUAL", "Group", "Happened", "Line", "Outlier", "Review", "outliers", "review"]

USUAL = 14
"""How many runs before it a run is compared with."""
_LEAST_USUAL = 5
_USUAL_TOO = 2
_NAMED = 10
_WAITS_LONG = timedelta(minutes=10)
_DEAD_AFTER = timedelta(days=180)
_LOOKS = (("kind of warning", "kinds of warning"), ("unclaimed line",), ("outlier",))
_DIGITS = re.compile(r"\d+")
_UNUSUAL: Mapping[str, tuple[float, float]] = {
    # what is compared: (by which factor it must differ, how much it must differ at least)
    "duration": (3, 60),
    "original_size": (2, 10_000_000),
    "deduplicated_size": (10, 100_000_000),
}


@dataclass(frozen=True, slots=True)
class Happened:
    """How often each outcome of an operation of a job came, and the success that came last."""

    job: str
    operation: str
    outcomes: Mapping[str, int]
    last: datetime


@dataclass(frozen=True, slots=True)
class Group:
    """Warnings or failures that say the same but for their numbers; `message` is the newest of them."""

    message: str
    count: int
    first: datetime
    last: datetime
    jobs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """Suspicious lines that no rule claimed; `sample` is the newest, `match` what a rule could look for (or "")."""

    job: str
    count: int
    first: datetime
    last: datetime
    sample: str
    match: str


@dataclass(frozen=True, slots=True)
class Outlier:
    """A run whose `what` (`duration` in seconds, sizes in bytes) differs much from the median of those before it."""

    job: str
    operation: str
    time: datetime
    what: str
    value: float
    usual: float


@dataclass(frozen=True, slots=True)
class Review:
    """What a person should look at. `since` is the last review, `delivery` what is wrong with telling people.

    `mailed` counts the alerts that could only be mailed: nobody can tell whether they arrived.
    """

    since: datetime | None
    status: Status
    broken: tuple[JobStatus, ...]
    happened: tuple[Happened, ...]
    troubles: tuple[Group, ...]
    warnings: tuple[Group, ...]
    unclaimed: tuple[Line, ...]
    outliers: tuple[Outlier, ...]
    dead_rules: tuple[str, ...]
    delivery: tuple[str, ...]
    mailed: int
    verdict: str
    version: int = VERSION

    @property
    def is_well(self) -> bool:
        """Whether nothing is broken: no job, no delivery, no rule file, and the service is at work."""
        return not self.broken and not self.delivery and self.status.rejected_rules is None


def review(
    now_status: Status,
    since: datetime | None,
    events: Sequence[Recorded],
    recent: Mapping[tuple[str, str], Sequence[Outline]],
    unclaimed: Iterable[Unclaimed],
    own_rules: Iterable[str],
    hits: Mapping[str, RuleHits],
) -> Review:
    """Sum up. `events` and `unclaimed` are new; `recent` holds the newest runs of each job, newest first."""
    told = [found.event for found in events if not found.event.past and found.event.outcome != Outcome.RECOVERED]
    lines = tuple(map(_line, unclaimed))
    new = {event.run for event in told if event.run}
    found = tuple(outlier for _, runs in sorted(recent.items()) for outlier in outliers(runs, new))
    ended = last_words(told)
    delivery = tuple(_delivery_trouble(now_status))
    warnings = _groups(event for event in told if event.outcome == Outcome.WARNING)
    broken = now_status.broken
    return Review(
        since=since, status=now_status, broken=broken,
        happened=_happened(ended),
        troubles=_groups(event for event in told if event.outcome in TROUBLE),
        warnings=warnings, unclaimed=lines, outliers=found,
        dead_rules=tuple(rule for rule in own_rules if _is_dead(hits.get(rule), now_status.time)),
        delivery=delivery, mailed=sum(found.delivery == "mailed" for found in events),
        verdict=_verdict(now_status, delivery, ended, since, (len(warnings), len(lines), len(found))),
    )  # fmt: skip


def _line(line: Unclaimed) -> Line:
    return Line(line.job, line.count, line.first, line.last, line.sample, telling_part(line))


def _is_dead(hits: RuleHits | None, now: datetime) -> bool:
    return hits is None or now - hits.last > _DEAD_AFTER


def _happened(events: Iterable[Event]) -> tuple[Happened, ...]:
    table: dict[tuple[str, str], tuple[dict[str, int], datetime]] = {}
    for event in events:
        counts, last = table.get((event.job, event.operation), ({}, event.time))
        counts[event.outcome] = counts.get(event.outcome, 0) + 1
        table[event.job, event.operation] = counts, max(last, event.time)
    return tuple(Happened(*place, counts, last) for place, (counts, last) in sorted(table.items()))


def _groups(events: Iterable[Event]) -> tuple[Group, ...]:
    """Put messages together that differ only in their numbers, the most frequent first."""
    table: dict[str, list[Event]] = {}
    for event in events:
        table.setdefault(_DIGITS.sub("#", event.message or event.title), []).append(event)
    groups = []
    for alike in table.values():
        alike.sort(key=lambda event: event.time)
        newest = alike[-1]
        jobs = tuple(sorted({f"{event.job} {event.operation}" for event in alike}))
        groups.append(Group(newest.message or newest.title, len(alike), alike[0].time, newest.time, jobs))
    return tuple(sorted(groups, key=lambda group: (-group.count, group.message)))


def outliers(runs: Sequence[Outline], new: Collection[str]) -> list[Outlier]:
    """Find those of the `new` runs (their ids) that took or saved much more or less than the median of fourteen before.

    `runs` are of one operation of one job, the newest first; only those that came to an end are compared. What came
    twice in those before is usual as well: a full backup each week among the small ones of each day.
    """
    ended = [run for run in runs if run.outcome in (Outcome.SUCCESS, Outcome.WARNING)]
    found = []
    for what, (factor, least) in _UNUSUAL.items():
        values = [(run, value) for run in ended if (value := getattr(run, what)) is not None]
        for number, (run, value) in enumerate(values):
            before = [other for _, other in values[number + 1 : number + 1 + USUAL]] if run.run in new else []
            alike = (other for other in before if not _differs(value, other, factor, least))
            if len(before) < _LEAST_USUAL or len(list(islice(alike, _USUAL_TOO))) == _USUAL_TOO:
                continue
            usual = statistics.median(before)
            if _differs(value, usual, factor, least):
                found.append(Outlier(run.job, run.operation, run.time, what, value, usual))
    return found


def _differs(value: float, other: float, factor: float, least: float) -> bool:
    return abs(value - other) >= least and (value > other * factor or value * factor < other)


def _delivery_trouble(now: Status) -> Iterable[str]:
    delivery = now.delivery
    if now.service is None:
        yield "borgwatch has not run yet on this journal"
    elif not now.at_work:
        yield f"borgwatch is not at work: it was last seen at {stamp(now.service.stopped or now.service.looked)}"
    if delivery is not None and delivery.rung == "none":
        yield f"nothing can be delivered since {stamp(delivery.since)}: {delivery.reason}"
    elif delivery is not None and delivery.lost is not None and now.time - delivery.lost > _WAITS_LONG and now.at_work:
        yield f"no session with TrueNAS since {stamp(delivery.lost)}: {delivery.reason}"
    late = [
        job for job in now.jobs
        if job.alert == "waiting" and job.alert_time is not None and now.time - job.alert_time > _WAITS_LONG
    ]  # fmt: skip
    if late and (delivery is None or not delivery.is_off):
        yield f"{_count(len(late), 'alert')} waiting for delivery: {_named([job.alert_key for job in late])}"


def _verdict(
    now: Status,
    delivery: Sequence[str],
    events: Sequence[Event],
    since: datetime | None,
    looks: tuple[int, int, int],
) -> str:
    """Say the whole in one line: what is broken, else what deserves a look, else that all is well."""
    runs = sum(event.outcome != Outcome.MISSED for event in events)
    failed = sum(event.outcome in TROUBLE for event in events)
    when = f"since {stamp(since)}" if since is not None else "in all"
    past = f"{_count(runs, 'run')} {when}, {failed} failed or missing"
    parts = [f"broken now: {_named([f'{job.job} {job.operation}' for job in now.broken])}"] if now.broken else []
    parts += ["delivery in trouble"] if delivery else []
    parts += ["rule files are wrong and not in force"] if now.rejected_rules is not None else []
    if parts:
        return f"ACT: {'; '.join(parts)}. {past}."
    parts = [_count(count, *names) for count, names in zip(looks, _LOOKS, strict=True) if count]
    if parts or failed:
        what = f"nothing is broken; {', '.join(parts)}" if parts else "nothing is broken any more"
        return f"LOOK: {what}. {past}."
    return f"WELL: nothing is broken and nothing stands out. {past}."


def _named(things: Sequence[str]) -> str:
    """Name the first of them, and say how many more there are."""
    more = f" and {len(things) - _NAMED} more" if len(things) > _NAMED else ""
    return ", ".join(things[:_NAMED]) + more


def _count(number: int, thing: str, things: str = "") -> str:
    return f"{number} {thing if number == 1 else things or f'{thing}s'}"
