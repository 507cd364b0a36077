"""The time of a line: its own, unless that cannot be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.model import Line, Position, Record

READ_AT = datetime(2026, 11, 23, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ahead", "believed"),
    [(timedelta(days=-400), True), (timedelta(hours=23), True), (timedelta(days=2), False)],
)
def test_a_time_in_the_future_is_not_believed(ahead: timedelta, believed: bool) -> None:
    """It would keep the dead-man's switch quiet until then."""
    text = "terminating with success status, rc 0"
    record = Record(text, "log", "nas", time=READ_AT + ahead)
    signal = Matcher(load_rules().rules).match(record, Line("log", text.encode(), Position(0, 0, 38), READ_AT))
    assert signal is not None
    assert (signal.time == READ_AT + ahead) is believed
    assert signal.seen_at == (READ_AT + ahead if believed else READ_AT)
