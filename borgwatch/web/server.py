"""The small server beside the service: `/` the page, `/metrics`, `/healthz`, `/readyz`. GET and HEAD alone.

It runs in the service's own loop. What takes time (the journal) is read in a thread of its own, at most once a second,
over a connection that only reads.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from borgwatch.errors import BorgwatchError
from borgwatch.journal.lookback import Lookback
from borgwatch.service.heartbeat import Condition, with_state
from borgwatch.service.live import Live
from borgwatch.service.login import now
from borgwatch.views.metrics import measure
from borgwatch.views.overview import read_overview
from borgwatch.web.exposition import CONTENT_TYPE, Exposition
from borgwatch.web.guard import Guard
from borgwatch.web.listening import listen, serve
from borgwatch.web.page import page, style
from borgwatch.web.reading import Reader

__all__ = ["Server"]

_FRESH = 1.0
"""Seconds for which what was read is shown again, at least."""
_SHARE = 10
"""It is shown again for so many times as long as it took to make: whoever asks and asks takes a tenth of a core."""


class Server:
    """Serves until cancelled. `live` gives a moment of the running service, and is called in its loop.

    `tell` hears of what nobody thought of while an answer was made.
    """

    def __init__(
        self,
        host: str,
        port: int,
        names: tuple[str, ...],
        state: Path,
        live: Callable[[], Live],
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._host = host
        self._port = port
        self._state = state
        self._ask = live
        self._tell = tell
        self._asked: tuple[float, Live] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="page")
        self._kept: dict[str, tuple[float, bytes]] = {}
        self._exposition = Exposition()
        self._reader = Reader(state)
        self._lock = asyncio.Lock()
        routes = [
            Route("/", self._page),
            Route("/style.css", self._style),
            Route("/metrics", self._metrics),
            Route("/healthz", self._health),
            Route("/readyz", self._ready),
        ]
        self._app = Guard(Starlette(routes=routes), names)

    async def run(self) -> None:
        """Listen and serve; raises `ConfigError` if the port cannot be had."""
        try:
            await serve(self._app, listen(self._host, self._port))
        finally:
            self._thread.submit(self._reader.close)

    async def _page(self, _: Request) -> Response:
        return await self._answer("page", self._written, "text/html")

    async def _metrics(self, _: Request) -> Response:
        return await self._answer("metrics", self._exposed, CONTENT_TYPE)

    async def _style(self, _: Request) -> Response:
        return Response(style(), media_type="text/css", headers={"cache-control": "max-age=3600"})

    async def _health(self, _: Request) -> Response:
        """Say whether the service is alive, as `borgwatch healthcheck` does."""
        return self._verdict(lambda condition: condition is not Condition.UNHEALTHY)

    async def _ready(self, _: Request) -> Response:
        """Say whether it works, and people can be told."""
        return self._verdict(lambda condition: condition is Condition.HEALTHY)

    def _verdict(self, is_well: Callable[[Condition], bool]) -> Response:
        health = with_state(self._live().health, self._state)
        body = json.dumps({"condition": str(health.condition), "reason": health.reason}) + "\n"
        return Response(body, 200 if is_well(health.condition) else 503, media_type="application/json")

    def _live(self) -> Live:
        """Ask the service how it stands, or take what it said a moment ago: it may follow thousands of logs."""
        moment = time.monotonic()
        if self._asked is None or moment - self._asked[0] >= _FRESH:
            self._asked = moment, self._ask()
        return self._asked[1]

    def _written(self, live: Live) -> bytes:
        with closing(Lookback.open(self._state)) as past:
            shown = read_overview(past, live, now())
        return page(shown).encode()

    def _exposed(self, live: Live) -> bytes:
        return self._exposition.write(measure(self._reader.facts(live.expect, now()), live))

    async def _answer(self, name: str, make: Callable[[Live], bytes], kind: str) -> Response:
        try:
            return Response(await self._recent(name, make), media_type=kind)
        except BorgwatchError as error:
            return PlainTextResponse(f"{error}\n", 503)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must be told, and others are to be answered
            self._tell(f"{name} could not be made: {type(error).__name__}: {error}")
            return PlainTextResponse("This could not be made; the log of borgwatch says why.\n", 500)

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
