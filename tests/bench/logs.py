"""Logs to measure with: what `borg create --list --progress --log-json` writes, and now and then a line of interest."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["write_container", "write_log"]

_INTERESTING = 1000
_PROGRESS = 5
_BEGUN = 1795409811.0
_SECONDS_A_LINE = 0.001
_BLOCK = 10_000


def write_log(path: Path, lines: int) -> None:
    """Write a log of so many lines of about 200 bytes; the same at each call."""
    with path.open("w") as file:
        block: list[str] = []
        for line in _lines(lines):
            block.append(line)
            if len(block) == _BLOCK:
                file.write("\n".join([*block, ""]))
                block.clear()
        file.write("\n".join([*block, ""]) if block else "")


def write_container(directory: Path, log: Path) -> None:
    """Write what Docker keeps of a container that prints a log: its description, and each line in an envelope."""
    name = "b0" * 32
    place = directory / name
    place.mkdir(parents=True)
    (place / "config.v2.json").write_text(json.dumps({"Name": "/borg", "Config": {"Image": "borg"}}))
    with log.open() as lines, (place / f"{name}-json.log").open("w") as file:
        for number, line in enumerate(lines, start=1):
            time = datetime.fromtimestamp(_BEGUN + number * _SECONDS_A_LINE, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
            file.write(json.dumps({"log": line, "stream": "stderr", "time": time}) + "\n")


def _lines(count: int) -> Iterator[str]:
    dice = random.Random(1)  # noqa: S311 - dice, not keys
    for number in range(1, count + 1):
        time = _BEGUN + number * _SECONDS_A_LINE
        place = dice.choice(("data", "media", "home/anna", "mail"))
        path = f"/mnt/tank/{place}/{'x' * dice.randint(60, 150)}/{2000 + number % 25}/IMG_{number:07d}.jpg"
        yield json.dumps(_entry(number, time, path, dice))


def _entry(number: int, time: float, path: str, dice: random.Random) -> dict[str, object]:
    if number % _INTERESTING == 0:
        said = f"{path}: stat: [Errno 13] Permission denied: '{path}'"
        return {"type": "log_message", "time": time, "message": said, "levelname": "WARNING", "name": "borg.archiver"}
    if number % _PROGRESS == 0:
        sizes = {"original_size": number * 1000, "compressed_size": number * 900, "deduplicated_size": number * 10}
        rest = {"path": path[1:90], "time": time, "type": "archive_progress", "finished": False}
        return {**sizes, "nfiles": number, **rest}
    return {"type": "file_status", "status": dice.choice("AUMd"), "path": path}
