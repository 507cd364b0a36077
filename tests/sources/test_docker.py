"""Docker's json-file directories, laid out as Docker does."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from borgwatch.decode import decode
from borgwatch.judge import SourceRole
from borgwatch.model import Line, Position
from borgwatch.service.roles import Roles, picks_in
from borgwatch.settings import SourceSetting
from borgwatch.sources.docker import Containers, Pick
from borgwatch.sources.envelope import unwrap

from .test_compressed import compress
from .test_tail import rotate
from .world import SETTLE, World, append

RECORDINGS = Path(__file__).parents[1] / "data" / "borg-logs" / "docker-json-file"
TIME = "2026-11-23T04:56:40.000000123Z"
PIECE = 16 * 1024


def container(world: World, name: str, number: int = 0, *, service: str = "", image: str = "alpine") -> Path:
    """Make a container's directory; return where its output goes."""
    identity = f"{number:x}".rjust(64, "c")
    labels = {"com.docker.compose.service": service} if service else {}
    config = {"ID": identity, "Name": f"/{name}", "Config": {"Image": image, "Labels": labels or None}}
    world.file(f"{identity}/config.v2.json", json.dumps(config))
    world.file(f"{identity}/hostconfig.json", '{"LogConfig": {"Type": "json-file"}}\n')
    return world.file(f"{identity}/{identity}-json.log", "")


def envelope(log: str, stream: str = "stdout", time: str = TIME) -> str:
    """Write an envelope as Docker does."""
    return json.dumps({"log": log, "stream": stream, "time": time}) + "\n"


def pieces(line: str, stream: str = "stdout") -> str:
    """Write a long line as Docker does, in pieces of which only the last ends."""
    parts = [line[at : at + PIECE] for at in range(0, len(line), PIECE)]
    return "".join(envelope(part, stream) for part in parts[:-1]) + envelope(parts[-1] + "\n", stream)


def test_13_a_containers_output_is_read_out_of_its_envelopes(world: World) -> None:
    """The time of the envelope is that of a line which has none."""
    log = container(world, "borg-backup")
    append(log, envelope("Starting backup\r\n") + envelope('{"type": "log_message", "time": 1795410165.5}\n', "stderr"))
    world.catch_up()

    assert [line.data for line in world.lines] == [b"Starting backup", b'{"type": "log_message", "time": 1795410165.5}']
    times = [decode(line, "nas").time for line in world.lines]
    assert times == [datetime.fromisoformat(TIME), datetime.fromtimestamp(1795410165.5, UTC)]


@pytest.mark.parametrize("recording", sorted(RECORDINGS.iterdir()), ids=lambda path: path.name)
def test_recorded_output_comes_out_as_it_was_written(world: World, recording: Path) -> None:
    log = container(world, "borg")
    log.write_bytes(recording.read_bytes())
    written = "".join(json.loads(line)["log"] for line in recording.read_text().splitlines())

    assert b"".join(line + b"\n" for line in world.catch_up()) == written.encode()


def test_containers_that_are_not_chosen_are_left_alone(world: World) -> None:
    """Without a choice, those with "borg" in name, service or image are followed: of them, the output alone."""
    for number, (name, service, image) in enumerate(
        [("web", "", "nginx"), ("nas-app-1", "borgmatic", ""), ("cron", "", "ghcr.io/x/borg:1.4"), ("borg", "", "")]
    ):
        append(container(world, name, number, service=service, image=image), envelope(f"{name}\n"))
    assert sorted(world.catch_up()) == [b"borg", b"cron", b"nas-app-1"]

    world.picks = (Pick("web"),)
    world.positions.clear()
    world.restart()
    assert world.catch_up() == [b"web"]


def test_a_container_that_is_made_anew_is_the_same_job(tmp_path: Path) -> None:
    """It has another id; and Compose renames the old one for a moment."""
    world = World(tmp_path)
    logs = [container(world, name, number) for number, name in enumerate(["borg", "0123456789ab_borg"])]
    settings = (SourceSetting("", "nas", "prune", "docker", "borg"),)
    plain = Roles((tmp_path,), ())
    chosen = Roles((tmp_path,), settings, Containers(picks_in(settings)))

    assert [plain(str(log)) for log in logs] == [SourceRole("borg")] * 2
    assert [chosen(str(log)) for log in logs] == [SourceRole("nas", "prune")] * 2


def test_the_job_of_a_container_is_known_until_its_last_line_is_judged(tmp_path: Path) -> None:
    world = World(tmp_path)
    log = container(world, "borg-nas")
    world.catch_up()
    containers = Containers()
    roles = Roles((tmp_path,), (), containers)
    assert containers.at(str(log.parent))
    for file in log.parent.iterdir():
        file.unlink()
    log.parent.rmdir()

    assert roles(str(log)) == SourceRole("borg-nas")


def test_a_container_that_is_removed_is_forgotten(world: World) -> None:
    log = container(world, "borg")
    append(log, envelope("one\n"))
    world.catch_up()
    for file in log.parent.iterdir():
        file.unlink()
    log.parent.rmdir()
    world.restart()
    world.catch_up()

    assert world.followed == set()
    assert world.problems == []


def test_a_config_that_says_nothing_is_told_once(world: World) -> None:
    log = container(world, "borg")
    log.with_name("config.v2.json").write_text("half of i")
    for _ in range(3):
        world.wait(3)
        world.catch_up()

    assert len(world.problems) == 1
    assert "does not tell which container this is" in world.problems[0].what


def test_a_long_line_is_joined_whatever_the_other_stream_writes_between(world: World) -> None:
    log = container(world, "borg")
    one, two = "x" * 40_000, "y" * 20_000
    first, second = pieces(one).splitlines(keepends=True), pieces(two, "stderr").splitlines(keepends=True)
    append(log, first[0] + second[0] + first[1] + second[1] + first[2])

    assert world.catch_up() == [two.encode(), one.encode()]


@pytest.mark.parametrize("packed", [False, True], ids=["renamed", "compressed"])
def test_a_long_line_is_joined_over_a_rotation_and_a_restart(world: World, *, packed: bool) -> None:
    log = container(world, "borg")
    first, second, third = pieces("x" * 40_000).splitlines(keepends=True)
    append(log, envelope("before\n") + first)
    world.catch_up()
    world.restart()
    append(log, second)
    old = rotate(log)
    if packed:
        compress(old)
    log.write_text("")
    world.catch_up()
    world.restart()
    append(log, third + envelope("after\n"))

    assert world.catch_up() == [b"x" * 40_000, b"after"]
    world.wait(SETTLE)
    assert world.catch_up() == []


def test_02_a_container_that_ends_in_the_middle_of_a_line_is_heard(world: World) -> None:
    """And what it writes when it is started again is another line."""
    log = container(world, "borg")
    append(log, envelope("Enter passphrase: ", "stderr"))
    assert world.catch_up() == []
    world.wait(SETTLE)
    assert world.catch_up() == [b"Enter passphrase: "]
    world.restart()
    append(log, envelope("Starting backup\n", "stderr"))

    assert world.catch_up() == [b"Starting backup"]


def test_11_a_joined_line_without_end_takes_bounded_memory(world: World) -> None:
    log = container(world, "borg")
    append(log, envelope("x" * PIECE) * 200)
    world.catch_up(budget=100_000)
    assert max(len(position.held) for position in world.positions.values()) < 2 * 64 * 1024
    append(log, envelope("\n") + envelope("next\n"))

    assert world.catch_up() == [b"x" * 64 * 1024, b"next"]


def test_11_an_envelope_of_nothing_but_control_characters_is_whole(world: World) -> None:
    """Each is written as six characters, so that the envelope is longer than any line may be."""
    log = container(world, "borg")
    append(log, envelope("\x01" * (PIECE - 1) + "\n"))

    assert world.catch_up() == [b"\x01" * (PIECE - 1)]


def test_what_is_no_envelope_stays_a_line(world: World) -> None:
    log = container(world, "borg")
    append(log, "no envelope\n" + '{"log":"half of o' + envelope("whole\n").replace('"log": ', '"log":') + "{}\n")

    assert world.catch_up() == [b"no envelope", b"whole", b"{}"]


def test_any_cut_and_crash_gives_the_same_lines(world: World) -> None:
    """Long and short lines of both streams, written in any pieces, read by a reader that is killed at random."""
    dice = random.Random(3)  # noqa: S311 - dice, not keys
    log = container(world, "borg")
    truth: list[bytes] = []
    queues: dict[str, list[str]] = {"stdout": [], "stderr": []}
    written = ""
    for number in range(120):
        stream = dice.choice(list(queues))
        line = f"{number} " + "é" * dice.choice([5, 20, 20_000])
        truth.append(line.encode())
        queues[stream] += pieces(line, stream).splitlines(keepends=True)
    while any(queues.values()):
        stream = dice.choice([stream for stream, queue in queues.items() if queue])
        written += queues[stream].pop(0)
    content, at = written.encode(), 0
    while at < len(content):
        step = dice.randrange(1, 60_000)
        append(log, content[at : at + step])
        at += step
        if dice.random() < 0.3:
            world.restart()
        if dice.random() < 0.2:
            world.tree.read(1 << 20)
        if dice.random() < 0.1 and content[:at].endswith(b"\n"):
            rotate(log)
            log.write_text("")
        world.look(budget=dice.choice([1, 1 << 20]))
    world.catch_up()

    assert sorted(line.data for line in world.lines) == sorted(truth)


def test_the_joining_does_not_depend_on_where_it_is_cut() -> None:
    lines = [
        Line("c", data.encode(), Position(0, 0, number), datetime(2026, 1, 1, tzinfo=UTC))
        for number, data in enumerate((pieces("x" * 50_000) + pieces("y" * 33_000, "stderr")).splitlines())
    ]
    whole, rest = unwrap(lines, b"", 1 << 20)
    one_by_one: list[Line] = []
    held = b""
    for line in lines:
        more, held = unwrap([line], held, 1 << 20)
        one_by_one += more

    assert one_by_one == whole
    assert held == rest == b""
