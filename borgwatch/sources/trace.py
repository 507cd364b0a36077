"""Find out where a rotated file went, and what else was live in between.

A position whose file is no longer under its name comes in; where the file is now, the unread generations that came
after it, and the place where a rewritten file goes on leave. Reads the disk through `disk`; a directory is listed
once in a look, unless it turns out to have changed since.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from operator import itemgetter

from borgwatch.model import Position
from borgwatch.sources.compressed import Unpacker, UnpackError
from borgwatch.sources.disk import Content, Stamp, UnsettledError, listing, stamp_at
from borgwatch.sources.lines import Piece, split
from borgwatch.sources.position import (
    Whereabouts,
    behind_overlap,
    kept_time,
    may_be_again,
    proof_of,
    proves,
    span_before,
)
from borgwatch.sources.problems import Ledger
from borgwatch.sources.rotation import Generation, generation, is_compressed, may_be_copy

__all__ = ["MAX_SEARCHED", "Find", "Tracer", "holds", "place_behind_overlap"]

MAX_SEARCHED = 8 * 1024 * 1024
"""How far into a rewritten file the place to go on is looked for, in bytes; a larger one starts over."""
_BLOCK = 256 * 1024
_TRIES = 8
_COARSE_NS = 2_000_000_000
"""How far times of change may be off that a tool has copied to another file."""


@dataclass(frozen=True, slots=True)
class Find:
    """A file found: where it is and what the disk says of it."""

    path: str
    stamp: Stamp


class _Directory:
    """Two listings in a row of a directory; what holds for one source is taken from the later one.

    A directory that is renamed in while it is listed may show a file twice or not at all. So both listings have to
    agree on the names that begin like a live file's; what happens to other files in the directory does not matter.
    """

    def __init__(self, path: str, before: Mapping[str, Stamp], files: Mapping[str, Stamp]) -> None:
        self.files = files
        self._path = path
        self._before = before
        self._names = sorted(files)
        self._names_before = sorted(before)
        self._by_identity: dict[tuple[int, int], list[str]] = {}
        for name, stamp in files.items():
            self._by_identity.setdefault(stamp.identity, []).append(name)

    def agrees_on(self, live: str) -> bool:
        """Tell whether both listings show the same files under the names of a live file and its generations."""
        before = {name: self._before[name].identity for name in _beginning_with(live, self._names_before)}
        return before == {name: self.files[name].identity for name in _beginning_with(live, self._names)}

    def listed_anew(self) -> _Directory:
        """List the directory once more."""
        return _Directory(self._path, self.files, listing(self._path))

    def with_identity(self, identity: tuple[int, int]) -> Iterator[Find]:
        """Find the names of a file."""
        return map(self._find, self._by_identity.get(identity, ()))

    def generations(self, live: str) -> Iterator[tuple[Generation, Find]]:
        """Find the generations of a live file; one that is being compressed counts as it was."""
        for name in _beginning_with(live, self._names):
            one = generation(live, name)
            if one and not (one.compressed and os.path.splitext(name)[0] in self.files):
                yield one, self._find(name)

    def possible_copies(self, live: str) -> Iterator[Find]:
        """Find the files that may be rotations of a live file by their names, and may be anything else."""
        for name in _beginning_with(os.path.splitext(live)[0], self._names):
            if may_be_copy(live, name):
                yield self._find(name)

    def _find(self, name: str) -> Find:
        return Find(os.path.join(self._path, name), self.files[name])


class Tracer:
    """Look for rotated files, for the length of one look."""

    def __init__(self, paths_with: Callable[[int], Iterable[str]], unpacker: Unpacker, ledger: Ledger) -> None:
        self._paths_with = paths_with
        self._unpacker = unpacker
        self._ledger = ledger
        self._directories: dict[str, _Directory] = {}

    def settle(self, live: str, stamp: Stamp | None) -> None:
        """Make sure that the listing of a live file's directory shows it as it was found; list anew if not."""
        directory, name = os.path.split(live)
        expected = stamp.identity if stamp else None
        for _ in range(2):
            shown = self._around(live).files.get(name)
            if (shown.identity if shown else None) == expected:
                return
            self._directories[directory] = self._directories[directory].listed_anew()
        raise UnsettledError(f"{live}: changed while it was looked at")

    def whereabouts(
        self, live: str, position: Position, followed: Container[tuple[int, int]]
    ) -> tuple[Whereabouts, Find | None]:
        """Find the file of `position` under any name but `live`.

        By a name that may be anything, only a file that is not `followed` as another.
        """
        for find in self._same_inode(live, position):
            if self.moved_here(live, position, find):
                return Whereabouts.MOVED, find
        for find in self.generations(live):
            if self._is_renumbered(find, position) and self.moved_here(live, position, find):
                return Whereabouts.MOVED, find
        # Generations may hold the same where the proof is; that which kept the old time of change is asked first.
        for find in sorted(self.generations(live), key=lambda find: not kept_time(position, find.stamp)):
            if self.copied_here(live, find, position):
                return Whereabouts.COPIED, find
        for find in self._around(live).possible_copies(os.path.basename(live)):
            if find.stamp.identity not in followed and self.copied_here(live, find, position):
                return Whereabouts.COPIED, find
        return Whereabouts.NOWHERE, None

    def younger(self, live: str, than: Find | None, since_ns: int, followed: Container[tuple[int, int]]) -> list[Find]:
        """Find the generations of `live` that came after the file `than` and were not `followed`, the oldest first.

        Where that file is gone, or its name tells nothing, those count that were not changed before `since_ns`.
        (The same time will do: what was live before the lost file is still followed if it is that young. Not so for
        a compressed one, which is another file than the one that was followed.)
        """
        name = os.path.basename(live)
        known = generation(name, os.path.basename(than.path)) if than else None
        found = []
        for one, find in self._around(live).generations(name):
            if known and known.family == one.family:
                is_later = one.rank > known.rank
            else:
                is_later = find.stamp.changed_ns >= since_ns + one.compressed
            if is_later and find.stamp.identity not in followed:
                found.append(((one.family, one.rank), find))
        return [find for _, find in sorted(found, key=itemgetter(0))]

    def generations(self, live: str) -> list[Find]:
        """Find all generations of `live`, the oldest first."""
        name = os.path.basename(live)
        found = [((one.family, one.rank), find) for one, find in self._around(live).generations(name)]
        return [find for _, find in sorted(found, key=itemgetter(0))]

    def youngest(self, live: str, identities: Container[tuple[int, int]]) -> Find | None:
        """Find the youngest generation of `live` among the files with these devices and inodes."""
        found = [find for find in self.generations(live) if find.stamp.identity in identities]
        return found[-1] if found else None

    def _same_inode(self, live: str, position: Position) -> Iterator[Find]:
        identity = (position.device, position.inode)
        directory = os.path.dirname(live)
        for find in self._around(live).with_identity(identity):
            if find.path != live:
                yield find
        for path in self._paths_with(position.inode):
            stamp = stamp_at(path) if os.path.dirname(path) != directory else None
            if stamp and stamp.identity == identity:
                yield Find(path, stamp)

    def moved_here(self, live: str, position: Position, find: Find) -> bool:
        """Tell a file that was moved from one that merely got a free inode number anew.

        With nothing behind the offset, a moved file also has its old time of change; with nothing before it,
        only its name tells.
        """
        proof = proof_of(position)
        if proof and position.offset == 0 and is_compressed(find.path):
            return False  # it was seen empty; what is compressed now is another that got its number
        if proof is None or position.offset == 0:
            return generation(os.path.basename(live), os.path.basename(find.path)) is not None
        if is_compressed(find.path):
            return self.copied_here(live, find, position)
        if find.stamp.size == position.offset and find.stamp.changed_ns != proof.changed_ns:
            return False
        return self._holds_at(find, position)

    @staticmethod
    def _is_renumbered(find: Find, position: Position) -> bool:
        """Tell a file that may be the known one, on a file system with another device number since a reboot."""
        return find.stamp.inode == position.inode and find.stamp.device != position.device

    def copied_here(self, live: str, find: Find, position: Position) -> bool:
        """Tell whether a rotated file with another inode holds what was read, as it is or compressed."""
        proof = proof_of(position)
        if position.offset == 0 or proof is None:
            return False
        if is_compressed(find.path):
            if find.stamp.changed_ns < proof.changed_ns - _COARSE_NS:  # compressing keeps the time of change
                return False
        elif find.stamp.size < position.offset:
            return False
        return self._holds_if_readable(live, find, position)

    def is_again(self, find: Find, position: Position) -> bool:
        """Tell whether a file that is new under its name is the one of `position`."""
        may_be = may_be_again(position, find.stamp, packed=is_compressed(find.path))
        return may_be and self._holds_if_readable(find.path, find, position)

    def _holds_if_readable(self, where: str, find: Find, position: Position) -> bool:
        try:
            return self._holds_at(find, position)
        except PermissionError:
            return False  # an old generation that is kept from us is no reason to leave the live file unread
        except UnpackError as error:
            self._ledger.note(where, f"{error}; if it holds unread lines, they are lost")
            return False

    def _holds_at(self, find: Find, position: Position) -> bool:
        if not is_compressed(find.path):
            return self._looked_into(find, position)
        return self._unpacker.remembered((find.stamp, position), lambda: self._looked_into(find, position))

    def _looked_into(self, find: Find, position: Position) -> bool:
        with self._unpacker.open(find.path) as file:
            if file.stamp.identity != find.stamp.identity:
                raise UnsettledError(f"{find.path}: renamed while it was looked at")
            return holds(file, position)

    def _around(self, live: str) -> _Directory:
        """List the directory of a live file, until two listings in a row agree on it."""
        directory, name = os.path.split(live)
        listed = self._directories.get(directory)
        if listed is None:
            listed = _Directory(directory, {}, listing(directory)).listed_anew()
        for _ in range(_TRIES):
            self._directories[directory] = listed
            if listed.agrees_on(name):
                return listed
            listed = listed.listed_anew()
        raise UnsettledError(f"{live}: renamed faster than its directory can be listed")


def _beginning_with(start: str, names: Sequence[str]) -> Iterator[str]:
    at = bisect_left(names, start)
    return takewhile(lambda name: name.startswith(start), islice(names, at, None))


def holds(file: Content, position: Position) -> bool:
    """Tell whether the proof of `position` holds in a file."""
    if file.stamp.size < position.offset:
        return False
    span = span_before(position.offset)
    same = file.stamp.identity == (position.device, position.inode)
    return proves(position, file.read(position.offset - span, span), same=same)


def place_behind_overlap(file: Content, position: Position, limit: int) -> int | None:
    """Find the place behind the lines already read in a file that may have been rewritten."""
    proof = proof_of(position)
    if proof is None or file.stamp.size > MAX_SEARCHED:
        return None
    return behind_overlap(proof, _pieces(file, limit))


def _pieces(file: Content, limit: int) -> Iterator[Piece]:
    at, skipping = 0, False
    while block := file.read(at, max(_BLOCK, limit + 2)):
        result = split(block, at, skipping=skipping, limit=limit)
        yield from result.pieces
        if result.offset == at:
            return
        at, skipping = result.offset, result.skipping
