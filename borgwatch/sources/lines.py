"""Cut blocks of bytes into lines.

A block and the offset it was read at come in; the complete lines in it leave as `Piece`s, with the place in the
file where reading goes on. Only a line feed ends a line: a carriage return inside one is data (progress output
overwrites itself with it), a single one right before the line feed belongs to the line end.

No line is longer than a limit. The first `limit` bytes of an over-long line are delivered once, as soon as they are
there; the rest of it, up to its line feed, is skipped, however many blocks and restarts lie in between. NUL bytes
at the start of an over-long line do not count and are dropped: they are the hole that a writer leaves which keeps
its offset while the file is truncated under it, and what it wrote behind the hole is to be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MAX_LINE", "Piece", "Split", "rest", "split"]

MAX_LINE = 64 * 1024
"""Bytes of a line that are delivered; what is longer is cut."""

_LF = b"\n"
_CR = b"\r"
_NUL = b"\0"


@dataclass(frozen=True, slots=True)
class Piece:
    """One line: its bytes without line end, the offset right behind it, and whether it was cut."""

    data: bytes
    end: int
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """What became of a block.

    Reading goes on at `offset`, within the rest of an over-long line if `skipping`; the last `tail` bytes of the
    block are a line that has no end yet, and stand behind `offset`.
    """

    pieces: tuple[Piece, ...]
    offset: int
    skipping: bool
    tail: int


def split(block: bytes, at: int, *, skipping: bool = False, limit: int = MAX_LINE) -> Split:
    """Cut `block`, which was read at offset `at`, into lines.

    A block of at least `limit` + 2 bytes always makes progress: it has a line end in it, or is cut.
    """
    start = 0
    if skipping:
        start = block.find(_LF) + 1
        if not start:
            return Split((), at + len(block), skipping=True, tail=0)
    *complete, tail = block[start:].split(_LF) if start else block.split(_LF)
    pieces = []
    end = at + start
    for raw in complete:
        end += len(raw) + 1
        line = raw[:-1] if raw.endswith(_CR) else raw
        pieces.append(Piece(line, end) if len(line) <= limit else _cut(line, end, limit))
    if len(tail.removesuffix(_CR)) <= limit:
        return Split(tuple(pieces), end, skipping=False, tail=len(tail))
    content = tail.lstrip(_NUL)
    if len(content.removesuffix(_CR)) <= limit:
        return Split(tuple(pieces), at + len(block) - len(content), skipping=False, tail=len(content))
    end = at + len(block)
    pieces.append(Piece(content[:limit], end, truncated=True))
    return Split(tuple(pieces), end, skipping=True, tail=0)


def rest(tail: bytes, at: int) -> Piece:
    """Make a line of an unfinished `tail`, which was read at offset `at` and to which nothing is added any more."""
    return Piece(tail.removesuffix(_CR), at + len(tail))


def _cut(line: bytes, end: int, limit: int) -> Piece:
    content = line.lstrip(_NUL)
    return Piece(content[:limit], end, truncated=len(content) > limit)
