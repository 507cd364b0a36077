"""Files that move: to another name, into another watched directory, away and back."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from .test_compressed import compress
from .test_tail import rotate
from .world import LINGER, World, append


@pytest.fixture
def two(tmp_path: Path) -> World:
    """Two watched directories beside each other, and one that is not watched."""
    for name in ("watch", "other", "away"):
        (tmp_path / name).mkdir()
    return World(tmp_path / "watch", {"other": tmp_path / "other"})


def write(path: Path, content: str) -> Path:
    """Write a file and the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def settle(world: World) -> None:
    """Let everything come to rest that waits for it."""
    for _ in range(3):
        world.catch_up()
        world.wait(LINGER + 1)
    world.catch_up()


@pytest.mark.parametrize("stopped", [False, True])
def test_a_log_that_moves_into_another_watched_directory_goes_on_there(
    two: World, tmp_path: Path, *, stopped: bool
) -> None:
    """What is added to it there is read, under its new name once it was silent for a while."""
    log = two.file("a/x.log", "one\n")
    (tmp_path / "other/b").mkdir()
    two.catch_up()
    moved = log.rename(tmp_path / "other/b/x.log")
    append(moved, "two\n")
    if stopped:
        two.restart()
    settle(two)
    append(moved, "three\n")
    settle(two)

    assert [(line.source, line.data) for line in two.lines] == [
        ("watch/a/x.log", b"one"),
        ("watch/a/x.log", b"two"),
        ("other/b/x.log", b"three"),
    ]


def test_a_file_in_two_watched_directories_is_read_once(two: World, tmp_path: Path) -> None:
    """By its own name where it has one, though the directory with the link comes first."""
    log = write(tmp_path / "other/x.log", "one\n")
    two.file("link.log").symlink_to(log)
    two.file("hard.log", "two\n")
    (tmp_path / "other/hard.log").hardlink_to(two.root / "hard.log")
    (two.root / "loop").symlink_to(tmp_path / "other")
    two.catch_up()
    append(log, "three\n")
    two.restart()
    settle(two)

    assert sorted(line.data for line in two.lines) == [b"one", b"three", b"two"]
    assert "watch/link.log" not in {line.source for line in two.lines}


def test_a_directory_that_is_away_keeps_nothing_of_the_others_waiting(two: World, tmp_path: Path) -> None:
    """What is in it is neither lost nor read again when it comes back."""
    two.file("x.log", "one\n")
    log = write(tmp_path / "other/y.log", "two\n")
    two.catch_up()
    away = two.root.rename(tmp_path / "away/watch")
    append(log, "three\n")
    assert two.catch_up() == [b"three"]
    append(away / "x.log", "four\n")
    away.rename(two.root)
    settle(two)

    assert [line.data for line in two.lines] == [b"one", b"two", b"three", b"four"]


DAYS = ("monday", "tuesday", "wednesday")
LONG = "".join(f"line {number:03d} of a log that is long enough to be known by its content\n" for number in range(5))


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("reboots", [False, True])
def test_a_directory_that_was_moved_away_and_comes_back_is_not_read_again(
    two: World, tmp_path: Path, *, restarts: bool, reboots: bool
) -> None:
    """Though looks in between showed that it was gone; what was added to its logs meanwhile is read."""
    two.file("job/x.log", LONG)
    two.file("job/y.log", "one\nhalf")
    two.catch_up()
    away = (two.root / "job").rename(tmp_path / "away/job")
    settle(two)
    append(away / "x.log", "two\n")
    if reboots:
        two.reboot()
    if restarts:
        two.restart()
    two.catch_up()
    before = [line.data for line in two.lines]
    away.rename(two.root / "job")
    settle(two)

    assert before == [*LONG.encode().splitlines(), b"one"]
    assert [line.data for line in two.lines[len(before) :]] == [b"two", b"half"]


def test_what_comes_back_under_another_name_is_not_read_again(two: World, tmp_path: Path) -> None:
    """Neither the live log nor a rotated one, which has a name of its own now."""
    log = two.file("job/x.log", "one\n")
    two.catch_up()
    log.rename(log.with_name("x-20261123.log"))
    two.file("job/x.log", "two\n")
    settle(two)
    away = (two.root / "job").rename(tmp_path / "away/job")
    settle(two)
    (away / "x.log").rename(away / "y.log")
    away.rename(tmp_path / "other/archive")
    settle(two)

    assert [line.data for line in two.lines] == [b"one", b"two"]


def test_a_log_that_is_rotated_while_its_directory_is_away_is_read_once(two: World, tmp_path: Path) -> None:
    log = two.file("job/x.log", "one\n")
    two.catch_up()
    away = (two.root / "job").rename(tmp_path / "away/job")
    settle(two)
    (away / "x.log").rename(away / "x.log.1")
    write(away / "x.log", "two\n")
    away.rename(log.parent)
    settle(two)

    assert [line.data for line in two.lines] == [b"one", b"two"]


def test_a_log_that_is_moved_to_another_file_system_is_not_read_again(two: World, tmp_path: Path) -> None:
    """It is copied there with its time of change, and deleted here; its inode number is another one."""
    log = two.file("x.log", "one\ntwo\n")
    two.catch_up()
    moved = tmp_path / "other/x.log"
    shutil.copy2(log, moved)
    log.unlink()
    settle(two)
    append(moved, "three\n")
    settle(two)

    assert [(line.source, line.data) for line in two.lines] == [
        ("watch/x.log", b"one"),
        ("watch/x.log", b"two"),
        ("other/x.log", b"three"),
    ]


def test_rotated_logs_that_begin_alike_are_told_apart_when_they_are_copied_away(two: World, tmp_path: Path) -> None:
    """What was read of the one stands in the other as well; its time of change does not."""
    for content in ("same\nmore\n", "same\n"):
        log = two.file("a/x.log", content)
        two.catch_up()
        two.wait(2)
        log.rename(log.with_name(f"x.log.{2 if 'more' in content else 1}"))
        two.catch_up()
    two.file("a/x.log", "live\n")
    two.catch_up()
    (tmp_path / "watch/a").rename(tmp_path / "other/a")
    two.catch_up()
    shutil.copytree(tmp_path / "other/a", tmp_path / "watch/a")
    shutil.rmtree(tmp_path / "other/a")
    settle(two)

    assert Counter(line.data for line in two.lines) == {b"same": 2, b"more": 1, b"live": 1}


def test_a_copy_of_a_log_that_stays_is_a_log_of_its_own(two: World, tmp_path: Path) -> None:
    """Two jobs may print the same: only where the first is gone, the second is the first."""
    log = two.file("x.log", "one\n")
    two.catch_up()
    shutil.copy2(log, tmp_path / "other/x.log")
    settle(two)

    assert [line.source for line in two.lines] == ["watch/x.log", "other/x.log"]


@pytest.mark.parametrize("content", ["one\n", "one\ntwo\n", "two\n", LONG])
def test_another_log_with_the_inode_number_of_one_that_is_gone_is_read_whole(two: World, content: str) -> None:
    """Also one that says the same again, or the same and more: its time of change is another one."""
    log = two.file("x.log", "one\n")
    two.catch_up()
    log.unlink()
    settle(two)
    log.write_text(content)
    known = two.positions["watch/x.log\0lost"]
    two.positions["watch/x.log\0lost"] = replace(known, inode=log.stat().st_ino)
    two.restart()
    settle(two)

    assert [line.data for line in two.lines] == [b"one", *content.encode().splitlines()]


def test_of_very_many_files_that_went_away_the_first_are_forgotten(
    two: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("borgwatch.sources.look.MOST_LOST", 3)
    for number in range(5):
        two.file(f"{number}.log", f"{number}\n")
        two.catch_up()
    for number in range(5):
        (two.root / f"{number}.log").rename(tmp_path / f"away/{number}.log")
        two.catch_up()
    assert sorted(two.positions) == [f"watch/{number}.log\0lost" for number in (2, 3, 4)]
    for number in range(5):
        (tmp_path / f"away/{number}.log").rename(two.root / f"{number}.log")
    settle(two)

    assert [line.data for line in two.lines] == [b"0", b"1", b"2", b"3", b"4", b"0", b"1"]


def test_a_look_that_is_not_committed_forgets_nothing_of_what_went_away(two: World, tmp_path: Path) -> None:
    log = two.file("x.log", "one\n")
    two.catch_up()
    log.rename(tmp_path / "away/x.log")
    two.tree.read(1_000_000)
    settle(two)
    (tmp_path / "away/x.log").rename(log)
    two.tree.read(1_000_000)
    settle(two)

    assert [line.data for line in two.lines] == [b"one"]


def test_a_log_that_is_rotated_after_its_directory_was_moved_is_read_on(two: World, tmp_path: Path) -> None:
    """Both before anybody looked: the generation that is known tells which others are unseen."""
    two.file("job/x.log.1", "past\n")
    log = two.file("job/x.log", "one\n")
    two.catch_up()
    log.parent.rename(tmp_path / "other/job")
    moved = tmp_path / "other/job/x.log"
    append(moved, "two\n")
    rotate(moved)
    write(moved, "three\n")
    rotate(moved)
    write(moved, "four\n")
    settle(two)

    assert sorted(line.data for line in two.lines) == [b"four", b"one", b"three", b"two"]


def test_a_log_that_is_written_and_rotated_while_its_directory_is_away_is_read_on(two: World, tmp_path: Path) -> None:
    """It comes back as a generation of a log that is new, in another watched directory."""
    log = two.file("job/x.log", LONG)
    two.catch_up()
    away = log.parent.rename(tmp_path / "away/job")
    settle(two)
    append(away / "x.log", "two\n")
    rotate(away / "x.log")
    write(away / "x.log", "three\n")
    two.catch_up()
    away.rename(tmp_path / "other/job")
    settle(two)

    assert [line.data for line in two.lines] == [*LONG.encode().splitlines(), b"two", b"three"]


def test_two_logs_that_change_names_go_on_under_the_new_ones(two: World) -> None:
    """As `mv --exchange` does, or three plain ones between two looks."""
    a, b = two.file("a.log", "one\n"), two.file("b.log", "two\n")
    two.catch_up()
    a.rename(two.root / "c")
    b.rename(a)
    (two.root / "c").rename(b)
    append(a, "three\n")
    append(b, "four\n")
    settle(two)

    assert sorted(line.data for line in two.lines) == [b"four", b"one", b"three", b"two"]


def test_a_link_to_the_log_of_the_day_gives_each_line_once(two: World, tmp_path: Path) -> None:
    """It is switched each night; the logs lie where the link is, or where nobody watches."""
    for place in (two.root, tmp_path / "away"):
        link = two.root / f"latest-{place.name}.log"
        for day in DAYS:
            log = write(place / f"{day}.log", f"{place.name} {day}\n")
            link.unlink(missing_ok=True)
            link.symlink_to(log)
            two.catch_up()
            append(log, f"{place.name} {day} late\n")
            settle(two)

    truth = [f"{place} {day}{late}" for place in ("watch", "away") for day in DAYS for late in ("", " late")]
    assert Counter(line.data.decode() for line in two.lines) == Counter(truth)


def test_a_directory_that_a_link_replaces_is_not_read_again(two: World, tmp_path: Path) -> None:
    """The logs went to another place, and the old name leads there."""
    log = two.file("job/x.log", "one\n")
    two.catch_up()
    there = log.parent.rename(tmp_path / "away/job")
    (two.root / "job").symlink_to(there)
    append(log, "two\n")
    settle(two)

    assert [line.data for line in two.lines] == [b"one", b"two"]


def test_a_log_that_is_replaced_by_a_hard_link_to_itself_is_not_read_again(two: World, tmp_path: Path) -> None:
    """As programs do that save space, or keep a second name in another watched directory."""
    log = two.file("x.log", "one\n")
    two.catch_up()
    second = tmp_path / "other/y.log"
    second.hardlink_to(log)
    settle(two)
    log.unlink()
    settle(two)
    append(second, "two\n")
    settle(two)
    log.hardlink_to(second)
    append(log, "three\n")
    settle(two)

    assert [line.data for line in two.lines] == [b"one", b"two", b"three"]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_log_that_is_rotated_and_compressed_in_one_step_is_read_to_its_end(two: World, *, restarts: bool) -> None:
    """The compressed file is written under its last name, and the log deleted; generations move on before."""
    log = two.file("x.log", "one\n")
    two.catch_up()
    for number in (2, 3, 4):
        append(log, f"late {number}\n")
        for count in (3, 2, 1):
            packed = log.with_name(f"x.log.{count}.gz")
            if packed.exists():
                packed.rename(log.with_name(f"x.log.{count + 1}.gz"))
        compress(log).rename(log.with_name("x.log.1.gz"))
        log.write_text(f"line {number}\n")
        if restarts:
            two.restart()
        if number != 3:
            two.catch_up()
    settle(two)

    assert sorted(line.data for line in two.lines) == sorted(
        [b"one", b"late 2", b"line 2", b"late 3", b"line 3", b"late 4", b"line 4"]
    )
