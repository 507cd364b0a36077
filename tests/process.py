"""borgwatch as a process of its own, as users start it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from borgwatch.truenas.simulator import Simulator
from tests.leaks import check_text

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 90  # seconds; generous, for the machine may be busy with other things


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """An environment with nothing but what a process needs, and `settings`."""
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "COVERAGE_PROCESS_START") if name in os.environ}
    return {"PYTHONPATH": str(ROOT), "BORGWATCH_CONFIG": "", **inherited, **settings}


def settings_for(nas: Simulator, directory: Path, **more: str) -> dict[str, str]:
    """The settings of a borgwatch that tells a simulated TrueNAS, with its directories below one, and `more`."""
    return {
        "NOTIFY_TRUENAS_ENABLED": "true",
        "NOTIFY_TRUENAS_API_URL": nas.url,
        "NOTIFY_TRUENAS_API_KEY": nas.keys[0].key,
        "NOTIFY_TRUENAS_VERIFY_SSL": "pin",
        "BORGWATCH_WATCH": str(directory / "watch"),
        "BORGWATCH_STATE": str(directory / "state"),
        "BORGWATCH_RULES": str(directory / "rules"),
        **more,
    }


@dataclass(frozen=True)
class Finished:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


async def borgwatch(*arguments: str, settings: Mapping[str, str] | None = None, stdin: bytes = b"") -> Finished:
    """Run a command to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "borgwatch", *arguments, env=environment(settings or {}),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin), TIMEOUT)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if arguments[:1] != ("simulate",):
        check_text(out + err, f"the output of borgwatch {' '.join(arguments)}")
    return Finished(process.returncode or 0, out.decode(), err.decode())


async def health_that_says(settings: Mapping[str, str], says: str) -> tuple[int, str]:
    """Ask for the health until the answer begins with a pattern; a few times, for it follows with the next look."""
    for _ in range(10):
        done = await borgwatch("healthcheck", settings=settings)
        if re.match(says, done.out):
            break
    return done.code, done.out


class Running:
    """A `borgwatch run`: its lines as they come."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._changed = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        if self.process.stdout is None:
            return
        async for line in self.process.stdout:
            async with self._changed:
                self.lines.append(line.decode().rstrip("\n"))
                self._changed.notify_all()

    async def line_with(self, *words: str) -> str:
        """Wait for a line that holds all the words."""

        def find() -> str:
            return next((line for line in self.lines if all(word in line for word in words)), "")

        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(find), TIMEOUT)
            except TimeoutError:
                raise AssertionError(f"no line with {words} in:\n" + "\n".join(self.lines)) from None
            return find()

    async def until(self, condition: Callable[[Sequence[str]], bool]) -> None:
        """Wait until the lines are as they should be."""
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(lambda: condition(self.lines)), TIMEOUT)

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), TIMEOUT)
        await self._reader
        return code


@asynccontextmanager
async def running(settings: Mapping[str, str], *, before: Sequence[str] = ()) -> AsyncIterator[Running]:
    """Start `borgwatch run`, wait until it is ready, and end it afterwards; `before` is a command that starts it."""
    process = await asyncio.create_subprocess_exec(
        *before, sys.executable, "-m", "borgwatch", "run", env=environment(settings),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    service = Running(process)
    try:
        await service.line_with(" ready ")
        yield service
    finally:
        if process.returncode is None:
            await service.end(signal.SIGKILL)
        check_text("\n".join(service.lines), "the output of borgwatch run")
