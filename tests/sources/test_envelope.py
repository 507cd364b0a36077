"""Docker's json-file envelope, one line at a time; joining, rotation and crashes are in `test_docker`."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgwatch.model import Line, Position
from borgwatch.sources.envelope import is_wrapped, rest_of, unwrap
from borgwatch.sources.lines import MAX_LINE

READ = datetime(2026, 11, 24, tzinfo=UTC)
TIME = datetime(2026, 11, 23, 4, 56, 40, tzinfo=UTC)


def line(data: bytes) -> Line:
    return Line("c-json.log", data, Position(1, 2, 3), READ)


def test_a_line_comes_out_without_its_end_and_with_the_time_at_which_it_was_written() -> None:
    wrapped = b'{"log":"\xc3\x9cber \\u003c \\"x\\"\\n","stream":"stderr","time":"2026-11-23T04:56:40.000000123Z"}'

    [out], held = unwrap([line(wrapped)], b"", MAX_LINE)

    assert (out.data, out.written_at, held) == ('\u00dcber < "x"'.encode(), TIME, b"")


def test_a_piece_of_a_long_line_waits_for_the_rest_or_for_the_end() -> None:
    wrapped = json.dumps({"log": "x" * 16384, "stream": "stdout", "time": "2026-11-23T04:56:40Z"})

    lines, held = unwrap([line(wrapped.encode())], b"", MAX_LINE)

    assert lines == []
    assert [(rest.data, rest.written_at) for rest in rest_of(held, line(b""), MAX_LINE)] == [(b"x" * 16384, TIME)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Starting backup",
        b'{"type": "log_message", "message": "x", "time": 1795409741.2}',
        b'{"log": "x\\n", "stream": "stdout"}',
        b'{"log": "x\\n", "stream": "stdout", "time": "yesterday"}',
        b'{"log": "x\\n", "stream": "stdout", "time": "2026-11-23T04:56:40"}',
        b'{"log": "x\\n", "stream": "other", "time": "2026-11-23T04:56:40Z"}',
        b'{"log": 7, "stream": "stdout", "time": "2026-11-23T04:56:40Z"}',
        b'{"log": "x',
        b'{"log": "\xff", "stream": "stdout", "time": "2026-11-23T04:56:40Z"}',
    ],
)
def test_in_any_file_only_what_is_one_beyond_doubt_is_taken_for_an_envelope(data: bytes) -> None:
    assert not is_wrapped(data)


@given(st.binary())
def test_any_bytes_are_taken(data: bytes) -> None:
    assert not is_wrapped(data) or data.startswith(b"{")
    assert len(unwrap([line(data)], b"", MAX_LINE)[0]) <= 1
