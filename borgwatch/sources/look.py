"""Hold what a look at a tree has found so far.

The states that were committed come in; the changed states, the lines and the budget that is left leave. Nothing in
a look counts before it is committed, so dropping it repeats it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from borgwatch.model import Line, Position
from borgwatch.sources.lines import Wanted
from borgwatch.sources.reading import Followed, Moment
from borgwatch.sources.rotation import generation
from borgwatch.sources.trace import Tracer

__all__ = ["Look", "predecessor_key", "source_of"]

_PREDECESSOR = "\0"

Identity = tuple[int, int]


def predecessor_key(source: str, inode: int) -> str:
    """Make the key under which a rotated file of `source` is followed beside the live one."""
    return f"{source}{_PREDECESSOR}{inode}"


def source_of(key: str) -> str:
    """Name the source that a key belongs to: the live file's key is the source itself."""
    return key.partition(_PREDECESSOR)[0]


@dataclass(slots=True)
class Look:
    """A look under way. `left` and `share` are bytes: what may still be read in all, and of one file.

    `wanted` picks the `lines` to be kept; `count` says how many there were.
    """

    moment: Moment
    states: dict[str, Followed]
    tracer: Tracer
    left: int
    share: int
    wanted: Wanted | None = None
    count: int = 0
    lines: list[Line] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    more: bool = False
    _owners: dict[Identity, str] = field(init=False)
    _predecessors: dict[str, list[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Index the states that the look begins with."""
        self._owners = {_identity(followed): key for key, followed in self.states.items()}
        for key, followed in self.states.items():
            if key != followed.source:
                self._predecessors.setdefault(followed.source, []).append(key)

    @property
    def sources(self) -> AbstractSet[str]:
        """The sources of which anything is known: a live file, predecessors, or both."""
        return {followed.source for followed in self.states.values()}

    def identities(self, keys: Iterable[str]) -> AbstractSet[Identity]:
        """Collect device and inode of the files that are followed under these keys."""
        return {_identity(self.states[key]) for key in keys}

    def put(self, key: str, followed: Followed) -> None:
        """Note the state of a file under its key."""
        self._release(key)
        if key != followed.source and key not in self.states:
            self._predecessors.setdefault(followed.source, []).append(key)
        self.states[key] = followed
        self._owners[_identity(followed)] = key
        self.changed.add(key)

    def drop(self, key: str) -> None:
        """Forget the file under a key."""
        if key not in self.states:
            return
        self._release(key)
        old = self.states.pop(key)
        if key != old.source:
            self._predecessors[old.source].remove(key)
        self.changed.add(key)

    def owner(self, identity: Identity) -> str | None:
        """Say under which key the file with this device and inode is followed."""
        return self._owners.get(identity)

    def predecessors(self, source: str) -> list[str]:
        """List the keys of a source's rotated files that are still followed, the oldest first."""
        keys = self._predecessors.get(source, [])
        return sorted(keys, key=lambda key: self._age(self.states[key], source)) if len(keys) > 1 else list(keys)

    def positions_since(self, committed: dict[str, Followed]) -> dict[str, Position | None]:
        """List the positions that differ from the committed ones; None where there is none any more."""
        now = {key: _position(self.states.get(key)) for key in sorted(self.changed)}
        return {key: position for key, position in now.items() if position != _position(committed.get(key))}

    def _age(self, followed: Followed, source: str) -> tuple[str, tuple[int, ...]]:
        found = generation(os.path.basename(source), os.path.basename(followed.path))
        return (found.family, found.rank) if found else ("", ())

    def _release(self, key: str) -> None:
        old = self.states.get(key)
        if old and self._owners.get(_identity(old)) == key:
            del self._owners[_identity(old)]


def _identity(followed: Followed) -> Identity:
    return followed.position.device, followed.position.inode


def _position(followed: Followed | None) -> Position | None:
    return followed.position if followed else None
