"""The small server beside the service: `/` the page, `/metrics`, `/healthz`, `/readyz`. GET and HEAD alone.

It runs in the service's own loop and leaves its signals alone. What takes time (the journal) is read in a thread of
its own, at most once a second, over a connection that only reads. Whoever asks must use an address or a name that this
machine can be expected to have: a page of somebody else's must not get here by a name of its own (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from borgwatch.errors import BorgwatchError, ConfigError, JournalError
from borgwatch.journal.lookback import Lookback
from borgwatch.service.heartbeat import Condition, with_state
from borgwatch.service.live import Live
from borgwatch.service.login import now
from borgwatch.views.facts import read_facts
from borgwatch.views.metrics import measure
from borgwatch.views.overview import read_overview
from borgwatch.web.exposition import CONTENT_TYPE, Exposition
from borgwatch.web.page import page, style

__all__ = ["Server", "is_expected_host"]

_FRESH = 1.0
"""Seconds for which what was read is shown again, at least."""
_SHARE = 10
"""It is shown again for so many times as long as it took to make: whoever asks and asks takes a tenth of a core."""
_SWEEP = 30.0
_MOST_CONNECTIONS = 64
_KEEP_ALIVE = 5
_LOCAL_SUFFIXES = (".local", ".lan", ".home.arpa", ".internal", ".localdomain")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\s]+)(?::\d{1,5})?\Z")
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def is_expected_host(host: str, names: tuple[str, ...]) -> bool:
    """Say whether a Host header names this machine: an address, a local name, or one of the settings'."""
    found = _HOST.match(host)
    if found is None:
        return False
    name = found[1].strip("[]").lower().rstrip(".")
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return "." not in name or name.endswith(_LOCAL_SUFFIXES) or name in names


class _Guard:
    """Puts the headers on each answer, and lets nobody in who came by a strange name or wants to do something."""

    def __init__(self, app: ASGIApp, names: tuple[str, ...]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope)
        if not is_expected_host(request.headers.get("host", ""), self._names):
            remedy = "This name is not known here: put it into BORGWATCH_WEB_NAMES, or use the address.\n"
            await PlainTextResponse(remedy, 421, headers=_HEADERS)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class _Uvicorn(uvicorn.Server):
    """A server without a signal handler and without a clock of its own: it sleeps until it is told to end."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ended = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the service."""
        yield

    async def main_loop(self) -> None:
        """Wait for the end; now and then drop connections that have hung for long, whatever they wait for."""
        await self.on_tick(0)
        seen: set[object] = set()
        while not self.ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), _SWEEP)
            connections: set[object] = set(self.server_state.connections)
            for connection in connections & seen:
                transport = getattr(connection, "transport", None)
                if transport is not None:
                    transport.abort()
            seen = connections


class Server:
    """Serves until cancelled. `live` gives a moment of the running service, and is called in its loop."""

    def __init__(self, host: str, port: int, names: tuple[str, ...], state: Path, live: Callable[[], Live]) -> None:
        self._host = host
        self._port = port
        self._state = state
        self._live = live
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="page")
        self._kept: dict[str, tuple[float, bytes]] = {}
        self._exposition = Exposition()
        self._lock = asyncio.Lock()
        routes = [
            Route("/", self._page),
            Route("/style.css", self._style),
            Route("/metrics", self._metrics),
            Route("/healthz", self._health),
            Route("/readyz", self._ready),
        ]
        self._app = _Guard(Starlette(routes=routes), names)

    async def run(self) -> None:
        """Listen and serve; raises `ConfigError` if the port cannot be had."""
        listening = self._listen()
        config = uvicorn.Config(
            self._app, http="h11", ws="none", lifespan="off", log_config=None, log_level="critical", access_log=False,
            server_header=False, proxy_headers=False, limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE, timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = _Uvicorn(config)
        serving = asyncio.ensure_future(server.serve([listening]))
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            server.ended.set()
            with contextlib.suppress(Exception):
                await serving
            listening.close()

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self._host, self._port))
        except OSError as error:
            listening.close()
            raise ConfigError(
                f"the page cannot listen on {self._host} port {self._port}: {error.strerror} (BORGWATCH_WEB_PORT)"
            ) from None
        return listening

    async def _page(self, _: Request) -> Response:
        return await self._answer("page", self._written, "text/html")

    async def _metrics(self, _: Request) -> Response:
        return await self._answer("metrics", self._exposed, CONTENT_TYPE)

    async def _style(self, _: Request) -> Response:
        return Response(style(), media_type="text/css", headers={**_HEADERS, "cache-control": "max-age=3600"})

    async def _health(self, _: Request) -> Response:
        """Say whether the service is alive, as `borgwatch healthcheck` does."""
        return self._verdict(lambda condition: condition is not Condition.UNHEALTHY)

    async def _ready(self, _: Request) -> Response:
        """Say whether it works, and people can be told."""
        return self._verdict(lambda condition: condition is Condition.HEALTHY)

    def _verdict(self, is_well: Callable[[Condition], bool]) -> Response:
        health = with_state(self._live().health, self._state)
        body = json.dumps({"condition": str(health.condition), "reason": health.reason}) + "\n"
        code = 200 if is_well(health.condition) else 503
        return Response(body, code, media_type="application/json", headers=_HEADERS)

    def _written(self, live: Live) -> bytes:
        with closing(Lookback.open(self._state)) as past:
            shown = read_overview(past, live, now())
        return page(shown).encode()

    def _exposed(self, live: Live) -> bytes:
        with closing(Lookback.open(self._state)) as past:
            samples = measure(read_facts(past, live.expect, now()), live)
        return self._exposition.write(samples)

    async def _answer(self, name: str, make: Callable[[Live], bytes], kind: str) -> Response:
        try:
            body = await self._recent(name, make)
        except (JournalError, BorgwatchError) as error:
            return PlainTextResponse(f"{error}\n", 503, headers=_HEADERS)
        return Response(body, media_type=kind, headers=_HEADERS)

    async def _recent(self, name: str, make: Callable[[Live], bytes]) -> bytes:
        """Make an answer, or give the one that was made a moment ago."""
        async with self._lock:
            until, body = self._kept.get(name, (0.0, b""))
            begun = time.monotonic()
            if begun >= until:
                body = await asyncio.get_running_loop().run_in_executor(self._thread, make, self._live())
                made = time.monotonic()
                self._kept[name] = made + max(_FRESH, _SHARE * (made - begun)), body
            return body
