"""What people read: times of their own clock, spans and sizes in words, and nothing that does something."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from borgwatch.views.formats import ago, safe, seconds, size, stamp, zone

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("utc", "shown"),
    [
        ("2026-10-24T23:59", "2026-10-25 01:59"),
        ("2026-10-25T00:30", "2026-10-25 02:30+02:00"),
        ("2026-10-25T01:30", "2026-10-25 02:30+01:00"),
        ("2026-10-25T02:00", "2026-10-25 03:00"),
        ("2026-03-29T00:59", "2026-03-29 01:59"),
        ("2026-03-29T01:00", "2026-03-29 03:00"),
    ],
)
def test_an_hour_that_comes_twice_is_told_with_its_offset(utc: str, shown: str) -> None:
    assert stamp(datetime.fromisoformat(f"{utc}:00+00:00")) == shown


def test_what_is_not_known_is_a_dash() -> None:
    assert [stamp(None), seconds(None), size(None)] == ["-", "-", "-"]


def test_spans_are_said_in_their_two_largest_units() -> None:
    assert ago(NOW - timedelta(hours=51, minutes=5), NOW) == "2 days 3 hours ago"
    assert ago(NOW + timedelta(minutes=82), NOW) == "in 1 hour 22 minutes"
    assert [seconds(95), seconds(842), size(2_360_000_000)] == ["1m35s", "14m2s", "2.36 GB"]


def test_colour_codes_and_titles_of_windows_go_whole() -> None:
    assert safe("\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2Jna\u202es\x1b") == "red na s"


@pytest.mark.usefixtures("berlin")
def test_the_zone_is_named_as_it_was_set() -> None:
    assert zone() == "Europe/Berlin"
