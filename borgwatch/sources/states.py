"""Keep what is known of the files of a tree, by key, and find it by file and by source as well.

A live file's key is its source; a rotated one's is made of its source and its inode.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from itertools import count, takewhile

from borgwatch.sources.reading import Followed
from borgwatch.sources.rotation import generation

__all__ = [
    "MOST_LOST",
    "Identity",
    "Lost",
    "States",
    "followed_key",
    "is_lost",
    "lost_key",
    "source_of",
]

_PREDECESSOR = "\0"
_LOST = "\0lost"
MOST_LOST = 5000
"""Files that went away of which it is kept in mind how far they were read; of more, the first ones are forgotten."""

Identity = tuple[int, int]
"""Device and inode."""


def source_of(key: str) -> str:
    """Name the source that a key belongs to: the live file's key is the source itself."""
    return key.partition(_PREDECESSOR)[0]


def lost_key(key: str) -> str:
    """Make the key under which a file is kept in mind that was followed under `key` and went away."""
    return key + _LOST


def is_lost(key: str) -> bool:
    """Tell whether a key is that of a file that went away."""
    return key.endswith(_LOST)


def followed_key(key: str) -> str:
    """Name the key under which a file is, or was, followed."""
    return key.removesuffix(_LOST)


def _lost_keys(key: str) -> Iterator[str]:
    return (lost_key(key + "+" * more) for more in count())


class Lost:
    """The files that went away, by their keys, the latest last."""

    def __init__(self) -> None:
        self._files: dict[str, Followed] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def get(self, key: str) -> Followed | None:
        """Look a key up."""
        return self._files.get(key)

    def free_key(self, key: str, followed: Followed) -> str:
        """Make the key for a file that was followed under `key`; rotated ones with one inode number stand together.

        Of live ones the last is enough: it tells what came after it.
        """
        if key == followed.source:
            return lost_key(key)
        keys = _lost_keys(key)
        return next(one for one in keys if one not in self._files or self._files[one].position == followed.position)

    def keys_of(self, key: str) -> Iterator[str]:
        """Give the keys of the files that were followed under `key`, one after the other."""
        return takewhile(self._files.__contains__, _lost_keys(key))

    def put(self, key: str, followed: Followed) -> None:
        """Keep a file in mind, as the latest."""
        self.drop(key)
        self._files[key] = followed

    def drop(self, key: str) -> None:
        """Forget the file under a key, if there is one."""
        self._files.pop(key, None)


class States:
    """The files that are known, and those that are `lost`. `version` changes with the set of keys."""

    def __init__(self) -> None:
        self.version = 0
        self.lost = Lost()
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

    def predecessor_key(self, source: str, identity: Identity) -> str:
        """Make the key under which a rotated file of `source` is followed beside the live one.

        Another file may have the key already: one that had this inode number before it was compressed, for instance.
        """
        keys = (f"{source}{_PREDECESSOR}{identity[1]}{'+' * more}" for more in count())
        return next(key for key in keys if key not in self or identity_of(self._states[key]) == identity)

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
