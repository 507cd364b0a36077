"""Decide where reading goes on.

What is known of a file (a `Position`) and what a look at the disk shows (`Seen`) come in; an `Action` leaves.
Nothing here touches the disk.

A file is known by its content, not by its name, inode or size: all three get reused. `Position.anchor` holds the
proof of it: a digest of the `ANCHOR_SPAN` bytes right before the offset, the file's time of change at that moment,
and the digests of the last `TRAIL` lines that were read, the oldest first. The digest tells in one read of 256 bytes
whether a file still is what it was up to the offset. The trail finds the place again in a file that was rewritten
without its oldest lines.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from hashlib import blake2b

from borgwatch.model import Position
from borgwatch.sources.disk import Stamp
from borgwatch.sources.lines import TRAIL, Piece

__all__ = [
    "ANCHOR_SPAN",
    "GRAINS",
    "ROWS",
    "TRAIL",
    "Action",
    "Proof",
    "Row",
    "Seen",
    "Size",
    "Whereabouts",
    "behind_overlap",
    "compare",
    "decide",
    "fingerprint",
    "kept_time",
    "may_be_again",
    "proof_of",
    "proves",
    "shifted",
    "span_before",
    "time_of",
]

ANCHOR_SPAN = 256
"""How many bytes before the offset prove that a file is still the same."""

GRAINS = (1, 100, 1_000, 1_000_000_000, 2_000_000_000)
"""Nanoseconds to which tools and file systems round a time of change that they copy."""

_DIGEST = 16
_TIME = 8
_LINE_DIGEST = 8


# --- the proof ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proof:
    """What `Position.anchor` holds; `changed_ns` is the file's mtime when it was read last."""

    digest: bytes
    changed_ns: int
    trail: tuple[bytes, ...]

    def pack(self) -> bytes:
        """Lay the proof out as the bytes of `Position.anchor`."""
        return self.digest + self.changed_ns.to_bytes(_TIME, "big", signed=True) + b"".join(self.trail)


def proof_of(position: Position) -> Proof | None:
    """Read the proof in a position; None where the file was not looked into yet."""
    return _unpacked(position.anchor)


@lru_cache(maxsize=64)  # one look asks several times
def _unpacked(packed: bytes) -> Proof | None:
    if len(packed) < _DIGEST + _TIME:
        return None
    lines = packed[_DIGEST + _TIME :]
    return Proof(
        packed[:_DIGEST],
        int.from_bytes(packed[_DIGEST : _DIGEST + _TIME], "big", signed=True),
        tuple(lines[at : at + _LINE_DIGEST] for at in range(0, len(lines), _LINE_DIGEST)),
    )


def time_of(position: Position) -> int | None:
    """Tell when the file was changed last, as far as it was read; None where it was not looked into yet."""
    packed = position.anchor[_DIGEST : _DIGEST + _TIME]
    return int.from_bytes(packed, "big", signed=True) if len(packed) == _TIME else None


def span_before(offset: int) -> int:
    """Say how many bytes before `offset` the anchor covers."""
    return min(ANCHOR_SPAN, offset)


def proves(position: Position, before: bytes, *, same: bool) -> bool:
    """Tell whether `before`, the bytes found right before the position's offset, are those that were read.

    Where nothing was read yet there is no proof, and having the `same` inode has to do.
    """
    proof = proof_of(position)
    if proof is None or position.offset == 0:
        return same
    return len(before) == span_before(position.offset) and _digest(before) == proof.digest


def fingerprint(before: bytes, changed_ns: int, pieces: Iterable[Piece], known: Proof | None = None) -> bytes:
    """Make the anchor of a position.

    `before` are the `span_before` bytes before it, `pieces` the lines that were read last, which come after those
    of the `known` proof.
    """
    trail = [*(known.trail if known else ()), *(_line_digest(piece) for piece in deque(pieces, TRAIL))]
    return Proof(_digest(before), changed_ns, tuple(trail[-TRAIL:])).pack()


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST).digest()


def _line_digest(piece: Piece) -> bytes:
    return blake2b(piece.data, digest_size=_LINE_DIGEST).digest()


def kept_time(position: Position, stamp: Stamp) -> bool:
    """Tell whether a file has the time of change of the known one, as a move or a copy that keeps times leaves it."""
    known_ns = time_of(position)
    return known_ns is not None and any(stamp.changed_ns == known_ns - known_ns % grain for grain in GRAINS)


def may_be_again(position: Position, stamp: Stamp, *, packed: bool = False) -> bool:
    """Tell by what the disk says of a file whether it may be the one of `position`, which is no longer in its place.

    Inode numbers are given anew, and scripts write the same lines again. So before the content counts, the old time of
    change must bear witness; then the inode number may be any: a move to another file system keeps the one and not the
    other. If something was added meanwhile, the inode number must be the old one, and the proof be too long for a log
    that merely begins like the one before. Of a `packed` file, the size tells nothing.
    """
    if time_of(position) is None or position.offset == 0 or (stamp.size < position.offset and not packed):
        return False
    if kept_time(position, stamp):
        return True
    return stamp.inode == position.inode and stamp.size > position.offset >= ANCHOR_SPAN and not packed


# --- a file that lost lines at the top ------------------------------------------------------------------------------


def behind_overlap(proof: Proof, pieces: Iterable[Piece]) -> int | None:
    """Find the place behind the lines already read in a rewritten file, whose lines are `pieces`; None if it is new.

    Such a file begins with lines that were the last ones read, because only older ones were dropped. So the longest
    beginning of the new file counts that is an end of the trail; or, in a file that kept more than a trail's worth,
    the place where the whole trail stands. Lines that repeat prove nothing: at least one of those found must be
    the only one of its kind in the trail.
    """
    trail = proof.trail
    head: list[tuple[bytes, int]] = []
    window: deque[bytes] = deque(maxlen=TRAIL)
    for piece in pieces:
        digest = _line_digest(piece)
        window.append(digest)
        if len(trail) == TRAIL and tuple(window) == trail:
            return piece.end if _is_telling(trail, trail) else None
        if len(head) < len(trail):
            head.append((digest, piece.end))
    for length in range(len(head), 0, -1):
        found = tuple(digest for digest, _ in head[:length])
        if found == trail[-length:]:
            return head[length - 1][1] if _is_telling(found, trail) else None
    return None


def shifted(position: Position, offset: int) -> Position:
    """Move a position to the place found in a rewritten file; what was past before stays past."""
    return replace(position, offset=offset, past_until=max(0, position.past_until - position.offset + offset))


def _is_telling(found: tuple[bytes, ...], trail: tuple[bytes, ...]) -> bool:
    return any(trail.count(digest) == 1 and digest != _EMPTY_LINE for digest in found)


_EMPTY_LINE = _line_digest(Piece(b"", 0))


# --- the decision ---------------------------------------------------------------------------------------------------


class Action(Enum):
    """What to do with a name after a look at it."""

    RECALL = "never seen under this name: ask whether it is a file that was known elsewhere, then decide again"
    RESUMED = "a file that moved, or came back: go on where it was left"
    FRESH = "never seen: read it from the start"
    IDLE = "nothing new"
    READ_ON = "go on reading at the offset"
    WAIT = "emptied a moment ago: it may be about to be written anew with the same lines"
    SEARCH = "look where the known file went and whether the new content overlaps with it, then decide again"
    ROTATED = "the known file is elsewhere: finish it there, then what came after it, then this one from the start"
    SHIFTED = "the same lines without the oldest: go on behind those already read"
    START_OVER = "other content: read it from the start"
    GONE = "deleted: forget it"


class Size(Enum):
    """The size of the file under the name, compared with the known offset."""

    EMPTY = "empty, and the offset is not 0"
    LESS = "ends before the offset"
    EQUAL = "ends at the offset"
    MORE = "goes on behind the offset"


class Whereabouts(Enum):
    """Where the known file is, if not under its name."""

    MOVED = "under another name: same inode, and its anchor holds"
    COPIED = "in a rotated file with another inode, in which its anchor holds"
    NOWHERE = "not found"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at a name shows of the file known under it.

    `known`: something is known under this name; if not, `recalled`: the file was known elsewhere, which is found out
    when a `RECALL` asks for it. `present`: a file has the name now. `same`: it has the known device
    and inode. `size`: how it compares with the known offset. `anchor`: the proof holds. `patient`: the name has been
    like this for a while. `whereabouts` and `overlap` (the new content begins with lines already read) are costly
    to find out, and None until a `SEARCH` asks for them.
    """

    known: bool = True
    present: bool = True
    same: bool = False
    size: Size | None = None
    anchor: bool = False
    patient: bool = False
    recalled: bool | None = None
    whereabouts: Whereabouts | None = None
    overlap: bool | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the decision table: `action` is what to do where `Seen` shows all the `facts`."""

    facts: Mapping[str, object]
    action: Action


# The first row that fits decides.
#
# A name of which nothing is known may show a file that is known: one that was moved there, or that went away and
# came back. Only if it does not (RECALL), it is read from its start.
#
# Growth of the same file, and standing still, are the daily case and settled by one read. Everything else is
# looked into first (SEARCH): the known file may have moved away, been copied away, or been rewritten.
#
# A file that moved (same inode, proof holds there) was rotated, whatever the new one holds: a log without
# timestamps may well begin like the one before. Only then does the content under the name count: a copy of what was
# read, perhaps a longer one, goes on; one that lost its oldest lines goes on behind the rest. A rotated *copy* comes
# after that, because who rewrites a file often keeps a copy of it. What is left is other content.
#
# An emptied file waits for a moment before it counts as other content: rewriting in place empties it first.
ROWS: tuple[Row, ...] = (
    Row({"known": False, "recalled": None}, Action.RECALL),
    Row({"known": False, "recalled": True}, Action.RESUMED),
    Row({"known": False}, Action.FRESH),
    Row({"same": True, "size": Size.EQUAL, "anchor": True}, Action.IDLE),
    Row({"same": True, "size": Size.MORE, "anchor": True}, Action.READ_ON),
    Row({"same": True, "size": Size.EMPTY, "patient": False}, Action.WAIT),
    Row({"whereabouts": None}, Action.SEARCH),
    Row({"whereabouts": Whereabouts.MOVED}, Action.ROTATED),
    Row({"size": Size.EMPTY, "patient": False}, Action.WAIT),
    Row({"size": Size.EQUAL, "anchor": True}, Action.IDLE),
    Row({"size": Size.MORE, "anchor": True}, Action.READ_ON),
    Row({"overlap": True}, Action.SHIFTED),
    Row({"whereabouts": Whereabouts.COPIED}, Action.ROTATED),
    Row({"present": False}, Action.GONE),
    Row({}, Action.START_OVER),
)


def decide(seen: Seen) -> Action:
    """Say what to do with a name after a look at it: the first of `ROWS` that fits."""
    return next(row.action for row in ROWS if all(getattr(seen, fact) == value for fact, value in row.facts.items()))


def compare(size: int, offset: int) -> Size:
    """Compare a file's size with the known offset."""
    if size == 0 and offset:
        return Size.EMPTY
    if size == offset:
        return Size.EQUAL
    return Size.LESS if size < offset else Size.MORE
