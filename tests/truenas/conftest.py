"""What the tests of the TrueNAS side need around them."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from borgwatch.truenas.connection import Connection

Shorten = Callable[[float], None]


@pytest.fixture
def call_timeout(monkeypatch: pytest.MonkeyPatch) -> Shorten:
    """Shorten how long a call waits: `call_timeout(0.2)`."""

    def shorten(seconds: float) -> None:
        monkeypatch.setitem(Connection.call.__kwdefaults__ or {}, "timeout", seconds)
        monkeypatch.setattr("borgwatch.truenas.session.JOB_TIMEOUT", seconds)

    return shorten


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every frame that clients send, as it goes over the wire."""
    real, frames = ClientConnection.send, []

    async def send(self: ClientConnection, message: Any, **more: Any) -> None:
        frames.append(message)
        await real(self, message, **more)

    monkeypatch.setattr(ClientConnection, "send", send)
    return frames


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let client and courier try again without delay."""
    for module in ("borgwatch.truenas.client", "borgwatch.service.courier"):
        monkeypatch.setattr(f"{module}.back_off", lambda: itertools.repeat(0.01))


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let every name that is not one of this machine lead to 127.0.0.1; gives the families that were asked for."""
    real, families = socket.getaddrinfo, []

    def resolve(host: Any, port: Any, family: int = 0, *rest: Any, **more: Any) -> Any:
        if isinstance(host, str) and host.endswith(".test"):
            families.append(family)
            host = "127.0.0.1"
        return real(host, port, family, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return families
