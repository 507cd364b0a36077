"""Where reading an app's output goes on, told by the lines themselves. Pure.

TrueNAS gives an app's output from some line before the end on, and again from there after each reconnection; there is
no offset to go on from. So a `Place` keeps the newest lines that were taken, by time stamp and digest, and the newest
stamp of those that it no longer keeps. When the output is given again, each line is one of these:

=============================  =====================================  ==========
is it kept?                    its stamp                              it is
=============================  =====================================  ==========
yes, not yet met               any                                    known
no                             not newer than what is kept no longer  known
no                             newer than that                        new
any, behind the last one kept  any                                    new
=============================  =====================================  ==========

The output is always given in the same order, so behind the last line that is kept all is new, also where a clock was
set back meanwhile. Each kept line is met once in a rereading, so that two equal lines of one moment are two (unless the
output begins between them: then nobody can tell which one comes). A line that comes late, behind one with a newer stamp
(standard output and standard error mixed), is new as long as the kept lines reach back to it.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

__all__ = ["KEPT", "Entry", "Place", "Rereading", "Written"]

KEPT = 128
"""Lines that a place keeps."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGEST = 8
_HEAD = struct.Struct("<qB")
_ENTRY = struct.Struct(f"<q{_DIGEST}s")

Entry = tuple[int, bytes]
"""A line as a place keeps it: its stamp in microseconds since 1970, and the digest of its text."""


@dataclass(frozen=True, slots=True)
class Written:
    """A line of output: its text without line end, and when it was written."""

    data: bytes
    at: datetime

    @property
    def stamp(self) -> int:
        """Microseconds since 1970."""
        return (self.at - _EPOCH) // timedelta(microseconds=1)

    @property
    def entry(self) -> Entry:
        """What a place keeps of it."""
        return self.stamp, blake2b(self.data, digest_size=_DIGEST).digest()


@dataclass(frozen=True, slots=True)
class Place:
    """The newest lines that were taken, in the order in which they came, of which container they were.

    `before` is the newest stamp of those that came before them, -1 where there were none.
    """

    container: str = ""
    entries: tuple[Entry, ...] = ()
    before: int = -1

    @property
    def newest(self) -> int:
        """The newest stamp that was taken; -1 where none was."""
        return max((stamp for stamp, _ in self.entries), default=self.before)

    def behind(self, entries: Iterable[Entry], container: str) -> Place:
        """Give the place behind more lines."""
        every = (*self.entries, *entries)
        dropped = max((stamp for stamp, _ in every[:-KEPT]), default=-1)
        return Place(container, every[-KEPT:], max(self.before, dropped))

    def to_bytes(self) -> bytes:
        """Write it down, at most some 2 KB."""
        name = self.container.encode()[:255]
        return _HEAD.pack(self.before, len(name)) + name + b"".join(_ENTRY.pack(*entry) for entry in self.entries)

    @classmethod
    def from_bytes(cls, data: bytes) -> Place:
        """Read what `to_bytes` wrote; of anything else comes the place before all lines."""
        try:
            before, length = _HEAD.unpack_from(data)
            name, rest = data[_HEAD.size : _HEAD.size + length], data[_HEAD.size + length :]
            return cls(name.decode(), tuple(_ENTRY.iter_unpack(rest)), before)
        except (struct.error, UnicodeDecodeError):
            return cls()


class Rereading:
    """The output given from some line on: says of each line whether it is new behind `place`."""

    def __init__(self, place: Place) -> None:
        self._unmet = Counter(place.entries)
        self._before = place.before
        self._last = place.entries[-1] if place.entries else None
        self._is_behind = False

    def is_new(self, entry: Entry) -> bool:
        """Take the next line."""
        if self._is_behind:
            return True
        if self._unmet[entry]:
            self._unmet[entry] -= 1
            self._is_behind = entry == self._last and not self._unmet[entry]
            return False
        return entry[0] > self._before
