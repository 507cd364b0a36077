"""Follow one source through growth, rotation and rewriting.

A source's name and the `Look` under way come in; the lines read and the states that follow are put into the look.
The decision table (`position`) says what to do with the live name; its rotated files, the predecessors, are read
before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from borgwatch.model import Position
from borgwatch.sources.disk import ABSENT, OpenFile, Stamp, is_deleted, open_if_there, stamp_at
from borgwatch.sources.look import Look
from borgwatch.sources.position import Action, Seen, compare, decide, fingerprint, proof_of, shifted, span_before
from borgwatch.sources.predecessors import Predecessors, changed_ns
from borgwatch.sources.problems import Ledger
from borgwatch.sources.reading import Followed, Moment
from borgwatch.sources.share import Limits, take_share
from borgwatch.sources.states import Identity
from borgwatch.sources.trace import Find, holds, place_behind_overlap

__all__ = ["Follower"]

_PATIENCE = 1.0
"""Seconds that an emptied file has to be written anew with the same lines."""


@dataclass(frozen=True, slots=True)
class _Visit:
    """One visit to a live name: what is known, and what is there.

    `stamp` is that of the file that has the name, `file` is it unless it is followed under another key. `find` is
    where the known file went, `place` where reading goes on in a rewritten one. `home` is the key of the file that
    a new one was known as.
    """

    source: str
    path: str
    known: Followed | None
    stamp: Stamp | None
    file: OpenFile | None
    find: Find | None = None
    place: int | None = None
    home: str | None = None


class Follower:
    """Visit the sources of one tree; `path_of` says where the live file of a source stands."""

    def __init__(
        self, limits: Limits, ledger: Ledger, predecessors: Predecessors, path_of: Callable[[str], str]
    ) -> None:
        self._limits = limits
        self._ledger = ledger
        self._predecessors = predecessors
        self._path_of = path_of
        self._aliases: dict[str, tuple[Identity, str]] = {}

    def visit(self, source: str, look: Look) -> None:
        """Read what is new in a source, as far as the look's share goes."""
        if source not in look.states:
            self._predecessors.pick_up_beside_empty(source, look)
        if self._predecessors.read(source, look):
            self._look_at_live(source, look)

    def is_alias(self, source: str, find: Find, look: Look) -> bool:
        """Tell whether a file found under a source's name is already followed under another key.

        It is so for hard links, symbolic links, and a rotated file whose new name would make it a source as well. A
        new file that merely got the inode number of one that is gone is no alias.
        """
        identity = find.stamp.identity
        owner = look.states.owner(identity)
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
            if action is Action.RECALL:
                home = look.known_as(Find(path, visit.file.stamp)) if visit.file else None
                action = decide(replace(seen, recalled=home is not None))
                visit = replace(visit, home=home)
            if known and action is Action.SEARCH:
                look.tracer.settle(path, stamp)
                whereabouts, find = look.tracer.whereabouts(path, known.position, look.states.followed)
                place = place_behind_overlap(visit.file, known.position, self._limits.max_line) if visit.file else None
                action = decide(replace(seen, whereabouts=whereabouts, overlap=place is not None))
                visit = replace(visit, find=find, place=place)
            with look.all_or_nothing():
                self._find_predecessors(action, visit, look)
            self._act(action, visit, look)

    def _find_predecessors(self, action: Action, visit: _Visit, look: Look) -> None:
        """Find what is to be read before the file that has the live name now."""
        source, path, known = visit.source, visit.path, visit.known
        match action:
            case Action.FRESH | Action.RESUMED:
                self._predecessors.pick_up_unseen(source, path, visit.stamp, look)
            case Action.READ_ON if known and _waited(known) and look.predecessors(source):
                # What it held may have been copied away meanwhile.
                self._predecessors.pick_up_unseen(source, path, visit.stamp, look)
            case Action.ROTATED if known and visit.find:
                self._predecessors.hand_down(known, visit.find, look)
                self._predecessors.pick_up(source, path, visit.find, changed_ns(known.position), look)
                if known.position.offset == 0:
                    # Nothing proves that this is the known file: one that came later may have got its inode number.
                    self._predecessors.pick_up(source, path, None, changed_ns(known.position), look)
            case Action.START_OVER if known and visit.file:
                look.lose(source)  # a generation may have got its inode number
                self._predecessors.pick_up(source, path, None, changed_ns(known.position), look)
            case Action.GONE if known and is_deleted(path, known.position.device):
                # what came after it and was rotated
                self._predecessors.pick_up(source, path, None, changed_ns(known.position), look)
                look.lose(source)

    def _act(self, action: Action, visit: _Visit, look: Look) -> None:
        source, path, known, file = visit.source, visit.path, visit.known, visit.file
        match action:
            case Action.FRESH | Action.RESUMED:
                self._begin(visit, look)
            case Action.READ_ON if known and _waited(known) and not self._predecessors.read(source, look):
                pass  # its turn has not come
            case Action.IDLE | Action.READ_ON if known and file:
                take_share(source, replace(known, path=path), file, look, self._limits, self._ledger)
            case Action.WAIT if known and file:
                look.put(source, known.looked_at(file.stamp, look.moment.monotonic))
            case Action.ROTATED if known and visit.find:
                self._begin(visit, look)
            case Action.SHIFTED if known and file and visit.place is not None:
                position = _position_behind(file, known.position, visit.place)
                take_share(
                    source,
                    replace(known, path=path, position=position, stamp=None),
                    file,
                    look,
                    self._limits,
                    self._ledger,
                )
            case Action.START_OVER if known and file:
                self._begin(visit, look)
            case Action.GONE if known and source in look.states:
                look.put(source, known.looked_at(ABSENT, look.moment.monotonic))

    def _begin(self, visit: _Visit, look: Look) -> None:
        """Begin with the file that has the live name now, once its predecessors are read.

        From its start, unless it was known elsewhere.
        """
        look.drop(visit.source)
        is_read = self._predecessors.read(visit.source, look)
        if visit.file is None:
            return
        find = Find(visit.path, visit.file.stamp)
        position = look.take_up(visit.home, find) if visit.home else Position(*find.stamp.identity, 0)
        fresh = Followed(visit.source, visit.path, position)
        if is_read or visit.file.stamp.size == 0:  # an empty one has no turn to wait for, and is noted with its proof
            take_share(visit.source, fresh, visit.file, look, self._limits, self._ledger)
        else:
            look.put(visit.source, fresh)


def _seen(known: Followed | None, file: OpenFile | None, moment: Moment) -> Seen:
    if file is None or known is None:
        return Seen(known=known is not None, present=file is not None)
    return Seen(
        same=file.stamp.identity == (known.position.device, known.position.inode),
        size=compare(file.stamp.size, known.position.offset),
        anchor=holds(file, known.position) and not _may_be_another(known.position, file.stamp),
        patient=known.stamp == file.stamp and moment.monotonic - known.since >= _PATIENCE,
    )


def _waited(known: Followed) -> bool:
    """Tell whether a live file was found and not yet read, and is not the past."""
    return not known.position.anchor and not known.position.past_until


def _may_be_another(position: Position, stamp: Stamp) -> bool:
    """Tell whether an empty file may have been replaced: nothing proves it then but that it was not changed.

    To start over costs nothing, and finds what was live in between.
    """
    proof = proof_of(position)
    return position.offset == 0 and proof is not None and proof.changed_ns != stamp.changed_ns


def _position_behind(file: OpenFile, position: Position, place: int) -> Position:
    """Move a position to the place found in a rewritten file, and make its proof anew."""
    stamp, span = file.stamp, span_before(place)
    anchor = fingerprint(file.read(place - span, span), stamp.changed_ns, (), proof_of(position))
    moved = shifted(position, place)
    return replace(moved, device=stamp.device, inode=stamp.inode, anchor=anchor, skipping=False)
