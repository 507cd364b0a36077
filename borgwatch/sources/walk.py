"""Find the files to follow below a directory.

A root directory and the choice of files come in; the files found leave as a mapping from source name to path. A
file that is reached by its own name comes before one reached through a symbolic link, so that the former gives a file
its source name. Hidden names, compressed files and rotated generations of a file that is there are not sources; of a
container's directory, only its output is one.

A directory is listed anew when it changed, and now and then anyway: every second in a small tree, less often the more
files there are. Where nothing changed, a walk costs one stat per directory. What cannot be listed or read goes into the
ledger of problems.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from borgwatch.errors import SourceError
from borgwatch.sources.choice import Choice, Kind, Wish
from borgwatch.sources.disk import explain, kind
from borgwatch.sources.docker import Containers, has_config, is_json_log
from borgwatch.sources.problems import Ledger
from borgwatch.sources.rotation import live_names
from borgwatch.sources.states import States

__all__ = ["Walker"]

_MAX_DEPTH = 8
_MAX_FILES = 20_000
_RELIST_AFTER = 1.0
_SMALL = 200
"""Files of a tree whose directories are listed so often; those of one twice the size are listed half as often."""
_TRUST_AFTER = 2.0
"""A directory's time of change has a granularity, coarse on some file systems: young ones are not believed."""
_DOCKER = Wish(Kind.DOCKER)
_KERNEL_TREES = ("/proc", "/sys")


@dataclass(frozen=True, slots=True)
class _File:
    """A file in a directory; `wish` is None unless it is to be read, `lives` what it may be a rotation of.

    `path` is the one text of this path that all who follow the file share: there are thousands. Files that are not
    read have none.
    """

    inode: int
    is_link: bool
    wish: Wish | None = None
    path: str = ""
    lives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """A directory to be entered."""

    path: str
    is_link: bool


@dataclass(slots=True)
class _Directory:
    identity: tuple[int, int]
    changed_ns: int
    since: float
    listed: float
    files: dict[str, _File] = field(default_factory=dict)
    directories: list[_Place] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    is_link: bool = False

    def shows_the_same(self, other: _Directory) -> bool:
        """Tell whether another listing gave nothing new, so that nothing has to be thought through again."""
        return (self.identity, self.files, self.directories, self.refused) == (
            other.identity,
            other.files,
            other.directories,
            other.refused,
        )


class Walker:
    """Walk one directory tree, again and again: `root` is its path, `name` what the names of its sources begin with."""

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
        self.root = root
        self.name = name
        self._choice = choice
        self._containers = containers
        self._monotonic = monotonic
        self._max_depth = max_depth
        self._max_files = max_files
        self._directories: dict[str, _Directory] = {}
        self._by_inode: dict[int, list[str]] | None = None
        self._refused: set[str] = set()
        self._found: Mapping[str, str] = {}
        self._version = -1
        self._relist_after = _RELIST_AFTER
        self.statuses: Mapping[str, tuple[str, Wish]] = {}
        """The status files that the last walk found, with their paths and how they are to be read."""
        self.linked: Collection[str] = ()
        """The sources of the last walk that are reached through a symbolic link."""

    def walk(self, ledger: Ledger, known: States) -> Mapping[str, str]:
        """Find the logs and their paths; a generation of a `known` one is none of its own.

        Where nothing changed since the last walk, the same mapping is given again.
        """
        visited = self._visit(ledger)
        self._by_inode = None  # it is asked for rarely, and large
        self._tell_refused(visited, ledger)
        same = self._version == known.version and visited.keys() == self._directories.keys()
        if same and all(visited[path] is directory for path, directory in self._directories.items()):
            return self._found
        self._directories, self._version = visited, known.version
        files = sum(len(directory.files) for directory in visited.values())
        self._relist_after = _RELIST_AFTER * max(1.0, files / _SMALL)
        self._found = self._bounded(self._collect(known), ledger)
        return self._found

    def _visit(self, ledger: Ledger) -> dict[str, _Directory]:
        """Visit all directories, each by its own name where it has one."""
        level = [_Place(self.root, is_link=False)]
        visited: dict[str, _Directory] = {}
        seen: set[tuple[int, int]] = set()
        for _ in range(self._max_depth + 1):
            below: list[_Place] = []
            for place in sorted(level, key=lambda one: (one.is_link, one.path)):
                directory = self._enter(place, ledger)
                if directory is None or directory.identity in seen:
                    continue
                seen.add(directory.identity)
                visited[place.path] = directory
                directory.is_link = place.is_link
                below += directory.directories
            level = below
        return visited

    def _collect(self, known: States) -> dict[str, str]:
        """Sort the files that were found by how they are read; those found by their own names come first."""
        own: dict[str, str] = {}
        linked: dict[str, str] = {}
        statuses: dict[str, tuple[str, Wish]] = {}
        for parent, directory in self._directories.items():
            for file in directory.files.values():
                if file.wish is None:
                    continue
                path, source = file.path, self.source(file.path)
                if file.wish.kind in (Kind.STATUS, Kind.HEARTBEAT):
                    statuses.setdefault(source, (path, file.wish))
                elif not self._is_generation(file, parent, directory, known):
                    (linked if directory.is_link or file.is_link else own)[source] = path
        self.statuses = statuses
        self.linked = frozenset(linked)
        return dict(sorted(own.items())) | dict(sorted(linked.items()))

    @property
    def is_there(self) -> bool:
        """Whether the root could be listed in the last walk."""
        return self.root in self._directories

    def source(self, path: str) -> str:
        """Name a path below the root; bytes that are no UTF-8 are written as escapes, for the journal's sake."""
        name = self.name + path.removeprefix(self.root)
        if name == path and name.isascii():
            return path  # often the same, and there are thousands
        return os.fsencode(name).decode("utf-8", "backslashreplace")

    def path(self, source: str) -> str:
        """Say where a source's file stands by its name."""
        return source if self.root == self.name else self.root + source.removeprefix(self.name)

    def owns(self, source: str) -> bool:
        """Tell whether a source is one of this tree and still asked for."""
        if not source.startswith(f"{self.name}/"):
            return False
        path = self.path(source)
        try:
            return self._wish(path, os.path.dirname(path)) is not None
        except (OSError, SourceError):
            return True

    def is_of_interest(self, path: str) -> bool:
        """Tell whether a path below the root may be that of a file to be read, or of a generation of one."""
        name = os.path.basename(path)
        return bool(live_names(name)) or self._choice(path) is not None

    def is_status(self, source: str) -> bool:
        """Tell whether a source is a status file of this tree."""
        wish = self._choice(self.path(source)) if source.startswith(f"{self.name}/") else None
        return wish is not None and wish.kind in (Kind.STATUS, Kind.HEARTBEAT)

    def paths_with(self, inode: int) -> Sequence[str]:
        """Find the names, of whatever kind of file, that had this inode number in the last walk."""
        if self._by_inode is None:
            self._by_inode = defaultdict(list)
            for parent, directory in self._directories.items():
                for name, file in directory.files.items():
                    self._by_inode[file.inode].append(f"{parent}/{name}")
        return self._by_inode.get(inode, ())

    def _enter(self, entry: _Place, ledger: Ledger) -> _Directory | None:
        where = self.source(entry.path)
        try:
            if (entry.path == self.root or entry.is_link) and _is_kernels(entry.path):
                ledger.wrong(where, f"{entry.path} is the kernel's, not a log directory: it is not read")
                return None
            directory = self._list(entry.path)
        except (FileNotFoundError, NotADirectoryError) as error:
            if entry.path == self.root:
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
        if old and same and old.listed - old.since >= _TRUST_AFTER and now - old.listed < self._relist_after:
            return old
        directory = _Directory(identity, changed, old.since if old and same else now, now)
        if has_config(path):
            self._note_container(directory, path)
        else:
            known = old.files if old else {}
            with os.scandir(path) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        self._note(directory, entry, known.get(entry.name))
        if old and old.shows_the_same(directory):
            old.changed_ns, old.since, old.listed = directory.changed_ns, directory.since, directory.listed
            return old
        return directory

    def _note_container(self, directory: _Directory, path: str) -> None:
        """Look into a container's directory, which holds much that is no log."""
        log = os.path.join(path, f"{os.path.basename(path)}-json.log")
        try:
            wish = self._wish(log, path)
            if wish is not None:
                for entry in os.scandir(path):
                    is_log = entry.path == log
                    file = _File(entry.inode(), entry.is_symlink(), *((wish, log) if is_log else ()))
                    directory.files[entry.name] = file
        except SourceError as error:
            directory.refused[path] = str(error)
        except OSError as error:
            directory.refused[path] = "".join(explain(path, error)[1:])

    def _note(self, directory: _Directory, entry: os.DirEntry[str], known: _File | None) -> None:
        try:
            inode, is_link = entry.inode(), entry.is_symlink()
            if known and not is_link and (known.inode, known.is_link) == (inode, is_link) and entry.is_file():
                directory.files[entry.name] = known
            elif entry.is_file():
                directory.files[entry.name] = self._file(directory, entry, inode, is_link=is_link)
            elif self._choice(entry.path) is None:
                if entry.is_dir():
                    directory.directories.append(_Place(entry.path, is_link))
            elif what := kind(entry.stat().st_mode):
                directory.refused[entry.path] = f"{entry.path} is {what}, not a file: it is not read"
        except OSError:
            return  # vanished while it was looked at, or a link to nowhere

    def _file(self, directory: _Directory, entry: os.DirEntry[str], inode: int, *, is_link: bool) -> _File:
        wish = self._choice(entry.path)
        if wish is not None and is_link and _is_kernels(entry.path):
            directory.refused[entry.path] = f"{entry.path} is the kernel's, not a log: it is not read"
            wish = None
        return _File(inode, is_link, wish, entry.path, live_names(entry.name)) if wish else _File(inode, is_link)

    def _is_generation(self, file: _File, parent: str, directory: _Directory, known: States) -> bool:
        return any(live in directory.files or self.source(f"{parent}/{live}") in known for live in file.lives)

    def _wish(self, path: str, directory: str) -> Wish | None:
        """Say how a file is to be read; of a container that is gone, the output may still be followed."""
        if not is_json_log(path):
            return self._choice(path)
        one = self._containers.at(directory)
        gone = one is None and not os.path.isdir(directory)
        return _DOCKER if gone or (one and self._containers.pick(one)) else None

    def _tell_refused(self, visited: Mapping[str, _Directory], ledger: Ledger) -> None:
        refused = {path: what for one in visited.values() for path, what in one.refused.items()}
        for path, what in refused.items():
            ledger.wrong(self.source(path), what)
        for path in self._refused - refused.keys():
            ledger.fine(self.source(path))
        self._refused = set(refused)

    def _bounded(self, found: dict[str, str], ledger: Ledger) -> dict[str, str]:
        where = f"{self.name} (number of files)"
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
