"""See several watched directories as one.

The walkers of the directories come in; what they find leaves together, so that a file that moves from one directory
into another is still seen as one file. A source belongs to the directory whose name it begins with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from borgwatch.sources.choice import Wish
from borgwatch.sources.problems import Ledger
from borgwatch.sources.states import States
from borgwatch.sources.walk import Walker

__all__ = ["Roots"]


class Roots:
    """The directories of one tree, none of which lies in another."""

    def __init__(self, walkers: Sequence[Walker]) -> None:
        self._walkers = tuple(walkers)
        self._each: tuple[Mapping[str, str], ...] = ()
        self._found: Mapping[str, str] = {}

    def walk(self, ledger: Ledger, known: States) -> Mapping[str, str]:
        """Find the logs and their paths; those found by their own names come first.

        Where nothing changed since the last walk, the same mapping is given again.
        """
        each = tuple(walker.walk(ledger, known) for walker in self._walkers)
        if len(each) == 1:
            return each[0]
        if len(each) != len(self._each) or any(new is not old for new, old in zip(each, self._each, strict=True)):
            self._each = each
            pairs = list(zip(self._walkers, each, strict=True))
            own = {s: path for walker, found in pairs for s, path in found.items() if s not in walker.linked}
            self._found = own | {s: path for _, found in pairs for s, path in found.items() if s not in own}
        return self._found

    @property
    def statuses(self) -> Mapping[str, tuple[str, Wish]]:
        """The status files that the last walk found, with their paths and how they are to be read."""
        return {source: found for walker in self._walkers for source, found in walker.statuses.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the directories."""
        return tuple(walker.name for walker in self._walkers)

    @property
    def there(self) -> frozenset[str]:
        """The names of the directories that could be listed in the last walk."""
        return frozenset(walker.name for walker in self._walkers if walker.is_there)

    def name_of(self, source: str) -> str:
        """Name the directory that a source belongs to."""
        return self._of(source).name

    def source(self, path: str) -> str:
        """Name a path below one of the directories."""
        walkers = (walker for walker in self._walkers if path.startswith(f"{walker.root}/"))
        return next(walkers, self._walkers[0]).source(path)

    def path(self, source: str) -> str:
        """Say where a source's file stands by its name."""
        return self._of(source).path(source)

    def owns(self, source: str) -> bool:
        """Tell whether a source is one of these directories and still asked for."""
        return self._of(source).owns(source)

    def is_status(self, source: str) -> bool:
        """Tell whether a source is a status file of these directories."""
        return self._of(source).is_status(source)

    def is_of_interest(self, path: str) -> bool:
        """Tell whether a path may be that of a file to be read, or of a generation of one."""
        return any(walker.is_of_interest(path) for walker in self._walkers)

    def paths_with(self, inode: int) -> Iterator[str]:
        """Find the names, of whatever kind of file, that had this inode number in the last walk."""
        return (path for walker in self._walkers for path in walker.paths_with(inode))

    def _of(self, source: str) -> Walker:
        walkers = (walker for walker in self._walkers if source.startswith(f"{walker.name}/"))
        return next(walkers, self._walkers[0])
