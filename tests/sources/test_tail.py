"""The hard cases of reading files, by their numbers, on real files."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from borgwatch.model import Position
from borgwatch.sources.disk import Content, UnsettledError
from borgwatch.sources.problems import Problem
from borgwatch.sources.reading import MOST_LINES
from borgwatch.sources.trace import holds

from .world import LINGER, SETTLE, World, append

SECOND_DEVICE = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it


def rotate(live: Path, keep: int = 9) -> Path:
    """Rename a log away by count, as logrotate does; return its new name."""
    for count in range(keep, 0, -1):
        generation = live.with_name(f"{live.name}.{count}")
        if generation.exists():
            generation.rename(live.with_name(f"{live.name}.{count + 1}"))
    return live.rename(live.with_name(f"{live.name}.1"))


def rewrite(path: Path, content: str) -> None:
    """Replace a file by another one, as `tail` and `mv` do."""
    new = path.with_suffix(".new")
    new.write_text(content)
    new.rename(path)


def come_between(empty: Path, live: Path, tick: int) -> None:
    """Delete an empty file, rotate its successor, and let the one after that get the free inode number.

    File systems give a number anew at once, but not always. So here the empty file itself comes back with a later
    time of change, which looks the same. `tick` is how many nanoseconds lie between the times of change.
    """
    empty_ns = empty.stat().st_mtime_ns
    free = empty.rename(live.parent.with_name("free"))
    live.write_bytes(b"two\n")
    os.utime(live, ns=(empty_ns, empty_ns + tick))
    rotate(live)
    free.rename(live)
    os.utime(live, ns=(empty_ns, empty_ns + 2 * tick))


def counted_opens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note every path that is opened from now on."""
    opened: list[str] = []
    really_open = os.open

    def counting_open(path: str, flags: int) -> int:
        opened.append(path)
        return really_open(path, flags)

    monkeypatch.setattr(os, "open", counting_open)
    return opened


def open_files() -> int:
    """Count the files that this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


# --- 1, 2: unfinished lines -----------------------------------------------------------------------------------------


def test_01_a_line_that_comes_in_pieces_is_one_line(world: World) -> None:
    log = world.file("a.log", "one\ntw")
    assert world.catch_up() == [b"one"]
    append(log, "o, still")
    world.wait(SETTLE - 1)
    assert world.catch_up() == []
    append(log, " two")
    world.wait(SETTLE - 1)
    world.restart()
    assert world.catch_up() == []
    append(log, "\nthree\n")

    assert world.catch_up() == [b"two, still two", b"three"]


def test_01_each_piece_of_a_line_gives_it_as_long_again(world: World) -> None:
    """A slow writer is waited for from its last piece on, not from its first."""
    log = world.file("a.log", "one\no")
    assert world.catch_up() == [b"one"]
    for _ in range(3):
        assert world.catch_up() == []
        world.wait(SETTLE - 1)
        append(log, "o")
        assert world.catch_up() == []
        world.wait(SETTLE - 1)
    assert world.catch_up() == []
    append(log, "\n")

    assert world.catch_up() == [b"oooo"]


def test_02_a_last_line_without_its_end_is_taken_after_a_while_and_once(world: World) -> None:
    log = world.file("a.log", "one\nFinished")
    assert world.catch_up() == [b"one"]
    world.wait(SETTLE)
    assert world.catch_up() == [b"Finished"]
    world.wait(SETTLE)
    assert world.catch_up() == []
    append(log, "\n")
    assert world.catch_up() == []
    append(log, "\nnext\n")

    assert world.catch_up() == [b"", b"next"]


@pytest.mark.parametrize(("line", "late"), [("Finished\r", "\n"), ("Finished", "\r\n"), ("Finished", "\n")])
def test_02_the_late_end_of_a_line_makes_no_second_line_after_a_restart_either(
    world: World, line: str, late: str
) -> None:
    log = world.file("a.log", line)
    world.catch_up()
    world.wait(SETTLE)
    assert world.catch_up() == [b"Finished"]
    world.restart()
    append(log, f"{late}next\n")

    assert world.catch_up() == [b"next"]


# --- 3, 4: rotation -------------------------------------------------------------------------------------------------


def test_03_a_renamed_file_is_read_to_its_end_and_then_the_new_one(world: World) -> None:
    log = world.file("a.log", "one\n")
    world.catch_up()
    with log.open("ab", buffering=0) as writer:
        writer.write(b"two\n")
        old = rotate(log)
        world.file("a.log", "four\n")
        writer.write(b"three\n")
        assert world.catch_up() == [b"two", b"three", b"four"]
        writer.write(b"late\n")
        append(log, "five\n")
        assert world.catch_up() == [b"late", b"five"]
    assert {line.source for line in world.lines} == {"watch/a.log"}
    assert old.exists()


def test_03_a_writer_that_keeps_the_old_file_for_hours_is_still_heard(world: World) -> None:
    log = world.file("a.log", "one\n")
    world.catch_up()
    old = rotate(log)
    world.file("a.log", "new\n")
    world.catch_up()
    world.wait(3 * 3600)
    world.catch_up()
    world.restart()
    append(old, "backup failed\n")

    assert world.catch_up() == [b"backup failed"]


@pytest.mark.parametrize("looks", [0, 1])
def test_03_the_new_file_waits_until_the_old_one_is_read(world: World, looks: int) -> None:
    """However little of each file is read at once: what a run said last must not come before what it said first."""
    world.max_line = 20
    world.restart()
    log = world.file("a.log", "0\n")
    other = world.file("b.log", "")
    world.catch_up()
    append(other, "x\n" * 500)
    append(log, "".join(f"{number}\n" for number in range(1, 60)))
    rotate(log)
    for _ in range(looks):
        world.look(budget=100)
    world.file("a.log", "60\n")
    world.catch_up(budget=100)

    assert [int(line.data) for line in world.lines if line.source == "watch/a.log"] == list(range(61))


def test_03_the_old_file_is_read_before_the_new_one_comes(world: World) -> None:
    log = world.file("a.log", "one\n")
    world.catch_up()
    append(log, "two\n")
    rotate(log)
    assert world.catch_up() == [b"two"]
    world.file("a.log", "three\n")

    assert world.catch_up() == [b"three"]


def test_03_no_more_than_a_few_old_files_are_followed(world: World) -> None:
    log = world.file("a.log", "0\n")
    for number in range(1, 30):
        world.catch_up()
        rotate(log, keep=40)
        world.file("a.log", f"{number}\n")
        os.utime(log, (number, number))
        world.wait(LINGER)
    world.catch_up()
    world.wait(LINGER)
    world.catch_up()

    assert [int(line.data) for line in world.lines] == list(range(30))
    assert len(world.followed) <= 12


def test_03_a_file_renamed_to_a_name_that_is_a_source_goes_on_under_it(world: World) -> None:
    log = world.file("current.log", "one\n")
    world.catch_up()
    run = log.rename(world.file("run-1.log"))
    world.file("current.log", "two\n")
    assert world.catch_up() == [b"two"]
    world.wait(LINGER)
    assert world.catch_up() == []
    assert set(world.positions) == {"watch/current.log", "watch/run-1.log"}
    append(run, "three\n")
    world.restart()

    assert world.catch_up() == [b"three"]
    assert world.lines[-1].source == "watch/run-1.log"


@pytest.mark.parametrize(
    "names", [["a.log.1", "a.log.2", "a.log.3"], ["a.log-20261123", "a.log-20261122", "a.log-2026"]]
)
@pytest.mark.parametrize("stopped", [False, True])
def test_04_generations_that_were_never_seen_live_are_read_in_order(
    world: World, names: list[str], *, stopped: bool
) -> None:
    """Two rotations between two looks, or while the reader was down."""
    log = world.file("a.log", "one\n")
    world.file("a.log.7", "older than anything followed\n")
    world.catch_up()
    append(log, "two\n")
    log.rename(world.file(names[1]))
    world.file("a.log", "three\n")
    log.rename(world.file(names[0]))
    world.file("a.log", "four\n")
    if stopped:
        world.restart()

    assert world.catch_up() == [b"two", b"three", b"four"]


def test_04_generations_are_found_though_the_known_file_was_removed(world: World) -> None:
    log = world.file("a.log", "one\n")
    os.utime(log, ns=(1, 1))
    world.catch_up()
    log.unlink()
    world.file("a.log.1", "two\n")
    world.file("a.log", "three\n")

    assert world.catch_up() == [b"two", b"three"]


def test_04_a_file_that_came_and_was_rotated_between_two_looks_is_read(world: World) -> None:
    log = world.file("a.log", "one\n")
    world.catch_up()
    log.unlink()
    world.catch_up()
    world.file("a.log.1", "two\n")
    world.file("a.log", "three\n")

    assert world.catch_up() == [b"two", b"three"]


@pytest.mark.parametrize("tick", [0, 4_000_000])
@pytest.mark.parametrize("stopped", [False, True])
def test_04_an_empty_file_whose_inode_number_was_given_anew_hides_no_generation(
    world: World, tick: int, *, stopped: bool
) -> None:
    """It was deleted; then came one that was rotated unseen, and another one, which got its number, and was as well."""
    log = world.file("a.log", "one\n")
    world.catch_up()
    rotate(log)
    empty = world.file("a.log", "")
    world.catch_up()
    come_between(empty, log, tick)
    rotate(log)
    world.file("a.log", "")
    if stopped:
        world.restart()

    assert world.catch_up() == [b"two"]
    assert world.catch_up() == []


@pytest.mark.parametrize("tick", [0, 4_000_000])
def test_04_an_empty_predecessor_whose_inode_number_was_given_anew_hides_no_generation(world: World, tick: int) -> None:
    world.max_line = 20
    world.restart()
    log = world.file("a.log", "one\n")
    world.catch_up()
    rotate(log)
    world.file("a.log", "")
    world.catch_up()
    empty = rotate(log)
    world.catch_up()
    come_between(empty, log, tick)
    append(log, "x\n" * 50)
    rotate(log)
    world.file("a.log", "three\n")

    assert world.catch_up(budget=22) == [b"two", *[b"x"] * 50, b"three"]


def test_04_a_live_file_with_the_inode_number_of_an_empty_predecessor_is_read_once(world: World) -> None:
    """Nothing proves what was empty: the live file was followed in its place, and once more after a reboot."""
    log = world.file("a.log", "one\n")
    world.catch_up()
    rotate(log)
    world.file("a.log", "")
    world.catch_up()
    empty = rotate(log)
    world.file("a.log", "two\n")
    world.catch_up()
    rotate(log)
    empty.with_name("a.log.2").rename(log)  # deleted, and its number given anew
    append(log, "three\n")
    world.restart()
    world.catch_up()
    world.reboot()
    world.catch_up()

    assert [line.data for line in world.lines] == [b"one", b"two", b"three"]


def test_04_an_empty_file_that_came_while_its_predecessor_was_read_hides_no_generation(world: World) -> None:
    world.max_line = 20
    world.restart()
    log = world.file("a.log", "one\n")
    world.catch_up()
    append(log, "x\n" * 50)
    rotate(log)
    empty = world.file("a.log", "")
    world.look(budget=22)
    come_between(empty, log, 4_000_000)

    assert set(world.catch_up(budget=22)) == {b"x", b"two"}


def test_04_a_predecessor_that_is_removed_unread_is_told(world: World) -> None:
    log = world.file("a.log", "one\nunfinished")
    world.catch_up()
    old = rotate(log)
    world.file("a.log", "new\n")
    world.catch_up()
    old.unlink()
    world.catch_up()

    assert [problem.where for problem in world.problems] == ["watch/a.log"]
    assert "before it was read to its end" in world.problems[0].what
    assert world.followed == {"watch/a.log"}


# --- 5, 6: truncation and replacement -------------------------------------------------------------------------------


def test_05_a_file_that_was_copied_and_truncated_starts_over(world: World) -> None:
    log = world.file("a.log", "one\ntwo\n")
    world.catch_up()
    shutil.copyfile(log, world.file("a.log.1"))
    os.truncate(log, 0)
    append(log, "three\n")

    assert world.catch_up() == [b"three"]


def test_05_a_file_that_was_truncated_and_has_grown_past_the_offset_starts_over(world: World) -> None:
    log = world.file("a.log", "one\ntwo\n")
    world.catch_up()
    shutil.copyfile(log, world.file("a.log.1"))
    os.truncate(log, 0)
    append(log, "three\nfour\nfive\n")

    assert world.catch_up() == [b"three", b"four", b"five"]


@pytest.mark.parametrize("stopped", [False, True])
def test_05_what_was_unread_is_read_from_the_copy(world: World, *, stopped: bool) -> None:
    log = world.file("a.log", "one\n")
    world.catch_up()
    append(log, "two\n")
    shutil.copyfile(log, world.file("a.log.1"))
    os.truncate(log, 0)
    append(log, "three is longer than all before\n")
    if stopped:
        world.restart()

    assert world.catch_up() == [b"two", b"three is longer than all before"]


@pytest.mark.parametrize("name", ["a-20261123.log", "a.1.log"])
@pytest.mark.parametrize("unread", ["", "two\n"])
def test_05_a_copy_whose_name_ends_like_that_of_the_log_is_not_read_again(world: World, name: str, unread: str) -> None:
    """As logrotate makes it with copytruncate and `extension .log`: by its name it is a log of its own."""
    log = world.file("a.log", "one\n")
    world.catch_up()
    append(log, unread)
    copy = world.file(name)
    shutil.copyfile(log, copy)
    os.truncate(log, 0)
    append(log, "three\n")
    world.catch_up()
    world.wait(LINGER)
    world.catch_up()
    append(copy, "a log of its own\n")
    world.catch_up()

    assert [line.data for line in world.lines] == [
        *[line.encode() for line in ("one\n" + unread + "three\n").splitlines()],
        b"a log of its own",
    ]
    assert world.lines[-1].source == f"watch/{name}"


def test_05_a_log_that_a_script_writes_twice_goes_on_under_both_names(world: World) -> None:
    """One for all runs, one for each: that they hold the same makes neither a copy of the other."""
    log, run = world.file("a.log", "one\n"), world.file("a-20261123.log", "one\n")
    world.catch_up()
    log.write_text("two\n")
    append(run, "two\n")
    world.catch_up()

    for path in (log, run):
        assert [line.data for line in world.lines if line.source == f"watch/{path.name}"] == [b"one", b"two"]


def test_05_a_file_that_is_truncated_between_its_proof_and_the_read_starts_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written anew at once, so that neither its size nor its inode tells; the proof is read once more."""
    log = world.file("a.log", "one\ntwo\n")
    world.catch_up()
    append(log, "lost with the truncation\n")

    def holds_no_longer(file: Content, position: Position) -> bool:
        held = holds(file, position)
        log.write_text("three is longer than\nall that was there before\n")
        return held

    with monkeypatch.context() as moment:
        moment.setattr("borgwatch.sources.follow.holds", holds_no_longer)
        assert world.look().more

    assert world.catch_up() == [b"three is longer than", b"all that was there before"]


def test_05_a_file_that_waits_for_its_predecessor_and_is_copied_and_truncated_is_read_from_the_copy(
    world: World,
) -> None:
    """Nothing was read of it, so that nothing proves that it is another; a crash comes in between as well."""
    world.max_line = 20
    world.restart()
    log = world.file("a.log", "0\n")
    world.catch_up()
    append(log, "x\n" * 50)
    rotate(log)
    world.file("a.log", "1\n2\n")
    world.look(budget=22)
    log.with_name("a.log.1").rename(log.with_name("a.log.2"))
    shutil.copyfile(log, log.with_name("a.log.1"))
    os.truncate(log, 0)
    append(log, "3\n")
    world.restart()

    assert world.catch_up(budget=22) == [*[b"x"] * (50 - 11), b"1", b"2", b"3"]


def test_06_a_file_emptied_at_the_start_of_each_run_starts_over(world: World) -> None:
    log = world.file("a.log")
    for run in range(3):
        log.write_text(f"run {run}\nok\n")
        assert world.catch_up() == [b"run %d" % run, b"ok"]


def test_06_an_emptied_file_starts_over_once_it_stays_empty(world: World) -> None:
    log = world.file("a.log", "ok\n")
    world.catch_up()
    os.truncate(log, 0)
    world.catch_up()
    world.wait(2)
    world.catch_up()
    append(log, "ok\n")

    assert world.catch_up() == [b"ok"]


def test_06_a_file_replaced_by_another_starts_over(world: World) -> None:
    log = world.file("a.log", "one\ntwo\n")
    world.catch_up()
    rewrite(log, "six\nten\n")

    assert world.catch_up() == [b"six", b"ten"]


@pytest.mark.parametrize("searched", [8 << 20, 1], ids=["small", "too large to be searched"])
def test_06_a_file_replaced_by_a_longer_copy_of_itself_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, searched: int
) -> None:
    monkeypatch.setattr("borgwatch.sources.trace.MAX_SEARCHED", searched)
    log = world.file("a.log", "one\ntwo\n")
    world.catch_up()
    rewrite(log, "one\ntwo\nthree\n")
    world.restart()

    assert world.catch_up() == [b"three"]


def test_06_a_new_file_with_a_used_inode_number_is_another_file(world: World) -> None:
    """As file systems give free numbers anew, the position of another file is put in its place."""
    log = world.file("a.log", "one\ntwo\n")
    world.catch_up()
    known = world.positions["watch/a.log"]
    log.write_text("six\nten\nelf\n")
    assert log.stat().st_ino == known.inode

    assert world.catch_up() == [b"six", b"ten", b"elf"]


def test_06_inodes_that_alternate_with_equal_sizes_are_told_apart(world: World) -> None:
    log = world.file("history.log", "")
    kept: list[str] = []
    for run in range(10, 40):
        kept = [*kept, f"run {run}\n"][-5:]
        rewrite(log, "".join(kept))
        assert world.catch_up() == [b"run %d" % run]


def test_06_a_file_system_with_another_device_number_holds_the_same_files(world: World) -> None:
    """As many have after each reboot: of what is followed, nothing is read again, nothing is missed."""
    log = world.file("a.log", "one\n")
    world.catch_up()
    append(log, "two\n")
    old = rotate(log)
    world.file("a.log", "three\n")
    world.catch_up()
    world.reboot()
    append(old, "late\n")
    append(log, "four\n")

    assert world.catch_up() == [b"late", b"four"]


def test_06_a_rotated_file_with_the_inode_number_of_the_known_one_must_prove_itself_after_a_reboot(
    world: World,
) -> None:
    """The known log is gone; its number came to one that was rotated unseen, on a device with another number."""
    log = world.file("a.log", "one\n")
    world.catch_up()
    log.write_text("another\n")
    rotate(log)
    world.file("a.log", "three\n")
    world.reboot()

    assert world.catch_up() == [b"another", b"three"]


def test_06_rotated_files_are_not_unseen_ones_because_of_another_device_number(world: World) -> None:
    """Beside one that was empty, what was changed after it might be; not what is followed."""
    log = world.file("a.log", "one\n")
    world.catch_up()
    rotate(log)
    world.file("a.log", "")
    world.catch_up()
    rotate(log)
    world.catch_up()
    append(world.root / "a.log.2", "late\n")
    assert world.catch_up() == [b"late"]
    world.reboot()

    assert world.catch_up() == []


def test_06_a_predecessor_that_is_removed_while_the_device_number_changes_is_gone(world: World) -> None:
    """The live file is there: so the file system is not away."""
    log = world.file("a.log", "one\n")
    world.catch_up()
    old = rotate(log)
    world.file("a.log", "two\n")
    world.catch_up()
    old.unlink()
    world.reboot()
    append(log, "three\n")

    assert world.catch_up() == [b"three"]
    assert world.followed == {"watch/a.log"}


def test_06_generations_that_end_alike_are_told_apart_under_another_device_number(world: World) -> None:
    """A script that prints the same each night: only the inode numbers tell the files from each other."""
    log = world.file("a.log", "same\n" * 100)
    world.catch_up()
    for _ in range(3):
        rotate(log)
        world.file("a.log", "same\n" * 100)
        world.catch_up()
    rotate(log)
    world.file("a.log", "")
    world.reboot()
    for count in (1, 2, 3, 4):
        append(log.with_name(f"a.log.{count}"), f"late {count}\n")

    assert sorted(world.catch_up()) == [b"late 1", b"late 2", b"late 3", b"late 4"]


@pytest.mark.parametrize("rotations", [0, 1])
def test_06_files_that_were_found_and_not_read_are_found_under_another_device_number(
    world: World, rotations: int
) -> None:
    world.max_line = 20
    world.restart()
    log = world.file("a.log", "0\n")
    world.catch_up()
    append(log, "x\n" * 50)
    for number in (1, 2):
        rotate(log)
        world.file("a.log", f"{number}\n")
    world.look(budget=22)
    for number in range(3, 3 + rotations):
        rotate(log)
        world.file("a.log", f"{number}\n")
    world.reboot()

    assert [line for line in world.catch_up() if line != b"x"] == [b"1", b"2", b"3"][: 2 + rotations]
    assert len(world.lines) == 53 + rotations


# --- 7: rewritten without its oldest lines --------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 5, 100])
@pytest.mark.parametrize("in_place", [False, True])
def test_07_a_line_dropped_at_the_top_and_one_added_gives_the_new_line(
    world: World, count: int, *, in_place: bool
) -> None:
    log = world.file("history.log", "".join(f"run {run:03d}\n" for run in range(count)))
    world.catch_up()
    content = "".join(f"run {run:03d}\n" for run in range(1, count + 1))
    if in_place:
        log.write_text(content)
    else:
        rewrite(log, content)

    assert world.catch_up() == [b"run %03d" % count]


def test_07_a_rewriting_seen_while_the_file_is_empty_gives_the_new_line_only(world: World) -> None:
    log = world.file("history.log", "one\ntwo\nthree\n")
    world.catch_up()
    os.truncate(log, 0)
    assert world.catch_up() == []
    append(log, "two\nthree\nfour\n")

    assert world.catch_up() == [b"four"]


def test_07_a_file_too_large_to_be_searched_starts_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("borgwatch.sources.trace.MAX_SEARCHED", 10)
    log = world.file("history.log", "one\ntwo\nthree\n")
    world.catch_up()
    rewrite(log, "two\nthree\nfour\n")

    assert world.catch_up() == [b"two", b"three", b"four"]


# --- 8: coming and going --------------------------------------------------------------------------------------------


def test_08_a_file_deleted_and_made_again_is_read_from_its_start(world: World) -> None:
    log = world.file("a.log", "one\n")
    world.catch_up()
    log.unlink()
    world.catch_up()
    assert world.followed == set()
    world.file("a.log", "one\ntwo\n")

    assert world.catch_up() == [b"one", b"two"]


@pytest.mark.parametrize("name", ["a.log", "borg/a.log"])
def test_08_a_directory_deleted_and_made_again_is_followed_again(world: World, name: str) -> None:
    world.file(name, "one\n")
    world.catch_up()
    shutil.rmtree(world.root)
    world.catch_up()
    world.file(name, "two\n")

    assert world.catch_up() == [b"two"]
    assert [problem.resolved for problem in world.problems] == [False, True]


def test_08_a_file_system_that_is_away_for_a_while_is_not_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing file counts as deleted only where the directory above it is on the same device."""
    world.file("borg/a.log", "one\n")
    world.catch_up()
    away = world.root.rename(world.root.with_name("away"))
    with monkeypatch.context() as unmounted:
        unmounted.setattr("borgwatch.sources.follow.is_deleted", lambda *_: False)
        world.catch_up()
    away.rename(world.root)
    append(world.root / "borg/a.log", "two\n")

    assert world.catch_up() == [b"two"]


@pytest.mark.skipif(not SECOND_DEVICE.is_dir(), reason="needs a second file system")
def test_08_what_is_not_on_the_file_system_above_it_is_not_taken_for_deleted(world: World, tmp_path: Path) -> None:
    """A mounted directory that is away leaves what lies below: here a link that leads to another device."""
    with TemporaryDirectory(dir=SECOND_DEVICE) as mounted:
        if Path(mounted).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is but one device")
        world.file("borg").symlink_to(mounted)
        log = world.file("borg/a.log", "one\n")
        rotate(log)
        world.file("borg/a.log", "two\n")
        assert world.catch_up() == [b"two"]
        world.file("borg").unlink()
        for _ in range(2):
            world.wait(LINGER)
            world.catch_up()
            world.restart()
        world.file("borg").symlink_to(mounted)
        append(log, "three\n")

        assert world.catch_up() == [b"three"]


def test_08_a_directory_that_is_missing_at_start_may_appear_later(world: World) -> None:
    world.root.rmdir()
    world.restart()
    assert world.catch_up() == []
    assert world.catch_up() == []
    world.file("borg/a.log", "one\n")

    assert world.catch_up() == [b"one"]
    assert [(problem.where, problem.resolved) for problem in world.problems] == [("watch", False), ("watch", True)]


def test_08_a_swapped_symlink_is_followed_to_its_new_file(world: World, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("one\n")
    (tmp_path / "two").write_text("two\n")
    link = world.file("latest.log")
    link.symlink_to(tmp_path / "one")
    assert world.catch_up() == [b"one"]
    link.unlink()
    link.symlink_to(tmp_path / "two")

    assert world.catch_up() == [b"two"]


def test_08_a_file_with_several_names_is_followed_once_by_its_own(world: World) -> None:
    log = world.file("borg/run.log", "one\n")
    world.file("a-link.log").symlink_to(log)
    world.file("borg/zz.log").hardlink_to(log)
    world.file("loop").symlink_to(world.root)
    assert world.catch_up() == [b"one"]
    assert set(world.tree.scan()) == {"watch/borg/run.log", "watch/borg/zz.log", "watch/a-link.log"}
    append(log, "two\n")
    world.restart()

    assert world.catch_up() == [b"two"]
    assert {line.source for line in world.lines} == {"watch/borg/run.log"}


def test_08_a_file_that_fits_two_patterns_is_followed_once(world: World) -> None:
    world.patterns = ("*.log", "a.*", "borg/*")
    world.restart()
    world.file("a.log", "one\n")
    world.file("borg/b", "two\n")

    assert world.catch_up() == [b"one", b"two"]


def test_08_another_file_that_replaces_a_second_name_is_followed(world: World) -> None:
    log = world.file("a.log", "one\n")
    second = world.file("b.log")
    second.hardlink_to(log)
    world.catch_up()
    second.unlink()
    second.write_text("two\n")

    assert world.catch_up() == [b"two"]
    assert world.lines[-1].source == "watch/b.log"


# --- 9, 10: many files, and the past --------------------------------------------------------------------------------


def test_09_finished_files_cost_no_open_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for run in range(300):
        world.file(f"borg-{run}.log", f"run {run}\n")
    assert len(world.catch_up()) == 300
    before = open_files()
    for _ in range(3):
        world.wait(3)
        world.catch_up()
    opened = counted_opens(monkeypatch)
    world.wait(3)
    world.catch_up()
    append(world.root / "borg-7.log", "more\n")
    assert world.catch_up() == [b"more"]

    assert {Path(path).name for path in opened} == {"borg-7.log"}
    assert open_files() == before


def test_09_where_all_lines_are_wanted_a_look_takes_few_of_them(world: World) -> None:
    """However short they are: a look is not to keep everything else waiting."""
    world.file("a.log", b"".join(b"%d\n" % number for number in range(1000)))

    first = world.look()
    world.catch_up()

    assert (len(first.lines), first.more) == (MOST_LINES, True)
    assert [line.data for line in world.lines] == [b"%d" % number for number in range(1000)]


def test_09_a_flood_in_one_file_does_not_starve_the_others(world: World) -> None:
    world.max_line = 1000
    world.restart()
    world.file("a.log", b"flood\n" * 100_000)
    for name in ("b.log", "c.log", "d.log"):
        world.file(name, "calm\n")

    batch = world.look(budget=20_000)

    assert batch.more
    assert sum(line.data == b"calm" for line in batch.lines) == 3
    assert sum(len(line.data) + 1 for line in batch.lines) <= 20_000


def test_09_every_file_has_its_turn_whatever_the_budget(world: World) -> None:
    """Also beside one that is written faster than it is read."""
    world.max_line = 20
    world.restart()
    logs = [world.file(f"{name}.log", "x\n" * 50) for name in "abcdef"]
    for run in ("new", "known"):
        for _ in range(20):
            append(logs[0], "x\n" * 50)
            assert world.look(budget=22).more
        assert {line.source for line in world.lines} == {f"watch/{log.name}" for log in logs}, run
        world.catch_up()
        world.lines.clear()
        for log in logs:
            append(log, "x\n" * 50)


def test_10_what_was_there_at_the_first_start_is_past(world: World) -> None:
    log = world.file("a.log", "one\ntwo\nthr")
    world.first_start = True
    world.restart()
    world.look(budget=1)
    world.restart()
    append(log, "ee\nfour\n")
    world.file("b.log", "new\n")
    world.catch_up()

    assert [(line.data, line.past) for line in world.lines] == [
        (b"one", True),
        (b"two", True),
        (b"three", False),
        (b"four", False),
        (b"new", False),
    ]


def test_10_the_past_of_every_file_is_noted_before_the_first_is_read(world: World) -> None:
    """A crash in the midst of catching up must not make the rest of the past look new."""
    world.max_line = 20
    for name in "abcdef":
        world.file(f"{name}.log", "x\n" * 50)
    world.first_start = True
    world.restart()
    world.look(budget=22)
    world.restart()
    world.catch_up()

    assert len(world.lines) == 300
    assert all(line.past for line in world.lines)


@pytest.mark.parametrize("content", ["one\ntwo\n", "one\n" * 50_000, "one\ntwo", "x" * 200_000, ""])
def test_10_a_first_start_at_the_end_reads_nothing_of_the_past(world: World, content: str) -> None:
    log = world.file("a.log", content)
    world.first_start, world.start = True, "end"
    world.restart()
    world.catch_up()
    world.wait(SETTLE)
    world.catch_up()
    assert all(line.past for line in world.lines)
    assert len(world.lines) <= 1
    append(log, "\nnew\n")
    world.restart()

    assert world.catch_up()[-1:] == [b"new"]
    assert not world.lines[-1].past


# --- 11, 12: what is in the lines -----------------------------------------------------------------------------------


def test_11_a_very_long_line_is_cut_and_the_next_is_whole(world: World) -> None:
    log = world.file("a.log", "one\n")
    for _ in range(10):
        append(log, b"x" * 1_000_000)
        batch = world.look(budget=300_000)
        assert sum(len(line.data) for line in batch.lines) <= 300_000
        world.restart()
    append(log, "\ntwo\n")
    world.catch_up(budget=300_000)

    assert [line.data for line in world.lines] == [b"one", b"x" * world.max_line, b"two"]
    assert world.problems[0] == Problem("watch/a.log (long lines)", "lines are cut after 65536 bytes", stands=False)


def test_12_bytes_survive(world: World) -> None:
    lines = [b"\xef\xbb\xbfBOM", b"\0\0\0 sparse", b"\xff\xfe invalid", b"10%\r20%", b"\0a\0b", b""]
    world.file("a.log", b"\n".join(lines) + b"\n" + b"crlf\r\n")

    assert world.catch_up() == [*lines, b"crlf"]


def test_12_a_writer_that_keeps_its_offset_over_a_truncation_is_read(world: World) -> None:
    log = world.file("a.log")
    with log.open("wb", buffering=0) as writer:
        writer.write(b"x" * 99 + b"\n")
        writer.seek(200_000)
        writer.write(b"one\n")
        world.catch_up()
        os.truncate(log, 0)
        writer.write(b"two\n")
        lines = world.catch_up()

    assert [line.strip(b"\0") for line in lines] == [b"two"]


def test_12_a_line_behind_such_a_hole_is_waited_for(world: World) -> None:
    log = world.file("a.log")
    with log.open("wb", buffering=0) as writer:
        writer.seek(200_000)
        writer.write(b"one")
        assert world.catch_up() == []
        writer.write(b" and a half\n")

    assert world.catch_up() == [b"one and a half"]


def test_12_a_name_that_is_no_text_is_followed(world: World) -> None:
    log = world.file(os.fsdecode(b"\xff.log"), "one\n")
    assert world.catch_up() == [b"one"]
    world.restart()
    append(log, "two\n")

    assert world.catch_up() == [b"two"]
    assert world.lines[0].source.encode() == b"watch/\\xff.log"


# --- 14, 17: what stands in the way ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "where"),
    [
        (errno.EACCES, "watch/b.log"),
        (errno.EIO, "watch/b.log"),
        (errno.ESTALE, "watch/b.log"),
        (errno.EMFILE, "open files"),
    ],
)
def test_14_a_file_that_cannot_be_read_is_told_once_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int, where: str
) -> None:
    """The other files are read meanwhile; nothing is lost once it can be read again."""
    a, b = world.file("a.log", "a\n"), world.file("b.log", "b\n")
    world.catch_up()
    really_open = os.open

    def failing_open(path: str, flags: int) -> int:
        if path == str(b):
            raise OSError(number, os.strerror(number))
        return really_open(path, flags)

    with monkeypatch.context() as broken:
        broken.setattr(os, "open", failing_open)
        append(b, "bb\n")
        for _ in range(3):
            append(a, "aa\n")
            assert world.catch_up() == [b"aa"]
    assert world.catch_up() == [b"bb"]
    assert world.catch_up() == []

    assert [(problem.where, problem.resolved) for problem in world.problems] == [(where, False), (where, True)]


def test_14_an_error_while_reading_is_told_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    log = world.file("a.log", "one\n")
    world.catch_up()
    append(log, "two\n")

    def failing_read(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "pread", failing_read)
        world.catch_up()
        world.catch_up()

    assert world.catch_up() == [b"two"]
    assert [problem.resolved for problem in world.problems] == [False, True]


def test_14_a_new_file_that_cannot_be_read_and_is_deleted_is_no_problem_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = world.file("a.log", "one\n")

    def failing_open(*_: object) -> int:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as broken:
        broken.setattr(os, "open", failing_open)
        world.catch_up()
    log.unlink()
    world.catch_up()

    assert [problem.resolved for problem in world.problems] == [False, True]


def test_14_an_unreadable_directory_is_told_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.file("borg/a.log", "one\n")
    world.file("b.log", "two\n")
    really_scan = os.scandir

    def failing_scan(path: str) -> object:
        if path.endswith("borg"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return really_scan(path)

    with monkeypatch.context() as broken:
        broken.setattr(os, "scandir", failing_scan)
        assert world.catch_up() == [b"two"]
        world.catch_up()

    assert world.catch_up() == [b"one"]
    assert [(problem.where, problem.resolved) for problem in world.problems] == [
        ("watch/borg", False),
        ("watch/borg", True),
    ]


def test_17_what_is_not_a_file_is_refused_with_a_reason(world: World, tmp_path: Path) -> None:
    os.mkfifo(world.file("fifo.log"))
    world.file("directory.log").mkdir()
    world.file("device.log").symlink_to("/dev/null")
    world.file("kernel.log").symlink_to("/proc/self/status")
    world.file("nowhere.log").symlink_to(tmp_path / "nowhere")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(world.file("socket.log")))
        world.file("a.log", "one\n")
        assert world.catch_up() == [b"one"]
        world.catch_up()
    world.file("fifo.log").unlink()
    world.catch_up()

    reasons = {problem.where: problem.what for problem in world.problems if not problem.resolved}
    assert {where: what.split(" is ")[1].split(":")[0] for where, what in reasons.items()} == {
        "watch/fifo.log": "a FIFO, not a file",
        "watch/directory.log": "a directory, not a file",
        "watch/device.log": "a device, not a file",
        "watch/kernel.log": "the kernel's, not a log",
        "watch/socket.log": "a socket, not a file",
    }
    assert [problem.where for problem in world.problems if problem.resolved] == ["watch/fifo.log"]


def put_fifo(place: Path) -> None:
    os.mkfifo(place)


def put_socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(place))


def put_directory(place: Path) -> None:
    place.mkdir()


def put_device(place: Path) -> None:
    place.symlink_to("/dev/zero")


@pytest.mark.parametrize("known", [False, True], ids=["found only", "read before"])
@pytest.mark.parametrize(
    ("put", "what"),
    [
        (put_fifo, "a FIFO"),
        (put_socket, "a socket"),
        (put_directory, "a directory"),
        (put_device, "a device"),
    ],
)
def test_17_what_is_put_in_the_place_of_a_log_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch, put: Callable[[Path], None], what: str, *, known: bool
) -> None:
    """Also after the file was found, before it is opened; what comes in its place then is read."""
    log = world.file("a.log", "one\n")
    if known:
        world.catch_up()
    world.tree.scan()
    log.unlink()
    put(log)
    with monkeypatch.context() as found:
        found.setattr(world.tree, "_walk", lambda: None)
        assert world.catch_up() == []
    (problem,) = world.problems
    assert what in problem.what
    assert "not a file: it is not read" in problem.what
    assert world.catch_up() == []
    log.rename(world.root.with_name("away"))
    world.file("a.log", "two\n")

    assert world.catch_up() == [b"two"]
    assert world.problems[-1].resolved


# --- what is followed, and the commit -------------------------------------------------------------------------------


def test_only_what_is_asked_for_is_followed(world: World) -> None:
    for name in (".hidden.log", ".git/a.log", "a.log.1", "a.log.gz", "a.log-20261123", "a.conf", "a.log.swp"):
        world.file(name, "no\n")
    world.file("a.log", "yes\n")
    world.file("deep/er/a.txt", "yes\n")

    assert list(world.tree.scan()) == ["watch/a.log", "watch/deep/er/a.txt"]
    assert world.catch_up() == [b"yes", b"yes"]


def test_a_generation_is_not_followed_by_its_own_name_whatever_the_pattern(world: World) -> None:
    world.patterns = ("*",)
    world.restart()
    log = world.file("backup", "one\n")
    world.file("backup.1", "older\n")
    assert world.catch_up() == [b"one"]
    rotate(log)

    assert world.catch_up() == []


def test_what_is_not_committed_is_read_again(world: World) -> None:
    log = world.file("a.log", "one\n")
    first = world.tree.read(1_000_000)
    append(log, "two\n")
    second = world.tree.read(1_000_000)

    assert [line.data for line in first.lines] == [b"one"]
    assert [line.data for line in second.lines] == [b"one", b"two"]
    with pytest.raises(ValueError, match="read last"):
        world.tree.commit(first)


def test_a_crash_at_any_point_of_a_rotation_loses_nothing(world: World) -> None:
    log = world.file("a.log", "one\n")
    world.catch_up()
    append(log, "two\n" * 100)
    rotate(log)
    world.file("a.log", "three\n")
    for _ in range(3):
        assert len(world.tree.read(1_000_000).lines) == 101
        world.restart()

    assert len(world.catch_up()) == 101


def test_positions_of_other_trees_and_of_files_no_longer_asked_for_are_left_alone(world: World) -> None:
    world.file("a.log", "one\n")
    world.catch_up()
    world.positions["other/a.log"] = world.positions["watch/a.log"]
    world.positions["watch/a.conf"] = world.positions["watch/a.log"]
    world.restart()

    assert world.catch_up() == []
    assert set(world.positions) == {"watch/a.log", "other/a.log", "watch/a.conf"}


def test_a_line_knows_where_it_stands(world: World) -> None:
    log = world.file("a.log", "one\ntwo\n")
    world.catch_up()

    assert [(line.source, line.position.offset) for line in world.lines] == [("watch/a.log", 4), ("watch/a.log", 8)]
    assert {line.position.inode for line in world.lines} == {log.stat().st_ino}


@pytest.mark.parametrize("looks", [1, 2])
def test_08_a_file_made_after_a_deletion_and_rotated_at_once_is_read_also_after_a_restart(
    world: World, looks: int
) -> None:
    """Nothing has the live name at the look: what was written there in between has been renamed already."""
    log = world.file("a.log", "one\n")
    world.catch_up()
    log.unlink()
    log.write_text("two\n")
    log.rename(log.with_name("a.log.1"))
    for _ in range(looks):
        world.look()
    world.restart()
    log.write_text("three\n")
    world.catch_up()
    assert [line.data for line in world.lines] == [b"one", b"two", b"three"]


def test_04_names_that_change_while_they_are_looked_for_make_the_look_begin_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log was deleted, and what came after it rotated: that is not taken for old because one look could not tell."""
    log = world.file("a.log", "one\n")
    world.catch_up()
    log.unlink()
    world.file("a.log.1", "two\n")
    world.file("a.log", "x\n")

    def unsettled(*_: object) -> None:
        raise UnsettledError("renamed faster than its directory can be listed")

    with monkeypatch.context() as patch:
        patch.setattr("borgwatch.sources.trace.Tracer.younger", unsettled)
        world.look()
    world.restart()

    assert world.catch_up() == [b"two", b"x"]
