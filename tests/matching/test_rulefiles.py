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


def added(world: World) -> None:
    (world.directory / "b.yml").touch()


def removed(world: World) -> None:
    world.path.unlink()


def directory_removed(world: World) -> None:
    world.path.unlink()
    world.directory.rmdir()


@pytest.mark.parametrize("change", [other_content, same_size, replaced, added, removed, directory_removed])
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


def test_what_was_read_for_another_reason_is_known(world: World) -> None:
    other_content(world)
    world.files.taken()
    assert not world.changed(after=10)


def test_other_files_do_not_matter(world: World) -> None:
    (world.directory / "notes.txt").touch()
    (world.directory / "a.yaml.swp").touch()
    assert not world.changed()
    assert not world.changed(after=10)
