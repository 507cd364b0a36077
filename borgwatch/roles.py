"""What a source stands for: the job it belongs to, and the operation of a closing line that names none. Pure.

A file `/watch/<name>/…` belongs to job `<name>`; one that lies in a watched directory itself gives the job its own
name, without the date that a script may have put into it. Settings (`sources:`) say otherwise for some files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath

from borgwatch.config import SourceSetting
from borgwatch.judge import SourceRole

__all__ = ["Roles"]

_DATE = r"(?:19|20)\d\d[-_.]?\d\d[-_.]?\d\d"
_DATE_FIRST = re.compile(rf"{_DATE}(?:[-_.T@]?[\d:]+)*[-_.@]*")
_DATE_AND_REST = re.compile(rf"[-_.@]?{_DATE}.*$")
_MAX_CACHED = 4096


@dataclass(frozen=True, eq=False)
class Roles:
    """Tells the role of every source; sources are named by their path."""

    watch: Sequence[Path]
    settings: Sequence[SourceSetting]

    def __call__(self, source: str) -> SourceRole:
        """Look a source up."""
        return _role(self, source)

    def find(self, source: str) -> SourceRole:
        """Work the role of a source out; a call looks into the cache first."""
        relative = self._below_watch(PurePath(source))
        job, operation = _job(relative), None
        for setting in self.settings:
            if relative.match(setting.path) or PurePath(source).match(setting.path):
                job, operation = setting.job or job, setting.operation
                break
        return SourceRole(job, operation or "backup")

    def _below_watch(self, path: PurePath) -> PurePath:
        for directory in self.watch:
            if path.is_relative_to(directory):
                return path.relative_to(directory)
        return PurePath(path.name)


@lru_cache(maxsize=_MAX_CACHED)
def _role(roles: Roles, source: str) -> SourceRole:
    return roles.find(source)


def _job(relative: PurePath) -> str:
    if len(relative.parts) > 1:
        return relative.parts[0]
    stem = _DATE_FIRST.sub("", relative.stem, count=1) if _DATE_FIRST.match(relative.stem) else relative.stem
    return _DATE_AND_REST.sub("", stem) or "backup"
