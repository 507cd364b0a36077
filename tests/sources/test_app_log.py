"""Where reading an app's output goes on: over tails that overlap, come late, or no longer reach back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgwatch.sources.app_log import KEPT, Entry, Place, Rereading, Written

START = datetime(2026, 11, 23, 1, 10, 11, tzinfo=UTC)


def line(number: int, second: float | None = None) -> Written:
    return Written(b"line %d" % number, START + timedelta(seconds=number if second is None else second))


def new_of(place: Place, lines: list[Written]) -> list[bytes]:
    rereading = Rereading(place)
    return [written.data for written in lines if rereading.is_new(written.entry)]


def behind(lines: list[Written]) -> Place:
    return Place().behind((written.entry for written in lines), "c1")


def test_a_tail_that_overlaps_gives_what_is_new_alone() -> None:
    lines = [line(number) for number in range(10)]

    assert new_of(behind(lines[:6]), lines[3:]) == [written.data for written in lines[6:]]


def test_a_tail_of_all_lines_gives_none_that_is_no_longer_kept() -> None:
    lines = [line(number) for number in range(3 * KEPT)]

    assert new_of(behind(lines), [*lines, line(999)]) == [b"line 999"]


def test_two_equal_lines_of_one_moment_are_two() -> None:
    twice = [line(1), line(1)]

    assert new_of(behind(twice[:1]), twice) == [b"line 1"]
    assert new_of(behind(twice), twice) == []


def test_a_line_that_comes_behind_a_newer_one_is_new() -> None:
    """Standard output and standard error are stamped apart, and mixed."""
    early, late = line(1, second=5), line(2, second=4)

    assert new_of(behind([early]), [early, late]) == [b"line 2"]


def test_a_clock_that_was_set_back_makes_no_line_known_that_is_new() -> None:
    """The clock of a machine that has just been started is often ahead, until it hears the time."""
    ahead = [line(number, second=7200 + number) for number in range(5)]
    lines = [*ahead, *(line(number) for number in range(5, 2 * KEPT))]

    assert new_of(behind(lines), [*lines, line(999)]) == [b"line 999"]
    assert new_of(behind(lines[:-1]), lines[-9:]) == [lines[-1].data]
    assert new_of(behind(lines), [lines[-1], line(999, second=-7200)]) == [b"line 999"]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), max_size=60), st.data())
def test_whatever_the_breaks_each_line_is_new_once(written: list[tuple[int, int]], data: st.DataObject) -> None:
    """The output is given again and again, from a line that is known at the latest; lines may be equal, and mixed."""
    lines = [line(text, second=second) for second, text in sorted(written)]
    place, found, done = Place(), list[Entry](), 0
    while done < len(lines):
        begin = data.draw(st.integers(0, done))
        while 0 < begin < len(lines) and lines[begin].entry == lines[begin - 1].entry:
            begin -= 1  # between two equal lines of one moment nobody can say which of them it is
        done = data.draw(st.integers(done + 1, len(lines)))
        rereading = Rereading(place)
        fresh = [one.entry for one in lines[begin:done] if rereading.is_new(one.entry)]
        place = place.behind(fresh, "c1")
        found += fresh

    assert sorted(found) == sorted(one.entry for one in lines)


def test_a_place_survives_being_written_down() -> None:
    place = behind([line(number) for number in range(2 * KEPT)])

    assert Place.from_bytes(place.to_bytes()) == place
    assert len(place.to_bytes()) < 2200


@pytest.mark.parametrize("data", [b"", b"x", b"\x00" * 9 + b"odd", b"\xff" * 400])
def test_of_what_is_no_place_comes_the_place_before_all_lines(data: bytes) -> None:
    assert Place.from_bytes(data).entries == () or Place.from_bytes(data).container == ""
