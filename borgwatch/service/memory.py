"""Remembers in the journal how delivery stands, so that `status` and `review` can say it.

`DeliveryMemory` stands between the client and courier and the report they tell: it notes what it hears, then passes it
on. A note that cannot be written is left out: telling people comes first, and the service says that the disk is full.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from borgwatch.errors import JournalError
from borgwatch.journal.notes import OFF, DeliveryState
from borgwatch.journal.store import Journal
from borgwatch.matching.templates import one_line
from borgwatch.model import Alert
from borgwatch.redact import redact
from borgwatch.service.courier import Receipts
from borgwatch.truenas.client import Watcher
from borgwatch.truenas.delivery import Delivered, Mailed
from borgwatch.truenas.errors import TrueNASError
from borgwatch.truenas.ladder import Rung
from borgwatch.truenas.session import Session
from borgwatch.truenas.trust import Certificate, PinVerdict

__all__ = ["DeliveryMemory", "Told"]


class Told(Watcher, Receipts, Protocol):
    """Who is told of the connection and of deliveries."""


class DeliveryMemory:
    """Notes which rung of the ladder is in use, since when, and since when there is no session."""

    def __init__(self, journal: Journal, told: Told, now: Callable[[], datetime]) -> None:
        self._journal = journal
        self._told = told
        self._now = now
        self._state: DeliveryState | None = None

    def begin(self, *, enabled: bool) -> None:
        """Note that there is no session yet, or that none is wanted."""
        now, known = self._now(), self._journal.note(DeliveryState)
        if not enabled:
            self._note(known if known is not None and known.is_off else DeliveryState(OFF, now))
        elif known is None or known.is_off:
            self._note(DeliveryState(Rung.NONE.value, now, now, "no session with TrueNAS yet"))
        else:
            self._note(replace(known, lost=known.lost or now))

    def ready(self, session: Session) -> None:
        """Note the rung that this session allows."""
        ladder = session.ladder
        reason = ladder.no_alert if ladder.rung is not Rung.ALERT else ""
        self._use(ladder.rung, reason, release=session.release, user=session.username)
        self._told.ready(session)

    def still_up(self, session: Session) -> None:
        """Pass it on."""
        self._told.still_up(session)

    def lost(self, reason: str) -> None:
        """Note since when there is no session."""
        self._miss(reason)
        self._told.lost(reason)

    def failed(self, error: TrueNASError, retry_in: float) -> None:
        """Note why there is no session."""
        self._miss(str(error))
        self._told.failed(error, retry_in)

    def pinned(self, verdict: PinVerdict, certificate: Certificate) -> None:
        """Pass it on."""
        self._told.pinned(verdict, certificate)

    def delivered(self, alert: Alert, proof: Delivered | Mailed, took: float) -> None:
        """Note a rung that turned out to be another than the session seemed to allow."""
        if isinstance(proof, Mailed):
            self._use(Rung.MAIL, proof.why)
        else:
            self._use(Rung.ALERT, "")
        self._told.delivered(alert, proof, took)

    def dismissed(self, key: str) -> None:
        """Pass it on."""
        self._told.dismissed(key)

    def undelivered(self, alert: Alert, error: TrueNASError, queue: int, retry_in: float) -> None:
        """Pass it on: the alert waits in the outbox, which says so."""
        self._told.undelivered(alert, error, queue, retry_in)

    def _use(self, rung: Rung, reason: str, **who: str) -> None:
        known = self._state
        since = known.since if known is not None and known.rung == rung.value else self._now()
        state = known or DeliveryState(rung.value, since)
        self._note(replace(state, rung=rung.value, since=since, lost=None, reason=one_line(redact(reason)), **who))

    def _miss(self, reason: str) -> None:
        now = self._now()
        state = self._state or DeliveryState(Rung.NONE.value, now)
        self._note(replace(state, lost=state.lost or now, reason=one_line(redact(reason))))

    def _note(self, state: DeliveryState) -> None:
        if state == self._state:
            return
        self._state = state
        with contextlib.suppress(JournalError):
            self._journal.set_note(state)
