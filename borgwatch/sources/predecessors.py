"""Follow the rotated files of a source beside the live one.

A source and the `Look` under way come in; what its rotated files still had to give is put into the look. They are
read in order, the oldest first, and the live file waits as long as they have more. A generation that was compressed
meanwhile is read on inside the compressed file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from borgwatch.model import Position
from borgwatch.sources.compressed import Unpacker, UnpackError
from borgwatch.sources.disk import ABSENT, RefusedError, Stamp, UnsettledError, explain, is_deleted, open_file, stamp_at
from borgwatch.sources.look import Look
from borgwatch.sources.position import time_of
from borgwatch.sources.problems import Ledger
from borgwatch.sources.reading import Followed
from borgwatch.sources.rotation import is_compressed
from borgwatch.sources.share import Limits, position_at_end, stands_still, take_share
from borgwatch.sources.states import lost_key
from borgwatch.sources.trace import Find, holds

__all__ = ["Predecessors", "changed_ns"]

_MAX_PREDECESSORS = 10
"""Rotated files of one source that stay followed however long nothing was added to them."""
_FOR_EVER = 1 << 63


class Predecessors:
    """The rotated files of the sources of one tree.

    `path_of` says where the live file of a source stands, `source_at` which source, if any, stands at a path.
    """

    def __init__(
        self,
        limits: Limits,
        ledger: Ledger,
        unpacker: Unpacker,
        path_of: Callable[[str], str],
        source_at: Callable[[str], str | None],
    ) -> None:
        self._limits = limits
        self._ledger = ledger
        self._unpacker = unpacker
        self._path_of = path_of
        self._source_at = source_at

    # --- finding them -----------------------------------------------------------------------------------------------

    def hand_down(self, known: Followed, find: Find, look: Look) -> None:
        """Follow the known file on, under the name that it has now."""
        position = replace(known.position, device=find.stamp.device, inode=find.stamp.inode)
        look.drop(known.source)
        self._follow(known.source, find, position, look)

    def pick_up(self, source: str, path: str, than: Find | None, since_ns: int, look: Look) -> None:
        """Follow the generations between the known file and the live one, which were never seen under the live name."""
        for find in look.tracer.younger(path, than, since_ns, look.identities(look.predecessors(source))):
            if not self._is_known_here(source, path, find, look) and not self._take_up(source, find, look):
                self._follow(source, find, Position(*find.stamp.identity, 0), look)

    def pick_up_unseen(self, source: str, path: str, stamp: Stamp | None, look: Look) -> None:
        """Do so as well where the live name was free for a while; pass over what is older than anything known.

        Of a directory that was moved here, the generations that are known under another name tell what is unseen.
        """
        look.tracer.settle(path, stamp)
        if keys := look.predecessors(source):
            # Which is the last, and what came after it, must be seen in the same listing: it may have moved on since.
            last = look.tracer.youngest(path, look.identities(keys))
            self.pick_up(source, path, last, changed_ns(look.states[keys[-1]].position), look)
            return
        found = look.tracer.generations(path)
        known = [find for find in found if self._is_of_another(find, look) or self._take_up(source, find, look)]
        gone = look.states.lost.get(lost_key(source))
        if known or gone:
            since_ns = changed_ns(gone.position) if gone else known[-1].stamp.changed_ns
            self.pick_up(source, path, known[-1] if known else None, since_ns, look)
        else:
            self.pass_over(source, path, look)

    def pick_up_beside_empty(self, source: str, look: Look) -> None:
        """Do so before a predecessor is read that was empty, where no live file is known.

        Nothing proves that it is still the same: a later one may have got its inode number. The last one that was
        not empty tells what is unseen.
        """
        empty = [key for key in look.predecessors(source) if look.states[key].position.offset == 0]
        if empty:
            for key in look.predecessors(source):
                self._locate(key, look)  # under the device number of today
            keys = look.predecessors(source)
            empty = [key for key in empty if key in keys]
        if empty:
            path = self._path_of(source)
            last = look.tracer.youngest(path, look.identities(keys) - look.identities(empty))
            self.pick_up(source, path, last, min(changed_ns(look.states[key].position) for key in empty), look)

    def pass_over(self, source: str, path: str, look: Look) -> None:
        """Follow the generations that are there already from their ends on, so that none is ever taken for unseen."""
        plain = [find for find in look.tracer.generations(path) if not is_compressed(find.path)]
        for find in plain[-_MAX_PREDECESSORS:]:
            if self._is_of_another(find, look):
                continue
            with suppress(OSError), open_file(find.path) as file:
                position = position_at_end(file, self._limits.max_line)
                key = look.states.predecessor_key(source, file.stamp.identity)
                look.put(key, Followed(source, find.path, position, stamp=ABSENT))

    def _is_known_here(self, source: str, path: str, find: Find, look: Look) -> bool:
        """Tell whether a generation is followed already: for another source, or it was compressed since."""
        known = [look.states[key].position for key in look.predecessors(source)]
        if is_compressed(find.path) and any(look.tracer.copied_here(path, find, one) for one in known):
            return True
        return self._is_of_another(find, look)

    def _take_up(self, source: str, find: Find, look: Look) -> bool:
        """Follow a generation from where it was left, if it is known from elsewhere, or went away."""
        home = look.known_as(find)
        if home:
            self._follow(source, find, look.take_up(home, find), look)
        return home is not None

    @staticmethod
    def _follow(source: str, find: Find, position: Position, look: Look) -> None:
        key = look.states.predecessor_key(source, find.stamp.identity)
        look.put(key, Followed(source, find.path, position))

    def _is_of_another(self, find: Find, look: Look) -> bool:
        """Tell whether a generation is followed for another source: it was moved here with its directory."""
        owner = look.states.owner(find.stamp.identity)
        if owner is None:
            return False
        other = look.states[owner]
        return other.path == find.path or look.tracer.moved_here(self._path_of(other.source), other.position, find)

    # --- reading them -----------------------------------------------------------------------------------------------

    def read(self, source: str, look: Look) -> bool:
        """Read the rotated files of a source; tell whether they have nothing more to give for now."""
        restless = [key for key in look.predecessors(source) if not self._stands_still(key, look)]
        at_hand = {key for key in restless if self._locate(key, look)}
        for key in look.predecessors(source)[:-_MAX_PREDECESSORS]:
            if key not in restless:
                self._release_if_complete(key, look)
        return all(self._read_one(key, look) for key in look.predecessors(source) if key in at_hand)

    def _stands_still(self, key: str, look: Look) -> bool:
        try:
            return stands_still(key, look, self._limits)
        except (OSError, RefusedError):
            return False  # reading it will say why

    def _locate(self, key: str, look: Look) -> bool:
        """Find a predecessor under the name that it has now; forget it if it is gone.

        Where its file system is away, it is neither found nor gone. That cannot be if the live file is there: then the
        file system merely has another device number than before, as after a reboot.
        """
        followed = look.states[key]
        position = followed.position
        live = self._path_of(followed.source)
        stamp = stamp_at(followed.path)
        if stamp and stamp.identity == (position.device, position.inode):
            if followed.path != live:
                return True
            if position.offset == 0:
                look.drop(key)  # it was empty and is gone, and a new live file has got its inode number
                return False
        _, find = look.tracer.whereabouts(live, position, look.states.followed)
        if find is None and position.offset == 0:
            find = self._compressed_since(followed, live, look)
        if find and (twin := self._twin(key, find, look)):
            # Moved to and fro, it came to be known twice: the one that was read further stays.
            if look.states[twin].position.offset >= position.offset:
                look.drop(key)
                return False
            look.drop(twin)
        if find:
            position = replace(position, device=find.stamp.device, inode=find.stamp.inode)
            look.put(key, replace(followed, path=find.path, position=position))
            return True
        if is_deleted(live, position.device) or stamp_at(live):
            if followed.stamp is None or followed.unread > 0:
                self._ledger.note(followed.source, f"{followed.path} was removed before it was read to its end")
            look.lose(key)
        return False

    @staticmethod
    def _twin(key: str, find: Find, look: Look) -> str | None:
        """Find another key under which a rotated file is followed in the same place."""
        owner = look.states.owner(find.stamp.identity)
        if owner is None or owner == key:
            return None
        other = look.states[owner]
        return owner if other.path == find.path and owner != other.source else None

    def _compressed_since(self, followed: Followed, live: str, look: Look) -> Find | None:
        """Find what a file became of which nothing was read, and which was compressed since: only its name tells."""
        for find in look.tracer.generations(live):
            is_new = find.stamp.identity not in look.states.followed and is_compressed(find.path)
            if is_new and os.path.splitext(find.path)[0] == followed.path:
                is_known = self._is_known_here(followed.source, live, find, look) or look.known_as(find)
                return None if is_known else find
        return None

    def _read_one(self, key: str, look: Look) -> bool:
        followed = look.states[key]
        where = f"{followed.source} ({os.path.basename(followed.path)})"
        try:
            with self._unpacker.open(followed.path) as file:
                if file.stamp.identity != (followed.position.device, followed.position.inode):
                    raise UnsettledError(f"{followed.path}: renamed while it was looked at")
                if not holds(file, followed.position):
                    look.drop(key)
                    return True
                is_read = take_share(key, followed, file, look, self._limits, self._ledger)
        except FileNotFoundError:
            look.more = True
            return False
        except UnpackError as error:
            self._ledger.note(where, f"{error}; what was unread in it is lost")
            look.drop(key)
            return True
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
            look.lose(key)


def changed_ns(position: Position) -> int:
    """Tell when a file was changed last, as far as it was read: what was changed before cannot come after it."""
    time = time_of(position)
    return time if time is not None else _FOR_EVER


def _is_superseded(old: Followed, live: Followed | None) -> bool:
    """Tell whether the live file was changed after the old one beyond doubt."""
    before, after = time_of(old.position), time_of(live.position) if live else None
    return before is not None and after is not None and before < after
