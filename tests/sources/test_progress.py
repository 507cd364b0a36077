"""Borg 1.1 and 1.2 write the progress of hours as one line: how the backup ended is glued to it, and must be seen."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from borgwatch.decode.text import clean_text
from borgwatch.sources.app_log import Written
from borgwatch.sources.app_output import AppOutput
from borgwatch.sources.lines import MAX_LINE, Piece, one_piece, split
from borgwatch.sources.oldlogs import read_lines

from .test_docker import container, envelope
from .world import SETTLE, World, append

ENDINGS = ["terminating with success status, rc 0", "Connection closed by remote host"]
BLANK = " " * 80 + "\r"


def progress(count: int) -> Iterator[str]:
    """Write fragments as Borg does, each over the one before it."""
    for number in range(count):
        yield f"{number}.26 MB O {number}.26 MB C 45.44 MB D 0 N mnt/tank/disk.img".ljust(80) + "\r"


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_the_end_of_hours_of_progress_is_a_line(world: World, ending: str, line_end: str) -> None:
    """Read as it is written, in blocks that end anywhere, by a reader that is killed now and then."""
    dice = random.Random(4)  # noqa: S311 - dice, not keys
    log = world.file("a.log", "")
    text = "".join(progress(2500)) + BLANK + ending
    while text:
        cut = dice.randrange(1, 30_000)
        append(log, text[:cut])
        text = text[cut:]
        world.catch_up(budget=MAX_LINE + 2)
        if dice.random() < 0.3:
            world.restart()
    append(log, f"{line_end}next\n")
    world.catch_up()

    assert [clean_text(line.data) for line in world.lines[1:]] == [ending, "next"]
    assert len(world.lines[0].data) == MAX_LINE


def test_progress_that_stands_still_for_a_while_hides_nothing(world: World) -> None:
    """A large file, or a slow network: what was left standing may be taken for a line meanwhile."""
    log = world.file("a.log", "".join(progress(2000)))
    for _ in range(3):
        append(log, "".join(progress(50)))
        world.catch_up()
        world.wait(SETTLE)
        world.catch_up()
    append(log, f"{BLANK}{ENDINGS[1]}\nnext\n")
    world.catch_up()

    assert [clean_text(line.data) for line in world.lines[-2:]] == [ENDINGS[1], "next"]
    assert [text for line in world.lines for text in ENDINGS if text in clean_text(line.data)] == [ENDINGS[1]]


def test_an_end_that_has_no_line_end_is_a_line_once_nothing_more_comes(world: World) -> None:
    log = world.file("a.log", "".join(progress(2000)) + ENDINGS[1])
    world.catch_up()
    world.wait(SETTLE)
    world.catch_up()
    append(log, "\nnext\n")
    world.catch_up()

    assert [clean_text(line.data) for line in world.lines[1:]] == [ENDINGS[1], "next"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_end_of_hours_of_progress_in_a_container_is_a_line(world: World, ending: str) -> None:
    log = container(world, "borg")
    text = "".join(progress(2500)) + BLANK + ending + "\n"
    append(log, "".join(envelope(text[at : at + 16384]) for at in range(0, len(text), 16384)))

    assert [clean_text(data) for data in world.catch_up(budget=100_000)] == [ending]


@pytest.mark.parametrize("count", [1200, 20_000], ids=["100 KB", "2 MB"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_an_old_log_is_cut_in_the_same_way(tmp_path: Path, ending: str, count: int) -> None:
    path = tmp_path / "old.log"
    path.write_text("".join(progress(count)) + BLANK + ending + "\nnext\n")

    assert [clean_text(line.data) for line in read_lines(str(path))][1:] == [ending, "next"]


def test_the_output_of_an_app_is_cut_at_its_beginning_where_progress_stands_there() -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    output = AppOutput("borg", now=lambda: now, wake=lambda: None, first_start=False)
    output.begin("backup", "c1")
    output.take("backup", Written(("".join(progress(2000)) + ENDINGS[0]).encode(), now))
    (line,) = output.read(1 << 20).lines

    assert (len(line.data) <= MAX_LINE, clean_text(line.data)) == (True, ENDINGS[0])


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"x" * 6, b"x" * 6),
        (b"x" * 9, b"x" * 8),
        (b"10%\r20%\rend", b"20%\rend"),
        (b"10%\r" + b"x" * 9, b"xxxx"),
    ],
    ids=["short", "without progress", "with progress", "an end that is longer than a line may be"],
)
def test_a_line_that_has_to_stay_one_keeps_what_a_terminal_would_show(line: bytes, kept: bytes) -> None:
    assert one_piece(line, 8)[-len(kept) :] == kept
    assert len(one_piece(line, 8)) <= 8


def test_what_is_longer_than_a_line_may_be_is_no_ending() -> None:
    assert split(b"x" * 9 + b"\r" + b"y" * 9 + b"\n", 0, limit=8).pieces == (Piece(b"x" * 8, 20, truncated=True),)
