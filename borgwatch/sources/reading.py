"""Turn what was read of a file into lines and the state that follows.

A `Followed` file, its `Stamp` and a block of its bytes come in; lines and the `Followed` file as it stands after them
leave. Nothing here touches the disk or a clock.

A last line without its end is held back until it ends, or until the file has stood still for a while: then it is
delivered as it stands. The line end that may still come ends no second line.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from borgwatch.model import Line, Position
from borgwatch.sources.disk import Stamp
from borgwatch.sources.lines import Piece, Wanted, rest, split
from borgwatch.sources.position import ANCHOR_SPAN, fingerprint, proof_of, span_before

__all__ = ["MOST_LINES", "Followed", "Moment", "Taken", "take"]

MOST_LINES = 300
"""How many lines are taken at once where nearly all are wanted, so that a step stays short."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A file as it is known: its position, and what the last look at it showed.

    `stamp` is None where more is to be read than was. `since` is the monotonic time at which a look first showed this
    stamp, `checked` that of the last look at the content.
    """

    source: str
    path: str
    position: Position
    stamp: Stamp | None = None
    since: float = 0.0
    checked: float = 0.0

    @property
    def unread(self) -> int:
        """Bytes behind the position, as far as the last look showed."""
        return self.stamp.size - self.position.offset if self.stamp else 0

    def looked_at(self, stamp: Stamp, monotonic: float) -> Followed:
        """Note that a look at this moment showed `stamp`, and nothing to read but an unfinished line."""
        if self.stamp == stamp:  # the one of before stays: it shares its numbers with the position
            return replace(self, checked=monotonic)
        return replace(self, stamp=stamp, since=monotonic, checked=monotonic)


@dataclass(frozen=True, slots=True)
class Moment:
    """The time of a look, for people and for spans, in seconds."""

    now: datetime
    monotonic: float


@dataclass(frozen=True, slots=True)
class Taken:
    """What a read gave: the file as it stands after it, the lines wanted of those read, and whether one was cut."""

    followed: Followed
    lines: tuple[Line, ...]
    count: int
    cut: bool


def take(
    followed: Followed,
    stamp: Stamp,
    data: bytes,
    moment: Moment,
    *,
    settle: float,
    limit: int,
    wanted: Wanted | None = None,
) -> Taken:
    """Take the lines out of `data`, which holds the bytes that prove the file's position, and those behind it."""
    position = followed.position
    span = span_before(position.offset)
    at = position.offset - span
    result = split(
        data,
        at,
        skipping=position.skipping,
        limit=limit,
        start=span,
        wanted=wanted,
        most=MOST_LINES,
        apart=position.past_until,
    )
    pieces, last, count, end = list(result.pieces), list(result.last), result.count, result.offset
    at_end = at + len(data) >= stamp.size and not result.full
    settled = followed.stamp == stamp and moment.monotonic - followed.since >= settle
    is_finished = at_end and settled and result.tail > 0
    if is_finished:
        final = rest(data[len(data) - result.tail :], end)
        pieces.append(final)
        last.append(final)
        count, end = count + 1, final.end
    late = _end_of_what_was_delivered(position, data, span)
    if late is not None and late <= end:
        pieces, last, count = _behind(pieces, late), _behind(last, late), count - 1
    reached = _advance(position, stamp, data[max(0, end - at - ANCHOR_SPAN) : end - at], end, last)
    reached = replace(reached, skipping=result.skipping and not is_finished)
    after = replace(followed, position=reached).looked_at(stamp, moment.monotonic)
    seconds = max(0.0, min(stamp.changed_ns / 1e9, moment.now.timestamp()))  # no line is newer than its file
    written = datetime.fromtimestamp(seconds, UTC)
    return Taken(
        after if at_end else replace(after, stamp=None),
        tuple(Line(followed.source, piece.data, _place(reached, piece.end), written) for piece in pieces),
        count,
        any(piece.truncated for piece in pieces),
    )


def _end_of_what_was_delivered(position: Position, data: bytes, span: int) -> int | None:
    """Find where the first line ends if it is but the late end of one that was delivered without it."""
    if position.skipping or position.offset == 0 or data.endswith(b"\n", 0, span):
        return None
    if data.startswith(b"\n", span) or (len(data) == span + 1 and data.endswith(b"\r")):
        return position.offset + 1
    return position.offset + 2 if data.startswith(b"\r\n", span) else None


def _behind(pieces: list[Piece], end: int) -> list[Piece]:
    return [piece for piece in pieces if piece.end > end]


def _advance(position: Position, stamp: Stamp, content: bytes, end: int, pieces: list[Piece]) -> Position:
    return replace(
        position,
        device=stamp.device,
        inode=stamp.inode,
        offset=end,
        anchor=fingerprint(content[-ANCHOR_SPAN:], stamp.changed_ns, pieces, proof_of(position)),
    )


def _place(reached: Position, end: int) -> Position:
    return Position(reached.device, reached.inode, end, past_until=reached.past_until)
