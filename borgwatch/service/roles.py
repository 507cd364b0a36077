"""What a source stands for: the job it belongs to, and the operation of a closing line that names none. Pure.

A file `/watch/<name>/…` belongs to job `<name>`; one that lies in a watched directory itself gives the job its own
name, without the date that a script may have put into it. A container's output belongs to the job of its name.
Settings (`sources:`) say otherwise for some files.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePath

from borgwatch.judge import SourceRole
from borgwatch.settings import SourceSetting
from borgwatch.sources.app_output import app_of
from borgwatch.sources.choice import Kind, Wish
from borgwatch.sources.docker import Containers, Pick

__all__ = ["Roles", "picks_in", "wishes_in"]

_DATE = r"(?:19|20)\d\d[-_.]?\d\d[-_.]?\d\d"
_DATE_FIRST = re.compile(rf"{_DATE}(?:[-_.T@]?[\d:]+)*[-_.@]*")
_DATE_AND_REST = re.compile(rf"[-_.@]?{_DATE}.*$")
_MAX_CACHED = 512


def wishes_in(settings: Sequence[SourceSetting]) -> tuple[Wish, ...]:
    """Say which files the settings want to be read as status or heartbeat files."""
    return tuple(
        Wish(Kind[setting.kind.upper()], setting.path, setting.operation or "backup", is_named=True)
        for setting in settings
        if setting.kind in ("status", "heartbeat")
    )


def picks_in(settings: Sequence[SourceSetting]) -> tuple[Pick, ...]:
    """Say which containers the settings choose."""
    return tuple(
        Pick(setting.container, setting.job, setting.operation) for setting in settings if setting.kind == "docker"
    )


@dataclass(frozen=True, eq=False)
class Roles:
    """Tells the role of every source; sources are named by their path."""

    watch: Sequence[Path]
    settings: Sequence[SourceSetting]
    containers: Containers = field(default_factory=Containers)

    def __call__(self, source: str) -> SourceRole:
        """Look a source up."""
        return _role(self, source)

    def find(self, source: str) -> SourceRole:
        """Work the role of a source out; a call looks into the cache first."""
        if owner := self.containers.owner(source):
            container, pick = owner
            return SourceRole(pick.job or container.name or "backup", pick.operation or "backup")
        if of_app := app_of(source):
            return self._of_app(*of_app)
        relative = self._below_watch(source)
        job, operation = _job(relative), None
        for setting in self.settings:
            if setting.path and (PurePath(relative).match(setting.path) or PurePath(source).match(setting.path)):
                job, operation = setting.job or job, setting.operation
                break
        return SourceRole(job, operation or "backup")

    def _of_app(self, app: str, service: str) -> SourceRole:
        for setting in self.settings:
            if setting.kind == "truenas-app" and setting.app == app and setting.service in ("", service):
                return SourceRole(setting.job or app, setting.operation or "backup")
        return SourceRole(app)

    def _below_watch(self, source: str) -> str:
        """Take the watched directory away. By text: a path object keeps the names of thousands of files for good."""
        for directory in self.watch:
            if source.startswith(start := f"{str(directory).rstrip('/')}/"):
                return source.removeprefix(start)
        return PurePath(source).name


@lru_cache(maxsize=_MAX_CACHED)
def _role(roles: Roles, source: str) -> SourceRole:
    return roles.find(source)


def _job(relative: str) -> str:
    first, slash, _ = relative.partition("/")
    if slash:
        return sys.intern(first)  # thousands of runs may be of one job
    stem = PurePath(relative).stem
    stem = _DATE_FIRST.sub("", stem, count=1) if _DATE_FIRST.match(stem) else stem
    return _DATE_AND_REST.sub("", stem) or "backup"
