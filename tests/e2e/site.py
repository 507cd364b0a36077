"""A machine with a real Borg, a repository, some data and a cron script that nobody wants to touch."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from borgwatch.demo.backups import Real

FILES = 3000  # enough for a backup that can be killed in the middle


class Site(Real):
    """What the demo runs, and two more things that can happen to it."""

    def __init__(self, directory: Path, options: str) -> None:
        log = directory / "watch" / "nas" / "backup.log"
        log.parent.mkdir(parents=True)
        super().__init__(log, directory, options)
        self.options = options

    async def run_and_kill(self) -> int:
        """Run the script and kill Borg, without a chance to say anything, while it makes the archive."""
        began = len(self.log.read_bytes())
        process = await self.start()
        while b"file-0" not in self.log.read_bytes()[began:]:  # noqa: ASYNC110 - the log is all there is to go by
            await asyncio.sleep(0.005)
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        return await process.wait()

    async def check(self) -> int:
        """Check the repository as a weekly job does, its output appended to the log."""
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                "borg", *self.options.split(), "--show-rc", "check", "-v", str(self.repository),
                env=self._environment, stdout=log, stderr=log,
            )  # fmt: skip
        return await process.wait()

    def damage(self) -> None:
        """Let the disk spoil a part of what Borg has stored."""
        segment = max((self.repository / "data").glob("*/*"), key=lambda path: path.stat().st_size)
        with segment.open("r+b") as file:
            file.seek(segment.stat().st_size // 2)
            file.write(b"\xff" * 16)

    @asynccontextmanager
    async def repository_gone(self) -> AsyncIterator[None]:
        """Let the disk with the repository not be mounted."""
        aside = self.repository.with_name("unmounted")
        self.repository.rename(aside)
        try:
            yield
        finally:
            aside.rename(self.repository)
