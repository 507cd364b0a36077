"""Follow the files of one or more directory trees.

A `Tree` is asked for a `Batch` at each look: the lines that are new, at most as many bytes of them as the budget
allows, and the positions behind them. Lines and positions belong into one transaction. Only when that is done the
caller says `commit`, and only then the tree goes on; a batch that is never committed is read again. A tree keeps
nothing else worth keeping: `restore` with the positions of earlier batches makes a new one go on where the old one
stood.

How a look goes. The walk shows which names there are; the agenda says which files to look at; one stat per file
shows which of them changed; only those are opened. A block is read together with the bytes before it that prove the
file to be the one that was read (`position`). If they do not, the tracer finds out what became of it (`trace`), and
`position.decide` what to do. A rotated file stays followed beside its successor, under the key of its source and its
inode, until nothing has been added to it for a while; it is read before its successor, which waits as long as it has
more to give. What is found in motion (a rotation under way) is left for the next look.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from borgwatch.model import Line, Position
from borgwatch.sources.agenda import Agenda
from borgwatch.sources.choice import PATTERNS, Choice, Wish
from borgwatch.sources.compressed import Unpacker
from borgwatch.sources.disk import (
    ABSENT,
    FILE_LIMIT,
    RefusedError,
    UnsettledError,
    explain,
    open_file,
    stamp_at,
)
from borgwatch.sources.docker import Containers
from borgwatch.sources.follow import Follower
from borgwatch.sources.lines import MAX_LINE, Wanted
from borgwatch.sources.look import Look
from borgwatch.sources.predecessors import Predecessors, changed_ns
from borgwatch.sources.problems import Ledger, Problem
from borgwatch.sources.reading import Followed, Moment
from borgwatch.sources.roots import Roots
from borgwatch.sources.share import Limits, position_at_end, rests, stands_still
from borgwatch.sources.states import States, is_lost, source_of
from borgwatch.sources.status import StatusFiles, is_of_status
from borgwatch.sources.trace import Find, Tracer
from borgwatch.sources.walk import Walker

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
    """The files to follow below some directories, none of which lies in another.

    `roots` are their paths, by the names that the names of their sources begin with. Of those in `first_start`, files
    without a restored position that are there at the first look hold the past: they are read from the `start`,
    "beginning" or "end", and `Line.past` tells of each of their lines that it is past. Every other file is read
    from its beginning, as new; but one that moved, also from one of the directories into another, goes on.
    `now` gives aware times, `monotonic` seconds.

    A last line without its end is delivered as it stands when nothing was added for `settle`. A rotated file is
    complete when nothing was added for `linger`.
    """

    def __init__(
        self,
        roots: Mapping[str, Path],
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        patterns: Sequence[str] = PATTERNS,
        wishes: Sequence[Wish] = (),
        containers: Containers | None = None,
        first_start: Collection[str] = (),
        start: Literal["beginning", "end"] = "beginning",
        settle: timedelta = _SETTLE,
        linger: timedelta = _LINGER,
        max_line: int = MAX_LINE,
    ) -> None:
        self._now = now
        self._monotonic = monotonic
        self._first = frozenset(first_start)
        self._start = start
        self._ledger = Ledger()
        self._limits = Limits(settle.total_seconds(), linger.total_seconds(), max_line)
        known = containers or Containers()
        tops = {name: os.path.abspath(root) for name, root in roots.items()}
        choices = {top: Choice(top, patterns, wishes) for top in tops.values()}
        self._roots = Roots([Walker(top, name, choices[top], known, monotonic) for name, top in tops.items()])
        self._statuses = StatusFiles(self._ledger)
        self._unpacker = Unpacker()
        self._predecessors = Predecessors(self._limits, self._ledger, self._unpacker, self._path_of, self._source_at)
        self._follower = Follower(self._limits, self._ledger, self._predecessors, self._path_of)
        self._states = States()
        self._agenda = Agenda()
        self._found: Mapping[str, str] = {}
        self._troubled: set[str] = set()
        self._turn = ""
        self._staged: tuple[Batch, str] | None = None
        self._pending: Look | None = None
        self._new: tuple[Mapping[str, str], int, list[str]] = ({}, 0, [])

    def restore(self, positions: Mapping[str, Position]) -> None:
        """Go on where the tree that gave these positions stood; those of other trees are left alone."""
        for key, position in sorted(positions.items(), key=lambda one: changed_ns(one[1])):
            source = source_of(key)
            if self._roots.is_status(source):
                self._statuses.restore(source, position)
            elif self._roots.owns(source) and not is_of_status(position):
                path = self._roots.path(source)
                home = self._states.lost if is_lost(key) else self._states
                home.put(key, Followed(path if path == source else source, path, position, stamp=ABSENT))
        self._agenda.changed(self._states[key].source for key in self._states)

    @property
    def there(self) -> Collection[str]:
        """The names of the directories that were there at the last look: before that, nothing in them can be known."""
        return self._roots.there

    def scan(self) -> Mapping[str, str]:
        """Find the sources that are there now, and their paths; what is wrong with them comes with the next batch."""
        self._walk()
        return self._found

    def problems(self) -> tuple[Problem, ...]:
        """Tell what a `scan` met that stands in the way, where no batch will tell it."""
        return self._ledger.drain()

    def following(self) -> Iterator[Followed]:
        """The files that are followed, as the last look showed them."""
        return (self._states[key] for key in self._states)

    def read(self, budget: int, wanted: Wanted | None = None, *, changed: Collection[str] | None = None) -> Batch:
        """Look at the files and read what is new, at most `budget` bytes in all, but at least one longest line.

        `wanted` says which lines are to be in the batch; the others are counted only. `changed` are the paths that a
        notification named, if that is all there is to look at; a look without it leaves nothing out.
        """
        self._take_back()
        named = None if changed is None or self._first else self._sources_of(changed)
        if named is None:
            self._walk()
        left = max(budget, self._limits.least)
        moment = Moment(self._now(), self._monotonic())
        tracer = Tracer(self._roots.paths_with, self._unpacker, self._ledger)
        look = self._pending = Look(moment, self._states, tracer, left, left, wanted)
        if self._first:
            self._note_past(look)
            self._note_changed(look.changed_sources())
        turn = self._visit_in_turn(self._due(look, named), look)
        if not look.more:
            self._unpacker.close()
        statuses = self._roots.statuses if named is None else {}
        reported, places = self._statuses.read(statuses, moment, first=self._is_first)
        positions, count = look.positions() | places, look.count + len(reported)
        batch = Batch((*look.lines, *reported), positions, self._ledger.drain(), look.more or bool(turn), count)
        self._staged = (batch, turn)
        if not batch.lines and not batch.positions:
            self.commit(batch)
        return batch

    def commit(self, batch: Batch) -> None:
        """Go on behind the batch that was read last: its lines and positions are safe now."""
        if self._staged is None or self._staged[0] is not batch:
            raise ValueError("only the batch that was read last can be committed")
        if self._pending is None:
            return
        self._note_changed(self._pending.changed_sources())
        self._pending = None
        self._turn = self._staged[1]
        self._statuses.commit()
        self._first -= self._roots.there

    def _take_back(self) -> None:
        """Undo a look that was never committed, or that broke off."""
        if self._pending:
            changed = self._pending.changed_sources()
            self._pending.undo()
            self._pending = None
            self._note_changed(changed)

    def _note_changed(self, sources: Collection[str]) -> None:
        self._agenda.set_known(sources, self._states.knows)

    def _walk(self) -> None:
        self._found = self._roots.walk(self._ledger, self._states)

    def _sources_of(self, paths: Collection[str]) -> list[str] | None:
        """Name the sources at these paths; None if they may be anything else that is of interest."""
        named = []
        for path in paths:
            source = self._roots.source(path)
            if source in self._states:
                named.append(source)
            elif self._roots.is_of_interest(path):
                return None
        return named

    def _due(self, look: Look, named: Collection[str] | None) -> list[str]:
        """List the sources to be opened: the known ones first, because they may own what a new name shows.

        None of a directory that is away itself: a share that is not mounted has lost no file, and what is forgotten
        would be news again.
        """
        there = self._roots.there
        chosen = self._agenda.full() if named is None else self._agenda.quick(named)
        away = [] if there.issuperset(self._roots.names) else [s for s in chosen if self._roots.name_of(s) not in there]
        known = sorted(source for source in set(chosen).difference(away) if not self._is_at_rest(source, look))
        self._agenda.only_restless([*away, *known])
        turn = bisect_left(known, self._turn)
        new = [source for source in self._unknown() if not self._is_alias(source, look)] if named is None else []
        if named is None:
            for where in [where for where in self._troubled if where not in new and not self._states.knows(where)]:
                self._ledger.fine(where)
            self._troubled.clear()
        if self._turn in new:  # all that is known had its turn
            turn = new.index(self._turn)
            return [*new[turn:], *known, *new[:turn]]
        return [*known[turn:], *known[:turn], *new]

    def _unknown(self) -> list[str]:
        """List the sources that were found and of which nothing is known."""
        found, version, unknown = self._new
        if found is not self._found or version != self._states.version:
            unknown = [source for source in self._found if not self._states.knows(source)]
            self._new = self._found, self._states.version, unknown
        return unknown

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
        live = self._states.get(source)
        if live is None and source in self._found and not self._is_alias(source, look):
            return False
        try:
            if live is not None and not self._states.has_predecessors(source) and rests(live):
                return True
            return all(stands_still(key, look, self._limits) for key in look.states.keys_of(source))
        except (OSError, RefusedError):
            return False  # the visit will say why

    def _is_alias(self, source: str, look: Look) -> bool:
        try:
            stamp = stamp_at(self._found[source])
            return stamp is not None and self._follower.is_alias(source, Find(self._found[source], stamp), look)
        except (OSError, RefusedError, UnsettledError):
            return False

    def _is_first(self, source: str) -> bool:
        return bool(self._first) and self._roots.name_of(source) in self._first

    def _note_past(self, look: Look) -> None:
        """Note the files that are there at the first start, and how far their past goes."""
        for source, path in self._found.items():
            if not self._is_first(source):
                continue
            with self._told(source, look):
                stamp = stamp_at(path)
                if stamp is None or source in look.states or look.states.owner(stamp.identity):
                    continue
                past = Followed(source, path, Position(*stamp.identity, 0, past_until=stamp.size))
                look.put(source, past)
                if self._start == "end":
                    with open_file(path) as file:
                        look.put(source, replace(past, position=position_at_end(file, self._limits.max_line)))
                self._predecessors.pass_over(source, path, look)

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
        return self._found.get(source) or self._roots.path(source)

    def _source_at(self, path: str) -> str | None:
        source = self._roots.source(path)
        return source if self._found.get(source) == path else None
