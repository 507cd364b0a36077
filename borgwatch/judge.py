"""Lines in, events out: decode → match → runs, for many sources at once. Pure.

Nothing is kept here: the streams as they were come in, the streams as they are now leave with what they gave.
The service commits them together with the read positions; `replay` and the samples of rules throw them away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from borgwatch.decode import decode
from borgwatch.events import event_of_run, event_of_signal
from borgwatch.matching.matcher import Matcher
from borgwatch.model import Event, Line, Phase
from borgwatch.run import Run, Stream
from borgwatch.runs import Limits, advance, finish, settle

__all__ = ["Judge", "Judged", "SourceRole"]


@dataclass(frozen=True, slots=True)
class SourceRole:
    """What a source stands for: its job, and the operation of a closing line that names none."""

    job: str
    operation: str = "backup"


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of some lines or of silence: only the streams that changed, and in their order what ended."""

    streams: Mapping[str, Stream] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()
    events: tuple[Event, ...] = ()
    lines: int = 0


@dataclass(slots=True)
class _Tally:
    """Collects what comes of one pass."""

    streams: dict[str, Stream] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    lines: int = 0

    def ended(self, runs: Iterable[Run]) -> None:
        for run in runs:
            self.runs.append(run)
            if (event := event_of_run(run)) is not None:
                self.events.append(event)

    def result(self) -> Judged:
        return Judged(self.streams, tuple(self.runs), tuple(self.events), self.lines)


@dataclass(frozen=True, slots=True)
class Judge:
    """The rules, the limits of patience, and who tells what a source stands for."""

    matcher: Matcher
    limits: Limits
    role_of: Callable[[str], SourceRole]

    def lines(self, streams: Mapping[str, Stream], lines: Iterable[Line]) -> Judged:
        """Judge lines in the order in which they were written; `streams` is looked up by source."""
        tally = _Tally()
        for line in lines:
            tally.lines += 1
            role = self.role_of(line.source)
            signal = self.matcher.match(decode(line, role.job), line, self.matcher.shortlist.of(line.data))
            if signal is None:
                continue
            if signal.phase is Phase.EVENT:
                tally.events.append(event_of_signal(signal))
                continue
            stream = tally.streams.get(line.source) or streams.get(line.source) or Stream(role.operation)
            if stream.default_operation != role.operation:  # the settings have changed since
                stream = replace(stream, default_operation=role.operation)
            tally.streams[line.source], ended = advance(stream, signal, self.limits)
            tally.ended(ended)
        return tally.result()

    def silence(self, streams: Mapping[str, Stream], now: datetime, last_read: Mapping[str, datetime]) -> Judged:
        """End the runs that have been silent long enough; `last_read` says when a source last wrote anything."""
        tally = _Tally()
        for source, stream in streams.items():
            if stream.open is None:
                continue
            quiet_since = max(stream.open.read, last_read.get(source, stream.open.read))
            settled, ended = settle(stream, quiet_since, now, self.limits)
            if settled is not stream:
                tally.streams[source] = settled
            tally.ended(ended)
        return tally.result()

    def finish(self, streams: Mapping[str, Stream]) -> Judged:
        """End every open run as if nothing more were ever to come (the end of a replay)."""
        tally = _Tally()
        for source, stream in streams.items():
            tally.streams[source], ended = finish(stream)
            tally.ended(ended)
        return tally.result()
