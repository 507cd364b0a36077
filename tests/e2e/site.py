"""A machine with a real Borg, a repository, some data and a cron script that nobody wants to touch."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

FILES = 3000  # enough for a backup that can be killed in the middle


class Site:
    """Everything below one directory; `run` does what cron does."""

    def __init__(self, directory: Path, borg_options: str) -> None:
        self.directory = directory
        self.log = directory / "watch" / "nas" / "backup.log"
        self.repository = directory / "repository"
        self.data = directory / "data"
        self.script = directory / "backup.sh"
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "LC_ALL": "C.UTF-8",
            "BORG_BASE_DIR": str(directory / "borg"),
            "BORG_REPO": str(self.repository),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_OPTIONS": borg_options,
        }

    async def prepare(self) -> None:
        """Make data, script and repository."""
        self.log.parent.mkdir(parents=True)
        self.data.mkdir()
        for number in range(FILES):
            (self.data / f"file-{number:04}").write_bytes(os.urandom(100))
        with resources.as_file(resources.files("borgwatch.demo") / "backup.sh") as script:
            shutil.copy(script, self.script)
        await self._borg("init", "-e", "none")

    async def _borg(self, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            "borg", *arguments, env=self._environment, stderr=asyncio.subprocess.DEVNULL
        )
        assert await process.wait() == 0

    async def start(self, *sources: Path) -> asyncio.subprocess.Process:
        """Start the script as cron does, its output appended to the log."""
        settings = {**self._environment, "SOURCES": " ".join(map(str, sources or (self.data,)))}
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec("sh", str(self.script), env=settings, stdout=log, stderr=log)

    async def run(self, *sources: Path) -> int:
        """Run the script to its end; returns its exit code."""
        process = await self.start(*sources)
        return await asyncio.wait_for(process.wait(), 60)

    async def run_and_kill(self) -> int:
        """Run the script and kill Borg, without a chance to say anything, while it makes the archive."""
        began = len(self.log.read_bytes())
        process = await self.start()
        while True:
            await asyncio.sleep(0.005)
            written = self.log.read_bytes()[began:]
            if b"file-0" in written:
                break
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        return await asyncio.wait_for(process.wait(), 60)

    @asynccontextmanager
    async def repository_gone(self) -> AsyncIterator[None]:
        """Let the disk with the repository not be mounted."""
        aside = self.repository.with_name("unmounted")
        self.repository.rename(aside)
        try:
            yield
        finally:
            aside.rename(self.repository)

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Let another Borg hold the repository."""
        process = await asyncio.create_subprocess_exec(
            "borg", "with-lock", str(self.repository), "sh", "-c", "echo held; read _",
            env=self._environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        await process.stdout.readline()
        try:
            yield
        finally:
            await process.communicate(b"\n")
