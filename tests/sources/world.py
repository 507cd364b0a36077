"""The world that a tree lives in: real files, a clock turned by hand, and a journal that outlives the reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from borgwatch.model import Line, Position
from borgwatch.sources.choice import PATTERNS, Wish
from borgwatch.sources.docker import Containers, Pick
from borgwatch.sources.problems import Problem
from borgwatch.sources.states import is_lost
from borgwatch.sources.tail import Batch, Tree

BUDGET = 4 * 1024 * 1024
LINGER = 60.0
SETTLE = 5.0
_MANY_LOOKS = 5000


@dataclass
class World:
    """A watched directory, and all that a service around the tree would keep."""

    root: Path
    others: Mapping[str, Path] = field(default_factory=dict)
    patterns: Sequence[str] = PATTERNS
    first_start: bool = False
    start: Literal["beginning", "end"] = "beginning"
    max_line: int = 64 * 1024
    wishes: Sequence[Wish] = ()
    picks: Sequence[Pick] = ()
    seconds: float = 1000.0
    set_forward: float = 0.0
    positions: dict[str, Position] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    tree: Tree = field(init=False)

    def __post_init__(self) -> None:
        """Start the reader."""
        self.restart()

    @property
    def followed(self) -> set[str]:
        """The keys of the positions of files that are there, as far as is known."""
        return {key for key in self.positions if not is_lost(key)}

    def restart(self) -> None:
        """Drop the reader, whatever it was doing, and start one from what was committed."""
        if hasattr(self, "tree"):
            self.tree._unpacker.close()  # as the end of a process does
        self.tree = Tree(
            {"watch": self.root, **self.others},
            now=lambda: datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=self.seconds + self.set_forward),
            monotonic=lambda: self.seconds,
            patterns=self.patterns,
            first_start=["watch"] if self.first_start and not self.positions else [],
            start=self.start,
            wishes=self.wishes,
            containers=Containers(self.picks),
            max_line=self.max_line,
        )
        self.tree.restore(self.positions)

    def reboot(self) -> None:
        """Start anew on a machine that has given the file system another device number."""
        self.positions = {
            key: replace(position, device=position.device + 1) for key, position in self.positions.items()
        }
        self.restart()

    def look(self, budget: int = BUDGET) -> Batch:
        """Read one batch and commit it."""
        batch = self.tree.read(budget)
        self.commit(batch)
        return batch

    def commit(self, batch: Batch) -> None:
        """Do what the journal does: lines and positions in one step."""
        self.lines += batch.lines
        self.problems += batch.problems
        for key, position in batch.positions.items():
            if position is None:
                self.positions.pop(key, None)
            else:
                self.positions[key] = position
        self.tree.commit(batch)

    def catch_up(self, budget: int = BUDGET) -> list[bytes]:
        """Read until there is nothing more to read at once; return the lines of it."""
        before = len(self.lines)
        for _ in range(_MANY_LOOKS):
            if not self.look(budget).more:
                break
        else:
            raise AssertionError("the reader never comes to rest")
        return [line.data for line in self.lines[before:]]

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds

    def file(self, name: str, content: bytes | str | None = None) -> Path:
        """Name a file, and write it if there is content."""
        path = self.root / name
        if content is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


def append(path: Path, content: bytes | str) -> None:
    """Write at the end of a file, as a backup script does."""
    with path.open("ab") as file:
        file.write(content.encode() if isinstance(content, str) else content)
