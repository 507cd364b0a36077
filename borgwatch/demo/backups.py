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

    def __init__(self, log: Path, directory: Path, borg: str, options: str = "--log-json") -> None:
        self.name = f"the Borg that is installed ({borg})"
        self._log = log
        self._data = directory / "data"
        self._script = directory / "backup.sh"
        self._environment = {
            "PATH": os.pathsep.join([str(Path(borg).parent), os.environ.get("PATH", os.defpath)]),
            "HOME": str(directory),
            "LC_ALL": "C.UTF-8",
            "BORG_BASE_DIR": str(directory / "borg"),
            "BORG_REPO": str(directory / "repository"),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_OPTIONS": options,
        }

    async def prepare(self) -> None:
        """Make some data, the script and a repository."""
        self._data.mkdir(parents=True)
        for number in range(20):
            (self._data / f"photo-{number:02}.jpg").write_bytes(os.urandom(20_000))
        with resources.as_file(_HERE / "backup.sh") as script:
            shutil.copy(script, self._script)
        process = await asyncio.create_subprocess_exec(
            "borg", "init", "-e", "none", env=self._environment, stderr=asyncio.subprocess.DEVNULL
        )
        if await process.wait():
            raise RuntimeError("borg init failed")

    async def __call__(self, night: str) -> None:
        """Run the script as cron would, in the circumstances of the night."""
        sources = str(self._data)
        if night == "warning":
            sources += f" {self._data}-that-is-not-there"
        if night == "locked":
            async with self._locked():
                await self._run_script(sources)
        else:
            await self._run_script(sources)

    async def _run_script(self, sources: str) -> None:
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                "sh", str(self._script), env={**self._environment, "SOURCES": sources}, stdout=log, stderr=log
            )
            await process.wait()

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        """Let another Borg hold the repository."""
        process = await asyncio.create_subprocess_exec(
            "borg", "with-lock", self._environment["BORG_REPO"], "sh", "-c", "echo held; read _",
            env=self._environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            if process.stdout is not None:
                await process.stdout.readline()
            yield
        finally:
            await process.communicate(b"\n")
