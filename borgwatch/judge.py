"""Lines in, events out: decode → match → runs, for many sources at once. Pure.

Nothing is kept here: the streams as they were come in, the streams as they are now leave with what they gave.
The service commits them together with the read positions; `replay` and the samples of rules throw them away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from borgwatch.decode.text import overwritten
from borgwatch.matching.matcher import Matcher
from borgwatch.matching.suspicious import RuleHits, Unclaimed, is_suspicious, merged, unclaimed
from borgwatch.model import Event, Line, Phase, Record, Signal
from borgwatch.runs.events import event_of_run, event_of_signal
from borgwatch.runs.machine import RESTART, Limits, advance, finish, patience, settle
from borgwatch.runs.run import Run, Stream
from borgwatch.runs.siblings import told_elsewhere

__all__ = ["NEVER", "Judge", "Judged", "SourceRole"]

NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SourceRole:
    """What a source stands for: its job, and the operation of a closing line that names none."""

    job: str
    operation: str = "backup"


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of some lines or of silence: only the streams that changed, and in their order what ended.

    `hits` says which rules spoke how often; `unclaimed` holds the suspicious lines for which none did. `due` is when
    silence may first end another of the runs that were looked at, if nothing more is written.
    """

    streams: Mapping[str, Stream] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()
    events: tuple[Event, ...] = ()
    lines: int = 0
    hits: Mapping[str, RuleHits] = field(default_factory=dict)
    unclaimed: tuple[Unclaimed, ...] = ()
    due: datetime = NEVER


@dataclass(slots=True)
class _Tally:
    """Collects what comes of one pass; `before` holds the streams as they were."""

    before: Mapping[str, Stream]
    streams: dict[str, Stream] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    lines: int = 0
    hits: dict[str, RuleHits] = field(default_factory=dict)
    unclaimed: dict[tuple[str, str], Unclaimed] = field(default_factory=dict)

    def hit(self, rule: str, at: datetime) -> None:
        known = self.hits.get(rule)
        self.hits[rule] = RuleHits(known.count + 1 if known else 1, at)

    def nobody_claims(self, record: Record, line: Line) -> None:
        found = unclaimed(record, line)
        place = found.job, found.text
        self.unclaimed[place] = merged(self.unclaimed.get(place), found)

    def ended(self, runs: Iterable[Run]) -> None:
        for run in runs:
            if not run.past and told_elsewhere(run, {**self.before, **self.streams}):
                continue
            self.runs.append(run)
            if (event := event_of_run(run)) is not None:
                self.events.append(event)

    def result(self) -> Judged:
        return Judged(
            self.streams,
            tuple(self.runs),
            tuple(self.events),
            self.lines,
            self.hits,
            tuple(self.unclaimed.values()),
        )


@dataclass(frozen=True, slots=True)
class Judge:
    """The rules, the limits of patience, and who tells what a source stands for."""

    matcher: Matcher
    limits: Limits
    role_of: Callable[[str], SourceRole]

    def lines(self, streams: Mapping[str, Stream], lines: Iterable[Line]) -> Judged:
        """Judge lines in the order in which they were written; `streams` is looked up by source."""
        tally = _Tally(streams)
        for line in lines:
            tally.lines += 1
            role = self.role_of(line.source)
            record, signal = self.matcher.judge(line, role.job)
            if signal is None:
                if is_suspicious(record):
                    tally.nobody_claims(record, line)
                continue
            tally.hit(signal.rule, line.read_at)
            if signal.phase is Phase.EVENT and signal.event != RESTART:
                tally.events.append(event_of_signal(signal))
                continue
            stream = tally.streams.get(line.source) or streams.get(line.source) or Stream(role.operation)
            if stream.default_operation != role.operation:  # the settings have changed since
                stream = replace(stream, default_operation=role.operation)
            for told in (*self._before(signal, line, role), signal):
                stream, ended = advance(stream, told, self.limits)
                tally.streams[line.source] = stream
                tally.ended(ended)
            if signal.phase is Phase.EVENT:
                tally.events.append(event_of_signal(signal))
        return tally.result()

    def _before(self, signal: Signal, line: Line, role: SourceRole) -> tuple[Signal, ...]:
        """Find what a progress display says of a closing line that names no command and was written over it."""
        if signal.phase is not Phase.END or signal.operation is not None or b"\r" not in line.data:
            return ()
        _, found = self.matcher.judge(replace(line, data=overwritten(line.data)), role.job)
        return (found,) if found is not None and found.phase is Phase.DETAIL and found.outcome is None else ()

    def silence(
        self,
        streams: Mapping[str, Stream],
        now: datetime,
        last_read: Mapping[str, datetime],
        among: Iterable[str] | None = None,
    ) -> Judged:
        """End the runs that have been silent long enough; `last_read` says when a source last wrote anything.

        With `among`, only the runs of these sources are looked at: there may be thousands that are not due.
        """
        tally, due = _Tally(streams), NEVER
        for source in streams if among is None else among:
            stream = streams.get(source)
            if stream is None or stream.open is None:
                continue
            quiet_since = max(stream.open.read, last_read.get(source, stream.open.read))
            settled, ended = settle(stream, quiet_since, now, self.limits)
            if settled is not stream:
                tally.streams[source] = settled
            tally.ended(ended)
            if (wait := patience(settled, self.limits)) is not None:
                due = min(due, quiet_since + wait)
        return replace(tally.result(), due=due)

    def finish(self, streams: Mapping[str, Stream]) -> Judged:
        """End every open run as if nothing more were ever to come (the end of a replay)."""
        tally = _Tally(streams)
        for source, stream in streams.items():
            tally.streams[source], ended = finish(stream)
            tally.ended(ended)
        return tally.result()
