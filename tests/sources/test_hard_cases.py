"""Hard cases of reading that stand between the modules: clocks and several writers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from borgwatch.decode import decode

from .test_tail import counted_opens, rotate
from .world import SETTLE, World, append

FAR = datetime(2090, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("stamp", [0.0, FAR], ids=["long ago", "in the future"])
def test_15_times_of_change_that_lie_do_not_matter(world: World, stamp: float) -> None:
    """A log with such a time is read, rotated and rewritten like any other."""
    log = world.file("a.log", "one\n")
    os.utime(log, (stamp, stamp))
    assert world.catch_up() == [b"one"]
    append(log, "two\n")
    os.utime(log, (stamp, stamp))
    world.wait(3)
    assert world.catch_up() == [b"two"]
    os.utime(rotate(log), (stamp, stamp))
    log.write_text("three\n")
    os.utime(log, (stamp, stamp))
    world.restart()
    assert world.catch_up() == [b"three"]
    assert world.catch_up() == []


@pytest.mark.parametrize("seconds", [1 << 34, -(1 << 34)], ids=["year 2514", "year 1425"])
def test_15_times_of_change_beyond_all_reason_do_not_matter(world: World, seconds: int) -> None:
    """File systems hold more than 64 bits of nanoseconds do; one such file must not keep all others from being read."""
    log = world.file("a.log", "one\n")
    world.file("b.log", "other\n")
    os.utime(log, (seconds, seconds))
    assert world.catch_up() == [b"one", b"other"]
    append(log, "two\n")
    os.utime(log, (seconds, seconds))
    world.restart()
    assert world.catch_up() == [b"two"]
    for _ in range(2):
        world.wait(3)
        world.catch_up()
    os.utime(rotate(log), (seconds, seconds))
    log.write_text("three\n")

    assert world.catch_up() == [b"three"]


def test_15_no_line_is_younger_than_the_moment_it_was_read_at(world: World) -> None:
    log = world.file("a.log", "one\n")
    os.utime(log, (FAR, FAR))
    world.catch_up()

    assert world.lines[0].read_at == datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=world.seconds)


@pytest.mark.parametrize("moment", [0.0, FAR], ids=["long ago", "in the future"])
def test_15_a_log_comes_to_rest_whatever_its_time_of_change_says(
    world: World, monkeypatch: pytest.MonkeyPatch, moment: float
) -> None:
    """Once it stood still for some seconds, a look opens neither it, nor what was rotated, nor its directory."""
    log = world.file("borg/a.log", "zero\n")
    world.catch_up()
    old = rotate(log)
    world.file("borg/a.log", "one\nhalf")
    for path in (log, old, log.parent):
        os.utime(path, (moment, moment))
    for _ in range(6):
        world.catch_up()
        world.wait(2)
    opened = counted_opens(monkeypatch)
    world.look()
    world.wait(0.5)
    listed: list[str] = []

    def listing(path: str) -> list[os.DirEntry[str]]:
        listed.append(path)
        return []

    monkeypatch.setattr("os.scandir", listing)
    world.look()

    assert [line.data for line in world.lines] == [b"zero", b"one", b"half"]
    assert (opened, listed) == ([], [])


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_15_an_unfinished_line_waits_by_a_clock_that_does_not_jump(world: World, jump: float) -> None:
    log = world.file("a.log", "one\nhalf")
    world.catch_up()
    world.set_forward += jump
    world.wait(SETTLE - 1)
    assert world.catch_up() == []
    append(log, " a line\n")
    assert world.catch_up() == [b"half a line"]
    append(log, "end")
    world.catch_up()
    world.set_forward += jump
    world.wait(SETTLE)

    assert world.catch_up() == [b"end"]


def test_15_a_log_that_is_written_after_the_clock_was_set_back_is_read(world: World) -> None:
    """Its time of change is older than that which was believed; so is that of what was rotated unseen."""
    log = world.file("a.log", "one\n")
    os.utime(log, (FAR, FAR))
    for _ in range(3):
        world.catch_up()
        world.wait(3)
    append(log, "two\n")
    assert log.stat().st_mtime < FAR
    assert world.catch_up() == [b"two"]
    os.utime(log, (FAR, FAR))
    world.catch_up()
    for text in ("three\n", "four\n"):
        rotate(log)
        log.write_text(text)

    assert world.catch_up() == [b"three", b"four"]


@pytest.mark.parametrize("jump", [-86_400.0, -3600.0, 3600.0, 86_400.0])
def test_15_a_clock_that_jumps_neither_loses_nor_repeats(world: World, jump: float) -> None:
    """Files are stamped with the time before and after the jump; spans are measured on a clock that does not jump."""
    log = world.file("a.log", "one\nhalf")
    assert world.catch_up() == [b"one"]
    moment = log.stat().st_mtime + jump
    append(log, " a line\ntwo\n")
    os.utime(log, (moment, moment))
    assert world.catch_up() == [b"half a line", b"two"]
    world.wait(3)
    rotate(log)
    log.write_text("three\n")
    os.utime(log, (moment + 1, moment + 1))
    world.catch_up()
    world.restart()
    world.wait(100)
    world.catch_up()

    assert [line.data for line in world.lines] == [b"one", b"half a line", b"two", b"three"]


def test_16_lines_of_two_writers_come_out_whole(world: World) -> None:
    """Two processes that append to one file, each line in one write, as two descriptors of a shell do.

    What is read at once ends in the midst of a line.
    """
    world.max_line = 120
    world.restart()
    log = world.file("a.log", "")
    world.catch_up()
    code = (
        "import os, sys\n"
        "f = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)\n"
        "for n in range(2000): os.write(f, f'{sys.argv[2]} {n} {\"x\" * (n % 90)}\\n'.encode())\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(log), name]) for name in ("out", "err")]
    while any(writer.poll() is None for writer in writers):
        world.look(budget=1000)
    world.catch_up(budget=1000)

    truth = [f"{name} {n} {'x' * (n % 90)}".encode() for name in ("out", "err") for n in range(2000)]
    assert Counter(line.data for line in world.lines) == Counter(truth)
    for name in (b"out", b"err"):
        numbers = [int(line.data.split()[1]) for line in world.lines if line.data.startswith(name)]
        assert numbers == list(range(2000))


def test_16_an_object_behind_a_prompt_without_line_end_is_read(world: World) -> None:
    world.file("a.log", 'Enter passphrase for key /k: {"type": "log_message", "message": "passphrase wrong"}\n')
    world.catch_up()

    assert decode(world.lines[0], "job").text == "passphrase wrong"
