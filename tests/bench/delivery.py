"""From a written line to the proof, and a thousand proofs in a row: `python -m tests.bench.delivery`.

The real service (real files and notifications, real journal, real TLS) against the simulated TrueNAS in a process of
its own. `--samples` single failures one after the other on an idle system give the latency; `--alerts` different
alerts that wait for TrueNAS' return give the rate.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from borgwatch.config import load
from borgwatch.journal.store import Change, Journal
from borgwatch.model import Alert, Level
from borgwatch.service.courier import Courier
from borgwatch.service.login import login_for, now
from borgwatch.service.process import Service
from borgwatch.service.report import LogReport
from borgwatch.settings import Settings
from borgwatch.truenas.client import Client
from borgwatch.truenas.delivery import Delivered, Mailed

__all__ = ["Latency", "main", "measure_latency", "measure_rate"]

_FAILURE = b"terminating with error status, rc 2\n"
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from a write to the read-back, one for each sample."""

    seconds: Sequence[float]

    def quantile(self, part: float) -> float:
        """The latency that `part` of the samples stay under."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class _Proofs(LogReport):
    """Counts proofs, and tells nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._more = asyncio.Event()

    def delivered(self, alert: Alert, proof: Delivered | Mailed, took: float) -> None:  # noqa: ARG002 - the report's shape
        """Take note of a proof."""
        self.count += 1
        self._more.set()

    async def until(self, count: int) -> None:
        """Wait for so many proofs."""
        async with asyncio.timeout(_PATIENCE):
            while self.count < count:
                self._more.clear()
                await self._more.wait()


@contextlib.asynccontextmanager
async def _truenas(release: str, directory: Path) -> AsyncIterator[Settings]:
    """Run a simulated TrueNAS as a process; gives the settings for it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "borgwatch", "simulate", "--release", release, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().split()[-1]
        settings = {
            "NOTIFY_TRUENAS_ENABLED": "true",
            "NOTIFY_TRUENAS_API_URL": url,
            "NOTIFY_TRUENAS_API_KEY": f"1-{'s' * 64}",
            "NOTIFY_TRUENAS_VERIFY_SSL": "pin",
            "BORGWATCH_WATCH": str(directory / "watch"),
            "BORGWATCH_STATE": str(directory / "state"),
            "BORGWATCH_CONFIG": "",
        }
        yield load(settings).checked()
    finally:
        process.terminate()
        await process.wait()


async def measure_latency(release: str, samples: int) -> Latency:
    """Write one failure after the other, each of another job, and wait for the proof of each."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with _truenas(release, directory) as settings:
            logs = [settings.watch[0] / f"job{number}" / "borg.log" for number in range(samples)]
            for log in logs:
                log.parent.mkdir(parents=True)
                log.touch()
            proofs, ready = _Proofs(), asyncio.Event()
            journal = Journal.open(settings.state, exclusive=True)
            service = Service(settings, journal, proofs)
            task = asyncio.create_task(service.run(on_ready=ready.set))
            try:
                await ready.wait()
                return Latency([await _one(log, number, proofs) for number, log in enumerate(logs, 1)])
            finally:
                service.stop()
                await task
                journal.close()


async def _one(log: Path, number: int, proofs: _Proofs) -> float:
    await asyncio.sleep(0.1)  # an idle system: nothing of the one before is under way
    began = time.perf_counter()
    with log.open("ab", buffering=0) as file:
        file.write(_FAILURE)
    await proofs.until(number)
    return time.perf_counter() - began


async def measure_rate(release: str, alerts: int) -> float:
    """Let so many alerts wait in the outbox, come back, and count the proofs a second."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with _truenas(release, directory) as settings:
            journal = Journal.open(settings.state, exclusive=True)
            journal.commit(Change(alerts=[_alert(number) for number in range(alerts)]))
            proofs = _Proofs()
            login = login_for(settings.truenas, journal)
            assert login is not None
            client = Client(login, proofs, now)
            courier = Courier(journal, client, proofs)
            tasks = [asyncio.create_task(client.run())]
            try:
                await client.session()
                began = time.perf_counter()
                tasks.append(asyncio.create_task(courier.run()))
                await proofs.until(alerts)
                return alerts / (time.perf_counter() - began)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                journal.close()


def _alert(number: int) -> Alert:
    job = f"job{number}"
    key, text = f"borgwatch:main:{job}", f"Borg backup of {job} failed: rc 2"
    return Alert(key, job, "backup", "failure", Level.CRITICAL, text, True, f"e{number}", datetime.now(UTC))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", default="25.10.6")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--alerts", type=int, default=1000)
    chosen = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    latency = asyncio.run(measure_latency(chosen.release, chosen.samples))
    rate = asyncio.run(measure_rate(chosen.release, chosen.alerts))
    print(f"TrueNAS {chosen.release} (simulated, in a process of its own, over TLS)")
    print(
        f"write to read-back, {len(latency.seconds)} samples: p50 {latency.quantile(0.5) * 1000:.0f} ms,"
        f" p99 {latency.quantile(0.99) * 1000:.0f} ms, mean {statistics.mean(latency.seconds) * 1000:.0f} ms"
    )
    print(f"{chosen.alerts} alerts of different keys, each read back: {rate:.0f} a second")


if __name__ == "__main__":
    main()
