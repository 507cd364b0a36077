"""Pick the lines of a block that are to be judged: those that are wanted, and a few of the murmur between them. Pure.

A murmur is what rules match though all that it says is that a backup is going on, and how far its listing is. Of a
stretch of it in a block, its first line says it all, or the first that tells the operation; and of the lines with a
time, the first and the last, and so many between them that no silence is made up where there was none: two neighbours
that are `patience` apart have no other between them. (Times that run ahead and back again within a stretch are not
seen.) Of a listing count the directories that lie higher than all before them, and the last line; and before that, as
long as a signal may be held back in doubt (`runs`), all directories up to the first line that is none of a listing in
text, and the last name before another run may begin. A wanted line that changes nothing of what goes on, such as a
warning about a file, is passed, and the stretch goes on behind it, unless there may have been a silence before it.

For this to hold, the lines of a block must have been read at the same time, and be all past or none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Any

__all__ = ["Passing", "Searches", "Selection", "Voice"]

_LF = b"\n"
_WINDOW = 512
"""Bytes that are searched first where lines are looked for from behind."""


@dataclass(frozen=True, slots=True)
class Searches:
    """What is looked for while a stretch is read: all that is wanted, and of the murmur what is not yet known of it.

    `until` chooses what ends the search, as long as no line with an operation or a time was found, and no directory
    above a depth (None: any); `unsure` ends it while a signal may be held back in doubt.
    """

    wanted: Any
    murmur: Any
    timed: Any
    either: Any
    unsure: Any
    until: Callable[[bool, bool, int | None], Any]
    directories: Callable[[int | None], Any]


@dataclass(frozen=True, slots=True)
class Passing:
    """A line of interest behind which a murmur goes on as before; its time, if it has one."""

    time: datetime | None


@dataclass(frozen=True, slots=True)
class Voice:
    """What a line of murmur says: whether it tells the operation, its time, and how deep a directory lies in it.

    `is_plain` says that it is no line of a listing that a run follows.
    """

    tells: bool
    time: datetime | None
    depth: int | None
    is_plain: bool


@dataclass(slots=True)
class Selection:
    """The selection of the lines of one block."""

    searches: Searches
    speaks: Callable[[bytes], Voice | None]
    passes: Callable[[bytes], Passing | None]
    patience: timedelta
    block: bytes
    _heard: dict[int, Voice | None] = field(default_factory=dict, init=False)

    def select(self, start: int, end: int, most: int) -> list[int]:
        """Say where the lines begin that are to be judged; once there are more than `most`, the rest is left out."""
        found: list[int] = []
        at = start
        while len(found) <= most and (line := self._next(self.searches.either, at, end)) is not None:
            if self._has(self.searches.wanted, line, end):
                found.append(line)
                at = self._behind(line, end)
            else:
                at = self._stretch(line, end, found)
        return found

    def _stretch(self, at: int, end: int, found: list[int]) -> int:
        """Select of the murmur that begins at `at`; return where the next wanted line begins."""
        kept: dict[int, Voice] = {}
        passed: set[int] = set()
        line, heard = self._in_doubt(at, end, kept)
        tells, timed, depth = heard is not None and heard.tells, None, None
        if heard is not None and line is not None:
            timed = (line, heard.time) if heard.time else None
            line = self._next(self.searches.either, self._behind(line, end), end)
        latest = timed[1] if timed else None
        while line is not None:
            if self._has(self.searches.wanted, line, end):
                passing = self.passes(self._data(line, end)) if tells else None
                if passing is None or self._is_silence(latest, passing.time):
                    break
                passed.add(line)
                latest = passing.time or latest
            elif (voice := self._voice(line, end)) is not None:
                begins = (voice.tells and not tells) or (voice.time is not None and timed is None)
                if begins:  # it may begin another run, by what it tells or by the silence before it
                    self._keep_last(at, line, kept, passed)
                    tells, depth = tells or voice.tells, None
                    timed = timed or ((line, voice.time) if voice.time else None)
                    latest = voice.time or latest
                if begins or _is_higher(voice.depth, depth):
                    depth = voice.depth if _is_higher(voice.depth, depth) else depth
                    kept[line] = voice
            search = self.searches.until(tells, timed is not None, depth)
            line = self._next(search, self._behind(line, end), end)
        stop = end if line is None else line
        if timed is not None:
            self._keep_timed(at, timed, stop, kept)
        if kept:
            self._keep_last(at, stop, kept, passed)
        found += sorted(kept.keys() | passed)
        return stop

    def _is_silence(self, before: datetime | None, time: datetime | None) -> bool:
        """Say whether there may have been a silence between two lines that was long enough to end a run."""
        return before is not None and time is not None and abs(time - before) >= self.patience

    def _in_doubt(self, at: int, end: int, kept: dict[int, Voice]) -> tuple[int | None, Voice | None]:
        """Select as long as a signal may be held back; return the plain line that ends the doubt, or a wanted one."""
        line: int | None = at
        tells = False
        while line is not None and not self._has(self.searches.wanted, line, end):
            if (voice := self._voice(line, end)) is not None:
                begins = voice.time or voice.is_plain or (voice.tells and not tells)
                if begins and kept:  # another run may begin: this one ends as it was
                    kept.update(self._last(max(kept), line))
                tells = tells or voice.tells
                if not kept or voice.is_plain or voice.time or voice.depth is not None:
                    kept[line] = voice
                if voice.is_plain:
                    return line, voice
            search = self.searches.unsure if kept else self.searches.either
            line = self._next(search, self._behind(line, end), end)
        return line, None

    def _last(self, first: int, stop: int) -> Iterable[tuple[int, Voice]]:
        """Find the last line of murmur behind the line at `first`."""
        return islice(self._backwards(self.searches.murmur, first, stop), 1)

    def _keep_last(self, at: int, stop: int, kept: dict[int, Voice], passed: Collection[int]) -> None:
        """Keep the last line of murmur, unless it is as plain as the last that is kept."""
        behind = self._backwards(self.searches.murmur, at, stop)
        for line, voice in islice(((line, voice) for line, voice in behind if line not in passed), 1):
            if not (kept and voice.is_plain and kept[max(kept)].is_plain):
                kept[line] = voice

    def _keep_timed(self, at: int, first: tuple[int, datetime], stop: int, kept: dict[int, Voice]) -> None:
        """Keep lines with times; a silence among them may end a run, and another begins with its listing."""
        found = sorted([first, *self._timed(first, stop)])
        kept.update((line, voice) for line, _ in found if (voice := self._voice(line, stop)) is not None)
        for (_, before), (line, time) in pairwise(found):
            if abs(time - before) >= self.patience:
                kept.update(self._last(at, line))
                kept.update(self._highest(line, stop))

    def _highest(self, at: int, stop: int) -> Iterator[tuple[int, Voice]]:
        """Find the directories from `at` on that lie higher than those before."""
        depth: int | None = None
        line: int | None = at
        while line is not None:
            voice = self._voice(line, stop)
            if voice is not None and _is_higher(voice.depth, depth):
                depth = voice.depth
                yield line, voice
            search = self.searches.directories(depth)
            line = self._next(search, self._behind(line, stop), stop) if search else None

    def _timed(self, first: tuple[int, datetime], stop: int) -> Iterator[tuple[int, datetime]]:
        """Give the last line with a time, and so many before it that no two neighbours leave out a silence."""
        last = self._last_timed(first[0], stop)
        if last is None:
            return
        yield last
        spans = [(first, last)]
        while spans:
            low, high = spans.pop()
            if abs(high[1] - low[1]) < self.patience:
                continue
            middle = self._middle(low[0], high[0])
            if middle is not None:
                yield middle
                spans += [(low, middle), (middle, high)]

    def _middle(self, low: int, high: int) -> tuple[int, datetime] | None:
        """Find a line with a time between two others, about half way."""
        behind = self._behind(low, high)
        half = self.block.rfind(_LF, behind, (behind + high) // 2) + 1 or behind
        for line in self._all(self.searches.timed, half, high):
            if (voice := self._voice(line, high)) is not None and voice.time:
                return line, voice.time
        return self._last_timed(low, half)

    def _last_timed(self, first: int, stop: int) -> tuple[int, datetime] | None:
        """Find the last line of murmur with a time behind the line at `first`."""
        for line, voice in self._backwards(self.searches.timed, first, stop):
            if voice.time:
                return line, voice.time
        return None

    def _backwards(self, search: Any, first: int, stop: int) -> Iterator[tuple[int, Voice]]:
        """Walk from `stop` back through the lines of murmur that a search finds behind the line at `first`."""
        begin = self._behind(first, stop)
        width = _WINDOW
        while begin < stop:
            start = max(begin, stop - width)
            if start > begin:
                start = self.block.rfind(_LF, begin, start) + 1 or begin
            for line in reversed(list(self._all(search, start, stop))):
                if (voice := self._voice(line, stop)) is not None:
                    yield line, voice
            stop, width = start, width * 2

    def _all(self, search: Any, at: int, end: int) -> Iterator[int]:
        """Find the beginnings of all lines that a search finds something in."""
        line = self._next(search, at, end)
        while line is not None:
            yield line
            line = self._next(search, self._behind(line, end), end)

    def _voice(self, line: int, end: int) -> Voice | None:
        if line not in self._heard:
            murmurs = self.searches.murmur is not None and self._has(self.searches.murmur, line, end)
            self._heard[line] = self.speaks(self._data(line, end)) if murmurs else None
        return self._heard[line]

    def _data(self, line: int, end: int) -> bytes:
        return self.block[line : self._behind(line, end)].rstrip(b"\r\n")

    def _next(self, search: Any, at: int, end: int) -> int | None:
        """Find the beginning of the next line that a search finds something in."""
        hit = search.search(self.block, at, end) if at < end else None
        return None if hit is None else max(at, self.block.rfind(_LF, at, max(at, hit.end() - 1)) + 1)

    def _has(self, search: Any, line: int, end: int) -> bool:
        return search.search(self.block, line, self._behind(line, end)) is not None

    def _behind(self, line: int, end: int) -> int:
        """Say where the line after this one begins."""
        return self.block.find(_LF, line, end) + 1 or end


def _is_higher(depth: int | None, than: int | None) -> bool:
    return depth is not None and (than is None or depth < than)
