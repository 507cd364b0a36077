"""What the status page costs with a year of ten daily jobs: `python -m tests.bench.page`.

Memory is that of a process that has served the page and the metrics, less that of the same process before it loaded the
server; what the service itself loads is there before. Times are to the first byte, over loopback, each answer made
anew. Of most scrapes little is news; `after a run` is one before which a run has ended.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import borgwatch.service.process  # noqa: F401 - what the service takes anyway is there before
from borgwatch.journal.store import Change, Journal
from borgwatch.policy.deadman import Expectation
from borgwatch.service.heartbeat import Condition, Health, Link, TrueNASState
from borgwatch.service.live import Live
from tests.bench.history import make_year

__all__ = ["main"]

_PORT = 8771
_ROUNDS = 20


def main() -> None:
    """Measure, and print the figures."""
    with tempfile.TemporaryDirectory(prefix="borgwatch-bench-") as name:
        make_year(Path(name), datetime.now(UTC))
        asyncio.run(_measure(Path(name)))


async def _measure(state: Path) -> None:
    before = _memory()
    from borgwatch.web.server import Server  # noqa: PLC0415 - what it takes is measured

    moment = datetime.now(UTC)
    live = Live(
        "bench", moment, Health(Condition.HEALTHY, "bench"), TrueNASState(Link.CONNECTED, "alert"),
        expect=(Expectation("*", "backup", timedelta(hours=26)),),
    )  # fmt: skip
    server = Server("127.0.0.1", _PORT, (), state, lambda: live, lambda: live.health)
    task = asyncio.create_task(server.run())
    await asyncio.sleep(0.5)
    with closing(Journal.open(state)) as journal:
        rounds: tuple[tuple[str, str, Callable[[], None]], ...] = (
            ("/healthz", " (what HTTP alone takes)", lambda: None),
            ("/", "", lambda: None),
            ("/metrics", "", lambda: None),
            ("/metrics", " after a run", _one_more(journal)),
        )
        for path, what, first in rounds:
            wall, processor = zip(*[await _ask(path, server._kept.clear, first) for _ in range(_ROUNDS)], strict=True)
            print(
                f"{path + what:33} first byte: median {statistics.median(wall):.1f} ms, fastest {min(wall):.1f} ms;"
                f" processor time {statistics.median(processor):.1f} ms"
            )
    print(f"memory: {before:.1f} MB before, {_memory() - before:+.1f} MB with the page")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _one_more(journal: Journal) -> Callable[[], None]:
    """Let one more backup end."""
    (last,) = journal.runs_of("host-4", "backup", 1)
    (state,) = (state for state in journal.jobs().values() if (state.job, state.operation) == ("host-4", "backup"))
    count = 0

    def end() -> None:
        nonlocal count
        count += 1
        ended = last.ended + timedelta(seconds=count)
        run = replace(last, id=f"more-{count}", started=ended - timedelta(seconds=600 + count), read=ended, seen=ended)
        now = replace(state, last_run=ended, last_success=ended, run=run.id)
        journal.commit(Change(runs=[run], jobs=[now]))

    return end


async def _ask(path: str, *first: Callable[[], None]) -> tuple[float, float]:
    for prepare in first:
        prepare()
    begun, used = time.perf_counter(), time.process_time()
    reader, writer = await asyncio.open_connection("127.0.0.1", _PORT)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    await reader.read(1)
    took = (time.perf_counter() - begun) * 1000, (time.process_time() - used) * 1000
    await reader.read()
    writer.close()
    return took


def _memory() -> float:
    """Resident memory of this process, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


if __name__ == "__main__":
    main()
