"""A small client for the simulator's tests: one call after the other, other frames kept for later."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from borgwatch.truenas.simulator import Key, Simulator

NEW_JOBS = {"legacy_jobs": False, "private_methods": True, "py_exceptions": False}


class RpcError(Exception):
    """An error answer."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("data", {}).get("reason", error["message"]))
        self.code: int = error["code"]
        self.number: int | None = error.get("data", {}).get("error")


class Client:
    """One connection; `events` holds the frames that answered no call."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self._last_id = 0

    async def send(self, method: str, *params: Any) -> int:
        """Send a call and return its id."""
        self._last_id += 1
        call = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": list(params)}
        await self.socket.send(json.dumps(call))
        return self._last_id

    async def receive(self) -> dict[str, Any]:
        """Return the next frame."""
        frame: dict[str, Any] = json.loads(await self.socket.recv())
        return frame

    async def answer(self, call_id: int) -> Any:
        """Return the result of a call, or raise `RpcError`."""
        while (frame := await self.receive()).get("id") != call_id:
            self.events.append(frame)
        if "error" in frame:
            raise RpcError(frame["error"])
        return frame["result"]

    async def call(self, method: str, *params: Any) -> Any:
        """Call and wait for the answer."""
        return await self.answer(await self.send(method, *params))

    async def until_closed(self) -> int | None:
        """Receive whatever comes until the connection ends, and return the close code."""
        with suppress(ConnectionClosed):
            while True:
                self.events.append(await self.receive())
        return self.socket.close_code

    async def event(self, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Return the parameters of the first event that a predicate holds for, those already received included."""
        while not (found := [frame["params"] for frame in self.events if holds(frame.get("params", {}))]):
            self.events.append(await self.receive())
        params: dict[str, Any] = found[0]
        return params

    async def login(self, key: Key) -> Any:
        """Log in with a plain key."""
        login = {"mechanism": "API_KEY_PLAIN", "username": key.username, "api_key": key.key}
        return await self.call("auth.login_ex", login)


def trusting_anyone() -> ssl.SSLContext:
    """Return a TLS context that checks nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@asynccontextmanager
async def _open(
    nas: Simulator, *, key: Key | None = None, secure: bool = True, path: str = "/api/current", new_jobs: bool = True
) -> AsyncIterator[Client]:
    url = nas.url if secure else nas.insecure_url
    tls = trusting_anyone() if secure else None
    async with connect(f"{url}{path}", ssl=tls, proxy=None, max_size=None) as socket:
        client = Client(socket)
        if new_jobs:
            await client.call("core.set_options", NEW_JOBS)
        if key:
            await client.login(key)
        yield client


OpenClient = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def open_client() -> OpenClient:
    """Connect to a simulator: `open_client(nas, key=..., secure=..., path=..., new_jobs=...)`."""
    return _open


@pytest.fixture
def rpc_error() -> type[RpcError]:
    """What a call raises when it is answered with an error."""
    return RpcError
