"""Find the lines of a block that any rule could possibly match, without looking at the others one by one. Pure.

A block of whole lines comes in; the places where lines to be judged begin leave (`Candidates.starts`). All other lines
change nothing: judged or not, the same events come of them.

Most lines of a backup's log are noise of two kinds. Lines that no rule can match are told by what they lack: every rule
that could match them needs certain bytes (`needs`), and one search over the block looks for all of these at once.

The others are a murmur: rules match them, but all they say is that a backup is going on (`file_status`, progress). Of a
stretch of murmur in a block, with nothing else in between, its first line says it all, or the first that tells the
operation; and of the lines with a time, the first and the last, and so many between them that no silence is made up
where there was none: two neighbours that are `patience` apart have no other between them. (Times that run ahead and
back again within a stretch are not seen.) For this to hold, the lines of a block must have been read at the same time,
and be all past or none of them.

Rules whose need is not known make every line a candidate: `starts` is None then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import re2

from borgwatch.decode import decode
from borgwatch.matching.needs import ODD, TYPICAL, Need, compiled, mentions, need_of
from borgwatch.matching.rules import Rule
from borgwatch.model import Line, Phase, Position
from borgwatch.suspicious import SUSPICIOUS_BYTES

__all__ = ["SUSPICIOUS", "Candidates"]

_WORD_BEGINS = r"(?:\b|\\[bfnrt])"  # a word may also begin behind what JSON writes for a control character
SUSPICIOUS = tuple(
    f"(?i:{_WORD_BEGINS if text.startswith(b'rc') else ''}{re2.escape(text.decode())})" for text in SUSPICIOUS_BYTES
)
"""Lines that are wanted though no rule may claim them: they are counted and kept for review."""

_LF = b"\n"
_MURMUR_OF = (None, "backup")
"""The operations of which a murmur may tell. One alone, and none: then it does not matter how their lines mix."""
_TIME = r"(?:time|timestamp|ts)\\*\"|\d\d:\d\d:\d\d"
_WINDOW = 512
_NOWHERE = Position(0, 0, 0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Searches:
    """What is looked for while a stretch is read: all that is wanted, and of the murmur what is not yet known of it."""

    wanted: Any
    murmur: Any
    timed: Any
    either: Any
    telling_or_timed: Any
    telling: Any
    only_timed: Any

    def until(self, *, operation: bool, time: bool) -> Any:
        """Choose what ends the search, as long as no line with an `operation` or a `time` was found."""
        if operation:
            return self.wanted if time else self.only_timed
        return self.telling if time else self.telling_or_timed


class Candidates:
    """What is wanted of a log, by the rules that are loaded.

    `extra` are regular expressions over bytes of what is wanted beside; `patience` is the shortest silence that may end
    a run.
    """

    def __init__(self, rules: Iterable[Rule], *, extra: Iterable[str] = SUSPICIOUS, patience: timedelta) -> None:
        self._patience = patience
        known = [(rule, need_of(rule.when)) for rule in rules]
        self._murmur = tuple(rule for rule, need in known if _is_murmur(rule, need))
        rest = [need for rule, need in known if rule not in self._murmur]
        self.everything = any(need is None for need in rest)
        self.wanted: tuple[str, ...] = ()
        """The regular expressions over bytes that a line must meet, unless it is murmur."""
        if not self.everything:
            self.wanted = tuple(dict.fromkeys([*(one for need in rest for one in need or ()), *extra, *ODD]))
            try:
                self._searches = self._compile()
            except re2.error:
                self.everything = True  # too many rules for one search

    def _compile(self) -> _Searches:
        by_operation: dict[str | None, list[str]] = {None: [], "backup": []}
        for rule in self._murmur:
            by_operation[rule.operation] += need_of(rule.when) or ()
        telling = by_operation["backup"]
        murmur = [*by_operation[None], *telling]
        return _Searches(
            wanted=compiled(self.wanted),
            murmur=compiled(murmur) if murmur else None,
            timed=compiled([_TIME]),
            either=compiled([*self.wanted, *murmur]),
            telling_or_timed=compiled([*self.wanted, *telling, _TIME]),
            telling=compiled([*self.wanted, *telling]),
            only_timed=compiled([*self.wanted, _TIME]),
        )

    def starts(self, block: bytes, start: int, end: int) -> list[int] | None:
        """Say where lines to be judged begin in the whole lines `block[start:end]`; None where all are to be."""
        if self.everything:
            return None
        return _Selection(self._searches, self._speaks, self._patience, block).select(start, end)

    def _speaks(self, data: bytes) -> _Voice | None:
        """Decode a line that only murmur can match, and say what is heard of it."""
        record = decode(Line("", data, _NOWHERE, _EPOCH), "")
        rule = next((rule for rule in self._murmur if rule.when.holds(record, {})), None)
        return None if rule is None else _Voice(rule.operation is not None, record.time)


@dataclass(frozen=True, slots=True)
class _Voice:
    """What a line of murmur says: whether it tells the operation, and its time."""

    tells: bool
    time: datetime | None


@dataclass(slots=True)
class _Selection:
    """The selection of the lines of one block."""

    searches: _Searches
    speaks: Callable[[bytes], _Voice | None]
    patience: timedelta
    block: bytes

    def select(self, start: int, end: int) -> list[int]:
        found: list[int] = []
        at = start
        while (line := self._next(self.searches.either, at, end)) is not None:
            if self._has(self.searches.wanted, line, end):
                found.append(line)
                at = self._behind(line, end)
            else:
                at = self._stretch(line, end, found)
        return found

    def _stretch(self, at: int, end: int, found: list[int]) -> int:
        """Select of the murmur that begins at `at`; return where the next wanted line begins."""
        kept: set[int] = set()
        tells = False
        timed: tuple[int, datetime] | None = None
        line: int | None = at
        while line is not None and not self._has(self.searches.wanted, line, end):
            if (voice := self._voice(line, end)) is not None:
                if not kept or (voice.tells and not tells) or (voice.time and not timed):
                    kept.add(line)
                tells = tells or voice.tells
                timed = timed or ((line, voice.time) if voice.time else None)
            until = self.searches.until(operation=tells, time=bool(timed)) if kept else self.searches.either
            line = self._next(until, self._behind(line, end), end)
        stop = end if line is None else line
        if timed is not None:
            kept.update(self._timed(timed, stop))
        found += sorted(kept)
        return stop

    def _timed(self, first: tuple[int, datetime], stop: int) -> Iterator[int]:
        """Give the last line with a time, and so many before it that no two neighbours leave out a silence."""
        last = self._last_timed(first[0], stop)
        if last is None:
            return
        yield last[0]
        spans = [(first, last)]
        while spans:
            low, high = spans.pop()
            if abs(high[1] - low[1]) < self.patience:
                continue
            middle = self._middle(low[0], high[0])
            if middle is not None:
                yield middle[0]
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

    def _backwards(self, search: Any, first: int, stop: int) -> Iterator[tuple[int, _Voice]]:
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

    def _voice(self, line: int, end: int) -> _Voice | None:
        if not self._has(self.searches.murmur, line, end):
            return None
        return self.speaks(self.block[line : self._behind(line, end)].rstrip(b"\r\n"))

    def _next(self, search: Any, at: int, end: int) -> int | None:
        """Find the beginning of the next line that a search finds something in."""
        hit = search.search(self.block, at, end) if at < end else None
        return None if hit is None else max(at, self.block.rfind(_LF, at, max(at, hit.end() - 1)) + 1)

    def _has(self, search: Any, line: int, end: int) -> bool:
        return search.search(self.block, line, self._behind(line, end)) is not None

    def _behind(self, line: int, end: int) -> int:
        """Say where the line after this one begins."""
        return self.block.find(_LF, line, end) + 1 or end


def _is_murmur(rule: Rule, need: Need) -> bool:
    """Tell a rule that only says, of typical lines, that a backup is going on."""
    says_little = rule.phase is Phase.DETAIL and rule.outcome is None and not rule.captured
    if need is None or not says_little or rule.operation not in _MURMUR_OF or mentions(rule.when, ("job", "source")):
        return False
    pattern = compiled(need) if need else None
    return pattern is not None and any(pattern.search(line) for line in TYPICAL)
