"""Rotated files that were compressed: real ones, of each kind that the standard library unpacks."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from borgwatch.sources.compressed import Unpacker, UnpackError

from .test_tail import rotate
from .world import SETTLE, World, append

PACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def compress(path: Path, ending: str = ".gz") -> Path:
    """Compress a file as gzip does: the time of change is kept, the original goes last."""
    packed = path.with_name(path.name + ending)
    packed.write_bytes(PACKERS[ending](path.read_bytes()))
    found = path.stat()
    os.utime(packed, ns=(found.st_atime_ns, found.st_mtime_ns))
    path.unlink()
    return packed


@pytest.mark.parametrize("ending", PACKERS)
def test_04_the_unread_rest_is_found_in_a_compressed_rotation(world: World, ending: str) -> None:
    """The watcher was stopped while the log was rotated and compressed."""
    log = world.file("a.log", "one\n" * 1000)
    world.catch_up()
    append(log, "rest\n" * 1000)
    compress(rotate(log), ending)
    world.file("a.log", "new\n")
    world.restart()

    assert world.catch_up() == [b"rest"] * 1000 + [b"new"]
    assert world.catch_up() == []


def test_04_the_unread_rest_is_found_under_a_name_that_ends_like_that_of_the_log(world: World) -> None:
    """As logrotate's `extension .log` makes it."""
    log = world.file("a.log", "one\n")
    world.catch_up()
    append(log, "rest\n")
    compress(log.rename(world.root / "a-20261123.log"))
    world.file("a.log", "new\n")
    world.restart()

    assert world.catch_up() == [b"rest", b"new"]


def test_04_generations_that_were_compressed_unseen_are_read_in_order(world: World) -> None:
    log = world.file("a.log", "one\n")
    world.catch_up()
    for name in ("two", "three", "four"):
        append(log, f"late {name}\n")
        for generation in sorted(world.root.glob("a.log.?.gz"), reverse=True):
            generation.rename(world.root / f"a.log.{int(generation.name[6]) + 1}.gz")
        compress(rotate(log))
        world.file("a.log", f"{name}\n")
    world.restart()

    assert world.catch_up() == [b"late two", b"two", b"late three", b"three", b"late four", b"four"]


def test_04_what_is_added_to_an_empty_rotated_file_is_found_in_its_compressed_form(world: World) -> None:
    """Nothing was read of it that could prove which file it is; its name tells."""
    log = world.file("a.log", "")
    world.catch_up()
    old = rotate(log)
    world.file("a.log", "new\n")
    world.catch_up()
    append(old, "late\n")
    compress(old)

    assert world.catch_up() == [b"late"]


def test_04_a_generation_that_is_compressed_before_its_turn_is_read(world: World) -> None:
    """It was found, but what came before it had more to give than one look takes."""
    world.max_line = 100
    world.restart()
    log = world.file("a.log", "one\n")
    world.catch_up()
    append(log, "rest\n" * 100)
    rotate(log)
    world.file("a.log", "unseen\n")
    rotate(log)
    world.file("a.log", "")
    world.look(budget=1)
    compress(log.with_name("a.log.1"))
    append(log, "new\n")
    world.catch_up(budget=1)

    assert [line.data for line in world.lines] == [b"one"] + [b"rest"] * 100 + [b"unseen", b"new"]


def test_06_a_live_log_with_the_inode_number_of_a_compressed_one_hides_it_not_after_a_restart(
    world: World, tmp_path: Path
) -> None:
    """It was compressed while nobody looked: a rotated file never has the live name, whatever number is there."""
    log = world.file("a.log", "one\n")
    world.catch_up()
    old = rotate(log)
    world.file("a.log", "two\n")
    world.catch_up()
    free = tmp_path / "free"
    free.hardlink_to(old)
    compressed = compress(old).rename(log.with_name("a.log.2.gz")).stat().st_ino
    log.rename(log.with_name("a.log.1"))
    free.write_text("three\n")
    free.rename(log)
    world.restart()
    world.catch_up()

    assert [line.data for line in world.lines] == [b"one", b"two", b"three"]
    assert compressed in {world.positions[key].inode for key in world.followed}


def test_06_a_rotated_file_that_gets_the_inode_number_of_a_compressed_one_stands_beside_it(
    world: World, tmp_path: Path
) -> None:
    """The number that compressing set free was given to the live log: both stay followed."""
    log = world.file("a.log", "one\n")
    world.catch_up()
    old = rotate(log)
    world.file("a.log", "two\n")
    world.catch_up()
    free = tmp_path / "free"
    free.hardlink_to(old)
    compress(old).rename(log.with_name("a.log.2.gz"))
    log.rename(log.with_name("a.log.1"))
    world.catch_up()
    free.write_text("three\n")
    free.rename(log)
    world.catch_up()
    compressed = log.with_name("a.log.2.gz").rename(log.with_name("a.log.3.gz")).stat().st_ino
    rotate(log)
    world.file("a.log", "four\n")
    world.catch_up()

    assert [line.data for line in world.lines] == [b"one", b"two", b"three", b"four"]
    assert compressed in {world.positions[key].inode for key in world.followed}
    assert len(world.followed) == 4


def test_10_compressed_rotations_that_were_there_at_the_first_start_are_not_read(world: World) -> None:
    """Also where they are younger than ones that are not: compressing was switched on of late."""
    world.file("a.log.2", "oldest\n")
    compress(world.file("a.log.1", "old\n"))
    log = world.file("a.log", "one\n")
    world.first_start = True
    world.restart()
    assert world.catch_up() == [b"one"]
    append(log, "two\n")
    world.restart()

    assert world.catch_up() == [b"two"]


def test_04_a_file_that_is_compressed_while_it_is_read_is_read_on(world: World) -> None:
    world.max_line = 100
    world.restart()
    lines = [f"line {number}".encode() for number in range(500)]
    log = world.file("a.log", b"".join(line + b"\n" for line in lines))
    world.look(budget=1000)
    compress(rotate(log))
    world.file("a.log", "new\n")
    for crash in range(400):
        if crash % 7 == 0:
            world.restart()
        if not world.look(budget=200).more:
            break

    assert [line.data for line in world.lines] == [*lines, b"new"]


def test_04_a_file_that_was_read_to_its_end_is_not_read_again_when_it_is_compressed(world: World) -> None:
    log = world.file("a.log", "one\n")
    world.catch_up()
    first = rotate(log)
    world.file("a.log", "two\n")
    world.catch_up()
    packed = compress(first)
    world.wait(2)
    assert world.catch_up() == []
    packed.rename(world.root / "a.log.2.gz")
    log.rename(world.root / "a.log.1")
    world.file("a.log", "three\n")
    world.catch_up()
    world.restart()
    os.truncate(world.root / "a.log", 0)
    world.wait(3)
    world.catch_up()
    world.wait(3)

    assert world.catch_up() == []
    assert [line.data for line in world.lines] == [b"one", b"two", b"three"]


def test_04_a_last_line_without_its_end_is_taken_from_a_compressed_file(world: World) -> None:
    log = world.file("a.log", "one\n")
    world.catch_up()
    append(log, "two")
    compress(rotate(log))
    world.file("a.log", "")
    world.restart()
    for _ in range(3):  # the empty file may be about to be written anew; then the compressed one is found
        world.catch_up()
        world.wait(SETTLE)

    assert [line.data for line in world.lines] == [b"one", b"two"]
    world.wait(SETTLE)
    assert world.catch_up() == []


def test_04_a_compressed_file_costs_nothing_once_it_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    log = world.file("a.log", "one\n")
    world.catch_up()
    append(log, "two\n")
    compress(rotate(log))
    world.file("a.log", "three\n")
    world.restart()
    world.catch_up()
    for _ in range(3):
        world.wait(3)
        world.catch_up()
    monkeypatch.setattr(Unpacker, "_cursor_at", lambda *_: pytest.fail("it was opened again"))
    world.wait(3)

    assert world.catch_up() == []
    assert world.tree._unpacker._cursor is None


@pytest.mark.parametrize("damage", [b"", b"\0\0"], ids=["cut", "overwritten"])
def test_04_a_damaged_compressed_file_is_told_and_the_live_one_is_read(world: World, damage: bytes) -> None:
    log = world.file("a.log", "one\n" * 1000)
    world.catch_up()
    append(log, random.Random(1).randbytes(5000).hex() + "\n")  # noqa: S311 - any bytes do
    packed = compress(rotate(log))
    content = packed.read_bytes()
    packed.write_bytes(content[:-2000] + damage * 1000)
    world.file("a.log", "new\n")
    world.restart()

    assert world.catch_up()[-1] == b"new"
    assert {"a.log.1.gz cannot be unpacked" in problem.what for problem in world.problems} == {True}


def test_04_a_decompression_bomb_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    """64 MiB of nothing are refused after the first megabyte, and a quarter of one is all that is ever kept."""
    bomb = tmp_path / "a.log.1.gz"
    bomb.write_bytes(gzip.compress(bytes(64 << 20)))
    tracemalloc.start()
    with (
        pytest.raises(UnpackError, match="unpacks to more than 1048576 bytes"),
        Unpacker(limit=1 << 20).open(str(bomb)),
    ):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 4 << 20


def test_04_an_xz_file_that_asks_for_gigabytes_of_memory_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "a.log.1.xz"
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 28}]
    packed.write_bytes(lzma.compress(b"one\n", filters=filters))

    with pytest.raises(UnpackError, match=r"[Mm]emory"), Unpacker().open(str(packed)):
        pass


def test_04_a_kind_that_cannot_be_unpacked_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.log.1.lz4").write_bytes(b"whatever")

    with pytest.raises(UnpackError, match=r"\.lz4"), Unpacker().open(str(tmp_path / "a.log.1.lz4")):
        pass


@pytest.mark.parametrize("ending", PACKERS)
def test_any_part_of_a_compressed_file_can_be_read(tmp_path: Path, ending: str) -> None:
    """Forwards, backwards, and over the borders of members."""
    dice = random.Random(7)  # noqa: S311 - dice, not keys
    content = dice.randbytes(700_000).hex().encode()
    packed = tmp_path / f"a.log.1{ending}"
    packed.write_bytes(PACKERS[ending](content[:400_000]) + PACKERS[ending](content[400_000:]) + bytes(512))
    unpacker = Unpacker()
    for _ in range(30):
        at, count = dice.randrange(len(content)), dice.randrange(1, 300_000)
        with unpacker.open(str(packed)) as file:
            assert file.stamp.size == len(content)
            assert file.read(at, count) == content[at : at + count]
    unpacker.close()
