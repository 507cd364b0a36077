"""What waits of an app's output: bounded, committed with its place, never taken twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from borgwatch.model import Position
from borgwatch.sources.app_log import Written
from borgwatch.sources.app_output import AppOutput, app_of
from borgwatch.sources.lines import MAX_LINE
from borgwatch.sources.tail import Batch

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def positions(batch: Batch) -> dict[str, Position]:
    return {source: position for source, position in batch.positions.items() if position is not None}


def output(*, first_start: bool = False) -> AppOutput:
    return AppOutput("borg", now=lambda: NOW, wake=lambda: None, first_start=first_start)


def line(number: int, data: bytes | None = None) -> Written:
    return Written(data if data is not None else b"line %d" % number, NOW + timedelta(seconds=number - 1000))


def fill(one: AppOutput, numbers: range, container: str = "c1") -> None:
    one.begin("backup", container)
    for number in numbers:
        assert one.take("backup", line(number))


def test_what_was_not_committed_is_read_again() -> None:
    one = output()
    fill(one, range(3))

    first = one.read(1 << 20)
    again = one.read(1 << 20)
    one.commit(again)

    assert [got.data for got in first.lines] == [got.data for got in again.lines] == [b"line 0", b"line 1", b"line 2"]
    assert one.read(1 << 20).lines == ()


def test_another_process_goes_on_behind_what_was_committed() -> None:
    one = output(first_start=True)
    fill(one, range(5))
    batch = one.read(600)
    one.commit(batch)
    assert batch.more

    other = output()
    other.restore({"/watch/nas.log": Position(1, 2, 3), **positions(batch)})
    fill(other, range(5))

    assert [got.data for got in (*batch.lines, *other.read(1 << 20).lines)] == [line(n).data for n in range(5)]


def test_a_new_container_is_read_although_the_clock_of_the_one_before_was_ahead() -> None:
    one = output()
    fill(one, range(5000, 5200))
    one.commit(one.read(1 << 20))
    fill(one, range(300), "c2")

    assert [got.data for got in one.read(1 << 20).lines] == [line(n).data for n in range(300)]


def test_what_was_written_before_the_first_start_is_past_also_after_a_restart() -> None:
    one = output(first_start=True)
    one.begin("backup", "c1")
    batch = one.read(1 << 20)
    one.commit(batch)
    assert one.there == (one.name,)

    other = output()
    other.restore(positions(batch))
    other.begin("backup", "c1")
    other.take("backup", line(1))
    other.take("backup", Written(b"news", NOW + timedelta(seconds=1)))

    assert [got.past for got in other.read(1 << 20).lines] == [True, False]


def test_after_it_was_away_one_more_look_finds_it_away() -> None:
    """A connection that broke and came back between two looks is not to pass for silence."""

    def look(one: AppOutput) -> bool:
        batch = one.read(1 << 20)
        was_there = bool(one.there)
        one.commit(batch)
        return was_there

    one = output()
    assert [look(one), look(one)] == [False, False]
    one.begin("backup", "c1")
    assert [look(one), look(one)] == [False, True]
    one.away()
    assert not look(one)
    one.begin("backup", "c1")
    assert [look(one), look(one)] == [False, True]


def test_there_is_no_room_for_a_flood() -> None:
    """What is refused comes again when the output is asked for anew."""
    one = output()
    one.begin("backup", "c1")
    taken = 0
    while one.take("backup", line(taken, b"x" * 100_000 + b"%d" % taken)):
        taken += 1

    assert taken * MAX_LINE < 5 << 20
    while (batch := one.read(1 << 20)).lines:
        assert all(len(got.data) == MAX_LINE for got in batch.lines)
        one.commit(batch)
    one.begin("backup", "c1")
    assert one.take("backup", line(0, b"x" * 100_000 + b"0"))
    assert one.take("backup", line(taken, b"x" * 100_000 + b"%d" % taken))
    assert len(one.read(1 << 20).lines) == 1


def test_only_the_batch_that_was_read_last_can_be_committed() -> None:
    one = output()
    fill(one, range(2))
    batch = one.read(1 << 20)
    one.read(1 << 20)

    with pytest.raises(ValueError, match="read last"):
        one.commit(batch)


def test_a_source_is_named_by_app_and_service() -> None:
    one = output()
    fill(one, range(1))

    [got] = one.read(1 << 20).lines
    assert got.source == "truenas-app:borg/backup"
    assert app_of(got.source) == ("borg", "backup")
    assert app_of("/watch/nas/borg.log") is None
