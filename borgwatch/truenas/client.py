"""A session with TrueNAS that is kept up: connect, log in, serve, reconnect.

`run` is the task that does it; `session` waits for a session that works. How long to wait after an error is the
error's verdict: what may pass by itself is retried after 1 s to 60 s, jittered; a refused login or an untrusted
certificate after a quarter of an hour, for each try is audited by TrueNAS and too many lock us out.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Protocol

from borgwatch.truenas.errors import TrueNASError, Verdict
from borgwatch.truenas.ladder import Rung
from borgwatch.truenas.session import Login, Session, open_session
from borgwatch.truenas.subscriptions import Subscriptions
from borgwatch.truenas.trust import Certificate, PinVerdict

__all__ = ["Client", "Watcher", "back_off"]

RETRY_LATER = 900.0
STEADY = 60.0
"""How long a session must have held for the next attempt to come at once: logins that never hold would be a storm."""
_A_DAY = 86_400.0
_FIRST_DELAY = 1.0
_LAST_DELAY = 60.0


class Watcher(Protocol):
    """Who wants to know how the connection fares."""

    def ready(self, session: Session) -> None:
        """Take note of a session that works."""

    def still_up(self, session: Session) -> None:
        """Take note that a session has held for another day."""

    def lost(self, reason: str) -> None:
        """Take note of a session that ended."""

    def failed(self, error: TrueNASError, retry_in: float) -> None:
        """Take note of a failed attempt; the next one comes in `retry_in` seconds."""

    def pinned(self, verdict: PinVerdict, certificate: Certificate) -> None:
        """Take note of a certificate that is trusted from now on."""


def back_off(chance: Callable[[], float] = random.random) -> Iterator[float]:
    """Give the delays between attempts, in seconds: 1, 2, 4, … 60, each between a half and the whole of it."""
    delay = _FIRST_DELAY
    while True:
        yield delay * (0.5 + chance() / 2)
        delay = min(delay * 2, _LAST_DELAY)


class Client:
    """Keeps one session up. `session_now` is the one that works at this moment, if any; `on_ready` hears of each.

    `trouble` names the error that stood in the way of one at the last attempt; `subscriptions` are made anew in each.
    """

    def __init__(self, login: Login, watcher: Watcher, now: Callable[[], datetime]) -> None:
        self._login = login
        self._watcher = watcher
        self._now = now
        self._ready = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None  # kept, for the loop alone would let it be collected
        self.subscriptions = Subscriptions()
        self.session_now: Session | None = None
        self.trouble = ""
        self.on_ready: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Keep a session up until cancelled."""
        delays, clock = back_off(), asyncio.get_running_loop().time
        try:
            while True:
                try:
                    session = await open_session(self._login, self._now, on_pin=self._watcher.pinned)
                except TrueNASError as error:
                    wait = next(delays) if error.verdict is Verdict.RETRY_NOW else RETRY_LATER
                    self.trouble = type(error).__name__
                    self._watcher.failed(error, wait)
                    await self._pause(wait)
                    continue
                began = clock()
                await self._serve(session)
                if clock() - began >= STEADY:
                    delays = back_off()
                await self._pause(next(delays))
        finally:
            await self.drop()

    async def session(self) -> Session:
        """Wait for a session that works."""
        while self.session_now is None:
            await self._ready.wait()
        return self.session_now

    async def drop(self) -> None:
        """Give up the present session; `run` makes another."""
        if self.session_now is not None:
            await self.session_now.connection.close()

    def hurry(self) -> None:
        """Try again now instead of waiting; log in anew where the rights that were read at login take no alerts."""
        self._hurry.set()
        session = self.session_now
        if session is not None and session.ladder.rung is not Rung.ALERT:
            self._ending = asyncio.create_task(session.connection.close())

    async def _serve(self, session: Session) -> None:
        try:
            self.session_now, self.trouble = session, ""
            self._ready.set()
            self._watcher.ready(session)
            self.on_ready()
            with contextlib.suppress(TrueNASError):  # if the session is broken, waiting for its end shows it
                await self.subscriptions.restore(session)
            reason = await self._until_closed(session)
        finally:
            self.session_now = None
            self._ready.clear()
            await session.connection.close()
        self._watcher.lost(reason)

    async def _until_closed(self, session: Session) -> str:
        while True:
            try:
                async with asyncio.timeout(_A_DAY):
                    return await session.connection.wait_closed()
            except TimeoutError:
                self._watcher.still_up(session)

    async def _pause(self, seconds: float) -> None:
        self._hurry.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            pass
