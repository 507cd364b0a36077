"""Say what a file below a watched directory is read as: a log, a status file, a container's output, or nothing.

The settings and the path of a file come in; a `Wish` leaves. What the settings name comes first; then the names
that speak for themselves (`last-restore-drill`, `*.prom`); then the patterns of logs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import translate
from pathlib import PurePath

from borgwatch.sources.rotation import is_compressed

__all__ = ["PATTERNS", "Choice", "Kind", "Wish"]

PATTERNS = ("*.log", "*.txt", "*.json", "*.out", "*.err", "*.stderr", "*.stdout")
"""Names that are followed where nothing else is said."""


class Kind(Enum):
    """How a file is read."""

    LOG = "line by line, as it grows"
    STATUS = "as a whole, whenever it says something new"
    HEARTBEAT = "as a status file that may be empty: then its time of change says when"
    DOCKER = "line by line, out of the envelopes of Docker's json-file driver"


@dataclass(frozen=True, slots=True)
class Wish:
    """How to read the files whose path fits `path`; `is_named` tells that the user said so."""

    kind: Kind
    path: str = ""
    operation: str = "backup"
    is_named: bool = False


LOG = Wish(Kind.LOG)
_KNOWN_NAMES = {
    "last-restore-drill": Wish(Kind.STATUS, operation="restore"),  # docker-borg-client, since 0.9.1
    "*.prom": Wish(Kind.STATUS),  # the textfile collector of Prometheus' node exporter
}


class Choice:
    """Chooses for the files below one root, whose path has no slash at its end."""

    def __init__(self, root: str, patterns: Sequence[str] = PATTERNS, wishes: Sequence[Wish] = ()) -> None:
        self._root = root
        self._names = _any_of(pattern for pattern in patterns if "/" not in pattern)
        self._paths = _any_of(pattern for pattern in patterns if "/" in pattern)
        self._wishes = tuple(wish for wish in wishes if wish.kind in (Kind.STATUS, Kind.HEARTBEAT))
        self._known = tuple((re.compile(translate(name)), wish) for name, wish in _KNOWN_NAMES.items())

    def __call__(self, path: str) -> Wish | None:
        """Choose for the file at `path`; None where it is not to be read."""
        name = os.path.basename(path)
        if name.startswith(".") or is_compressed(name):
            return None
        relative = path.removeprefix(f"{self._root}/")
        for wish in self._wishes:
            if PurePath(relative).match(wish.path) or PurePath(path).match(wish.path):
                return wish
        if self._names.fullmatch(name) or self._paths.fullmatch(relative):
            return LOG
        return next((wish for known, wish in self._known if known.fullmatch(name)), None)


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern) for pattern in patterns) or r"(?!)")
