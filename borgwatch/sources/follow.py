"""Follow one source through growth, rotation and rewriting.

A source's name and the `Look` under way come in; the lines read and the states that follow are put into the look.
The decision table (`position`) says what to do with the live name; the rotated files that are still followed, the
predecessors, are read before it, the oldest first, and it waits as long as they have more to give.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from borgwatch.model import Position
from borgwatch.sources.disk import (
    OpenFile,
    Stamp,
    UnsettledError,
    explain,
    is_deleted,
    open_file,
    open_if_there,
    stamp_at,
)
from borgwatch.sources.lines import split
from borgwatch.sources.look import Identity, Look, predecessor_key
from borgwatch.sources.position import (
    Action,
    Seen,
    compare,
    decide,
    fingerprint,
    proof_of,
    proves,
    shifted,
    span_before,
)
from borgwatch.sources.problems import Ledger
from borgwatch.sources.reading import ABSENT, Followed, Moment, Taken, take
from borgwatch.sources.trace import Find, holds, place_behind_overlap

__all__ = ["Follower", "Limits", "position_at_end"]

_PATIENCE = 1.0
"""Seconds that an emptied file has to be written anew with the same lines."""
_MAX_PREDECESSORS = 10
"""Rotated files of one source that stay followed however long nothing was added to them."""
_MAX_GONE = 1000
"""Deleted files whose last time of change is kept in mind."""
_BLOCK = 1024 * 1024
"""Bytes that are read and searched at once."""
_FOR_EVER = 1 << 63
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


@dataclass(frozen=True, slots=True)
class _Visit:
    """One visit to a live name: what is known, and what is there.

    `stamp` is that of the file that has the name, `file` is it unless it is followed under another key. `find` is
    where the known file went, `place` where reading goes on in a rewritten one.
    """

    source: str
    path: str
    known: Followed | None
    stamp: Stamp | None
    file: OpenFile | None
    find: Find | None = None
    place: int | None = None


class Follower:
    """Visit the sources of one tree.

    `path_of` says where the live file of a source stands, `source_at` which source, if any, stands at a path.
    """

    def __init__(
        self, limits: Limits, ledger: Ledger, path_of: Callable[[str], str], source_at: Callable[[str], str | None]
    ) -> None:
        self._limits = limits
        self._ledger = ledger
        self._path_of = path_of
        self._source_at = source_at
        self._aliases: dict[str, tuple[Identity, str]] = {}
        self._gone: dict[str, Followed] = {}

    def stands_still(self, key: str, look: Look) -> bool:
        """Tell by one stat whether a file is as it was, for so long that it is to be believed, and nothing is due."""
        followed = look.states[key]
        stamp = stamp_at(followed.path) or ABSENT
        if followed.stamp != stamp or followed.checked - followed.since < _TRUST_AFTER:
            return False
        still_for = look.moment.monotonic - followed.since
        is_line_due = followed.unread > 0 and still_for >= self._limits.settle
        is_now_complete = still_for >= self._limits.linger > followed.checked - followed.since
        return not (is_line_due or (is_now_complete and key != followed.source))

    def visit(self, source: str, look: Look) -> None:
        """Read what is new in a source, as far as the look's share goes."""
        if source not in look.states:
            self._pick_up_beside_empty(source, look)
        if self._read_predecessors(source, look):
            self._look_at_live(source, look)

    def is_alias(self, source: str, find: Find, look: Look) -> bool:
        """Tell whether a file found under a source's name is already followed under another key.

        It is so for hard links, symbolic links, and a rotated file whose new name would make it a source as well. A
        new file that merely got the inode number of one that is gone is no alias.
        """
        identity = find.stamp.identity
        owner = look.owner(identity)
        if owner is None or owner == source:
            return False
        if self._aliases.get(source) == (identity, owner):
            return True
        other = look.states[owner]
        beside = stamp_at(other.path)
        shared = beside is not None and beside.identity == identity
        if not shared and not look.tracer.moved_here(self._path_of(other.source), other.position, find):
            return False
        self._aliases[source] = (identity, owner)
        return True

    # --- the live file ----------------------------------------------------------------------------------------------

    def _look_at_live(self, source: str, look: Look) -> None:
        path = self._path_of(source)
        known = look.states.get(source)
        with open_if_there(path) as opened:
            stamp = opened.stamp if opened else None
            is_ours = stamp and not self.is_alias(source, Find(path, stamp), look)
            visit = _Visit(source, path, known, stamp, opened if is_ours else None)
            seen = _seen(known, visit.file, look.moment)
            action = decide(seen)
            if known and action is Action.SEARCH:
                look.tracer.settle(path, stamp)
                whereabouts, find = look.tracer.whereabouts(path, known.position)
                place = place_behind_overlap(visit.file, known.position, self._limits.max_line) if visit.file else None
                action = decide(replace(seen, whereabouts=whereabouts, overlap=place is not None))
                visit = replace(visit, find=find, place=place)
            self._act(action, visit, look)

    def _act(self, action: Action, visit: _Visit, look: Look) -> None:
        source, path, known, file = visit.source, visit.path, visit.known, visit.file
        match action:
            case Action.FRESH:
                self._pick_up_unseen(visit, look)
                self._begin(visit, look)
            case Action.IDLE | Action.READ_ON if known and file:
                self._take(source, replace(known, path=path), file, look)
            case Action.WAIT if known and file:
                look.put(source, known.looked_at(file.stamp, look.moment.monotonic))
            case Action.ROTATED if known and visit.find:
                self._hand_down(known, visit.find, look)
                self._pick_up(source, path, visit.find, _changed_ns(known), look)
                if known.position.offset == 0:
                    # Nothing proves that this is the known file: one that came later may have got its inode number.
                    self._pick_up(source, path, None, _changed_ns(known), look)
                self._begin(visit, look)
            case Action.SHIFTED if known and file and visit.place is not None:
                position = _position_behind(file, known.position, visit.place)
                self._take(source, replace(known, path=path, position=position, stamp=None), file, look)
            case Action.START_OVER if known and file:
                look.drop(source)  # a generation may have got its inode number
                self._pick_up(source, path, None, _changed_ns(known), look)
                self._begin(visit, look)
            case Action.GONE if known:
                if is_deleted(path, known.position.device):
                    self._pick_up(source, path, None, _changed_ns(known), look)  # what came after it and was rotated
                    self._remember_gone(known)
                    look.drop(source)
                else:
                    look.put(source, known.looked_at(ABSENT, look.moment.monotonic))

    def _begin(self, visit: _Visit, look: Look) -> None:
        """Begin with the file that has the live name now, from its start, once its predecessors are read."""
        look.drop(visit.source)
        is_read = self._read_predecessors(visit.source, look)
        if visit.file is None:
            return
        fresh = Followed(visit.source, visit.path, Position(*visit.file.stamp.identity, 0))
        if is_read or visit.file.stamp.size == 0:  # an empty one has no turn to wait for, and is noted with its proof
            self._take(visit.source, fresh, visit.file, look)
        else:
            look.put(visit.source, fresh)

    def _hand_down(self, known: Followed, find: Find, look: Look) -> None:
        """Follow the known file on, under the name that it has now, as a predecessor."""
        position = replace(known.position, device=find.stamp.device, inode=find.stamp.inode)
        look.drop(known.source)
        key = predecessor_key(known.source, find.stamp.inode)
        look.put(key, replace(known, path=find.path, position=position, stamp=None))

    def _pick_up(self, source: str, path: str, than: Find | None, since_ns: int, look: Look) -> None:
        """Follow the generations between the known file and the live one, which were never seen under the live name."""
        followed = look.identities(look.predecessors(source))
        for find in look.tracer.younger(path, than, since_ns, followed):
            key = predecessor_key(source, find.stamp.inode)
            look.put(key, Followed(source, find.path, Position(*find.stamp.identity, 0)))

    def _pick_up_unseen(self, visit: _Visit, look: Look) -> None:
        """Do so as well where the live name was free for a while; pass over what is older than anything known."""
        source, path = visit.source, visit.path
        look.tracer.settle(path, visit.stamp)
        if keys := look.predecessors(source):
            # Which is the last, and what came after it, must be seen in the same listing: it may have moved on since.
            last = look.tracer.youngest(path, look.identities(keys))
            self._pick_up(source, path, last, _changed_ns(look.states[keys[-1]]), look)
        elif source in self._gone:
            self._pick_up(source, path, None, _changed_ns(self._gone[source]), look)
        else:
            self.pass_over_generations(source, path, look)

    def _pick_up_beside_empty(self, source: str, look: Look) -> None:
        """Do so before a predecessor is read that was empty, where no live file is known.

        Nothing proves that it is still the same: a later one may have got its inode number. The last one that was
        not empty tells what is unseen.
        """
        keys = look.predecessors(source)
        empty = [key for key in keys if look.states[key].position.offset == 0]
        if empty:
            path = self._path_of(source)
            last = look.tracer.youngest(path, look.identities(keys) - look.identities(empty))
            self._pick_up(source, path, last, min(_changed_ns(look.states[key]) for key in empty), look)

    def pass_over_generations(self, source: str, path: str, look: Look) -> None:
        """Follow the generations that are there already from their ends on, so that none is ever taken for unseen."""
        for find in look.tracer.generations(path)[-_MAX_PREDECESSORS:]:
            with suppress(OSError), open_file(find.path) as file:
                position = position_at_end(file, self._limits.max_line)
                key = predecessor_key(source, file.stamp.inode)
                look.put(key, Followed(source, find.path, position, stamp=ABSENT))

    def _remember_gone(self, known: Followed) -> None:
        """Keep in memory when a deleted file was changed last, for what may come and go before the next look."""
        self._gone.pop(known.source, None)
        self._gone[known.source] = known
        if len(self._gone) > _MAX_GONE:
            del self._gone[next(iter(self._gone))]

    # --- its predecessors -------------------------------------------------------------------------------------------

    def _read_predecessors(self, source: str, look: Look) -> bool:
        """Read the rotated files of a source; tell whether they have nothing more to give for now."""
        for key in look.predecessors(source):
            self._locate(key, look)
        return all(self._read_predecessor(key, look) for key in look.predecessors(source))

    def _locate(self, key: str, look: Look) -> None:
        """Find a predecessor under the name that it has now; forget it if it is gone."""
        followed = look.states[key]
        position = followed.position
        stamp = stamp_at(followed.path)
        if stamp and stamp.identity == (position.device, position.inode):
            return
        live = self._path_of(followed.source)
        _, find = look.tracer.whereabouts(live, position)
        if find:
            position = replace(position, device=find.stamp.device, inode=find.stamp.inode)
            look.put(key, replace(followed, path=find.path, position=position))
        elif is_deleted(live, position.device):
            if followed.stamp is None or followed.unread > 0:
                self._ledger.note(followed.source, f"{followed.path} was removed before it was read to its end")
            look.drop(key)

    def _read_predecessor(self, key: str, look: Look) -> bool:
        followed = look.states[key]
        where = f"{followed.source} ({os.path.basename(followed.path)})"
        try:
            with open_file(followed.path) as file:
                if file.stamp.identity != (followed.position.device, followed.position.inode):
                    raise UnsettledError(f"{followed.path}: renamed while it was looked at")
                if not holds(file, followed.position):
                    look.drop(key)
                    return True
                is_read = self._take(key, followed, file, look)
        except FileNotFoundError:
            look.more = True
            return False
        except OSError as error:
            self._ledger.wrong(*explain(where, error))
            return True
        self._ledger.fine(where)
        self._release_if_complete(key, look)
        return is_read

    def _release_if_complete(self, key: str, look: Look) -> None:
        """Let go of a predecessor that has stood still for long, where something else takes care of it.

        One whose new name makes it a source goes on as such. The others stay followed while they exist, because who
        writes a log may hold it open, and silent, for hours. Only the oldest of many are forgotten, once the live file
        is younger beyond doubt: then they cannot be taken for generations that were never seen.
        """
        followed = look.states[key]
        if followed.stamp is None or followed.unread > 0:
            return
        if look.moment.monotonic - followed.since < self._limits.linger:
            return
        source = self._source_at(followed.path)
        if source and source not in look.states:
            look.drop(key)
            look.put(source, replace(followed, source=source))
            return
        is_one_of_many = key in look.predecessors(followed.source)[:-_MAX_PREDECESSORS]
        if is_one_of_many and _is_superseded(followed, look.states.get(followed.source)):
            look.drop(key)

    # --- reading ----------------------------------------------------------------------------------------------------

    def _take(self, key: str, followed: Followed, file: OpenFile, look: Look) -> bool:
        """Read one share of a file, block by block, into the look; tell whether that was all there is."""
        share = look.share
        while True:
            count = min(max(0, file.stamp.size - followed.position.offset), share, max(_BLOCK, self._limits.least))
            if count > look.left:
                count = look.left if look.left >= self._limits.least else 0
            taken = self._take_block(followed, file, count, look)
            followed = taken.followed
            look.put(key, followed)
            look.lines += taken.lines
            look.count += taken.count
            look.left -= count
            share -= count
            if followed.stamp is not None:
                return True
            if count == 0 or min(share, look.left) < self._limits.least:
                look.more = True
                return False

    def _take_block(self, followed: Followed, file: OpenFile, count: int, look: Look) -> Taken:
        position = followed.position
        span = span_before(position.offset)
        data = file.read(position.offset - span, span + count)
        # One read gives both, so that what is taken is known to follow what was read before.
        same = file.stamp.identity == (position.device, position.inode)
        if len(data) < span + count or (position.anchor and not proves(position, data[:span], same=same)):
            raise UnsettledError(f"{followed.path}: changed while it was read")
        limits = self._limits
        taken = take(
            followed, file.stamp, data, look.moment,
            settle=limits.settle, limit=limits.max_line, wanted=look.wanted,
        )  # fmt: skip
        if taken.cut:
            self._ledger.wrong(f"{followed.source} (long lines)", f"lines are cut after {limits.max_line} bytes")
        return taken


def position_at_end(file: OpenFile, limit: int) -> Position:
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


def _seen(known: Followed | None, file: OpenFile | None, moment: Moment) -> Seen:
    if file is None or known is None:
        return Seen(known=known is not None, present=file is not None)
    return Seen(
        same=file.stamp.identity == (known.position.device, known.position.inode),
        size=compare(file.stamp.size, known.position.offset),
        anchor=holds(file, known.position) and not _may_be_another(known.position, file.stamp),
        patient=known.stamp == file.stamp and moment.monotonic - known.since >= _PATIENCE,
    )


def _may_be_another(position: Position, stamp: Stamp) -> bool:
    """Tell whether an empty file may have been replaced: nothing proves it then but that it was not changed.

    To start over costs nothing, and finds what was live in between.
    """
    proof = proof_of(position)
    return position.offset == 0 and proof is not None and proof.changed_ns != stamp.changed_ns


def _changed_ns(followed: Followed) -> int:
    """Tell when a file was changed last, as far as it was read: what was changed before cannot come after it."""
    proof = proof_of(followed.position)
    return proof.changed_ns if proof else _FOR_EVER


def _is_superseded(old: Followed, live: Followed | None) -> bool:
    """Tell whether the live file was changed after the old one beyond doubt."""
    before, after = proof_of(old.position), proof_of(live.position) if live else None
    return before is not None and after is not None and before.changed_ns < after.changed_ns


def _position_behind(file: OpenFile, position: Position, place: int) -> Position:
    """Move a position to the place found in a rewritten file, and make its proof anew."""
    stamp, span = file.stamp, span_before(place)
    anchor = fingerprint(file.read(place - span, span), stamp.changed_ns, (), proof_of(position))
    moved = shifted(position, place)
    return replace(moved, device=stamp.device, inode=stamp.inode, anchor=anchor, skipping=False)
