"""Files that move: to another name, into another watched directory, away and back."""

from __future__ import annotations

from pathlib import Path

import pytest

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
