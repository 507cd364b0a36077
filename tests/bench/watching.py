"""How fast and how cheaply changes are noticed: latency, and processor time while busy and while idle.

    python -m tests.bench.watching [--seconds 10] [--events 200] [--dir DIRECTORY]

Everything is measured on real processes: `borgwatch run` as users start it, and `tail -F | grep` and, where it is
installed, `sec` (Debian: apt install sec) in the same run. A latency is the time from the return of the write to the
moment at which the follower's own line about it is read here; borgwatch writes that line after its commit. Processor
time is that of all threads and processes of a follower, in percent of one core.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOISE = '{"type": "file_status", "status": "U", "path": "/mnt/tank/data/photos/2026/11/IMG_%07d.jpg", "pad": "%s"}\n'
RULES = """\
schema: 1
pack: bench
rules:
  - id: marker
    match: {text|re: '^marker \\d+ of the bench$'}
    emit: container.startup
    message: '{text}'
    samples: [{line: 'marker 1 of the bench'}]
"""
MARKER = re.compile(rb"marker (\d+) of the bench")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Follower:
    """A follower under test: its processes, and when it told of which marker."""

    name: str
    processes: list[subprocess.Popen[bytes]]
    told: dict[int, float] = field(default_factory=dict)
    ready: threading.Event = field(default_factory=threading.Event)

    def listen(self) -> None:
        """Note when each marker is told."""
        output = self.processes[-1].stdout
        if output is None:
            return
        for line in output:
            now = time.monotonic()
            if b" ready " in line:
                self.ready.set()
            if found := MARKER.search(line):
                self.told.setdefault(int(found[1]), now)

    def ticks(self) -> int:
        """Processor time so far, in clock ticks."""
        total = 0
        for process in self.processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total

    def memory(self) -> float:
        """Resident memory in MB."""
        lines = Path(f"/proc/{self.processes[0].pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@contextmanager
def following(name: str, *commands: Sequence[str], env: dict[str, str] | None = None) -> Iterator[Follower]:
    """Start a pipeline of commands and listen to the last."""
    processes: list[subprocess.Popen[bytes]] = []
    for command in commands:
        source = processes[-1].stdout if processes else subprocess.DEVNULL
        processes.append(
            subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
        )
    one = Follower(name, processes)
    threading.Thread(target=one.listen, daemon=True).start()
    try:
        yield one
    finally:
        for process in processes:
            process.terminate()
            process.wait()


@contextmanager
def borgwatch(place: Path, name: str = "borgwatch", *, poll: str = "2s", code: str = "") -> Iterator[Follower]:
    """Start the service on a directory."""
    state, rules = place / "state", place / "rules"
    rules.mkdir(exist_ok=True)
    (rules / "bench.yaml").write_text(RULES)
    env = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "BORGWATCH_CONFIG": "", "BORGWATCH_POLL": poll,
        "BORGWATCH_WATCH": str(place / "logs"), "BORGWATCH_STATE": str(state), "BORGWATCH_RULES": str(rules),
    }  # fmt: skip
    start = f"{code}\nfrom borgwatch.cli import main\nmain()"
    with following(name, [sys.executable, "-c", start, "run"], env=env) as one:
        if not one.ready.wait(120):
            raise RuntimeError("borgwatch did not get ready")
        yield one


NO_HINTS = """
import functools, borgwatch.sources.wake as wake, borgwatch.service.process as service
service.Waker = functools.partial(wake.Waker, hints=False)
"""


def others(log: Path, place: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Name the other followers that are here."""
    grep = ["grep", "--line-buffered", "marker [0-9]* of the bench"]
    yield "tail -F | grep", lambda: following("tail -F | grep", ["tail", "-n0", "-F", str(log)], grep)
    if shutil.which("sec"):
        rules = place / "sec.conf"
        rules.write_text(
            "type=Single\nptype=RegExp\npattern=^marker (\\d+) of the bench$\ndesc=m\n"
            "action=write - marker $1 of the bench\n"
        )
        command = ["sec", f"--conf={rules}", f"--input={log}"]
        yield "sec", lambda: following("sec", command)


class Writer:
    """Writes markers and noise, and knows when each marker was written."""

    def __init__(self, log: Path) -> None:
        self._file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.written: dict[int, float] = {}

    def mark(self) -> None:
        number = len(self.written) + 1
        os.write(self._file, b"marker %d of the bench\n" % number)
        self.written[number] = time.monotonic()

    def sporadic(self, events: int) -> None:
        """Write markers at irregular intervals of a twentieth to a fifth of a second."""
        dice = random.Random(1)  # noqa: S311 - dice, not keys
        for _ in range(events):
            time.sleep(dice.uniform(0.05, 0.2))
            self.mark()

    def steady(self, seconds: float, rate: int = 1000, every: int = 50) -> None:
        """Write so many lines a second, one at a time; each of `every` is a marker."""
        begun = time.monotonic()
        for number in range(int(seconds * rate)):
            if (wait := begun + number / rate - time.monotonic()) > 0:
                time.sleep(wait)
            if number % every:
                os.write(self._file, (NOISE % (number, "x" * 100)).encode())
            else:
                self.mark()


def latencies(writer: Writer, one: Follower) -> str:
    """Say p50, p99 and the worst, in milliseconds."""
    deadline = time.monotonic() + 10
    while len(one.told) < len(writer.written) and time.monotonic() < deadline:
        time.sleep(0.05)
    spans = sorted((one.told[number] - at) * 1000 for number, at in writer.written.items() if number in one.told)
    missing = len(writer.written) - len(spans)
    if len(spans) < 2:
        return "nothing was told"
    quantiles = statistics.quantiles(spans, n=100)
    lost = f", {missing} missing" if missing else ""
    return f"p50 {quantiles[49]:.1f} ms, p99 {quantiles[98]:.1f} ms, worst {spans[-1]:.1f} ms{lost}"


def row(name: str, what: str, result: str) -> None:
    """Print one row of the table."""
    print(f"| {name} | {what} | {result} |", flush=True)


def measure_latency(place: Path, events: int, seconds: float) -> None:
    """Measure all followers on the same pattern of writes."""
    log = place / "logs" / "nas" / "borg.log"
    log.parent.mkdir(parents=True)
    log.touch()
    candidates: list[tuple[str, Callable[[], object]]] = [
        ("borgwatch", lambda: borgwatch(place)),
        ("borgwatch without notifications", lambda: borgwatch(place, poll="0.5s", code=NO_HINTS)),
        *others(log, place),
    ]
    for name, start in candidates:
        with start() as one:  # type: ignore[attr-defined] # each is a context manager of a Follower
            time.sleep(2)
            few = events if "without" not in name else max(20, events // 5)
            writer = Writer(log)
            writer.sporadic(few)
            row(name, f"{few} single lines", latencies(writer, one))
        with start() as one:  # type: ignore[attr-defined] # the same
            time.sleep(2)
            writer = Writer(log)
            before, begun = one.ticks(), time.monotonic()
            writer.steady(seconds)
            share = (one.ticks() - before) / TICKS / (time.monotonic() - begun) * 100
            row(name, "1,000 lines a second", f"{share:.1f} % of a core, {latencies(writer, one)}")


def wait_for_rest(one: Follower, longest: float = 180) -> None:
    """Wait until what was there has been read: until a follower takes less than a fiftieth of a core for a while."""
    deadline = time.monotonic() + longest
    share = 1.0
    while share > 0.02 and time.monotonic() < deadline:
        before = one.ticks()
        time.sleep(6)
        share = (one.ticks() - before) / TICKS / 6


def measure_idle(place: Path, seconds: float) -> None:
    """Measure what watching costs while nothing happens."""
    logs = place / "logs"
    for number in range(50):
        log = logs / f"job{number}" / "borg.log"
        log.parent.mkdir(parents=True)
        log.write_text("marker 1 of the bench\n" * 5)
    for finished in (0, 5000):
        for number in range(finished):
            log = logs / f"job{number % 50}" / "runs" / f"borg-{number}.log"
            log.parent.mkdir(exist_ok=True)
            log.write_text(NOISE % (number, "x") * 3)
        with borgwatch(place) as one:
            wait_for_rest(one)
            before, begun = one.ticks(), time.monotonic()
            time.sleep(seconds)
            share = (one.ticks() - before) / TICKS / (time.monotonic() - begun) * 100
            beside = f" and {finished:,} finished" if finished else ""
            row("borgwatch", f"idle, 50 files{beside}", f"{share:.2f} % of a core, {one.memory():.1f} MB resident")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=10, help="length of each measurement")
    parser.add_argument("--events", type=int, default=200, help="single lines for the latency")
    parser.add_argument("--dir", type=Path, help="where to write (default: the temporary directory)")
    parser.add_argument("--only", choices=("latency", "idle"))
    options = parser.parse_args()
    print("| follower | what | measured |\n|---|---|---|")
    for what in ("latency", "idle"):
        if options.only in (None, what):
            with tempfile.TemporaryDirectory(dir=options.dir) as place:
                if what == "latency":
                    measure_latency(Path(place), options.events, options.seconds)
                else:
                    measure_idle(Path(place), max(options.seconds, 30))


if __name__ == "__main__":
    main()
