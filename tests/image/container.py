"""Runs a built image as an engine would under the settings of `compose.yaml`, without an engine.

Namespaces and mounts by bubblewrap: the image's files read-only, `/watch` and `/rules` read-only, `/state` writable, a
tmpfs at `/tmp`; any user, no capabilities, no new privileges, and borgwatch as process 1. What is run comes from the
image's own configuration.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.image.builder import Image
from tests.leaks import check_text
from tests.process import TIMEOUT, Finished, Running

_AS_NOBODY = ("--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")


@dataclass(frozen=True)
class Host:
    """The mounted directories of the host, and who runs borgwatch. `small` makes `/state` a tmpfs of so many bytes."""

    directory: Path
    uid: int = 4242
    state_writable: bool = True
    small: int = 0

    @property
    def log(self) -> Path:
        return self.directory / "watch" / "nas" / "backup.log"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def rules(self) -> Path:
        return self.directory / "rules"

    def make(self) -> Host:
        """Make the directories as a user would: the state for borgwatch's user, the rest for somebody else."""
        for path in (self.log.parent, self.state, self.rules):
            path.mkdir(parents=True)
        for path in (self.directory, *self.directory.parents):
            if path.owner() == "root" and path.is_relative_to("/tmp") and path != Path("/tmp"):  # noqa: S108 - pytest's
                path.chmod(0o755)
        os.chown(self.state, self.uid, self.uid)
        return self

    def append(self, data: bytes) -> None:
        """Let the backup script write."""
        with self.log.open("ab") as file:
            file.write(data)

    def mounts(self) -> list[str]:
        state = ["--bind" if self.state_writable else "--ro-bind", str(self.state), "/state"]
        if self.small:
            state = ["--perms", "1777", "--size", str(self.small), "--tmpfs", "/state"]
        return [
            "--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", str(8 << 20), "--tmpfs", "/tmp",  # noqa: S108 - the container's
            "--ro-bind", str(self.directory / "watch"), "/watch", "--ro-bind", str(self.rules), "/rules", *state,
        ]  # fmt: skip


class Container(Running):
    """A running container: its lines as they come, commands in it, signals to its process 1."""

    def __init__(self, process: asyncio.subprocess.Process, pid: int, image: Image, host: Host) -> None:
        super().__init__(process)
        self.pid = pid
        self._image = image
        self._host = host

    async def execute(self, *command: str, uid: int | None = None) -> Finished:
        """Run a command inside, as `docker exec` does."""
        user = str(self._host.uid if uid is None else uid)
        process = await asyncio.create_subprocess_exec(
            "nsenter", "-t", str(self.pid), "-m", "-p", "-i", "-r", "-w", "setpriv", "--reuid", user, "--regid", user,
            "--clear-groups", *command, env=_environment(self._image, {}),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), TIMEOUT)
        return Finished(process.returncode or 0, out.decode(), err.decode())

    async def health(self) -> tuple[int, str]:
        """Do what the engine does: run the health check of the image's configuration."""
        kind, *command = self._image.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        done = await self.execute(*command)
        return done.code, done.out.strip()

    async def becomes(self, condition: str) -> str:
        """Check the health until it is `condition`: what changed shows with the next look at the files."""
        deadline = time.monotonic() + TIMEOUT
        code, said = await self.health()
        while not said.startswith(condition):
            assert time.monotonic() < deadline, f"not {condition}: {code} {said}\n" + "\n".join(self.lines)
            await asyncio.sleep(0.2)
            code, said = await self.health()
        assert code == (1 if condition == "unhealthy" else 0)
        return said

    def send(self, number: int) -> None:
        """Send a signal to process 1."""
        os.kill(self.pid, number)

    async def stop(self) -> tuple[int, float]:
        """Stop it as an engine does; returns the exit code and how many seconds it took."""
        began = time.monotonic()
        self.send(getattr(signal, self._image.config["StopSignal"]))
        code = await asyncio.wait_for(self.process.wait(), TIMEOUT)
        took = time.monotonic() - began
        await self._reader
        return code, took


def _environment(image: Image, settings: Mapping[str, str]) -> dict[str, str]:
    return {**dict(variable.split("=", 1) for variable in image.config["Env"]), **settings}


def _command(image: Image, host: Host, settings: Mapping[str, str], command: Sequence[str], info: int) -> list[str]:
    environment = [part for item in _environment(image, settings).items() for part in ("--setenv", *item)]
    user = ["--reuid", str(host.uid), "--regid", str(host.uid), *_AS_NOBODY]
    return [
        "bwrap", "--ro-bind", str(image.root), "/", *host.mounts(), "--clearenv", *environment,
        "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1", "--die-with-parent", "--info-fd", str(info),
        "setpriv", *user, *image.config["Entrypoint"], *command,
    ]  # fmt: skip


@asynccontextmanager
async def started(image: Image, host: Host, settings: Mapping[str, str], *command: str) -> AsyncIterator[Container]:
    """Start the image's command (or another) and end it afterwards."""
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *_command(image, host, settings, command or image.config["Cmd"], writing), pass_fds=(writing,),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    os.close(writing)
    with os.fdopen(reading) as info:
        pid = json.load(info)["child-pid"]
    container = Container(process, pid, image, host)
    try:
        yield container
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                container.send(signal.SIGKILL)
            await process.wait()
        await container._reader
        check_text("\n".join(container.lines), "the output of the container")


async def finished(image: Image, host: Host, settings: Mapping[str, str], *command: str) -> Finished:
    """Run a command in a container of its own to its end."""
    async with started(image, host, settings, *command) as container:
        code = await asyncio.wait_for(container.process.wait(), TIMEOUT)
        await container._reader
    return Finished(code, "\n".join(container.lines), "")
