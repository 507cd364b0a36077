r"""Old logs as lines, for `replay` and `explain`: any file, glob or standard input, compressed or wrapped by Docker.

Lines are cut as the service cuts them (`sources/lines.py`), so memory is bounded whatever the file. Compression is
known by the first bytes, not by the name; Docker's json-file envelope, `{"log": "...\n", "stream": ..., "time": ...}`,
by the lines themselves: what it wraps comes out, its time stands in for lines that have none.
"""

from __future__ import annotations

import bz2
import glob
import gzip
import lzma
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from borgwatch.errors import ConfigError, SourceError
from borgwatch.model import Line, Position
from borgwatch.sources.envelope import is_wrapped, rest_of, unwrap
from borgwatch.sources.lines import MAX_LINE, pieces_of

__all__ = ["STDIN", "expand", "job_name", "numbered_lines", "read_lines"]

STDIN = "-"
_PEEK = 10
_BZIP2 = re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)")  # with its first block or its end: text may begin with BZh
_MAX_WRAPPED = 8 * MAX_LINE  # every byte of a line may come as an escape of six
_ROTATED = re.compile(r"(\.\d+)?(\.(gz|bz2|xz))?$")
_BROKEN = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


class _Reader(Protocol):
    def readline(self, size: int, /) -> bytes: ...


def expand(names: Iterable[str]) -> list[str]:
    """Put the files that a glob matches in its place, sorted; raises `ConfigError` for one that matches nothing."""
    found: list[str] = []
    for name in names:
        if name == STDIN or not glob.has_magic(name) or Path(name).exists():
            found.append(name)
            continue
        matching = sorted(path for path in glob.glob(name, recursive=True) if Path(path).is_file())
        if not matching:
            raise ConfigError(f"{name}: no file matches")
        found.extend(matching)
    return list(dict.fromkeys(found))


def job_name(name: str) -> str:
    """Name a job after a file: `borg.log`, `borg.log.1` and `borg.log.2.gz` are all of `borg`."""
    return "stdin" if name == STDIN else Path(_ROTATED.sub("", Path(name).name)).stem or "stdin"


def read_lines(name: str) -> Iterator[Line]:
    """Read one file line by line; raises `SourceError` where that is not possible (any more)."""
    return (line for _, line in numbered_lines(name))


def numbered_lines(name: str) -> Iterator[tuple[int, Line]]:
    """Read as `read_lines` does, with the number of the line of the file in which each one ends, as editors count.

    Docker cuts a long line into several lines of the file.
    """
    try:
        with _open(name) as raw:
            read_at = _written(name)
            first = _peek(raw)
            with _uncompressed(raw, first) as file:
                yield from _unwrapped(_lines(name, file, read_at))
    except _BROKEN as error:
        raise SourceError(f"{name}: the compressed data is damaged: {error}") from None
    except OSError as error:
        raise SourceError(f"{name}: cannot be read: {error.strerror or error}") from None


def _open(name: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if name == STDIN else Path(name).open("rb")


def _peek(file: BinaryIO) -> bytes:
    peek: bytes = getattr(file, "peek", lambda _: b"")(_PEEK)  # every buffered reader has it
    return peek[:_PEEK]


def _uncompressed(file: BinaryIO, first: bytes) -> AbstractContextManager[_Reader]:
    if first.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if _BZIP2.match(first):
        return bz2.BZ2File(file)
    if first.startswith(b"\xfd7zXZ\x00"):
        return cast("AbstractContextManager[_Reader]", lzma.LZMAFile(file))
    return nullcontext(file)


def _written(name: str) -> datetime:
    """When the file was last written: the best time for lines that have none."""
    return datetime.now(UTC) if name == STDIN else datetime.fromtimestamp(Path(name).stat().st_mtime, UTC)


def _lines(name: str, file: _Reader, read_at: datetime) -> Iterator[tuple[int, Line]]:
    """Cut a file into numbered lines; of an over-long one the beginning and the ending, but of Docker's the whole."""
    offset = number = 0
    while data := file.readline(_MAX_WRAPPED):
        number += 1
        end = data
        offset += len(data)
        while not end.endswith(b"\n") and (rest := file.readline(MAX_LINE)):
            end = end[-MAX_LINE:] + rest
            offset += len(rest)
        parts = [data.rstrip(b"\r\n")]
        if end is not data:
            parts = [data[:MAX_LINE], *(piece.data for piece in pieces_of(end.rstrip(b"\r\n"), 0)[1:])]
        yield from ((number, Line(name, part, Position(0, 0, offset), read_at)) for part in parts)


def _unwrapped(lines: Iterable[tuple[int, Line]]) -> Iterator[tuple[int, Line]]:
    """Take lines out of Docker's envelope, where they are in one, and cut all at the length that is judged."""
    held, last = b"", None
    number = 0
    for number, line in lines:
        if not is_wrapped(line.data):
            yield from ((number, replace(line, data=piece.data)) for piece in pieces_of(line.data, 0))
            continue
        whole, held = unwrap([line], held, MAX_LINE)
        yield from ((number, piece) for piece in whole)
        last = line
    if held and last is not None:
        yield from ((number, piece) for piece in rest_of(held, last, MAX_LINE))
