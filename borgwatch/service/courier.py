"""Takes alerts from the outbox to TrueNAS, and strikes them off only when they were read back, or mailed instead.

Oldest change first, in batches; of each key only its newest state. An error that is the connection's ends the round,
one that is the alert's own leaves the others their turn. A batch that broke the connection goes last, in halves: should
it be one alert that breaks it each time, that one is soon alone, and all others are through.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from borgwatch.journal.store import Pending
from borgwatch.model import Alert
from borgwatch.truenas.client import RETRY_LATER, Client, back_off
from borgwatch.truenas.delivery import Delivered, Mailed, down_the_ladder, look_again, show_all
from borgwatch.truenas.errors import (
    NOT_AUTHENTICATED,
    CallFailed,
    ConnectionLost,
    NoAnswer,
    NotShown,
    TrueNASError,
    Verdict,
)
from borgwatch.truenas.session import Session
from borgwatch.truenas.subscriptions import Heard

__all__ = ["Courier", "Outbox", "Receipts"]

BATCH = 100
"""Alerts between two looks at the list: enough to be fast, few enough that proofs are written down as they come."""


class Outbox(Protocol):
    """Where alerts wait."""

    def pending(self) -> list[Pending]:
        """The alerts that wait, oldest change first."""

    def mark_delivered(self, shown: Sequence[Pending], mailed: Sequence[Pending]) -> None:
        """Strike alerts off: those that TrueNAS shows (or shows no longer), and those that it mailed instead."""

    def standing(self) -> list[Alert]:
        """The alerts that were seen to be shown and should still be."""

    def mark_lost(self, alert: Alert) -> None:
        """Put a delivered alert back."""

    def mark_dismissed(self, key: str) -> None:
        """Note that a delivered alert is not to be shown any more, unless something new happens."""


class Receipts(Protocol):
    """Who wants to know what became of an alert."""

    def delivered(self, alert: Alert, proof: Delivered | Mailed, took: float) -> None:
        """Take note of a proof, or of a mail in its place; `took` in seconds."""

    def dismissed(self, key: str) -> None:
        """Take note that a user of TrueNAS took an alert of ours away."""

    def undelivered(self, alert: Alert, error: TrueNASError, queue: int, retry_in: float) -> None:
        """Take note of a failure; the next try comes in `retry_in` seconds, or with the next change."""


class Courier:
    """Carries the outbox; `poke` says that something was put in.

    It hears from the client of each new session, and from TrueNAS of alerts that a user takes away.
    """

    def __init__(self, outbox: Outbox, client: Client, receipts: Receipts) -> None:
        self._outbox = outbox
        self._client = client
        self._receipts = receipts
        self._poked = asyncio.Event()
        self._not_before: dict[int, float] = {}
        self._wait_anyway: set[int] = set()  # what would do harm if it was tried again soon, in a new session too
        self._refused: set[int] = set()  # what this session has no right to do: rights are read at the login
        self._broke: set[int] = set()  # what was under way when the connection broke
        self._mailed: dict[int, Mailed] = {}  # what went out and could not be written down, as where the disk is full
        self._look_for_lost = False
        self._shown: dict[str, str] = {}
        self._dismissed: set[str] = set()
        client.on_ready = self.reconnected
        client.subscriptions.add("alert.list", self._heard, lambda _: None)

    def poke(self) -> None:
        """Say that the outbox has something new."""
        self._poked.set()

    def reconnected(self) -> None:
        """Say that TrueNAS may be another than before.

        What it refused is worth another try, and what it showed it may have lost: alerts live in its memory, and a
        crash loses up to an hour of them (25.04 to 27).
        """
        self._not_before = {seq: when for seq, when in self._not_before.items() if seq in self._wait_anyway}
        self._refused.clear()
        self._shown.clear()
        self._look_for_lost = True
        self._poked.set()

    def _heard(self, event: Heard) -> None:
        """Notice that one of our alerts went away, or was hidden, without our doing: a user dismissed it."""
        if event.change == "removed" or event.fields.get("dismissed") is True:
            key = self._shown.pop(str(event.row_id), None)
            if key is not None:
                self._dismissed.add(key)
                self._poked.set()

    async def run(self) -> None:
        """Carry alerts until cancelled."""
        delays = back_off()
        while True:
            self._poked.clear()
            retry_in = None
            if self._look_for_lost:
                await self._look_again()
            self._note_dismissals()
            if self._outbox.pending():
                await self._client.session()
                retry_in = await self._round(next(delays))
            if retry_in is None:
                delays = back_off()
            await self._wait(retry_in)

    async def _look_again(self) -> None:
        """See in a new session what users dismissed meanwhile, and put back what TrueNAS has lost."""
        session, standing = self._client.session_now, self._outbox.standing()
        if session is None or not standing:
            self._look_for_lost = session is None
            return
        try:
            found = await look_again(session, standing)
        except TrueNASError:
            return  # whoever delivers next will meet it, and a new session looks again
        self._shown.update(found.shown)
        self._dismissed |= found.dismissed
        for alert in found.lost:
            if alert.key not in self._dismissed:
                self._outbox.mark_lost(alert)
        self._look_for_lost = False  # last: a journal that cannot be written makes this look count for nothing

    def _note_dismissals(self) -> None:
        """Write dismissals down before anybody is told: what a crash of TrueNAS loses of them is not raised again."""
        for key in tuple(self._dismissed):
            self._outbox.mark_dismissed(key)
            self._dismissed.discard(key)
            self._receipts.dismissed(key)

    async def _round(self, delay: float) -> float | None:
        """Try every pending alert that is due; returns after how many seconds to try again, None if all are done."""
        pending = self._outbox.pending()
        now = time.monotonic()
        self._not_before = {item.seq: when for item in pending if (when := self._not_before.get(item.seq, 0)) > now}
        self._wait_anyway &= self._not_before.keys()
        self._mailed = {item.seq: mailed for item in pending if (mailed := self._mailed.get(item.seq)) is not None}
        due = [item for item in pending if item.seq not in self._not_before]
        if any(item.seq in self._refused for item in due):
            await self._client.drop()
            return delay
        queue = len(due)
        for batch in self._batches(due):
            session = self._client.session_now
            if session is None:
                return delay
            if not await self._carry(session, batch, queue, delay):
                self._broke = {item.seq for item in batch}
                return delay
            queue -= len(batch)
        self._broke = set()
        return min((when - now for when in self._not_before.values()), default=None)

    def _batches(self, due: Sequence[Pending]) -> list[Sequence[Pending]]:
        """Cut what is due into batches; what was under way when the connection broke comes last, in halves of it."""
        others = [item for item in due if item.seq not in self._broke]
        suspects = [item for item in due if item.seq in self._broke]
        sized = ((others, BATCH), (suspects, max(1, len(self._broke) // 2)))
        return [items[start : start + size] for items, size in sized for start in range(0, len(items), size)]

    async def _carry(self, session: Session, batch: Sequence[Pending], queue: int, delay: float) -> bool:
        """Deliver a batch; returns whether the session is still good for more."""
        began = time.monotonic()
        keys = {item.alert.key for item in batch}
        self._shown = {uuid: key for uuid, key in self._shown.items() if key not in keys}  # what follows is our doing
        self._dismissed -= keys  # overtaken by something new
        shown: list[tuple[Pending, Delivered | Mailed]] = []
        failed: list[tuple[Pending, TrueNASError]] = []
        for item, first in zip(batch, await show_all(session, [item.alert for item in batch]), strict=True):
            is_hopeless = isinstance(first, TrueNASError) and any(_breaks_session(error) for _, error in failed)
            result = self._mailed.get(item.seq) or (
                first if is_hopeless else await down_the_ladder(session, item.alert, first)
            )
            if isinstance(result, Mailed):  # at once: a mail whose record is lost is sent again
                self._mailed[item.seq] = result
                self._strike_off([(item, result)], time.monotonic() - began)
                del self._mailed[item.seq]
            elif isinstance(result, Delivered):
                shown.append((item, result))
            else:
                failed.append((item, result))
        self._strike_off(shown, time.monotonic() - began)
        queue -= len(batch) - len(failed)
        for item, error in failed:
            wait = delay if error.verdict is Verdict.RETRY_NOW else RETRY_LATER
            self._not_before[item.seq] = time.monotonic() + wait
            if error.verdict is Verdict.RETRY_LATER and not isinstance(error, NotShown):
                self._wait_anyway.add(item.seq)
            if error.verdict is Verdict.USER and session.ladder.no_alert:
                self._refused.add(item.seq)
            self._receipts.undelivered(item.alert, error, queue, wait)
        session_holds = not any(_breaks_session(error) for _, error in failed)
        if not session_holds:  # a call without an answer keeps one of the connection's few slots
            await self._client.drop()
        return session_holds

    def _strike_off(self, done: Sequence[tuple[Pending, Delivered | Mailed]], took: float) -> None:
        """Write down what was delivered, in one go, before anybody is told."""
        self._outbox.mark_delivered(
            [item for item, result in done if isinstance(result, Delivered)],
            [item for item, result in done if isinstance(result, Mailed)],
        )
        for item, result in done:
            self._receipts.delivered(item.alert, result, took)
            if isinstance(result, Delivered) and result.raised:
                self._shown[result.uuid] = item.alert.key

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._poked.wait()
        except TimeoutError:
            pass


def _breaks_session(error: TrueNASError) -> bool:
    """Say whether an error means that nothing more will come of this session."""
    logged_out = isinstance(error, CallFailed) and error.errno == NOT_AUTHENTICATED
    return logged_out or isinstance(error, ConnectionLost | NoAnswer)
