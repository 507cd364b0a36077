"""The HTTP server of uvicorn in a thread of its own: bounded, and without a clock that ticks."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from borgwatch.errors import ConfigError

__all__ = ["MOST_CONNECTIONS", "listen", "serve"]

MOST_CONNECTIONS = 16
"""More are not held at a time: each may take the size of a page, and the watching needs the files that it may open."""
_SWEEP = 30.0
_KEEP_ALIVE = 5


class _Connection(H11Protocol):
    """A connection; of too many the oldest gives way, so that nobody can keep others out by doing nothing."""

    since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn itself
        super().connection_made(transport)
        self.since = time.monotonic()
        if len(self.connections) > MOST_CONNECTIONS:
            oldest = min(self.connections, key=lambda one: getattr(one, "since", 0.0))
            oldest.transport.abort()
            self.connections.discard(oldest)


class _Uvicorn(uvicorn.Server):
    """A server that sleeps until it is told to end. Outside of the main thread, uvicorn leaves signals alone."""

    _loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._woken = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for the end; now and then drop connections that have hung for long, whatever they wait for."""
        self._loop = asyncio.get_running_loop()
        seen: set[object] = set()
        while not self.should_exit:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _SWEEP)
            for connection in self.server_state.connections & seen:
                connection.transport.abort()
            seen = {*self.server_state.connections}

    def end(self) -> None:
        """Let it end; from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._woken.set)


def listen(host: str, port: int) -> socket.socket:
    """Take the port; raises `ConfigError` if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"the page cannot listen on {host} port {port}: {error.strerror} (BORGWATCH_WEB_PORT)"
        ) from None
    return listening


async def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Serve until cancelled, then close everything.

    It is done in a thread with a loop of its own: the loop of the service may be held up, by a disk that hangs or a
    journal that another process has locked, and then above all somebody wants an answer.
    """
    config = uvicorn.Config(
        app, http=_Connection, ws="none", lifespan="off", log_config=None, log_level="critical", access_log=False,
        server_header=False, date_header=False, proxy_headers=False, timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = _Uvicorn(config)
    serving = asyncio.ensure_future(asyncio.to_thread(asyncio.run, server.serve([listening])))
    try:
        await asyncio.shield(serving)
    finally:
        server.end()
        with contextlib.suppress(Exception):
            await serving
        listening.close()
