"""Which sources a look looks at."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from borgwatch.sources.agenda import Agenda

from .test_tail import rotate
from .world import World, append


def test_a_full_look_takes_in_the_newest_and_the_others_in_turn() -> None:
    agenda = Agenda(warm=2)
    agenda.changed("abcdefg")
    agenda.only_restless(())

    assert [agenda.full() for _ in range(3)] == [["f", "g", "a", "b"], ["f", "g", "c", "d"], ["f", "g", "e", "a"]]


def test_a_quick_look_takes_in_what_moved_and_what_is_named() -> None:
    agenda = Agenda(warm=2)
    agenda.changed("abcdefg")
    agenda.only_restless("c")

    assert agenda.quick(["g", "a"]) == ["c", "g", "a"]


def test_what_changed_becomes_warm_and_what_is_gone_is_forgotten() -> None:
    agenda = Agenda(warm=2)
    agenda.changed("abcd")
    agenda.set_known("ac", {"a"}.__contains__)
    agenda.only_restless(())

    assert agenda.full() == ["d", "a", "b"]


def test_09_of_thousands_of_finished_files_each_look_touches_few(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is added to one of them is found at once where a notification names it, else some looks later."""
    for run in range(2000):
        world.file(f"{run % 7}/borg-{run}.log", f"run {run}\n")
    assert len(world.catch_up()) == 2000
    for _ in range(3):
        world.wait(3)
        world.catch_up()
    touched: list[str] = []

    def look_at(path: str, *_: object, **__: object) -> bool:
        touched.append(path)
        return True

    monkeypatch.setattr("borgwatch.sources.share.is_unchanged", look_at)
    world.wait(3)
    world.catch_up()
    assert 0 < len(touched) <= 600
    monkeypatch.undo()

    append(world.root / "3/borg-3.log", "named\n")
    batch = world.tree.read(1 << 20, changed={str(world.root / "3/borg-3.log")})
    assert [line.data for line in batch.lines] == [b"named"]
    world.commit(batch)
    append(world.root / "4/borg-4.log", "not named\n")
    for _ in range(10):
        world.wait(2)
        world.catch_up()
    assert world.lines[-1].data == b"not named"


@pytest.mark.parametrize(
    "change",
    [
        lambda root: append(root / "new.log", "x\n"),
        lambda root: append(root / "a.log.1", "late\n"),
    ],
    ids=["new", "generation"],
)
def test_a_notification_about_anything_but_a_known_log_makes_the_look_a_full_one(
    world: World, change: Callable[[Path], object]
) -> None:
    log = world.file("a.log", "one\n")
    world.catch_up()
    rotate(log)
    world.file("a.log", "two\n")
    world.catch_up()
    change(world.root)
    names = {str(path) for path in world.root.iterdir()} - {str(log)}

    assert len(world.tree.read(1 << 20, changed=names).lines) == 1


def test_a_notification_about_what_is_not_read_costs_no_look(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.file("a.log", "one\n")
    world.catch_up()
    monkeypatch.setattr(world.tree, "_walk", lambda: pytest.fail("it walked"))

    assert world.tree.read(1 << 20, changed={str(world.root / "data.bin")}).lines == ()


def test_a_walk_is_remembered_where_nothing_changed(world: World) -> None:
    world.file("a.log", "one\n")
    for _ in range(3):
        world.wait(3)
        world.catch_up()
    found = world.tree._found
    world.catch_up()
    assert world.tree._found is found
    world.file("b.log", "two\n")
    assert world.catch_up() == [b"two"]


def test_a_listing_that_gives_nothing_new_is_no_reason_to_think_again(world: World) -> None:
    """A directory's time of change moves with every hidden file and every editor's copy."""
    world.file("a.log", "one\n")
    for _ in range(3):
        world.wait(3)
        world.catch_up()
    found = world.tree._found
    world.file(".a.log.swp", "x")
    world.wait(3)
    world.catch_up()

    assert world.tree._found is found


def test_13_a_new_name_is_found_in_a_directory_whose_time_of_change_stands_still(world: World) -> None:
    """As on some network file systems; within a second in a small tree."""
    world.file("a.log", "one\n")
    world.catch_up()
    for _ in range(3):
        world.wait(3)
        world.catch_up()
    before = world.root.stat()
    world.file("b.log", "two\n")
    os.utime(world.root, ns=(before.st_atime_ns, before.st_mtime_ns))
    world.wait(2)

    assert world.catch_up() == [b"two"]
