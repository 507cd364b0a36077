"""Follow the files of a directory tree.

A `Tree` is asked for a `Batch` at each look: the lines that are new, at most as many bytes of them as the budget
allows, and the positions behind them. Lines and positions belong into one transaction. Only when that is done the
caller says `commit`, and only then the tree goes on; a batch that is never committed is read again. A tree keeps
nothing else worth keeping: `restore` with the positions of earlier batches makes a new one go on where the old one
stood.

How a look goes. The walk shows which names there are; one stat per known file shows which of them changed; only
those are opened. A block is read together with the bytes before it that prove the file to be the one that was read
(`position`). If they do not, the tracer finds out what became of it (`trace`), and `position.decide` what to do.
A rotated file stays followed beside its successor, under the key of its source and its inode, until nothing has
been added to it for a while; it is read before its successor, which waits as long as it has more to give. What is
found in motion (a rotation under way) is left for the next look.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from borgwatch.model import Line, Position
from borgwatch.sources.disk import FILE_LIMIT, RefusedError, UnsettledError, explain, open_file, stamp_at
from borgwatch.sources.follow import Follower, Limits, position_at_end
from borgwatch.sources.lines import MAX_LINE, Wanted
from borgwatch.sources.look import Look, source_of
from borgwatch.sources.problems import Ledger, Problem
from borgwatch.sources.reading import ABSENT, Followed, Moment
from borgwatch.sources.trace import Find, Tracer
from borgwatch.sources.walk import PATTERNS, Walker

__all__ = ["Batch", "Tree"]

_SETTLE = timedelta(seconds=5)
_LINGER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one look gave: the lines that were wanted, and how many were read.

    `positions` are those that changed, by key; None means that the key is to be forgotten. `more` says that there is
    more to read at once. A batch without lines and positions needs no commit.
    """

    lines: tuple[Line, ...]
    positions: Mapping[str, Position | None]
    problems: tuple[Problem, ...]
    more: bool
    count: int = 0


class Tree:
    """The files to follow below one directory; their sources are named `name` and the path below it.

    With `first_start`, files without a restored position that are there at the first look hold the past: they are
    read from the `start`, "beginning" or "end", and `Line.past` tells of each of their lines that it is past.
    Every other file is read from its beginning, as new. `now` gives aware times, `monotonic` seconds.

    A last line without its end is delivered as it stands when nothing was added for `settle`. A rotated file is
    complete when nothing was added for `linger`.
    """

    def __init__(
        self,
        root: Path,
        name: str,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        patterns: Sequence[str] = PATTERNS,
        first_start: bool = False,
        start: Literal["beginning", "end"] = "beginning",
        settle: timedelta = _SETTLE,
        linger: timedelta = _LINGER,
        max_line: int = MAX_LINE,
    ) -> None:
        self._now = now
        self._monotonic = monotonic
        self._is_first = first_start
        self._start = start
        self._ledger = Ledger()
        self._limits = Limits(settle.total_seconds(), linger.total_seconds(), max_line)
        self._walker = Walker(os.path.abspath(root), name, patterns, monotonic)
        self._follower = Follower(self._limits, self._ledger, self._path_of, self._source_at)
        self._states: dict[str, Followed] = {}
        self._found: Mapping[str, str] = {}
        self._troubled: set[str] = set()
        self._turn = ""
        self._staged: tuple[Batch, Look, str] | None = None

    def restore(self, positions: Mapping[str, Position]) -> None:
        """Go on where the tree that gave these positions stood; those of other trees are left alone."""
        for key, position in positions.items():
            source = source_of(key)
            if self._walker.owns(source):
                self._states[key] = Followed(source, self._walker.path(source), position, stamp=ABSENT)

    @property
    def is_there(self) -> bool:
        """Whether the directory itself was there at the last look: before that, nothing in it can be known."""
        return self._walker.is_there

    def scan(self) -> Mapping[str, Path]:
        """Find the sources that are there now, and their paths; what is wrong with them comes with the next batch."""
        self._walk()
        return {source: Path(path) for source, path in self._found.items()}

    def read(self, budget: int, wanted: Wanted | None = None) -> Batch:
        """Look at all files and read what is new, at most `budget` bytes in all, but at least one longest line.

        `wanted` says which lines are to be in the batch; the others are counted only.
        """
        self._walk()
        left = max(budget, self._limits.least)
        moment = Moment(self._now(), self._monotonic())
        look = Look(moment, dict(self._states), Tracer(self._walker.paths_with), left, left, wanted)
        if self._is_first:
            self._note_past(look)
        turn = self._visit_in_turn(self._due(look), look)
        positions = look.positions_since(self._states)
        batch = Batch(tuple(look.lines), positions, self._ledger.drain(), look.more or bool(turn), look.count)
        self._staged = (batch, look, turn)
        if not batch.lines and not batch.positions:
            self.commit(batch)
        return batch

    def commit(self, batch: Batch) -> None:
        """Go on behind the batch that was read last: its lines and positions are safe now."""
        if self._staged is None or self._staged[0] is not batch:
            raise ValueError("only the batch that was read last can be committed")
        _, look, self._turn = self._staged
        self._states = look.states
        self._is_first = self._is_first and not self.is_there

    def _walk(self) -> None:
        self._found = self._walker.walk(self._ledger, self._states)

    def _due(self, look: Look) -> list[str]:
        """List the sources to be opened: the known ones first, because they may own what a new name shows."""
        sources = look.sources
        known = sorted(source for source in sources if not self._is_at_rest(source, look))
        turn = bisect_left(known, self._turn)
        new = [source for source in self._found if source not in sources and not self._is_alias(source, look)]
        for where in self._troubled.difference(sources, new):
            self._ledger.fine(where)
        self._troubled.clear()
        return [*known[turn:], *known[:turn], *new]

    def _visit_in_turn(self, due: Sequence[str], look: Look) -> str:
        """Visit the sources, each for its fair share, as far as the budget goes; return whose turn is next."""
        look.share = max(self._limits.least, look.left // max(1, len(due)))
        for source in due:
            if look.left < self._limits.least:
                return source
            with self._told(source, look):
                self._follower.visit(source, look)
        return ""

    def _is_at_rest(self, source: str, look: Look) -> bool:
        if source not in look.states and source in self._found and not self._is_alias(source, look):
            return False
        keys = [key for key in (source, *look.predecessors(source)) if key in look.states]
        try:
            return all(self._follower.stands_still(key, look) for key in keys)
        except (OSError, RefusedError):
            return False  # the visit will say why

    def _is_alias(self, source: str, look: Look) -> bool:
        try:
            stamp = stamp_at(self._found[source])
            return stamp is not None and self._follower.is_alias(source, Find(self._found[source], stamp), look)
        except (OSError, RefusedError, UnsettledError):
            return False

    def _note_past(self, look: Look) -> None:
        """Note the files that are there at the first start, and how far their past goes."""
        for source, path in self._found.items():
            with self._told(source, look):
                stamp = stamp_at(path)
                if stamp is None or source in look.states or look.owner(stamp.identity):
                    continue
                past = Followed(source, path, Position(*stamp.identity, 0, past_until=stamp.size))
                look.put(source, past)
                if self._start == "end":
                    with open_file(path) as file:
                        look.put(source, replace(past, position=position_at_end(file, self._limits.max_line)))
                self._follower.pass_over_generations(source, path, look)

    @contextmanager
    def _told(self, where: str, look: Look) -> Iterator[None]:
        """Tell of what stands in the way of reading one source, and keep it from the others."""
        try:
            yield
        except (UnsettledError, FileNotFoundError):
            look.more = True
        except RefusedError as error:
            self._ledger.wrong(where, str(error))
            self._troubled.add(where)
        except OSError as error:
            self._ledger.wrong(*explain(where, error))
            self._troubled.add(where)
        else:
            self._ledger.fine(where)
            self._ledger.fine(FILE_LIMIT)

    def _path_of(self, source: str) -> str:
        return self._found.get(source) or self._walker.path(source)

    def _source_at(self, path: str) -> str | None:
        source = self._walker.source(path)
        return source if self._found.get(source) == path else None
