"""Four nights of backups, as an unmodified script would do them: good, with a warning, failed on a lock, good again.

`Recorded` appends what Borg 1.4.5 really wrote; `Real` runs Borg on a repository of its own. Both write to one log
file and know nothing of borgwatch.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

__all__ = ["NIGHTS", "Backups", "Real", "Recorded"]

NIGHTS = ("good", "warning", "locked", "recovery")
"""The nights in their order."""

Backups = Callable[[str], Awaitable[None]]
"""Does the backup of one night."""

_RECORDINGS = {"good": "1-good.log", "warning": "2-warning.log", "locked": "3-locked.log", "recovery": "4-recovery.log"}
_HERE = resources.files("borgwatch.demo")


class Recorded:
    """Appends recorded output to the log, line by line as Borg does."""

    name = "recorded output of Borg 1.4.5"

    def __init__(self, log: Path) -> None:
        self._log = log

    async def __call__(self, night: str) -> None:
        """Append what Borg wrote in such a night."""
        recording = _HERE / "recordings" / _RECORDINGS[night]
        with self._log.open("ab", buffering=0) as log:
            for line in recording.read_bytes().splitlines(keepends=True):
                log.write(line)
                await asyncio.sleep(0)


class Real:
    """Runs the script with the Borg that is installed, on a repository below `directory`."""

    def __init__(self, log: Path, directory: Path, options: str = "--log-json") -> None:
        self.log = log
        self.directory = directory
        self.data = directory / "data"
        self.repository = directory / "repository"
        self._script = directory / "backup.sh"
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(directory),
            "LC_ALL": "C.UTF-8",
            "BORG_BASE_DIR": str(directory / "borg"),
            "BORG_REPO": str(self.repository),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_OPTIONS": options,
        }

    async def prepare(self, *, files: int = 20, size: int = 20_000) -> None:
        """Make some data, the script and a repository."""
        self.data.mkdir(parents=True)
        for number in range(files):
            (self.data / f"file-{number:04}").write_bytes(os.urandom(size))
        with resources.as_file(_HERE / "backup.sh") as script:
            shutil.copy(script, self._script)
        process = await asyncio.create_subprocess_exec(
            "borg", "init", "-e", "none", env=self._environment, stderr=asyncio.subprocess.DEVNULL
        )
        if await process.wait():
            raise RuntimeError("borg init failed")

    async def __call__(self, night: str) -> None:
        """Run the script as cron would, in the circumstances of the night."""
        if night == "locked":
            async with self.locked():
                await self.run()
        elif night == "warning":
            await self.run(self.data, self.directory / "data-that-is-not-there")
        else:
            await self.run()

    async def run(self, *sources: Path) -> int:
        """Run the script to its end; returns its exit code."""
        process = await self.start(*sources)
        return await process.wait()

    async def start(self, *sources: Path) -> asyncio.subprocess.Process:
        """Start the script as cron does, its output appended to the log."""
        environment = {**self._environment, "SOURCES": " ".join(map(str, sources or (self.data,)))}
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                "sh", str(self._script), env=environment, stdout=log, stderr=log
            )

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Let another Borg hold the repository."""
        process = await asyncio.create_subprocess_exec(
            "borg", "with-lock", str(self.repository), "sh", "-c", "echo held; read _",
            env=self._environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            if process.stdout is not None:
                await process.stdout.readline()
            yield
        finally:
            await process.communicate(b"\n")
