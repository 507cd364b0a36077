"""One synchronous step of the way of a line: read → judge → decide → commit.

A step reads what is new, judges it, decides what TrueNAS is to show, and commits all of it together with the read
positions. Only then does anything count: if the commit fails, the next step reads the same lines again. Where lines
meant nothing, only their positions are to be written, and these may wait for a moment: a busy log is mostly noise.
"""

from __future__ import annotations

import time
from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from borgwatch.journal.store import Change, Journal
from borgwatch.judge import Judge, Judged
from borgwatch.matching.candidates import Candidates
from borgwatch.model import Alert, Event, Line, Position
from borgwatch.policy.alerts import EventFilter, alert_for, alert_key, taken_back
from borgwatch.policy.deadman import Expectation, Steadiness, expected, missed, rewound, withdrawn
from borgwatch.policy.folding import Held, Key, Repetition, cool, fold
from borgwatch.policy.jobs import JobState, is_echo, learn, recovery
from borgwatch.policy.unread import EVERYTHING, Unread
from borgwatch.sources.disk import FILE_LIMIT
from borgwatch.sources.lines import Wanted
from borgwatch.sources.problems import Problem
from borgwatch.sources.reading import MOST_LINES
from borgwatch.sources.tail import Batch

__all__ = ["Pipeline", "Plan", "Source", "Step"]

LEAST_BUDGET, MOST_BUDGET = 64 * 1024, 4 * 1024 * 1024
"""Bytes read in one step from each directory: few where all lines are judged, many where nearly all are noise."""
_LINES_A_STEP = MOST_LINES * 2 // 3
"""Lines judged in one step, about: so many that commits do not cost most, so few that the loop stays responsive.

Fewer than are taken of one file at once: else a file of which all lines matter would be read over and over."""
_LAG = timedelta(seconds=1)
"""How far the journal may lag behind lines that meant nothing: read again after a crash, they mean nothing again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the user wants to hear of: the filter, what is to succeed how often, this instance's name.

    Of `expect`, the first that speaks of an operation of a job counts. `repetitions` is what rules say of
    events that repeat, by their ids. A plan that is not `whole` was read from settings or rule files with faults: what
    it does not expect is no reason to take an alert back.
    """

    events: EventFilter
    expect: tuple[Expectation, ...] = ()
    instance: str = "main"
    repetitions: Mapping[str, Repetition] = field(default_factory=dict)
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """What one step gave. `lines` were read; `more` says that there is more to read at once.

    `held` are the events (their ids) whose alerts wait for the end of a cool-down.
    """

    events: tuple[Event, ...] = ()
    alerts: tuple[Alert, ...] = ()
    problems: tuple[Problem, ...] = ()
    lines: int = 0
    more: bool = False
    held: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Decided:
    """What a step decides: its events, what is known of jobs now, the alerts as they are to be, and what waits."""

    events: tuple[Event, ...]
    jobs: Mapping[tuple[str, str], JobState]
    alerts: Mapping[tuple[str, str], Alert]
    held: Mapping[Key, Held | None]
    untold: frozenset[str]

    @property
    def is_news(self) -> bool:
        return bool(self.events or self.jobs or self.alerts or self.held)


class Source(Protocol):
    """Where lines come from: a tree of files, or the output of an app; see `borgwatch.sources.tail.Tree`."""

    @property
    def there(self) -> Collection[str]:
        """Which of the names that it goes by were there at the last look: it may be several directories."""

    def restore(self, positions: Mapping[str, Position]) -> None:
        """Go on where the one that gave these positions stood."""

    def read(self, budget: int, wanted: Wanted | None = None, *, changed: Collection[str] | None = None) -> Batch:
        """Read what is new."""

    def commit(self, batch: Batch) -> None:
        """Go on behind the batch that was read last."""


class Pipeline:
    """The sources, the judge, the journal, and what was last committed.

    `trees` are the sources by the names of watched directories and apps, of which several may be one source.
    """

    def __init__(
        self,
        trees: Mapping[str, Source],
        judge: Judge,
        plan: Plan,
        journal: Journal,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.judge = judge
        self._budget = LEAST_BUDGET
        self._names = frozenset(trees)
        self._trees = tuple(dict.fromkeys(trees.values()))
        self._new_roots = self._names.difference(journal.roots())
        self.plan = plan
        self._journal = journal
        self._now = now
        self._monotonic = monotonic
        self._clock = Steadiness.begin(now(), monotonic())
        self._streams = journal.streams()
        self._jobs = journal.jobs()
        self._alerts = journal.alerts()
        self._held = journal.held()
        self._last_read: dict[str, datetime] = {}
        self._wrong: dict[str, str] = {}
        self._unread = Unread()
        self._unwritten: dict[str, Position | None] = {}
        self._uncounted = 0
        self._written = datetime.min.replace(tzinfo=UTC)
        self._rename_alerts()
        positions = journal.positions()
        for tree in self._trees:
            tree.restore(positions)

    def _rename_alerts(self) -> None:
        """Take alerts that stand under another instance's name away, and raise them under ours."""
        for place, alert in self._alerts.items():
            key = alert_key(self.plan.instance, *place)
            if alert.raised and alert.key != key:
                renamed = replace(alert, key=key, renotify=False)
                self._journal.commit(Change(alerts=(replace(alert, raised=False), renamed)))
                self._alerts[place] = renamed

    @property
    def judge(self) -> Judge:
        """Who says what lines mean; another one takes over at the next step."""
        return self._judge

    @judge.setter
    def judge(self, judge: Judge) -> None:
        self._judge = judge
        self._silence_due = datetime.min.replace(tzinfo=UTC)
        limits = judge.limits
        patience = min(limits.settle, limits.settle_warning, limits.stalled, limits.session)
        self._candidates = Candidates(judge.matcher, patience=patience, most=MOST_LINES)

    @property
    def jobs(self) -> Mapping[tuple[str, str], JobState]:
        """What is known of each operation of each job."""
        return self._jobs

    def step(self, changed: Collection[str] | None = None, *, careful: bool = False) -> Step:
        """Read, judge, decide and commit once; raises `JournalError` if it could not be committed.

        `changed` are the paths to look at, if that is known; all files otherwise. A `careful` step tries each line by
        itself, and passes over, loudly, those that something nobody thought of breaks on.
        """
        wanted = self._candidates.starts
        batches = [(tree, tree.read(self._budget, wanted, changed=changed)) for tree in self._trees]
        now = self._now()
        positions = {source: position for _, batch in batches for source, position in batch.positions.items()}
        lines = [line for _, batch in batches for line in batch.lines]
        sound, passed_over = self._sound(lines, now) if careful else (lines, ())
        judged = self._judge_lines(sound, now, positions)
        self._clock = self._clock.look(now, self._monotonic())
        self._note_unread(batches)
        decided = self._decide(judged.events, now, may_miss=self._clock.is_steady)
        roots = sorted(self._new_roots.intersection(self._there()))
        count = sum(batch.count for _, batch in batches)
        unwritten, uncounted = {**self._unwritten, **positions}, self._uncounted + count
        is_news = bool(roots or judged.streams or judged.runs or judged.hits or judged.unclaimed or decided.is_news)
        if is_news or (unwritten and not timedelta() <= now - self._written < _LAG):
            self._journal.commit(
                Change(
                    roots=roots,
                    positions=unwritten,
                    streams=judged.streams,
                    runs=judged.runs,
                    events=decided.events,
                    jobs=decided.jobs.values(),
                    alerts=decided.alerts.values(),
                    held=decided.held,
                    hits=judged.hits,
                    unclaimed=judged.unclaimed,
                    lines=uncounted,
                )
            )
            unwritten, uncounted, self._written = {}, 0, now
        self._unwritten, self._uncounted = unwritten, uncounted
        self._accept(batches, judged, decided, positions)
        self._budget = _next_budget(self._budget, judged.lines)
        return Step(
            events=decided.events,
            alerts=tuple(decided.alerts.values()),
            problems=(*(problem for _, batch in batches for problem in batch.problems), *passed_over),
            lines=count,
            more=any(batch.more for _, batch in batches),
            held=decided.untold,
        )

    def _there(self) -> set[str]:
        return {name for tree in self._trees for name in tree.there}

    def _note_unread(self, batches: Sequence[tuple[Source, Batch]]) -> None:
        """Keep in mind what cannot be read: the success that seems to be missing may stand there."""
        for problem in (problem for _, batch in batches for problem in batch.problems if problem.stands):
            where = EVERYTHING if problem.where == FILE_LIMIT else problem.where
            if problem.resolved:
                self._wrong.pop(where, None)
            else:
                self._wrong[where] = problem.what
        away = dict.fromkeys(self._names - self._there(), "")
        behind = {EVERYTHING: ""} if any(batch.more for _, batch in batches) else {}
        self._unread = self._unread.look(
            {**away, **behind, **self._wrong}, self._monotonic(), lambda where: self.judge.role_of(where).job
        )

    def _sound(self, lines: Iterable[Line], now: datetime) -> tuple[list[Line], tuple[Problem, ...]]:
        """Leave out the lines that cannot be judged: one of them must not keep all others from being judged."""
        streams, sound, problems = dict(self._streams), list[Line](), list[Problem]()
        for line in lines:
            try:
                judged = self.judge.lines(streams, [line])
                self._decide(judged.events, now, may_miss=False)
            except Exception as error:  # noqa: BLE001 - whatever it is, it would come again with each step
                what = f"a line could not be judged and was passed over ({type(error).__name__}): please report it"
                problems.append(Problem(line.source, what))
            else:
                streams.update(judged.streams)
                sound.append(line)
        return sound, tuple(problems)

    def _judge_lines(self, lines: Sequence[Line], now: datetime, positions: Mapping[str, Position | None]) -> Judged:
        """Judge what was read, and silence: of the runs that nothing bears on, only once the first of them is due."""
        first = self.judge.lines(self._streams, lines)
        streams = ChainMap({**first.streams}, self._streams)
        last_read = ChainMap(dict.fromkeys(positions, now), self._last_read)
        everything_is_due = now >= self._silence_due
        moved = None if everything_is_due else dict.fromkeys((*first.streams, *positions))
        second = self.judge.silence(streams, now, last_read, moved)
        return replace(
            first,
            streams={**first.streams, **second.streams},
            runs=first.runs + second.runs,
            events=first.events + second.events,
            due=second.due if everything_is_due else min(second.due, self._silence_due),
        )

    def _decide(self, found: Sequence[Event], now: datetime, *, may_miss: bool) -> _Decided:
        """Learn from events, look at the dead-man's switch, and decide what TrueNAS is to show."""
        jobs: dict[tuple[str, str], JobState] = {}
        events: list[Event] = []
        folded = fold(found, self._held, self.plan.repetitions, now)
        for event in folded.events:
            place = event.job, event.operation
            known = jobs.get(place) or self._jobs.get(place) or JobState(*place)
            if is_echo(known, event):
                continue
            jobs[place], learnt = learn(known, event, now)
            events.append(learnt)
            if (again := recovery(learnt)) is not None and self.plan.events.wants(again.name):
                events.append(again)
        given_up: list[JobState] = []
        events.extend(self._missed(jobs, given_up, now, may_miss=may_miss))
        told = cool(events, self._held, self.plan.repetitions, now)
        alerts: dict[tuple[str, str], Alert] = {}
        for event in told.events:
            if event.past:
                continue
            place = event.job, event.operation
            current = alerts.get(place) or self._alerts.get(place)
            alert = alert_for(event, current, self.plan.events, self.plan.instance)
            if alert is not None:
                alerts[place] = alert
        for state in given_up:
            place = state.job, state.operation
            cleared = taken_back(alerts.get(place) or self._alerts.get(place), state, now)
            if cleared is not None:
                alerts[place] = cleared
        passed = {event.id for event in told.events}
        untold = frozenset(e.id for e in events if e.id not in passed and self.plan.events.wants(e.name))
        return _Decided(tuple(events), jobs, alerts, {**folded.held, **told.held}, untold)

    def _missed(
        self, jobs: dict[tuple[str, str], JobState], given_up: list[JobState], now: datetime, *, may_miss: bool
    ) -> Iterable[Event]:
        """Compare all jobs with the plan: give the events of what is missing, put what no longer is into `given_up`."""
        if not may_miss:  # of a clock that has just jumped, nobody knows which time was the wrong one
            return
        for place, known in {**self._jobs, **jobs}.items():
            expectation = expected(self.plan.expect, *place)
            state = rewound(known, now) if expectation is not None else known
            if state is not known:
                jobs[place] = state
            if expectation is not None and (late := missed(state, expectation, now, self._unread)) is not None:
                jobs[place], event = late
                yield event
            elif self.plan.whole and (forgotten := withdrawn(state, expectation, now)) is not None:
                jobs[place] = forgotten
                given_up.append(forgotten)

    def _accept(
        self,
        batches: Iterable[tuple[Source, Batch]],
        judged: Judged,
        decided: _Decided,
        positions: Mapping[str, Position | None],
    ) -> None:
        """Let what was committed count."""
        now = self._now()
        self._new_roots = self._new_roots.difference(self._there())
        for tree, batch in batches:
            tree.commit(batch)
        for source, position in positions.items():
            if position is None:
                self._last_read.pop(source, None)
            else:
                self._last_read[source] = now
        self._streams.update(judged.streams)
        self._silence_due = judged.due
        self._jobs.update(decided.jobs)
        self._alerts.update(decided.alerts)
        for key, held in decided.held.items():
            if held is None:
                self._held.pop(key, None)
            else:
                self._held[key] = held


def _next_budget(budget: int, judged: int) -> int:
    """Adapt what is read in the next step to how many lines were judged in this one."""
    fitting = budget * _LINES_A_STEP // max(1, judged)
    return max(LEAST_BUDGET, min(MOST_BUDGET, fitting, 2 * budget))
