"""The small server beside the service: `/` the page, `/metrics`, `/healthz`, `/readyz`. GET and HEAD alone.

It has a thread and a loop of its own, so that it answers whatever the service is waiting for, and a second thread that
reads the journal, at most once a second, over a connection that only reads.

Nobody waits long. Health is judged by the last sign of life. A service that does not say in time how it stands is
quoted from before. A journal that cannot be read is a 503 with the reason; the page shows what was read last below it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from borgwatch.errors import BorgwatchError, JournalError
from borgwatch.journal.lookback import Lookback
from borgwatch.service.heartbeat import Condition, Health, with_state
from borgwatch.service.live import Live
from borgwatch.service.login import now
from borgwatch.views.formats import ago, seconds
from borgwatch.views.metrics import measure
from borgwatch.views.overview import Overview, read_overview
from borgwatch.web.exposition import CONTENT_TYPE, Exposition
from borgwatch.web.guard import Guard
from borgwatch.web.listening import listen, serve
from borgwatch.web.page import page, style
from borgwatch.web.reading import Reader

__all__ = ["PATIENCE", "Server"]

PATIENCE = 0.25
"""Seconds that are waited for a journal that somebody has locked."""
_SAYS_WITHIN = 1.0
"""Seconds that are waited for the service to say how it stands: a step of it takes a part of that."""
_FRESH = 1.0
"""Seconds for which an answer is given again, at least."""
_SHARE = 10
"""It is given again for so many times as long as it took to make: whoever asks and asks takes a tenth of a core."""
_ITS_OWN = "its sources and its session with TrueNAS are shown as they were then"


@dataclass(frozen=True, slots=True)
class _Answer:
    body: str | bytes
    kind: str = "text/plain"
    code: int = 200


class Server:
    """Serves until cancelled.

    `live` gives a moment of the running service, and is called in its loop; `health` is called in other threads. `tell`
    hears, in the service's loop, of what nobody thought of while an answer was made.
    """

    _home: asyncio.AbstractEventLoop
    _asked: tuple[float, Live]
    _lock: asyncio.Lock

    def __init__(
        self,
        host: str,
        port: int,
        names: tuple[str, ...],
        state: Path,
        live: Callable[[], Live],
        health: Callable[[], Health],
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._host = host
        self._port = port
        self._state = state
        self._ask = live
        self._judge = health
        self._tell = tell
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="page")
        self._kept: dict[str, tuple[float, _Answer]] = {}
        self._exposition = Exposition()
        self._reader = Reader(state, PATIENCE)
        self._shown: Overview | None = None
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
        self._home = asyncio.get_running_loop()
        self._asked = time.monotonic(), self._ask()
        self._lock = asyncio.Lock()
        try:
            await serve(self._app, listen(self._host, self._port))
        finally:
            self._thread.submit(self._reader.close)

    async def _page(self, _: Request) -> Response:
        return await self._answer("page", self._written)

    async def _metrics(self, _: Request) -> Response:
        return await self._answer("metrics", self._exposed)

    async def _style(self, _: Request) -> Response:
        return Response(style(), media_type="text/css", headers={"cache-control": "max-age=3600"})

    async def _health(self, _: Request) -> Response:
        """Say whether the service is alive, as `borgwatch healthcheck` does."""
        return self._verdict(lambda condition: condition is not Condition.UNHEALTHY)

    async def _ready(self, _: Request) -> Response:
        """Say whether it works, and people can be told."""
        return self._verdict(lambda condition: condition is Condition.HEALTHY)

    def _verdict(self, is_well: Callable[[Condition], bool]) -> Response:
        health = with_state(self._judge(), self._state)
        body = json.dumps({"health": str(health.condition), "reason": health.reason}) + "\n"
        return Response(body, 200 if is_well(health.condition) else 503, media_type="application/json")

    async def _live(self) -> tuple[Live, float]:
        """Ask the service how it stands, or take what it said a moment ago: it may follow thousands of logs.

        Returns also how many seconds ago it said that, for it may be held up.
        """
        moment = time.monotonic()
        if moment - self._asked[0] >= _FRESH:
            asking = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._ask_at_home(), self._home))
            with contextlib.suppress(TimeoutError):
                self._asked = moment, await asyncio.wait_for(asking, _SAYS_WITHIN)
        asked, live = self._asked
        return replace(live, health=self._judge()), moment - asked

    async def _ask_at_home(self) -> Live:
        return self._ask()

    def _written(self, live: Live, age: float) -> _Answer:
        notices = [f"The service has not answered for {seconds(age)}: {_ITS_OWN}."] if age >= _FRESH else []
        try:
            with contextlib.closing(Lookback.open(self._state, PATIENCE)) as past:
                self._shown = read_overview(past, live, now())
        except JournalError as error:
            if self._shown is None:
                raise
            self._shown = replace(self._shown, live=live)
            notices.append(f"Not up to date: {error}. What follows was read {ago(self._shown.time, now())}.")
            return _Answer(page(self._shown, notices), "text/html", 503)
        return _Answer(page(self._shown, notices), "text/html")

    def _exposed(self, live: Live, _: float) -> _Answer:
        return _Answer(self._exposition.write(measure(self._reader.facts(live.expect, now()), live)), CONTENT_TYPE)

    async def _answer(self, name: str, make: Callable[[Live, float], _Answer]) -> Response:
        """Make an answer, or give the one that was made a moment ago."""
        async with self._lock:
            until, answer = self._kept.get(name, (0.0, _Answer("")))
            if time.monotonic() >= until:
                answer, took = await self._made(name, make)
                self._kept[name] = time.monotonic() + max(_FRESH, _SHARE * took), answer
        return Response(answer.body, answer.code, media_type=answer.kind)

    async def _made(self, name: str, make: Callable[[Live, float], _Answer]) -> tuple[_Answer, float]:
        """Make an answer; returns also how many seconds that took, without the wait for the service."""
        begun = time.monotonic()
        try:
            live, age = await self._live()
            begun = time.monotonic()
            answer = await asyncio.get_running_loop().run_in_executor(self._thread, make, live, age)
        except BorgwatchError as error:
            answer = _Answer(f"{error}\n", code=503)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must be told, and others are to be answered
            what = f"{name} could not be made: {type(error).__name__}: {error}"
            self._home.call_soon_threadsafe(self._tell, what)
            answer = _Answer("This could not be made; the log of borgwatch says why.\n", code=500)
        return answer, time.monotonic() - begun
