"""Hold what a look at a tree has found so far.

The states that were committed come in; the changed states, the lines and the budget that is left leave. Nothing in
a look counts before it is committed: `undo` puts the states back as they were, and the next look repeats it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from borgwatch.model import Line, Position
from borgwatch.sources.disk import ABSENT, UnsettledError
from borgwatch.sources.lines import Wanted
from borgwatch.sources.reading import Followed, Moment
from borgwatch.sources.returned import Returned
from borgwatch.sources.states import MOST_LOST, Identity, Lost, States, identity_of, is_lost, lost_key
from borgwatch.sources.trace import Find, Tracer

__all__ = ["Look"]


@dataclass(slots=True)
class Look:
    """A look under way. `left` and `share` are bytes: what may still be read in all, and of one file.

    `wanted` picks the `lines` to be kept; `count` says how many there were.
    """

    moment: Moment
    states: States
    tracer: Tracer
    left: int
    share: int
    wanted: Wanted | None = None
    count: int = 0
    lines: list[Line] = field(default_factory=list)
    more: bool = False
    _before: dict[str, Followed | None] = field(default_factory=dict)
    _returned: Returned | None = None

    def identities(self, keys: Iterable[str]) -> AbstractSet[Identity]:
        """Collect device and inode of the files that are followed under these keys."""
        return {identity_of(self.states[key]) for key in keys}

    def put(self, key: str, followed: Followed) -> None:
        """Note the state of a file under its key."""
        home = self._home(key)
        self._before.setdefault(key, home.get(key))
        home.put(key, followed)

    def drop(self, key: str) -> None:
        """Forget the file under a key."""
        home = self._home(key)
        self._before.setdefault(key, home.get(key))
        home.drop(key)

    def lose(self, key: str) -> None:
        """Forget the file under a key, but keep in mind how far it was read."""
        followed = self.states.get(key)
        self.drop(key)
        if followed is not None:
            self.put(self.states.lost.free_key(key, followed), replace(followed, stamp=ABSENT))
            if len(self.states.lost) > MOST_LOST:
                self.drop(next(iter(self.states.lost)))

    def known_as(self, find: Find) -> str | None:
        """Say which file that is known, or went away, a new one is: its key, to be taken up with `take_up`."""
        if self._returned is None:
            self._returned = Returned(self.states, self.tracer)
        return self._returned.key_of(find)

    def take_up(self, home: str, find: Find) -> Position:
        """Go on with a file in its new place; of where it was, only that it went away is kept in mind."""
        followed = self._home(home).get(home)
        if followed is None:
            raise KeyError(home)
        self.drop(home)
        if home in (followed.source, lost_key(followed.source)):
            gone = replace(followed, position=replace(followed.position, offset=0), stamp=ABSENT)
            self.put(lost_key(followed.source), gone)
        return replace(followed.position, device=find.stamp.device, inode=find.stamp.inode)

    def undo(self) -> None:
        """Put the states back as they were before the look."""
        for key in self._before:
            self._home(key).drop(key)
        for key, followed in self._before.items():
            if followed is not None:
                self._home(key).put(key, followed)
        self._before.clear()

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Put everything back that changes in this block, if names change meanwhile: the next look asks again.

        Else it would find a source of which nothing is known, and pass over what was never read.
        """
        outer, self._before = self._before, {}
        try:
            yield
        except UnsettledError:
            self.undo()
            raise
        finally:
            self._before = {**self._before, **outer}

    def predecessors(self, source: str) -> list[str]:
        """List the keys of a source's rotated files that are still followed, the oldest first."""
        return self.states.predecessors(source)

    def take_over_held(self, key: str, source: str) -> bytes:
        """Take what the file before this one left of a line that goes on in this one."""
        keys = self.predecessors(source)
        for before in reversed(keys[: keys.index(key)] if key in keys else keys):
            followed = self.states[before]
            if held := followed.position.held:
                self.put(before, replace(followed, position=replace(followed.position, held=b"")))
                return held
        return b""

    def changed_sources(self) -> set[str]:
        """Name the sources of which anything changed in this look."""
        found = (self._home(key).get(key) or before for key, before in self._before.items())
        return {followed.source for followed in found if followed}

    def positions(self) -> dict[str, Position | None]:
        """List the positions that changed in this look; None where there is none any more."""
        now = {key: (_position(self._home(key).get(key)), _position(self._before[key])) for key in sorted(self._before)}
        return {key: position for key, (position, before) in now.items() if position != before}

    def _home(self, key: str) -> States | Lost:
        return self.states.lost if is_lost(key) else self.states


def _position(followed: Followed | None) -> Position | None:
    return followed.position if followed else None
