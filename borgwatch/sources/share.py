"""Read one file's share of a look.

A `Followed` file, open at this moment, comes in; the lines read and the state behind them are put into the look. What
was read is checked in the same read against the proof of the position, so that nothing is taken from another file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from borgwatch.model import Line, Position
from borgwatch.sources.disk import Content, UnsettledError, is_unchanged
from borgwatch.sources.docker import is_json_log
from borgwatch.sources.envelope import ENVELOPE, rest_of, unwrap
from borgwatch.sources.lines import Wanted, split
from borgwatch.sources.look import Look
from borgwatch.sources.position import fingerprint, proves, span_before
from borgwatch.sources.problems import Ledger
from borgwatch.sources.reading import MOST_LINES, Followed, Taken, take
from borgwatch.sources.rotation import is_compressed

__all__ = ["Limits", "position_at_end", "rests", "stands_still", "take_share"]

_BLOCK = 4 * 1024 * 1024
"""Bytes that are read and searched at once."""
_TRUST_AFTER = 2.0
"""Seconds a stamp must stand before it is believed: times of change are coarse, up to two seconds on FAT."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds until an unfinished line counts as finished and a rotated file as complete; the longest line."""

    settle: float
    linger: float
    max_line: int

    @property
    def least(self) -> int:
        """The least number of bytes that always holds a line end or makes a line over-long."""
        return self.max_line + 2


def rests(followed: Followed) -> bool:
    """Tell by one stat whether a live file is as it was, and nothing will be due before that changes.

    This is what a look costs for nearly all files: `stands_still` without all that is rare.
    """
    stamp, position = followed.stamp, followed.position
    return (
        stamp is not None
        and stamp.size <= position.offset
        and followed.checked - followed.since >= _TRUST_AFTER
        and not position.held
        and is_unchanged(followed.path, stamp)
    )


def stands_still(key: str, look: Look, limits: Limits) -> bool:
    """Tell by one stat whether a file is as it was, for so long that it is to be believed, and nothing is due."""
    followed = look.states[key]
    if followed.stamp is None or followed.checked - followed.since < _TRUST_AFTER:
        return False
    if not is_unchanged(followed.path, followed.stamp, packed=is_compressed(followed.path)):
        return False
    still_for = look.moment.monotonic - followed.since
    is_line_due = (followed.unread > 0 or followed.position.held) and still_for >= limits.settle
    is_now_complete = still_for >= limits.linger > followed.checked - followed.since
    return not (is_line_due or (is_now_complete and key != followed.source))


def take_share(key: str, followed: Followed, file: Content, look: Look, limits: Limits, ledger: Ledger) -> bool:
    """Read one share of a file, block by block, into the look; tell whether that was all there is."""
    is_docker = is_json_log(followed.source)
    limit = max(limits.max_line, ENVELOPE) if is_docker else limits.max_line
    share = max(look.share, limit + 2) if is_docker else look.share
    while True:
        count = min(max(0, file.stamp.size - followed.position.offset), share, max(_BLOCK, limit + 2))
        if count > look.left and not (is_docker and look.left >= limits.least):
            count = look.left if look.left >= limits.least else 0
        # Of a container's output, each piece of a line is needed to put the line together.
        taken = _take_block(followed, file, count, look, limits.settle, limit, None if is_docker else look.wanted)
        is_full = len(taken.lines) >= MOST_LINES
        if is_docker:
            taken = _unwrapped(key, followed, taken, look, limits)
        followed = taken.followed
        look.put(key, followed)
        look.lines += taken.lines
        look.count += taken.count
        look.left -= count
        share -= count
        if taken.cut:
            ledger.note_once(f"{followed.source} (long lines)", f"lines are cut after {limits.max_line} bytes")
        if followed.stamp is not None:
            return True
        if count == 0 or is_full or min(share, look.left) < limits.least:
            look.more = True
            return False


def _take_block(
    followed: Followed, file: Content, count: int, look: Look, settle: float, limit: int, wanted: Wanted | None
) -> Taken:
    position = followed.position
    span = span_before(position.offset)
    data = file.read(position.offset - span, span + count)
    # One read gives both, so that what is taken is known to follow what was read before.
    same = file.stamp.identity == (position.device, position.inode)
    if len(data) < span + count or (position.anchor and not proves(position, data[:span], same=same)):
        raise UnsettledError(f"{followed.path}: changed while it was read")
    return take(followed, file.stamp, data, look.moment, settle=settle, limit=limit, wanted=wanted)


def _unwrapped(key: str, known: Followed, taken: Taken, look: Look, limits: Limits) -> Taken:
    """Take a container's lines out of their envelopes; what is held goes with the position, and over a rotation."""
    held = known.position.held
    if known.position.offset == 0 and taken.lines:
        held = look.take_over_held(key, known.source)
    lines, held = unwrap(taken.lines, held, limits.max_line)
    after = taken.followed
    still_for = look.moment.monotonic - known.since if known.stamp == after.stamp else 0.0
    if held and after.stamp is not None and not lines and still_for >= limits.settle:
        place = replace(after.position, anchor=b"", held=b"")
        lines = rest_of(held, Line(known.source, b"", place, look.moment.now), limits.max_line)
        held = b""
    after = replace(after, position=replace(after.position, held=held))
    return replace(taken, followed=after, lines=tuple(lines))


def position_at_end(file: Content, limit: int) -> Position:
    """Make the position behind the last complete line of a file, all of which is past."""
    size = file.stamp.size
    start = max(0, size - limit - 2)
    block = file.read(start, size - start)
    offset = start + block.rfind(b"\n") + 1
    skipping = start > 0 and offset == start
    if skipping:
        offset = size
    pieces = split(block[: offset - start], start, skipping=start > 0, limit=limit).pieces
    span = span_before(offset)
    anchor = fingerprint(file.read(offset - span, span), file.stamp.changed_ns, pieces)
    return Position(*file.stamp.identity, offset, anchor, skipping=skipping, past_until=size)
