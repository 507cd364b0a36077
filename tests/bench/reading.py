"""Compare the reading of borgwatch with `grep -E` and with other followers: `python -m tests.bench.reading`.

`--gigabytes N` reads so much instead, and shows the memory; `--rules` compares 20 rules with 200; `--docker` reads the
log as what Docker keeps of a container.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from borgwatch.matching.candidates import Candidates
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from tests.bench.contenders import FOLLOWERS, Measured, Tool, greps, run
from tests.bench.logs import write_container, write_log

__all__ = ["main"]

_FOLLOWED = 100_000
"""Lines for the other followers, the slowest of which take minutes for a million."""
_WORDS = (
    'levelname": "(WARNING|ERROR|CRITICAL)', "terminating with [a-z]+ status, rc", "Creating archive at",
    "Archive name: ", "Archive fingerprint: ", "Keeping archive", "Pruning archive", "compaction freed about",
    "Starting repository check", "No space left on device", "Failed to create.acquire the lock", "Remote: ",
    "Connection closed by remote host", "does not exist", "Local Exception",
)  # fmt: skip
"""What the followers look for: fifteen expressions, for with all of the filter's they would be slower still."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reading", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3, help="the best of so many is shown")
    parser.add_argument("--gigabytes", type=float, help="read so much, and nothing else")
    parser.add_argument("--rules", action="store_true", help="compare 20 rules with 200")
    parser.add_argument("--docker", action="store_true", help="read it out of Docker's envelopes, and nothing else")
    parser.add_argument("--only", action="store_true", help="leave out the other followers")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="borgwatch-bench-") as name:
        directory = Path(name)
        log = directory / "borg.log"
        write_log(log, asked.lines)
        if asked.gigabytes:
            _show([("borgwatch", *_much(log, directory, asked.gigabytes))])
        elif asked.docker:
            write_container(directory / "containers", log)
            _show(
                [("borgwatch, a container's output", *_borgwatch([directory / "containers"], directory, asked.repeat))]
            )
        elif asked.rules:
            _show([(f"borgwatch, {n} rules", *_borgwatch([log], directory, asked.repeat, n)) for n in (20, 200)])
        else:
            _show(_all(log, directory, asked))
    return 0


Row = tuple[str, int, Measured]


def _all(log: Path, directory: Path, asked: argparse.Namespace) -> Iterator[Row]:
    expressions = Candidates(Matcher(load_rules().rules), patience=timedelta(seconds=10)).wanted
    yield "borgwatch", *_borgwatch([log], directory, asked.repeat)
    rounds = [greps(log, directory, expressions) for _ in range(asked.repeat)]
    for name in rounds[0]:
        yield name, asked.lines, min((one[name] for one in rounds), key=lambda measured: measured.cpu)
    if asked.only:
        return
    few = directory / "few.log"
    count = min(asked.lines, _FOLLOWED)
    write_log(few, count)
    for tool in FOLLOWERS:
        if tool.is_there:
            yield tool.name, count, _follow(tool, few, count, directory, "|".join(_WORDS))
        else:
            yield f"{tool.name} (not installed)", 0, Measured(0, 0, 0)


@contextmanager
def _fresh(directory: Path) -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(dir=directory))
    yield made
    shutil.rmtree(made)


def _borgwatch(logs: Sequence[Path], directory: Path, repeat: int, rules: int | None = None) -> tuple[int, Measured]:
    """Run the reader in a process of its own; time is counted from the first step, memory from the start."""
    best: tuple[int, Measured] | None = None
    for _ in range(repeat):
        with _fresh(directory) as fresh:
            watch = fresh / "watch" / "nas"
            watch.mkdir(parents=True)
            for number, log in enumerate(logs):
                if log.is_dir():
                    shutil.copytree(log, watch / "containers", copy_function=os.link)
                else:
                    os.link(log, watch / f"borg-{number}.log")
            command = [sys.executable, "-m", "tests.bench.reader", str(watch.parent), str(fresh / "state")]
            whole = run([*command, *([str(rules)] if rules else [])])
        said = json.loads(whole.output)
        measured = Measured(said["wall"], said["cpu"], whole.memory, whole.output)
        if best is None or measured.cpu < best[1].cpu:
            best = int(said["lines"]), measured
    if best is None:
        raise ValueError("repeat must be 1 or more")
    return best


def _much(log: Path, directory: Path, gigabytes: float) -> tuple[int, Measured]:
    """Read one large file, made of one log again and again."""
    large = directory / "large.log"
    with large.open("wb") as file:
        while file.tell() < gigabytes * 1e9:
            with log.open("rb") as part:
                shutil.copyfileobj(part, file)
    return _borgwatch([large], directory, 1)


def _follow(tool: Tool, log: Path, lines: int, directory: Path, expression: str) -> Measured:
    with _fresh(directory) as fresh:
        found = fresh / "found"
        expected = lines // 1000

        def is_done() -> bool:
            return found.exists() and found.read_bytes().count(b"\n") >= expected

        return run(tool.command(fresh, log, expression), until=is_done if tool.stays else None)


def _show(rows: Iterable[Row]) -> None:
    """Print the table: lines a second of the clock, and a second of the processor."""
    print(f"{'':32} {'lines':>10} {'lines/s':>11} {'per cpu s':>11} {'MB':>6}")
    for name, lines, measured in rows:
        speed = lines / measured.wall if measured.wall else 0
        per_cpu = lines / measured.cpu if measured.cpu else 0
        print(f"{name:32} {lines:10,} {speed:11,.0f} {per_cpu:11,.0f} {measured.memory:6.0f}", flush=True)
        if name.startswith("borgwatch") and measured.output:
            print(f"    {measured.output.decode().strip()}")


if __name__ == "__main__":
    sys.exit(main())
