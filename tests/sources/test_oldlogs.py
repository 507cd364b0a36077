"""Old logs as lines: globs, compression, Docker's envelope, damage."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from borgwatch.errors import ConfigError, SourceError
from borgwatch.sources.lines import MAX_LINE
from borgwatch.sources.oldlogs import expand, job_name, read_lines

TEXT = b"first\r\nsecond\n\nlast without an end"


def texts(path: Path) -> list[bytes]:
    return [line.data for line in read_lines(str(path))]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["plain", "gz", "bz2", "xz"])
def test_compression_is_known_by_content_whatever_the_name(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "borg.log"
    path.write_bytes(pack(TEXT))
    assert texts(path) == [b"first", b"second", b"", b"last without an end"]


def test_text_that_begins_as_bzip2_does_is_text(tmp_path: Path) -> None:
    path = tmp_path / "borg.log"
    path.write_bytes(b"BZh9 is no archive\n")
    assert texts(path) == [b"BZh9 is no archive"]
    path.write_bytes(bz2.compress(b""))
    assert texts(path) == []


def test_the_place_of_a_line_is_where_it_ends_in_the_text(tmp_path: Path) -> None:
    path = tmp_path / "borg.log.2.gz"
    path.write_bytes(gzip.compress(TEXT))
    assert [line.position.offset for line in read_lines(str(path))] == [7, 14, 15, 34]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"])
def test_what_can_be_read_of_damaged_data_is_read_and_the_damage_is_told(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "borg.log"
    path.write_bytes(pack(b"line\n" * 5000)[:-9])
    with pytest.raises(SourceError, match=f"{path}: the compressed data is damaged: "):
        texts(path)


def test_a_small_file_that_unfolds_to_much_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(64):
            file.write(b"x" * (1 << 20))
    tracemalloc.start()
    lines = [len(line.data) for line in read_lines(str(path))]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines == [MAX_LINE]
    assert peak < 8 << 20


def wrapped(log: str, stream: str = "stderr", time: str = "2026-11-23T04:57:07.123456000Z") -> bytes:
    return json.dumps({"log": log, "stream": stream, "time": time}).encode() + b"\n"


def test_docker_s_envelope_is_taken_off(tmp_path: Path) -> None:
    path = tmp_path / "x-json.log"
    path.write_bytes(wrapped("Starting backup\n") + wrapped('{"type": "log_message"}\r\n', "stdout"))
    first, second = read_lines(str(path))
    assert (first.data, second.data) == (b"Starting backup", b'{"type": "log_message"}')
    assert first.written_at == datetime(2026, 11, 23, 4, 57, 7, 123456, UTC)


def test_what_docker_cut_is_joined_for_each_stream(tmp_path: Path) -> None:
    path = tmp_path / "x-json.log"
    path.write_bytes(
        wrapped("a" * 16384) + wrapped("other\n", "stdout") + wrapped("b" * 10 + "\n") + wrapped("never ended")
    )
    assert texts(path) == [b"other", b"a" * 16384 + b"b" * 10, b"never ended"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"log": "x", "stream": 7}',
        b'{"log": "x", "stream": "stderr", "time": "yesterday"}',
        b'{"log": 7}',
        b'{"log":',
        b'{"log": "\xff"}',
    ],
)
def test_what_only_looks_like_an_envelope_is_a_line(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(line)
    assert texts(path) == [line]


def test_a_long_line_is_cut_also_in_its_envelope(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"x" * 200_000 + b"\n" + wrapped("y" * 200_000 + "\n") + b"z" * 3_000_000 + b"\nlast\n")
    assert [(line[:1], len(line)) for line in texts(path)] == [
        (b"x", MAX_LINE), (b"y", MAX_LINE), (b"z", MAX_LINE), (b"l", 4),
    ]  # fmt: skip


def test_globs_are_put_in_order_and_each_file_comes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("b.log", "a.log", "deep/er/c.log", "[x].log"):
        (tmp_path / name).touch()
    assert expand(["b.log", "*.log"]) == ["b.log", "[x].log", "a.log"]
    assert expand(["**/*.log"]) == ["[x].log", "a.log", "b.log", "deep/er/c.log"]
    assert expand(["[x].log", "-", "gone.log"]) == ["[x].log", "-", "gone.log"]
    with pytest.raises(ConfigError, match=r"^\*\.txt: no file matches$"):
        expand(["*.txt"])


@pytest.mark.parametrize(
    ("name", "job"),
    [
        ("/l/borg.log", "borg"), ("borg.log.1", "borg"), ("borg.log.2.gz", "borg"), ("borg.gz", "borg"), ("-", "stdin"),
        ("nas.backup.log", "nas.backup"), ("history", "history"),
    ],
)  # fmt: skip
def test_a_job_is_named_after_its_file(name: str, job: str) -> None:
    assert job == job_name(name)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: Is a directory"):
        texts(tmp_path)
    with pytest.raises(SourceError, match="cannot be read: No such file or directory"):
        texts(tmp_path / "gone")
