"""Hold what a look at a tree has found so far.

The states that were committed come in; the changed states, the lines and the budget that is left leave. Nothing in
a look counts before it is committed: `undo` puts the states back as they were, and the next look repeats it.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from borgwatch.model import Line, Position
from borgwatch.sources.lines import Wanted
from borgwatch.sources.reading import Followed, Moment
from borgwatch.sources.states import Identity, States, identity_of
from borgwatch.sources.trace import Tracer

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

    def identities(self, keys: Iterable[str]) -> AbstractSet[Identity]:
        """Collect device and inode of the files that are followed under these keys."""
        return {identity_of(self.states[key]) for key in keys}

    def put(self, key: str, followed: Followed) -> None:
        """Note the state of a file under its key."""
        self._before.setdefault(key, self.states.get(key))
        self.states.put(key, followed)

    def drop(self, key: str) -> None:
        """Forget the file under a key."""
        self._before.setdefault(key, self.states.get(key))
        self.states.drop(key)

    def undo(self) -> None:
        """Put the states back as they were before the look."""
        for key in self._before:
            self.states.drop(key)
        for key, followed in self._before.items():
            if followed is not None:
                self.states.put(key, followed)
        self._before.clear()

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
        found = (self.states.get(key) or before for key, before in self._before.items())
        return {followed.source for followed in found if followed}

    def positions(self) -> dict[str, Position | None]:
        """List the positions that changed in this look; None where there is none any more."""
        now = {key: (_position(self.states.get(key)), _position(self._before[key])) for key in sorted(self._before)}
        return {key: position for key, (position, before) in now.items() if position != before}


def _position(followed: Followed | None) -> Position | None:
    return followed.position if followed else None
