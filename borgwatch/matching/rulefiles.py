"""Tell when rule files have changed: an edge that looks at names, sizes and times, and reads nothing.

The time of the last change of any kind is among them (`ctime`), for a file may be replaced by another of the same size
and age, and one that could not be read may be given the right.

Looking is the truth here, as for logs; a notification only makes the look come sooner. A change counts once the files
have stood still for a moment, so that a file that an editor is still writing is not taken for a broken one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from borgwatch.matching.load import is_rule_file

__all__ = ["RuleFiles"]

_SETTLE = 0.5
"""Seconds for which changed files must stand still."""

_Look = tuple[tuple[str, int, int, int, int], ...]


class RuleFiles:
    """The rule files in some directories, as they were when they were last read."""

    def __init__(self, directories: Sequence[Path], monotonic: Callable[[], float]) -> None:
        self._directories = tuple(directories)
        self._monotonic = monotonic
        self._known = self._seen = self._look()
        self._since = monotonic()

    def changed(self) -> bool:
        """Say whether the files are to be read again: once for each change, as soon as it has settled."""
        look, now = self._look(), self._monotonic()
        if look != self._seen:
            self._seen, self._since = look, now
        if look == self._known or now - self._since < _SETTLE:
            return False
        self._known = look
        return True

    def taken(self) -> None:
        """Take the files as they are now for known: they were just read for another reason."""
        self._known = self._seen = self._look()

    def _look(self) -> _Look:
        found: list[tuple[str, int, int, int, int]] = []
        for directory in self._directories:
            try:
                with os.scandir(directory) as entries:
                    found.extend(_facts(entry) for entry in entries if is_rule_file(entry.name))
            except OSError:
                continue  # that it cannot be read is told when it is read
        return tuple(sorted(found))


def _facts(entry: os.DirEntry[str]) -> tuple[str, int, int, int, int]:
    try:
        status = entry.stat()
    except OSError:
        return entry.path, 0, 0, 0, 0
    return entry.path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
