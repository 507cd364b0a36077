"""Spans of time, written as users write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgwatch.spans import parse_span, short_span, write_span


@pytest.mark.parametrize("text", ["26h", "60h", "90m", "8d", "24h", "90s", "2.5s", "1000d"])
def test_a_span_is_written_in_the_largest_unit_in_which_it_is_whole(text: str) -> None:
    assert write_span(parse_span(text)) == text


@given(st.timedeltas(timedelta(microseconds=1), timedelta(days=3650)))
def test_what_is_written_is_read_as_the_same(span: timedelta) -> None:
    assert abs(parse_span(write_span(span)) - span) < timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (0.004, "0s"), (0.0168, "0.02s"), (5, "5s"), (9.5, "9.5s"), (42.4, "42s"), (59.7, "1m"),
        (90, "1m30s"), (842.4, "14m2s"), (3600, "1h"), (3659, "1h"), (93_600, "1d2h"), (86_400 * 9 + 59, "9d"),
    ],
)  # fmt: skip
def test_a_span_that_was_measured_is_written_shortly(seconds: float, text: str) -> None:
    assert short_span(timedelta(seconds=seconds)) == text
