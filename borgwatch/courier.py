"""Takes alerts from the outbox to TrueNAS, and strikes them off only when they were read back.

Oldest change first, one at a time; of each key only its newest state. An error that is the connection's ends the
round, one that is the alert's own leaves the others their turn.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from borgwatch.journal import Pending
from borgwatch.model import Alert
from borgwatch.truenas.client import RETRY_LATER, Client, back_off
from borgwatch.truenas.delivery import Delivered, deliver
from borgwatch.truenas.errors import NOT_AUTHENTICATED, CallFailed, ConnectionLost, NoAnswer, TrueNASError, Verdict

__all__ = ["Courier", "Outbox", "Receipts"]


class Outbox(Protocol):
    """Where alerts wait."""

    def pending(self) -> list[Pending]:
        """The alerts that wait, oldest change first."""

    def mark_delivered(self, pending: Pending) -> None:
        """Strike one off."""


class Receipts(Protocol):
    """Who wants to know what became of an alert."""

    def delivered(self, alert: Alert, proof: Delivered, took: float) -> None:
        """Take note of a proof; `took` in seconds."""

    def undelivered(self, alert: Alert, error: TrueNASError, queue: int, retry_in: float) -> None:
        """Take note of a failure; the next try comes in `retry_in` seconds, or with the next change."""


class Courier:
    """Carries the outbox; `poke` says that something was put in."""

    def __init__(self, outbox: Outbox, client: Client, receipts: Receipts) -> None:
        self._outbox = outbox
        self._client = client
        self._receipts = receipts
        self._poked = asyncio.Event()

    def poke(self) -> None:
        """Say that the outbox has something new."""
        self._poked.set()

    async def run(self) -> None:
        """Carry alerts until cancelled."""
        delays = back_off()
        while True:
            self._poked.clear()
            retry_in = None
            if self._outbox.pending():
                await self._client.session()
                retry_in = await self._round(next(delays))
            if retry_in is None:
                delays = back_off()
            await self._wait(retry_in)

    async def _round(self, delay: float) -> float | None:
        """Try every pending alert once; returns after how many seconds to try again, None if all are delivered."""
        retry_in: float | None = None
        pending = self._outbox.pending()
        for position, item in enumerate(pending):
            session = self._client.session_now
            if session is None:
                return delay
            began = time.monotonic()
            try:
                proof = await deliver(session, item.alert)
            except TrueNASError as error:
                wait = delay if error.verdict is Verdict.RETRY_NOW else RETRY_LATER
                retry_in = wait if retry_in is None else min(retry_in, wait)
                self._receipts.undelivered(item.alert, error, len(pending) - position, wait)
                if isinstance(error, NoAnswer) or (isinstance(error, CallFailed) and error.errno == NOT_AUTHENTICATED):
                    await self._client.drop()  # a call without an answer keeps one of the connection's few slots
                if isinstance(error, ConnectionLost | NoAnswer):
                    return retry_in
            else:
                self._outbox.mark_delivered(item)
                self._receipts.delivered(item.alert, proof, time.monotonic() - began)
        return retry_in

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._poked.wait()
        except TimeoutError:
            pass
