"""Find the files to follow below a directory.

A root directory and the choice of files come in; the files found leave as a mapping from source name to path. A
file that is reached by its own name comes before one reached through a symbolic link, so that the former gives a file
its source name. Hidden names, compressed files and rotated generations of a file that is there are not sources; of a
container's directory, only its output is one.

A directory is listed anew when it changed, and at least every second; what cannot be listed or read goes into the
ledger of problems.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

from borgwatch.errors import SourceError
from borgwatch.sources.choice import LOG, Choice, Kind, Wish
from borgwatch.sources.disk import explain, kind
from borgwatch.sources.docker import Containers, has_config, is_json_log
from borgwatch.sources.problems import Ledger
from borgwatch.sources.rotation import live_names

__all__ = ["Walker"]

_MAX_DEPTH = 8
_MAX_FILES = 20_000
_RELIST_AFTER = 1.0
_TRUST_AFTER = 2.0
"""A directory's time of change has a granularity, coarse on some file systems: young ones are not believed."""
_DOCKER = Wish(Kind.DOCKER)
_KERNEL_TREES = ("/proc", "/sys")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One name in a directory; `source` is None unless it is to be read, `lives` what it may be a rotation of."""

    path: str
    inode: int
    is_link: bool
    source: str | None = None
    wish: Wish = LOG
    lives: tuple[str, ...] = ()


@dataclass(slots=True)
class _Directory:
    identity: tuple[int, int]
    changed_ns: int
    since: float
    listed: float
    files: dict[str, _Entry] = field(default_factory=dict)
    directories: list[_Entry] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


class Walker:
    """Walk one directory tree, again and again."""

    def __init__(
        self,
        root: str,
        name: str,
        choice: Choice,
        containers: Containers,
        monotonic: Callable[[], float],
        *,
        max_depth: int = _MAX_DEPTH,
        max_files: int = _MAX_FILES,
    ) -> None:
        self._root = root
        self._name = name
        self._choice = choice
        self._containers = containers
        self._monotonic = monotonic
        self._max_depth = max_depth
        self._max_files = max_files
        self._directories: dict[str, _Directory] = {}
        self._by_inode: dict[int, list[str]] | None = None
        self._refused: set[str] = set()
        self.statuses: Mapping[str, tuple[str, Wish]] = {}
        """The status files that the last walk found, with their paths and how they are to be read."""

    def walk(self, ledger: Ledger, known: Container[str] = ()) -> dict[str, str]:
        """Find the logs and their paths; a generation of a `known` one is none of its own."""
        level = [_Entry(self._root, 0, is_link=False)]
        visited: dict[str, _Directory] = {}
        seen: set[tuple[int, int]] = set()
        own: dict[str, str] = {}
        linked: dict[str, str] = {}
        statuses: dict[str, tuple[str, Wish]] = {}
        for _ in range(self._max_depth + 1):
            below: list[_Entry] = []
            # Links come last, so that a directory is entered by its own name where it has one.
            for entry in sorted(level, key=lambda one: (one.is_link, one.path)):
                directory = self._enter(entry, ledger)
                if directory is None or directory.identity in seen:
                    continue
                seen.add(directory.identity)
                visited[entry.path] = directory
                for file in directory.files.values():
                    if file.source and file.wish.kind in (Kind.STATUS, Kind.HEARTBEAT):
                        statuses.setdefault(file.source, (file.path, file.wish))
                    elif file.source and not self._is_generation(file, directory, known):
                        (linked if entry.is_link or file.is_link else own)[file.source] = file.path
                below += directory.directories
            level = below
        self._directories, self._by_inode, self.statuses = visited, None, statuses
        self._tell_refused(ledger)
        return self._bounded(dict(sorted(own.items())) | dict(sorted(linked.items())), ledger)

    @property
    def is_there(self) -> bool:
        """Whether the root could be listed in the last walk."""
        return self._root in self._directories

    def source(self, path: str) -> str:
        """Name a path below the root; bytes that are no UTF-8 are written as escapes, for the journal's sake."""
        name = self._name + path.removeprefix(self._root)
        return os.fsencode(name).decode("utf-8", "backslashreplace")

    def path(self, source: str) -> str:
        """Say where a source's file stands by its name."""
        return self._root + source.removeprefix(self._name)

    def owns(self, source: str) -> bool:
        """Tell whether a source is one of this tree and still asked for."""
        if not source.startswith(f"{self._name}/"):
            return False
        path = self.path(source)
        try:
            return self._wish(path, os.path.dirname(path)) is not None
        except (OSError, SourceError):
            return True

    def is_status(self, source: str) -> bool:
        """Tell whether a source is a status file of this tree."""
        wish = self._choice(self.path(source)) if source.startswith(f"{self._name}/") else None
        return wish is not None and wish.kind in (Kind.STATUS, Kind.HEARTBEAT)

    def paths_with(self, inode: int) -> Sequence[str]:
        """Find the names, of whatever kind of file, that had this inode number in the last walk."""
        if self._by_inode is None:
            self._by_inode = defaultdict(list)
            for directory in self._directories.values():
                for file in directory.files.values():
                    self._by_inode[file.inode].append(file.path)
        return self._by_inode.get(inode, ())

    def _enter(self, entry: _Entry, ledger: Ledger) -> _Directory | None:
        where = self.source(entry.path)
        try:
            if (entry.path == self._root or entry.is_link) and _is_kernels(entry.path):
                ledger.wrong(where, f"{entry.path} is the kernel's, not a log directory: it is not read")
                return None
            directory = self._list(entry.path)
        except (FileNotFoundError, NotADirectoryError) as error:
            if entry.path == self._root:
                ledger.wrong(where, _ROOT_PROBLEMS[type(error)].format(entry.path))
            return None
        except OSError as error:
            ledger.wrong(*explain(where, error))
            return None
        ledger.fine(where)
        return directory

    def _list(self, path: str) -> _Directory:
        now = self._monotonic()
        found = os.stat(path)
        identity, changed = (found.st_dev, found.st_ino), found.st_mtime_ns
        old = self._directories.get(path)
        same = old is not None and (old.identity, old.changed_ns) == (identity, changed)
        if old and same and old.listed - old.since >= _TRUST_AFTER and now - old.listed < _RELIST_AFTER:
            return old
        directory = _Directory(identity, changed, old.since if old and same else now, now)
        known = old.files if old else {}
        if has_config(path):
            self._note_container(directory, path)
            return directory
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    self._note(directory, entry, known.get(entry.name))
        return directory

    def _note_container(self, directory: _Directory, path: str) -> None:
        """Look into a container's directory, which holds much that is no log."""
        log = os.path.join(path, f"{os.path.basename(path)}-json.log")
        try:
            wish = self._wish(log, path)
            if wish is not None:
                for entry in os.scandir(path):
                    source = self.source(log) if entry.path == log else None
                    directory.files[entry.name] = _Entry(entry.path, entry.inode(), entry.is_symlink(), source, wish)
        except SourceError as error:
            directory.refused[path] = str(error)
        except OSError as error:
            directory.refused[path] = "".join(explain(path, error)[1:])

    def _note(self, directory: _Directory, entry: os.DirEntry[str], known: _Entry | None) -> None:
        try:
            inode, is_link = entry.inode(), entry.is_symlink()
            if known and not is_link and (known.inode, known.is_link) == (inode, is_link) and entry.is_file():
                directory.files[entry.name] = known
            elif entry.is_file():
                directory.files[entry.name] = self._entry(directory, entry, inode, is_link=is_link)
            elif self._choice(entry.path) is None:
                if entry.is_dir():
                    directory.directories.append(_Entry(entry.path, inode, is_link))
            elif what := kind(entry.stat().st_mode):
                directory.refused[entry.path] = f"{entry.path} is {what}, not a file: it is not read"
        except OSError:
            return  # vanished while it was looked at, or a link to nowhere

    def _entry(self, directory: _Directory, entry: os.DirEntry[str], inode: int, *, is_link: bool) -> _Entry:
        wish = self._choice(entry.path)
        if wish is None:
            return _Entry(entry.path, inode, is_link)
        if is_link and _is_kernels(entry.path):
            directory.refused[entry.path] = f"{entry.path} is the kernel's, not a log: it is not read"
            return _Entry(entry.path, inode, is_link)
        return _Entry(entry.path, inode, is_link, self.source(entry.path), wish, live_names(entry.name))

    def _is_generation(self, file: _Entry, directory: _Directory, known: Container[str]) -> bool:
        if not file.lives:
            return False
        parent = os.path.dirname(file.path)
        return any(live in directory.files or self.source(os.path.join(parent, live)) in known for live in file.lives)

    def _wish(self, path: str, directory: str) -> Wish | None:
        """Say how a file is to be read; of a container that is gone, the output may still be followed."""
        if not is_json_log(path):
            return self._choice(path)
        one = self._containers.at(directory)
        gone = one is None and not os.path.isdir(directory)
        return _DOCKER if gone or (one and self._containers.pick(one)) else None

    def _tell_refused(self, ledger: Ledger) -> None:
        refused = {path: what for one in self._directories.values() for path, what in one.refused.items()}
        for path, what in refused.items():
            ledger.wrong(self.source(path), what)
        for path in self._refused - refused.keys():
            ledger.fine(self.source(path))
        self._refused = set(refused)

    def _bounded(self, found: dict[str, str], ledger: Ledger) -> dict[str, str]:
        where = f"{self._name} (number of files)"
        if len(found) <= self._max_files:
            ledger.fine(where)
            return found
        ledger.wrong(where, f"more than {self._max_files} files to follow: watch a narrower directory or pattern")
        return dict(list(found.items())[: self._max_files])


def _is_kernels(path: str) -> bool:
    real = os.path.realpath(path)
    return any(real == tree or real.startswith(f"{tree}/") for tree in _KERNEL_TREES)


_ROOT_PROBLEMS: dict[type[OSError], str] = {
    FileNotFoundError: "{} does not exist: it is watched as soon as it does",
    NotADirectoryError: "{} is not a directory",
}
