"""Writers that append, rotate, truncate, rewrite and move at random, and a reader that crashes at random.

What is delivered is compared with what was written. Two losses are physically unavoidable and therefore not provoked:
lines that were truncated away before anybody looked, and lines that a rewrite dropped before anybody looked. So the
reader catches up before a truncation, and looks at least every few rewrites. A third is accepted: what is written late
to a rotated file that was empty is read before that is compressed, for nothing would prove then which file it was.

The long form: BORGWATCH_TORTURE_ROUNDS=1500 ./bw test tests/sources/test_torture.py, 1,500 rounds for each of eight
seeds; BORGWATCH_TORTURE_SEED=100 takes eight others.
"""

from __future__ import annotations

import gzip
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import pytest

from borgwatch.sources.position import ANCHOR_SPAN

from .world import LINGER, SETTLE, World

ROUNDS = int(os.environ.get("BORGWATCH_TORTURE_ROUNDS", "60"))
SEED = int(os.environ.get("BORGWATCH_TORTURE_SEED", "0"))
KEPT = 12
REWRITES_UNSEEN = 4


class Script:
    """A backup script that writes one log, in pieces, over rotations of every kind."""

    def __init__(self, world: World, dice: random.Random, name: str, truth: list[bytes]) -> None:
        self.world, self.dice, self.name, self.truth = world, dice, name, truth
        self.path = world.file(name)
        self.rest = b""
        self.since = 0.0
        self.old: list[tuple[float, BinaryIO]] = []
        self.days = 0
        self.log = self.path.open("ab", buffering=0)

    def line(self) -> bytes:
        """Make a line that there is only once."""
        data = f"{self.name} {len(self.truth):06d} {'x' * self.dice.randrange(120)}".encode()
        self.truth.append(data)
        return data + self.dice.choice([b"\n", b"\n", b"\r\n"])

    def append(self) -> None:
        """Write some lines, and perhaps half of another."""
        text = self.rest + b"".join(self.line() for _ in range(self.dice.randrange(1, 12)))
        cut = len(text) - self.dice.choice([0, 0, self.dice.randrange(20)])
        self.log.write(text[:cut])
        self.rest, self.since = text[cut:], self.world.seconds

    def finish_line(self) -> None:
        """Write the other half of the last line."""
        self.log.write(self.rest)
        self.rest = b""

    def rotate(self) -> None:
        """Rename as logrotate does, by count; the old file stays open for late writes."""
        self.finish_line()
        for count in range(40, 0, -1):
            for ending in ("", ".gz"):
                generation = self.path.with_name(f"{self.name}.{count}{ending}")
                if generation.exists():
                    generation.rename(self.path.with_name(f"{self.name}.{count + 1}{ending}"))
        self.path.rename(self.path.with_name(f"{self.name}.1"))
        self.old.append((self.world.seconds, self.log))
        self.log = self.path.open("ab", buffering=0)

    def rotate_by_date(self) -> None:
        """Rename as logrotate's dateext does."""
        self.finish_line()
        self.days += 1
        self.path.rename(self.path.with_name(f"{self.name}-{20260000 + self.days}"))
        self.old.append((self.world.seconds, self.log))
        self.log = self.path.open("ab", buffering=0)

    def compress(self) -> None:
        """Compress a rotated file as gzip does; nobody writes to it any more."""
        self.close_old()
        names = [path for path in self.path.parent.glob(f"{self.name}[.-]*") if path.suffix != ".gz"]
        if names:
            plain = self.dice.choice(sorted(names))
            packed, found = plain.with_name(f"{plain.name}.gz"), plain.stat()
            packed.write_bytes(gzip.compress(plain.read_bytes(), 1))
            os.utime(packed, ns=(found.st_atime_ns, found.st_mtime_ns))
            plain.unlink()

    def write_late(self) -> None:
        """Write to a file that was rotated away."""
        self.close_old(LINGER / 2)
        if self.old:
            late = self.dice.choice(self.old)[1]
            is_empty = os.fstat(late.fileno()).st_size == 0
            late.write(self.line())
            if is_empty:
                self.world.catch_up()

    def close_old(self, age: float = 0.0) -> None:
        """Let nobody write any more to what was rotated away so long ago."""
        while self.old and self.world.seconds - self.old[0][0] >= age:
            self.old.pop(0)[1].close()

    def copy_and_truncate(self) -> None:
        """Copy and truncate as logrotate's copytruncate does, perhaps growing past the old size at once."""
        self.finish_line()
        self.world.catch_up()
        self.days += 1
        shutil.copyfile(self.path, self.path.with_name(f"{self.name}-{20260000 + self.days}"))
        self.truncate()

    def truncate(self) -> None:
        """Empty the file in place."""
        self.finish_line()
        self.world.catch_up()
        size = self.path.stat().st_size
        os.truncate(self.path, 0)
        if self.dice.random() < 0.5:
            while self.path.stat().st_size <= size:
                self.log.write(self.line())

    def close(self) -> None:
        """End the script."""
        self.close_old()
        self.log.close()

    def delete(self) -> None:
        """Delete the file and make it again."""
        self.finish_line()
        self.world.catch_up()
        self.log.close()
        self.path.unlink()
        if self.dice.random() < 0.5:
            self.world.look()
        self.log = self.path.open("ab", buffering=0)


class History:
    """A file that keeps its last lines only, rewritten each time one is added."""

    def __init__(self, world: World, dice: random.Random, name: str, truth: list[bytes]) -> None:
        self.world, self.dice, self.truth = world, dice, truth
        self.path = world.file(name)
        self.unseen = 0

    def add(self) -> None:
        """Rewrite the file by `tail` and `mv`, or in place."""
        if self.unseen == REWRITES_UNSEEN:
            self.world.catch_up()
            self.unseen = 0
        self.unseen += 1
        self.truth.append(f"run {len(self.truth):04d} ok".encode())
        content = b"".join(line + b"\n" for line in self.truth[-KEPT:])
        if self.dice.random() < 0.3:
            self.path.write_bytes(content)
        else:
            new = self.path.with_suffix(".new")
            new.write_bytes(content)
            new.rename(self.path)


class Wanderer:
    """A log whose directory is moved: to another name, into another watched directory, out of sight and back.

    Its first line is longer than a proof, for a shorter log that grew out of sight cannot be told from a new one.
    """

    def __init__(self, world: World, dice: random.Random, truth: list[bytes]) -> None:
        self.world, self.dice, self.truth = world, dice, truth
        self.places = [root / name for root in (world.root, *world.others.values()) for name in ("here", "there")]
        self.away = world.root.parent / "away"
        self.directory = self.places[0]
        self.directory.mkdir()
        self.begin()

    def begin(self) -> None:
        """Begin a log."""
        self.log = (self.directory / "wander.log").open("ab", buffering=0)
        self.write(ANCHOR_SPAN)

    def write(self, least: int = 0) -> None:
        """Write a line, wherever the log may be."""
        size = least + self.dice.randrange(120)
        self.truth.append((f"wander {len(self.truth):06d} " * (size // 14 + 2))[: size + 14].encode())
        self.log.write(self.truth[-1] + b"\n")

    def rotate(self) -> None:
        """Rename as logrotate does, wherever the log may be; the old file is closed."""
        for count in range(40, 0, -1):
            generation = self.directory / f"wander.log.{count}"
            if generation.exists():
                generation.rename(self.directory / f"wander.log.{count + 1}")
        (self.directory / "wander.log").rename(self.directory / "wander.log.1")
        self.log.close()
        self.begin()

    def move(self) -> None:
        """Move the directory, perhaps out of sight."""
        self.directory = self.directory.rename(self.dice.choice([self.away, *self.places]))

    def copy_over(self) -> None:
        """Move the directory as `mv` does between file systems: by a copy that keeps times of change.

        What is added to the copy before anybody looked at it could not be told from a log of its own.
        """
        if self.directory == self.away:
            return
        self.world.catch_up()
        self.log.close()
        target = self.dice.choice([place for place in self.places if place != self.directory])
        shutil.copytree(self.directory, target)
        shutil.rmtree(self.directory)
        self.directory = target
        self.log = (self.directory / "wander.log").open("ab", buffering=0)
        self.world.catch_up()

    def come_home(self) -> None:
        """End where all can be read."""
        self.directory = self.directory.rename(self.places[0])

    def close(self) -> None:
        """End the script."""
        self.log.close()


def torture(
    world: World, dice: random.Random, count: Script, date: Script, history: History, wanderer: Wanderer
) -> None:
    """Let the writers write and the reader read and crash, then let it catch up."""
    chances: list[tuple[Callable[[], object], int]] = [
        (count.append, 10),
        (count.rotate, 4),
        (count.write_late, 4),
        (count.delete, 1),
        (count.compress, 1),
        (date.compress, 1),
        (date.append, 10),
        (date.rotate_by_date, 2),
        (date.write_late, 2),
        (date.copy_and_truncate, 2),
        (date.truncate, 2),
        (history.add, 8),
        (wanderer.write, 8),
        (wanderer.move, 4),
        (wanderer.copy_over, 1),
        (wanderer.rotate, 1),
        (world.look, 6),
        (lambda: world.look(budget=1), 3),
        (lambda: world.tree.read(budget=dice.choice([1, 1 << 20])), 3),
        (world.restart, 2),
        (world.reboot, 1),
    ]
    doings, weights = [doing for doing, _ in chances], [weight for _, weight in chances]

    world.look()
    for _ in range(ROUNDS):
        for doing in dice.choices(doings, weights, k=dice.randrange(1, 12)):
            doing()
        world.wait(dice.choice([0.0, 0.01, 0.5, 2.5]))
        for script in (count, date):
            if world.seconds - script.since > SETTLE / 2:
                script.finish_line()
                script.since = world.seconds
        if dice.random() < 0.05:
            for script in (count, date):
                script.finish_line()
                script.close_old()
            world.catch_up()
            world.wait(70)
            world.catch_up()
    count.finish_line()
    date.finish_line()
    wanderer.come_home()
    world.catch_up()
    world.wait(2)
    world.catch_up()


@pytest.mark.parametrize("seed", range(SEED, SEED + 8))
def test_nothing_is_lost_or_repeated_whatever_writers_and_crashes_do(tmp_path: Path, seed: int) -> None:
    """Lines delivered and committed are the lines written, each once."""
    for name in ("watch", "other"):
        (tmp_path / name).mkdir()
    world = World(tmp_path / "watch", {"other": tmp_path / "other"})
    dice = random.Random(seed)  # noqa: S311 - dice, not keys
    truths: dict[str, list[bytes]] = {name: [] for name in ("count.log", "date.log", "history.log", "wander.log")}
    with (
        closing(Script(world, dice, "count.log", truths["count.log"])) as count,
        closing(Script(world, dice, "date.log", truths["date.log"])) as date,
        closing(Wanderer(world, dice, truths["wander.log"])) as wanderer,
    ):
        torture(world, dice, count, date, History(world, dice, "history.log", truths["history.log"]), wanderer)

    for name, truth in truths.items():
        delivered = Counter(line.data for line in world.lines if line.source.endswith(f"/{name}"))
        assert delivered == Counter(truth)
