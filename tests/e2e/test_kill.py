"""The real process, killed at random moments while a script writes and rotates its log.

The short form runs with the others. The long one: BORGWATCH_TORTURE_KILLS=1000 ./bw test tests/e2e/test_kill.py
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests.process import running

KILLS = int(os.environ.get("BORGWATCH_TORTURE_KILLS", "6"))
RULES = """\
schema: 1
pack: torture
rules:
  - id: line
    match: {text|re: '^line \\d+$'}
    emit: container.startup
    message: '{text}'
    samples: [{line: 'line 1'}]
"""


class Script:
    """A backup script: each line that it writes is an event."""

    def __init__(self, log: Path, dice: random.Random) -> None:
        self.log, self.dice, self.count = log, dice, 0
        self.file = log.open("ab", buffering=0)

    def write(self) -> None:
        """Write some lines, now and then in two pieces, or rotate."""
        for _ in range(self.dice.randrange(1, 20)):
            self.count += 1
            line = f"line {self.count}\n".encode()
            cut = self.dice.choice([len(line), self.dice.randrange(len(line))])
            self.file.write(line[:cut])
            self.file.write(line[cut:])
        if self.dice.random() < 0.1:
            self.rotate()

    def rotate(self) -> None:
        """Rotate as logrotate does: rename, begin anew, and compress what is older than one day, or all."""
        for number in range(30, 0, -1):
            for ending in ("", ".gz"):
                old = self.log.with_name(f"{self.log.name}.{number}{ending}")
                if old.exists():
                    old.rename(self.log.with_name(f"{self.log.name}.{number + 1}{ending}"))
        self.log.rename(self.log.with_name(f"{self.log.name}.1"))
        self.file.close()
        self.file = self.log.open("ab", buffering=0)
        for number in self.dice.choice([(2,), (1, 2)]):
            self.compress(self.log.with_name(f"{self.log.name}.{number}"))

    @staticmethod
    def compress(plain: Path) -> None:
        """Compress a file as gzip does, with its time of change."""
        if plain.exists():
            packed, found = plain.with_name(f"{plain.name}.gz"), plain.stat()
            packed.write_bytes(gzip.compress(plain.read_bytes(), 1))
            os.utime(packed, ns=(found.st_atime_ns, found.st_mtime_ns))
            plain.unlink()


def told(state: Path) -> list[str]:
    """Read the lines of which the journal holds an event."""
    with closing(sqlite3.connect(f"file:{state}/journal.sqlite3?mode=ro", uri=True)) as database:
        return [json.loads(event)["message"] for (event,) in database.execute("SELECT event FROM events")]


async def test_kill_9_at_any_moment_neither_loses_nor_repeats(tmp_path: Path) -> None:
    """Each line written is an event in the journal, once."""
    dice = random.Random(KILLS)  # noqa: S311 - dice, not keys
    log, rules, state = tmp_path / "watch" / "nas" / "borg.log", tmp_path / "rules", tmp_path / "state"
    log.parent.mkdir(parents=True)
    rules.mkdir()
    (rules / "torture.yaml").write_text(RULES)
    settings = {
        "BORGWATCH_WATCH": str(tmp_path / "watch"), "BORGWATCH_STATE": str(state), "BORGWATCH_RULES": str(rules),
        "BORGWATCH_POLL": "0.2s",
    }  # fmt: skip
    async with running(settings):
        pass  # what is there before the first look would be past
    script = Script(log, dice)
    with closing(script.file):
        for _ in range(KILLS):
            async with running(settings) as service:
                for _ in range(dice.randrange(1, 8)):
                    script.write()
                    await asyncio.sleep(dice.choice([0, 0, 0.01, 0.1]))
                await service.end(signal.SIGKILL)
            for _ in range(dice.randrange(3)):
                script.write()
        async with running(settings):
            async with asyncio.timeout(60):
                while len(set(told(state))) < script.count:  # noqa: ASYNC110 - another process writes it
                    await asyncio.sleep(0.1)
            await asyncio.sleep(1)  # what comes twice would come now
        script.file.close()

    assert Counter(told(state)) == Counter(f"line {number}" for number in range(1, script.count + 1))
