"""One synchronous step of the way of a line: read → judge → decide → commit.

A step reads what is new, judges it, decides what TrueNAS is to show, and commits all of it together with the read
positions. Only then does anything count: if the commit fails, the next step reads the same lines again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from borgwatch.deadman import JobState, missed
from borgwatch.journal import Change, Journal
from borgwatch.judge import Judge, Judged
from borgwatch.model import Alert, Event, Outcome, Position
from borgwatch.policy import EventFilter, alert_for, alert_key
from borgwatch.sources.problems import Problem
from borgwatch.sources.tail import Batch, Tree

__all__ = ["Pipeline", "Plan", "Step"]

BUDGET = 1 << 18
"""Bytes read in one step from each directory."""
_MAX_BEHIND = timedelta(hours=1)
"""How long reading may be behind before the dead-man's switch no longer waits for it."""
_ONE_RUN = frozenset({Outcome.SUCCESS, Outcome.WARNING, Outcome.FAILURE, Outcome.STALLED})


@dataclass(frozen=True, slots=True)
class Plan:
    """What the user wants to hear of: the filter, the dead-man's switch (None: off), this instance's name."""

    events: EventFilter
    expect: timedelta | None = None
    instance: str = "main"


@dataclass(frozen=True, slots=True)
class Step:
    """What one step gave. `more` says that there is more to read at once."""

    events: tuple[Event, ...] = ()
    alerts: tuple[Alert, ...] = ()
    problems: tuple[Problem, ...] = ()
    lines: int = 0
    more: bool = False


class Pipeline:
    """The trees (by watched directory), the judge, the journal, and what was last committed."""

    def __init__(
        self, trees: Mapping[str, Tree], judge: Judge, plan: Plan, journal: Journal, now: Callable[[], datetime]
    ) -> None:
        self.judge = judge
        self._trees = tuple(trees.values())
        self._new_roots = {root: tree for root, tree in trees.items() if root not in journal.roots()}
        self._plan = plan
        self._journal = journal
        self._now = now
        self._streams = journal.streams()
        self._jobs = journal.jobs()
        self._alerts = journal.alerts()
        self._last_read: dict[str, datetime] = {}
        self._behind_since: datetime | None = None
        self._rename_alerts()
        positions = journal.positions()
        for tree in self._trees:
            tree.restore(positions)

    def _rename_alerts(self) -> None:
        """Take alerts that stand under another instance's name away, and raise them under ours."""
        for place, alert in self._alerts.items():
            key = alert_key(self._plan.instance, *place)
            if alert.raised and alert.key != key:
                renamed = replace(alert, key=key, renotify=False)
                self._journal.commit(Change(alerts=(replace(alert, raised=False), renamed)))
                self._alerts[place] = renamed

    @property
    def jobs(self) -> Mapping[tuple[str, str], JobState]:
        """What is known of each operation of each job."""
        return self._jobs

    def step(self) -> Step:
        """Read, judge, decide and commit once; raises `JournalError` if it could not be committed."""
        batches = [(tree, tree.read(BUDGET)) for tree in self._trees]
        now = self._now()
        positions = {source: position for _, batch in batches for source, position in batch.positions.items()}
        judged = self._judge(batches, now, positions)
        events, jobs, alerts = self._decide(judged.events, now, behind=self._is_behind(batches, now))
        roots = [root for root, tree in self._new_roots.items() if tree.is_there]
        if roots or positions or judged.streams or judged.runs or events or jobs:
            self._journal.commit(
                Change(
                    roots=roots,
                    positions=positions,
                    streams=judged.streams,
                    runs=judged.runs,
                    events=events,
                    jobs=jobs.values(),
                    alerts=alerts.values(),
                )
            )
        self._accept(batches, judged, jobs, alerts, positions)
        return Step(
            events=events,
            alerts=tuple(alerts.values()),
            problems=tuple(problem for _, batch in batches for problem in batch.problems),
            lines=judged.lines,
            more=any(batch.more for _, batch in batches),
        )

    def _is_behind(self, batches: Iterable[tuple[Tree, Batch]], now: datetime) -> bool:
        """Say whether the success that seems to be missing may stand in what is yet to be read.

        Only for a while: a file that always has more must not switch the dead-man's switch off.
        """
        if not any(batch.more for _, batch in batches):
            self._behind_since = None
            return False
        self._behind_since = self._behind_since or now
        return now - self._behind_since < _MAX_BEHIND

    def _judge(
        self, batches: Iterable[tuple[Tree, Batch]], now: datetime, positions: Mapping[str, Position | None]
    ) -> Judged:
        lines = [line for _, batch in batches for line in batch.lines]
        first = self.judge.lines(self._streams, lines)
        last_read = {**self._last_read, **dict.fromkeys(positions, now)}
        second = self.judge.silence({**self._streams, **first.streams}, now, last_read)
        return Judged(
            {**first.streams, **second.streams}, first.runs + second.runs, first.events + second.events, first.lines
        )

    def _decide(
        self, found: Sequence[Event], now: datetime, *, behind: bool
    ) -> tuple[tuple[Event, ...], dict[tuple[str, str], JobState], dict[tuple[str, str], Alert]]:
        """Learn from events, look at the dead-man's switch, and decide what TrueNAS is to show."""
        jobs: dict[tuple[str, str], JobState] = {}
        for event in found:
            place = event.job, event.operation
            known = jobs.get(place) or self._jobs.get(place) or JobState(*place)
            jobs[place] = _learn(known, event)
        events = [*found, *(() if behind else self._missed(jobs, now))]
        alerts: dict[tuple[str, str], Alert] = {}
        for event in events:
            if event.past:
                continue
            place = event.job, event.operation
            current = alerts.get(place) or self._alerts.get(place)
            alert = alert_for(event, current, self._plan.events, self._plan.instance)
            if alert is not None:
                alerts[place] = alert
        return tuple(events), jobs, alerts

    def _missed(self, jobs: dict[tuple[str, str], JobState], now: datetime) -> Iterable[Event]:
        if self._plan.expect is None:
            return
        for place, state in {**self._jobs, **jobs}.items():
            event = missed(state, self._plan.expect, now)
            if event is not None:
                jobs[place] = replace(state, missed_since=state.last_success)
                yield event

    def _accept(
        self,
        batches: Iterable[tuple[Tree, Batch]],
        judged: Judged,
        jobs: Mapping[tuple[str, str], JobState],
        alerts: Mapping[tuple[str, str], Alert],
        positions: Mapping[str, Position | None],
    ) -> None:
        """Let what was committed count."""
        now = self._now()
        self._new_roots = {root: tree for root, tree in self._new_roots.items() if not tree.is_there}
        for tree, batch in batches:
            tree.commit(batch)
        for source, position in positions.items():
            if position is None:
                self._last_read.pop(source, None)
            else:
                self._last_read[source] = now
        self._streams.update(judged.streams)
        self._jobs.update(jobs)
        self._alerts.update(alerts)


def _learn(state: JobState, event: Event) -> JobState:
    """Take an event into what is known of its job; only a success feeds the dead-man's switch."""
    if event.outcome not in _ONE_RUN:
        return state
    state = replace(state, last_outcome=event.outcome, last_run=event.time)
    if event.outcome == Outcome.SUCCESS and (state.last_success is None or event.time > state.last_success):
        state = replace(state, last_success=event.time)
    return state
