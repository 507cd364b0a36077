"""What a text must contain for a pattern of a rule to match: runs of plain characters, read from its source. Pure.

The source of an RE2 pattern comes in; the `Run`s that must stand in any text that it matches leave. What the reader
does not follow (classes of Unicode, escapes by number, multi-line mode) makes it claim nothing: a run too few costs
speed, a run too many would lose lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

__all__ = ["NUMBER", "PLAIN", "Run", "pieces", "required_runs"]

PLAIN = frozenset(map(chr, range(0x20, 0x7F))) - frozenset('"\\/')
"""Characters that stand for themselves in a line, JSON or not: no writer of JSON escapes them but as `\\u00XX`."""
NUMBER = frozenset("0123456789+-.eEinfaINFA")
"""Characters in which a number can be written: `1e3` is the same as `1000.0`, so they prove nothing of a number."""

_REPEAT = re.compile(r"(?:[*+?]|\{(\d+)(?:,\d*)?\})\??")
_GROUP = re.compile(r"\?(?:P?<\w+>|([a-z-]*)(:|\)))")
_CLASSES = {"d": frozenset("0123456789"), "w": frozenset(c for c in map(chr, range(0x80)) if c.isalnum() or c == "_")}
_SPELLED = re.compile(r'(?:[^ -~]|["\\/])+')
_SPELLED_FOLDED = re.compile(r'(?:[^ -~]|["\\/]|ss+)+')
_NOTHING = frozenset[str]()  # a character of which nothing is claimed
_MAX_DEPTH = 50


@dataclass(frozen=True, slots=True)
class Run:
    """Characters in a row, for each the set that it is one of; `first` where the text begins with them."""

    characters: tuple[frozenset[str], ...]
    first: bool = False
    fold: bool = False

    @property
    def weight(self) -> int:
        """How many of its characters are known."""
        return sum(len(one) == 1 for one in self.characters)

    @property
    def may_be_number(self) -> bool:
        """Whether a number could hold it, which JSON can write in several ways."""
        return all(one & NUMBER for one in self.characters)

    @property
    def expression(self) -> str:
        """Itself as a regular expression over bytes."""
        body = "".join(
            re.escape(*one) if len(one) == 1 else "[" + "".join(f"\\x{ord(c):02x}" for c in sorted(one)) + "]"
            for one in self.characters
        )
        return f"(?i:{body})" if self.fold else body


class _OpaqueError(ValueError):
    """A part of a pattern that the reader does not follow."""


Choose = Callable[[Iterable[tuple[Run, ...] | None]], tuple[Run, ...] | None]
"""Picks the most telling of several requirements; None claims nothing."""


def required_runs(pattern: str, choose: Choose) -> tuple[Run, ...] | None:
    """Say of which runs at least one stands in every text that `pattern` matches; None where nothing can be said."""
    try:
        return _Reader(pattern, choose).whole()
    except _OpaqueError:
        return None


class _Reader:
    """Reads a pattern once, from left to right."""

    def __init__(self, pattern: str, choose: Choose) -> None:
        self._pattern = pattern
        self._choose = choose
        self._at = 0
        self._fold = False
        self._depth = 0

    def whole(self) -> tuple[Run, ...] | None:
        found = self._alternatives(first=False)
        if self._at < len(self._pattern):
            raise _OpaqueError("a lone )")
        return found

    def _next(self) -> str:
        if self._at >= len(self._pattern):
            raise _OpaqueError("ends in the middle")
        self._at += 1
        return self._pattern[self._at - 1]

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _alternatives(self, *, first: bool) -> tuple[Run, ...] | None:
        options = [self._sequence(first=first)]
        while self._peek() == "|":
            self._at += 1
            options.append(self._sequence(first=first))
        runs: list[Run] = []
        for option in options:
            if option is None:
                return None
            runs += option
        return tuple(runs)

    def _sequence(self, *, first: bool) -> tuple[Run, ...] | None:
        found: list[tuple[Run, ...] | None] = []
        run: list[frozenset[str]] = []

        def end_run() -> None:
            nonlocal first
            if run:
                found.append((Run(tuple(run), first, self._fold),))
            run.clear()
            first = False

        while (char := self._peek()) and char not in "|)":
            self._at += 1
            if char == "^" or (char == "\\" and self._peek() == "A"):
                self._at += char == "\\"
                end_run()
                first = True
            elif char == "$" or (char == "\\" and self._peek() in ("b", "B", "z")):
                self._at += char == "\\"
            elif char == "(":
                inside_first = first and not run
                end_run()
                group = self._group(first=inside_first)
                found.append(group if self._repeat() is not False else None)
            else:
                one = self._class() if char == "[" else self._character(char)
                repeat = self._repeat()
                if one and repeat is not False:
                    run.append(one)
                if not one or repeat is not None:
                    end_run()
        end_run()
        return self._choose(found)

    def _repeat(self) -> bool | None:
        """Read a repetition; None where there is none, False where it may be none at all."""
        found = _REPEAT.match(self._pattern, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[0][0] == "+" or (found[1] is not None and int(found[1]) > 0)

    def _group(self, *, first: bool) -> tuple[Run, ...] | None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _OpaqueError("too deep")
        fold = self._fold
        if self._peek() == "?":
            head = _GROUP.match(self._pattern, self._at)
            if head is None:
                raise _OpaqueError("an unknown group")
            self._at = head.end()
            flags = head[1] or ""
            if set(flags) - {"i", "s"}:
                raise _OpaqueError("flags that change more than case")
            fold_inside = fold or "i" in flags
            if head[2] == ")":
                self._fold = fold_inside  # up to the end of the group around
                self._depth -= 1
                return None
            self._fold = fold_inside
        found = self._alternatives(first=first)
        if self._next() != ")":
            raise _OpaqueError("a group without an end")
        self._fold = fold
        self._depth -= 1
        return found

    def _character(self, char: str) -> frozenset[str]:
        if char == ".":
            return _NOTHING
        if char == "\\":
            return self._escape()
        return frozenset(char) & PLAIN

    def _escape(self) -> frozenset[str]:
        char = self._next()
        if char in _CLASSES:
            return _CLASSES[char]
        if char in "DWSsntrfva":
            return _NOTHING
        if char.isalnum() or not char.isascii():
            raise _OpaqueError(f"the escape \\{char}")
        return frozenset(char) & PLAIN

    def _class(self) -> frozenset[str]:
        """Read a class; nothing is claimed of one that holds any character with several spellings."""
        is_negated = self._peek() == "^"
        self._at += is_negated
        members: set[str] = set()
        is_plain = not is_negated
        is_begun = False
        while (char := self._next()) != "]" or not is_begun:
            is_begun = True
            if char == "[" and self._peek() in (":", "=", "."):
                raise _OpaqueError("a named class")
            item = self._escape() if char == "\\" else frozenset(char)
            if len(item) == 1 and self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                end = self._next()
                last = self._escape() if end == "\\" else frozenset(end)
                if len(last) != 1:
                    raise _OpaqueError("a range without a last character")
                item = _span(*item, *last)
            is_plain = is_plain and bool(item) and item <= PLAIN | _CLASSES["w"]
            members |= item
        return frozenset(members) if is_plain else _NOTHING


def _span(first: str, last: str) -> frozenset[str]:
    if not (first.isascii() and last.isascii()):
        return _NOTHING
    return frozenset(map(chr, range(ord(first), ord(last) + 1)))


def pieces(text: str, *, fold: bool) -> Sequence[Run]:
    """Cut a text that is looked for into the runs that stand in every spelling of it.

    Where case is ignored, "ss" may be written with one letter (ß), so that a run ends there.
    """
    parts = _SPELLED_FOLDED.split(text.casefold()) if fold else _SPELLED.split(text)
    return [Run(tuple(map(frozenset, part)), first=at == 0, fold=fold) for at, part in enumerate(parts) if part]
