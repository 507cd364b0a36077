"""Read rotated files that were compressed, as if they were not.

A path comes in; what leaves reads like any other file: the bytes at an offset of what was compressed, and a `Stamp`
whose size is theirs. `Unpacker.open` opens files of either kind, so that who reads need not care.

Nothing is unpacked as a whole: one block at a time, a quarter of a megabyte kept. Reading on costs no second pass,
because the stream that was read last stays open until `close`; it is the only one. A file that unpacks to more than
`MAX_UNPACKED` bytes, is damaged, or asks for more memory than a log needs is refused with `UnpackError`.
"""

from __future__ import annotations

import bz2
import importlib
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import RawIOBase
from typing import Protocol

from borgwatch.errors import SourceError
from borgwatch.sources.disk import READING, Content, Stamp, open_file, stamp_of
from borgwatch.sources.rotation import is_compressed

__all__ = ["MAX_UNPACKED", "UnpackError", "Unpacker"]

MAX_UNPACKED = 1 << 30
"""How many bytes are unpacked of one file: some seconds' work."""
_BLOCK = 64 * 1024
_KEPT = 256 * 1024
"""Bytes behind which reading may go back: a longest line and a proof."""
_XZ_MEMORY = 80 << 20
"""What `xz -9` needs."""
_MAX_SIZES = 256


class UnpackError(SourceError):
    """A compressed file cannot be unpacked, or not within bounds."""


class Unpacker:
    """Opens files, compressed or not, and keeps the compressed one that was read last open."""

    def __init__(self, limit: int = MAX_UNPACKED) -> None:
        self._limit = limit
        self._cursor: _Cursor | None = None
        self._sizes: dict[Stamp, int] = {}
        self._answers: dict[object, bool] = {}

    @contextmanager
    def open(self, path: str) -> Iterator[Content]:
        """Open a regular file; raise `UnpackError` for a compressed one that cannot be unpacked."""
        if not is_compressed(path):
            with open_file(path) as file:
                yield file
            return
        cursor = self._cursor_at(path)
        try:
            yield cursor
        except (zlib.error, lzma.LZMAError, EOFError) as error:
            self.close()
            raise UnpackError(f"{path} cannot be unpacked: {error}") from None

    def remembered(self, question: object, ask: Callable[[], bool]) -> bool:
        """Ask about a compressed file only once: its name changes at each rotation, and what it holds does not."""
        if question not in self._answers:
            answer = ask()
            if len(self._answers) >= _MAX_SIZES:
                del self._answers[next(iter(self._answers))]
            self._answers[question] = answer
        return self._answers[question]

    def close(self) -> None:
        """Close what was kept open."""
        if self._cursor:
            self._cursor.close()
        self._cursor = None

    def _cursor_at(self, path: str) -> _Cursor:
        with open_file(path) as file:
            packed = file.stamp
        if self._cursor is None or self._cursor.packed != packed:
            self.close()
            self._cursor = _Cursor(path, self._limit)
        cursor = self._cursor
        if cursor.packed not in self._sizes:
            while len(self._sizes) >= _MAX_SIZES:
                del self._sizes[next(iter(self._sizes))]
            self._sizes[cursor.packed] = self._measured(path, cursor)
        cursor.stamp = replace(cursor.packed, size=self._sizes[cursor.packed])
        return cursor

    def _measured(self, path: str, cursor: _Cursor) -> int:
        try:
            return cursor.measure()
        except (zlib.error, lzma.LZMAError, EOFError, OSError) as error:
            self.close()
            raise UnpackError(f"{path} cannot be unpacked: {error}") from None
        except UnpackError:
            self.close()
            raise


class _Cursor:
    """One compressed file, unpacked from its start on; going back further than a little begins anew."""

    def __init__(self, path: str, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._new = _decompressor(path)
        self._file = os.fdopen(os.open(path, READING), "rb", buffering=0)
        try:
            self.stamp = self.packed = stamp_of(os.fstat(self._file.fileno()), path)
        except BaseException:
            self._file.close()
            raise
        self._begin()

    def read(self, at: int, count: int) -> bytes:
        """Read up to `count` bytes at the offset `at`; fewer only where the content ends."""
        if at < self._start:
            self._begin()
        while self._end < at + count and self._advance(keep_from=at):
            pass
        return bytes(self._kept[at - self._start : at - self._start + count])

    def measure(self) -> int:
        """Unpack to the end; return how many bytes that were."""
        while self._advance(keep_from=self._end):
            pass
        return self._end

    def close(self) -> None:
        self._file.close()

    @property
    def _end(self) -> int:
        return self._start + len(self._kept)

    def _begin(self) -> None:
        self._file.seek(0)
        self._blocks = _unpacked(self._file, self._new)
        self._start = 0
        self._kept = bytearray()

    def _advance(self, keep_from: int) -> bool:
        block = next(self._blocks, b"")
        self._kept += block
        if self._end > self._limit:
            raise UnpackError(f"{self._path} unpacks to more than {self._limit} bytes: it is not read")
        surplus = min(keep_from, self._end - _KEPT) - self._start
        if surplus > _KEPT:
            del self._kept[:surplus]
            self._start += surplus
        return bool(block)


class _Decompressor(Protocol):
    """What the decompressors of the standard library have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gunzip:
    """zlib's decompressor, in the shape of the others."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)  # 31: with gzip's header

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def _unpacked(file: RawIOBase, new: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """Unpack one member after the other, a bounded block at a time."""
    data = file.read(_BLOCK) or b""
    while data:
        one = new()
        while not one.eof:
            block = one.decompress(data, _BLOCK)
            data = (file.read(_BLOCK) or b"") if one.needs_input and not one.eof else b""
            if block:
                yield block
            elif not data and one.needs_input and not one.eof:
                raise EOFError("it ends in the middle")
        data = (one.unused_data or file.read(_BLOCK) or b"").lstrip(b"\0")  # tar and tapes pad with NUL bytes


def _decompressor(path: str) -> Callable[[], _Decompressor]:
    ending = os.path.splitext(path)[1]
    if ending == ".zst":
        return _zstd(path)
    if ending not in _DECOMPRESSORS:
        raise UnpackError(f"{path}: nothing here can unpack {ending} files; use gzip, bzip2 or xz")
    return _DECOMPRESSORS[ending]


def _zstd(path: str) -> Callable[[], _Decompressor]:
    try:
        new: Callable[[], _Decompressor] = importlib.import_module("compression.zstd").ZstdDecompressor
    except ImportError:
        raise UnpackError(f"{path}: unpacking .zst needs Python 3.14; use gzip, bzip2 or xz") from None
    return new


_DECOMPRESSORS: dict[str, Callable[[], _Decompressor]] = {
    ".gz": _Gunzip,
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY),
}
