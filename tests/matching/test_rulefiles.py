"""When rule files are to be read again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from borgwatch.matching.rulefiles import RuleFiles


class World:
    """A directory of rule files and a clock turned by hand."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = 0.0
        self.path = directory / "a.yaml"
        self.path.write_text("one")
        self.files = RuleFiles([directory, directory / "gone"], lambda: self.now)

    def changed(self, after: float = 0.0) -> bool:
        self.now += after
        return self.files.changed()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def other_content(world: World) -> None:
    world.path.write_text("other")


def same_size(world: World) -> None:
    world.path.write_text("two")
    os.utime(world.path, ns=(1, 1))


def replaced(world: World) -> None:
    times = world.path.stat()
    (world.directory / "new").write_text("one")
    os.utime(world.directory / "new", ns=(times.st_atime_ns, times.st_mtime_ns))
    (world.directory / "new").rename(world.path)


def replaced_in_place(world: World) -> None:
    """As `cp -p` and `rsync --inplace` do: the same file, as long and as old as before."""
    times = world.path.stat()
    world.path.write_text("two")
    os.utime(world.path, ns=(times.st_atime_ns, times.st_mtime_ns))


def given_a_right(world: World) -> None:
    world.path.chmod(0o640)


def linked_elsewhere(world: World) -> None:
    (world.directory / "other").write_text("one")
    world.path.unlink()
    world.path.symlink_to("other")


def added(world: World) -> None:
    (world.directory / "b.yml").touch()


def removed(world: World) -> None:
    world.path.unlink()


def directory_removed(world: World) -> None:
    world.path.unlink()
    world.directory.rmdir()


@pytest.mark.parametrize(
    "change",
    [
        other_content, same_size, replaced, replaced_in_place, given_a_right, linked_elsewhere, added, removed,
        directory_removed,
    ],
)  # fmt: skip
def test_a_change_counts_once_when_it_has_settled(world: World, change: Callable[[World], None]) -> None:
    assert not world.changed(after=10)
    change(world)
    assert not world.changed()
    assert not world.changed(after=0.4)
    assert world.changed(after=0.2)
    assert not world.changed(after=10)


def test_a_file_that_is_still_being_written_is_waited_for(world: World) -> None:
    for length in range(5):
        world.path.write_text("x" * (10 + length))
        assert not world.changed(after=0.4)
    assert world.changed(after=0.6)


def test_a_link_that_is_switched_behind_links_is_a_change(tmp_path: Path) -> None:
    """As orchestrators mount files: `a.yaml` leads through a link to a directory, and only that link is replaced."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text("text")
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "a.yaml").symlink_to("data/a.yaml")
    clock = 0.0
    files = RuleFiles([tmp_path], lambda: clock)
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(tmp_path / "data")
    assert not files.changed()
    clock = 1.0
    assert files.changed()


def test_what_was_read_for_another_reason_is_known(world: World) -> None:
    other_content(world)
    world.files.taken()
    assert not world.changed(after=10)


def test_other_files_do_not_matter(world: World) -> None:
    (world.directory / "notes.txt").touch()
    (world.directory / "a.yaml.swp").touch()
    assert not world.changed()
    assert not world.changed(after=10)
