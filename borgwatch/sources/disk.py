"""Touch the disk: the only place that opens, reads and lists.

Paths come in; `Stamp`s, bytes and listings leave. Nothing is decided here and nothing stays open: a file is opened
for the moment of one look. What fails leaves as `OSError`, which `explain` turns into a sentence for the user.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from borgwatch.errors import SourceError

__all__ = [
    "ABSENT",
    "FILE_LIMIT",
    "READING",
    "Content",
    "OpenFile",
    "RefusedError",
    "Stamp",
    "UnsettledError",
    "explain",
    "is_deleted",
    "is_unchanged",
    "kind",
    "listing",
    "open_file",
    "open_if_there",
    "stamp_at",
    "stamp_of",
]

READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
"""How files are opened: a FIFO put in a log's place must not block us."""

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

FILE_LIMIT = "open files"
"""Where a lack of file descriptors belongs: it concerns all files at once."""
_EXPLAINED = {
    errno.EACCES: "permission denied: let borgwatch's user read it; it is tried again",
    errno.EPERM: "permission denied: let borgwatch's user read it; it is tried again",
    errno.EMFILE: "too many open files: raise the limit (ulimit -n); it is tried again",
    errno.ENFILE: "too many open files in the whole system: raise fs.file-max; it is tried again",
    errno.EIO: "input/output error: check the disk; it is tried again",
    errno.ESTALE: "the network file system's handle is stale: mount it anew; it is tried again",
    errno.ENXIO: "a socket, or a device that is not there, not a file: it is not read",
    errno.ELOOP: "too many symbolic links: they may point at each other",
}


class RefusedError(SourceError):
    """Something that is not a regular file stands where a file is expected."""


class UnsettledError(SourceError):
    """Names keep changing while they are looked at; the next look will find them at rest."""


_LATEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the disk says of a file: `changed_ns` is its mtime, as far as 64 bits go (to the year 2262)."""

    device: int
    inode: int
    size: int
    changed_ns: int

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode: what hard links share and a rename keeps."""
        return self.device, self.inode


ABSENT = Stamp(0, 0, 0, 0)
"""Stands for the stamp of a file that is not there."""


class Content(Protocol):
    """What can be read of a file, compressed or not, in the moment of one look."""

    stamp: Stamp

    def read(self, at: int, count: int) -> bytes:
        """Read up to `count` bytes at the offset `at`; fewer only where the content ends."""


class OpenFile:
    """A regular file, open for the moment of one look."""

    def __init__(self, descriptor: int, stamp: Stamp) -> None:
        self._descriptor = descriptor
        self.stamp = stamp

    def read(self, at: int, count: int) -> bytes:
        """Read up to `count` bytes at the offset `at`; fewer only where the file ends."""
        data = os.pread(self._descriptor, count, at)
        while 0 < len(data) < count:
            more = os.pread(self._descriptor, count - len(data), at + len(data))
            if not more:
                break
            data += more
        return data


@contextmanager
def open_file(path: str) -> Iterator[OpenFile]:
    """Open a regular file; raise `RefusedError` for anything else."""
    with open_if_there(path) as file:
        if file is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        yield file


@contextmanager
def open_if_there(path: str) -> Iterator[OpenFile | None]:
    """Open a regular file as `open_file` does, but give None where there is none."""
    try:
        descriptor = os.open(path, READING)
    except (FileNotFoundError, NotADirectoryError):
        yield None
        return
    try:
        yield OpenFile(descriptor, stamp_of(os.fstat(descriptor), path))
    finally:
        os.close(descriptor)


def stamp_at(path: str) -> Stamp | None:
    """Stat a regular file; None where there is none, `RefusedError` for anything else."""
    try:
        return stamp_of(os.stat(path), path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_unchanged(path: str, stamp: Stamp, *, packed: bool = False) -> bool:
    """Tell whether a path still shows the file of a stamp; the size of a `packed` one is not that in its stamp."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return stamp == ABSENT
    return (
        (found.st_mtime_ns == stamp.changed_ns or _changed_ns(found) == stamp.changed_ns)
        and (packed or found.st_size == stamp.size)
        and found.st_ino == stamp.inode
        and found.st_dev == stamp.device
    )


def is_deleted(path: str, device: int) -> bool:
    """Tell whether a missing file was deleted, rather than its file system taken away.

    It was if the nearest directory above it that still exists is on the file's own device.
    """
    parent = os.path.dirname(path)
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    return os.stat(parent).st_dev == device


def listing(directory: str) -> Mapping[str, Stamp]:
    """List the regular files of a directory; none where it is not there.

    Files that are renamed meanwhile may show twice or not at all: who relies on a listing has to take a second one.
    """
    found: dict[str, Stamp] = {}
    try:
        entries = os.scandir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return found
    with entries:
        for entry in entries:
            try:
                seen = entry.stat()
            except OSError:
                continue  # vanished meanwhile, or a link to nowhere
            if stat.S_ISREG(seen.st_mode):
                found[entry.name] = _stamp(seen)
    return found


def kind(mode: int) -> str:
    """Name what kind of thing a mode is, where it is not a regular file."""
    return next((name for test, name in _KINDS if test(mode)), "not a file")


def explain(where: str, error: OSError) -> tuple[str, str]:
    """Say where an error belongs, which is `where` unless it concerns all files, and what it means."""
    what = _EXPLAINED.get(error.errno or 0, error.strerror or str(error))
    return (FILE_LIMIT if error.errno in (errno.EMFILE, errno.ENFILE) else where), what


def stamp_of(found: os.stat_result, path: str) -> Stamp:
    """Make the stamp of what was found at `path`; raise `RefusedError` if it is no regular file."""
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError(f"{path} is {kind(found.st_mode)}, not a file: it is not read")
    return _stamp(found)


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_dev, found.st_ino, found.st_size, _changed_ns(found))


def _changed_ns(found: os.stat_result) -> int:
    """Bound the time of change: file systems hold ones that are centuries off, which nothing can compute with."""
    return max(-_LATEST, min(found.st_mtime_ns, _LATEST))
