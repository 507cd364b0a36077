"""Cut blocks of bytes into lines.

A block and the offset it was read at come in; the complete lines in it leave as `Piece`s, with the place in the
file where reading goes on. Only a line feed ends a line: a carriage return inside one is data (progress output
overwrites itself with it), a single one right before the line feed belongs to the line end.

No line is longer than a limit. The first `limit` bytes of an over-long line are delivered once, as soon as they are
there; the rest of it, up to its line feed, is skipped, however many blocks and restarts lie in between. But what a
progress display left standing at its end, behind its last carriage return, is delivered as a line of its own: Borg 1.1
and 1.2 write hours of progress as one line, and how the backup ended is glued to it.

NUL bytes at the start of an over-long line do not count and are dropped: they are the hole that a writer leaves which
keeps its offset while the file is truncated under it, and what it wrote behind the hole is to be seen.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

__all__ = ["MAX_LINE", "TRAIL", "Piece", "Split", "Wanted", "one_piece", "pieces_of", "rest", "split"]

MAX_LINE = 64 * 1024
"""Bytes of a line that are delivered; what is longer is cut."""

TRAIL = 16
"""How many lines before the offset help to find the place again."""

Wanted = Callable[[bytes, int, int], Sequence[int] | None]
"""Says where in the whole lines `block[start:end]` those begin that are wanted, in order; None wants them all.

It may leave out what lies behind more than are taken at once."""

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

    `pieces` are the lines that were wanted, `last` the last `TRAIL` lines whether wanted or not, and `count` says how
    many lines there were. Reading goes on at `offset`, within the rest of an over-long line if `skipping` (at its last
    carriage return, if there is one); the last `tail` bytes of the block are a line that has no end yet, and stand
    behind `offset`. `full` says that more lines were wanted than were asked for: the rest of the block is to be read
    again.
    """

    pieces: tuple[Piece, ...]
    last: tuple[Piece, ...]
    count: int
    offset: int
    skipping: bool
    tail: int
    full: bool = False


def split(
    block: bytes,
    at: int,
    *,
    skipping: bool = False,
    limit: int = MAX_LINE,
    start: int = 0,
    wanted: Wanted | None = None,
    most: int = sys.maxsize,
    apart: int = 0,
) -> Split:
    """Cut `block`, which was read at offset `at`, into lines, from its byte `start` on.

    At most `most` of those that are wanted are taken.
    Lines that end at or before the offset `apart` and those behind it are not shown to `wanted` in one call.
    A block of at least `limit` + 2 bytes always makes progress: it has a line end in it, or is cut. The beginning of
    an over-long line that has no end yet is always wanted.
    """
    ending: list[Piece] = []
    if skipping:
        end = block.find(_LF, start)
        if end < 0:
            left = _left_of_skipped(block[start:], limit)
            return Split((), (), 0, at + len(block) - left, skipping=True, tail=left)
        ending, start = _ending(block[start:end].removesuffix(_CR), at + end + 1, limit), end + 1
    stop = max(start, block.rfind(_LF, start) + 1)
    starts = _starts(block, start, max(start, block.rfind(_LF, start, max(0, apart - at)) + 1), stop, wanted)
    if starts is None:
        lines = block[start:stop].split(_LF)[:-1]
        if full := len(lines) > most:
            del lines[most:]
            stop = start + sum(map(len, lines)) + most
        pieces = [*ending, *_pieces(lines, at + start, limit)]
        last = pieces
    else:
        if full := len(starts) > most:
            stop, starts = starts[most], starts[:most]
        pieces = [*ending, *(piece for line in starts for piece in _pieces_at(block, line, at, limit))]
        start_of_last = _start_of_last(block, start, stop)
        last = [*ending, *_pieces(block[start_of_last:stop].split(_LF)[:-1], at + start_of_last, limit)]
    last = last[-TRAIL:]
    count = block.count(_LF, start, stop)
    if full:
        return Split(tuple(pieces), tuple(last), count, at + stop, skipping=False, tail=0, full=True)
    end, tail = at + stop, block[stop:]
    if len(tail.removesuffix(_CR)) <= limit:
        return Split(tuple(pieces), tuple(last), count, end, skipping=False, tail=len(tail))
    content = tail.lstrip(_NUL)
    end = at + len(block)
    if len(content.removesuffix(_CR)) <= limit:
        return Split(tuple(pieces), tuple(last), count, end - len(content), skipping=False, tail=len(content))
    long, left = Piece(content[:limit], end, truncated=True), _left_of_skipped(tail, limit)
    return Split((*pieces, long), (*last, long)[-TRAIL:], count + 1, end - left, skipping=True, tail=left)


def rest(tail: bytes, at: int) -> Piece:
    """Make a line of an unfinished `tail`, which was read at offset `at` and to which nothing is added any more."""
    return Piece(tail.removesuffix(_CR), at + len(tail))


def pieces_of(raw: bytes, end: int, limit: int = MAX_LINE) -> list[Piece]:
    """Make the piece of a line that ends at offset `end`, or the two of an over-long one."""
    line = raw[:-1] if raw.endswith(_CR) else raw
    if len(line) <= limit:
        return [Piece(line, end)]
    content = line.lstrip(_NUL)
    if len(content) <= limit:
        return [Piece(content, end)]
    return [Piece(content[:limit], end, truncated=True), *_ending(content, end, limit)]


def one_piece(line: bytes, limit: int = MAX_LINE) -> bytes:
    """Cut a line that has to stay one: its beginning, or its end where a progress display overwrote what was before."""
    end = line[-limit:]
    if len(line) <= limit or _CR not in end:
        return line[:limit]
    return end.partition(_CR)[2]


def _starts(block: bytes, start: int, middle: int, stop: int, wanted: Wanted | None) -> Sequence[int] | None:
    """Ask which lines are wanted on both sides of `middle`; None if all are."""
    if wanted is None:
        return None
    before = wanted(block, start, middle) if middle > start else ()
    behind = wanted(block, middle, stop) if stop > middle else ()
    return None if before is None or behind is None else [*before, *behind]


def _pieces(lines: Iterable[bytes], at: int, limit: int) -> list[Piece]:
    """Make the pieces of whole lines, of which the first begins at offset `at`."""
    pieces = []
    end = at
    for raw in lines:
        end += len(raw) + 1
        pieces += pieces_of(raw, end, limit)
    return pieces


def _pieces_at(block: bytes, start: int, at: int, limit: int) -> list[Piece]:
    """Make the pieces of the line that begins at `start` in a block that was read at offset `at`."""
    end = block.index(_LF, start)
    return pieces_of(block[start:end], at + end + 1, limit)


def _ending(line: bytes, end: int, limit: int) -> list[Piece]:
    """Make the piece of what stands behind the last carriage return of an over-long line."""
    _, found, text = line.rpartition(_CR)
    return [Piece(text, end)] if found and text.strip() and len(text) < limit - 1 else []


def _left_of_skipped(line: bytes, limit: int) -> int:
    """Say how much of an over-long line without its end is to be read again: what may become its ending."""
    before = line.rfind(_CR, 0, len(line) - line.endswith(_CR))  # the last one may belong to the line end
    if before >= 0 and len(line) - before <= limit:
        return len(line) - before
    return int(line.endswith(_CR))


def _start_of_last(block: bytes, start: int, stop: int) -> int:
    """Find where the last `TRAIL` of the whole lines `block[start:stop]` begin."""
    end_before = stop - 1
    for _ in range(TRAIL):
        end_before = block.rfind(_LF, start, max(start, end_before))
        if end_before < 0:
            return start
    return end_before + 1
