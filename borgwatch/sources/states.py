"""Keep what is known of the files of a tree, by key, and find it by file and by source as well.

A live file's key is its source; a rotated one's is made of its source and its inode.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from borgwatch.sources.reading import Followed
from borgwatch.sources.rotation import generation

__all__ = ["Identity", "States", "predecessor_key", "source_of"]

_PREDECESSOR = "\0"

Identity = tuple[int, int]
"""Device and inode."""


def predecessor_key(source: str, inode: int) -> str:
    """Make the key under which a rotated file of `source` is followed beside the live one."""
    return f"{source}{_PREDECESSOR}{inode}"


def source_of(key: str) -> str:
    """Name the source that a key belongs to: the live file's key is the source itself."""
    return key.partition(_PREDECESSOR)[0]


class States:
    """The files that are known. `version` changes with the set of keys."""

    def __init__(self) -> None:
        self.version = 0
        self._states: dict[str, Followed] = {}
        self._owners: dict[Identity, str] = {}
        self._predecessors: dict[str, list[str]] = {}

    def __getitem__(self, key: str) -> Followed:
        return self._states[key]

    def __contains__(self, key: object) -> bool:
        return key in self._states

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def get(self, key: str) -> Followed | None:
        """Look a key up."""
        return self._states.get(key)

    def put(self, key: str, followed: Followed) -> None:
        """Note the state of a file under its key."""
        old = self._states.get(key)
        if old is None:
            self.version += 1
            if key != followed.source:
                self._predecessors.setdefault(followed.source, []).append(key)
        elif identity_of(old) != identity_of(followed):
            self._release(key, old)
        self._states[key] = followed
        self._owners[identity_of(followed)] = key

    def drop(self, key: str) -> None:
        """Forget the file under a key, if there is one."""
        old = self._states.pop(key, None)
        if old is None:
            return
        self.version += 1
        self._release(key, old)
        if key != old.source:
            self._predecessors[old.source].remove(key)
            if not self._predecessors[old.source]:
                del self._predecessors[old.source]

    def knows(self, source: str) -> bool:
        """Tell whether anything is known of a source: a live file, predecessors, or both."""
        return source in self._states or source in self._predecessors

    def has_predecessors(self, source: str) -> bool:
        """Tell whether rotated files of a source are still followed."""
        return source in self._predecessors

    def owner(self, identity: Identity) -> str | None:
        """Say under which key the file with this device and inode is followed."""
        return self._owners.get(identity)

    @property
    def followed(self) -> Collection[Identity]:
        """Device and inode of all files that are followed."""
        return self._owners.keys()

    def predecessors(self, source: str) -> list[str]:
        """List the keys of a source's rotated files that are still followed, the oldest first."""
        keys = self._predecessors.get(source, ())
        return sorted(keys, key=lambda key: self._age(self._states[key], source)) if len(keys) > 1 else list(keys)

    def keys_of(self, source: str) -> list[str]:
        """List the keys of all files of a source."""
        return [*self._predecessors.get(source, ()), *([source] if source in self._states else ())]

    def _age(self, followed: Followed, source: str) -> tuple[str, tuple[int, ...]]:
        found = generation(os.path.basename(source), os.path.basename(followed.path))
        return (found.family, found.rank) if found else ("", ())

    def _release(self, key: str, old: Followed) -> None:
        if self._owners.get(identity_of(old)) == key:
            del self._owners[identity_of(old)]


def identity_of(followed: Followed) -> Identity:
    """Device and inode of a file that is followed."""
    return followed.position.device, followed.position.inode
