"""What the status page costs with a year of ten daily jobs: `python -m tests.bench.page`.

Memory is that of a process that has served the page and the metrics, less that of the same process before it loaded the
server. Times are to the first byte, over loopback, the pause of a second between two readings included in none.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
    with_lookback = _memory()
    from borgwatch.web.server import Server  # noqa: PLC0415 - what it takes is measured

    moment = datetime.now(UTC)
    live = Live(
        "bench", moment, Health(Condition.HEALTHY, "bench"), TrueNASState(Link.CONNECTED, "alert"),
        expect=(Expectation("*", "backup", timedelta(hours=26)),),
    )  # fmt: skip
    task = asyncio.create_task(Server("127.0.0.1", _PORT, (), state, lambda: live).run())
    await asyncio.sleep(0.5)
    for path in ("/", "/metrics"):
        times = []
        for _ in range(_ROUNDS):
            await asyncio.sleep(1.05)
            times.append(await _ask(path))
        print(f"{path:10} first byte: median {statistics.median(times):.1f} ms, longest {max(times):.1f} ms")
    print(f"memory: {with_lookback:.1f} MB before, {_memory() - with_lookback:+.1f} MB with the page")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _ask(path: str) -> float:
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", _PORT)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    await reader.read(1)
    took = (time.perf_counter() - begun) * 1000
    await reader.read()
    writer.close()
    return took


def _memory() -> float:
    """Resident memory of this process, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


if __name__ == "__main__":
    main()
