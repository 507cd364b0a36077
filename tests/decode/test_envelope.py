"""Docker's json-file envelope, one line at a time."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgwatch.decode.envelope import Wrapped, unwrap

TIME = datetime(2026, 11, 23, 4, 56, 40, tzinfo=UTC)


def test_a_line_comes_out_without_its_end() -> None:
    line = b'{"log":"\xc3\x9cber \\u003c \\"x\\"\\n","stream":"stderr","time":"2026-11-23T04:56:40.000000123Z"}'

    assert unwrap(line) == Wrapped('Über < "x"'.encode(), "stderr", TIME, complete=True)


def test_a_piece_of_a_long_line_is_not_complete() -> None:
    line = json.dumps({"log": "x" * 16384, "stream": "stdout", "time": "2026-11-23T04:56:40Z"})

    assert unwrap(line.encode()) == Wrapped(b"x" * 16384, "stdout", TIME, complete=False)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"Starting backup",
        b'{"type": "log_message", "message": "x", "time": 1795409741.2}',
        b'{"log": "x\\n", "stream": "stdout"}',
        b'{"log": "x\\n", "stream": "stdout", "time": "yesterday"}',
        b'{"log": "x\\n", "stream": "stdout", "time": "2026-11-23T04:56:40"}',
        b'{"log": 7, "stream": "stdout", "time": "2026-11-23T04:56:40Z"}',
        b'{"log": "x',
    ],
)
def test_what_is_no_envelope_is_not_opened(line: bytes) -> None:
    assert unwrap(line) is None


@given(st.binary())
def test_any_bytes_are_taken(line: bytes) -> None:
    assert unwrap(line) is None or line.startswith(b"{")
