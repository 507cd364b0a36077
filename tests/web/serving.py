"""The server of the page on a free port, for tests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from borgwatch.service.live import Live
from borgwatch.web.server import Server

__all__ = ["exchange", "exchange_blocking", "serving_at"]


@asynccontextmanager
async def serving_at(
    state: Path, live: Callable[[], Live], *names: str, tell: Callable[[str], None] = lambda _: None
) -> AsyncIterator[int]:
    """Serve; gives the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    task = asyncio.create_task(Server("127.0.0.1", port, names, state, live, lambda: live().health, tell).run())
    try:
        for _ in range(500):
            try:
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                break
            except OSError:
                await asyncio.sleep(0.01)
        yield port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def exchange(port: int, request: bytes) -> bytes:
    """Send bytes as they are, and read all that comes until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 30)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def exchange_blocking(port: int, request: bytes) -> bytes:
    """The same without giving way: the loop that calls is held up until the answer is there."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))
