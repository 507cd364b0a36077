"""Reads the journal for the metrics, and only when something was committed since the last time.

Most scrapes come while nothing happens. SQLite tells whether another connection has committed (`PRAGMA data_version`)
as long as the connection that asks stays open; it holds no lock and no old state meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from borgwatch.errors import JournalError
from borgwatch.journal.lookback import Lookback
from borgwatch.policy.deadman import Expectation
from borgwatch.views.facts import Facts, read_facts

__all__ = ["Reader"]


class Reader:
    """Keeps the journal open. Use one from one thread; `patience` is how many seconds it waits where it is locked."""

    def __init__(self, state: Path, patience: float) -> None:
        self._state = state
        self._patience = patience
        self._past: Lookback | None = None
        self._known: tuple[object, Facts] | None = None

    def facts(self, expect: Sequence[Expectation], now: datetime) -> Facts:
        """Read how everything stands; raises `JournalError`."""
        try:
            if self._past is None:
                self._past = Lookback.open(self._state, self._patience)
            version = self._past.renew(), tuple(expect)
            if self._known is None or self._known[0] != version:
                last = self._known[1].last if self._known is not None else {}
                self._known = version, read_facts(self._past, expect, now, last)
            self._past.rest()
            facts = self._known[1]
        except JournalError:
            self.close()
            raise
        if self._past.at_rest:
            self.close()
        return replace(facts, status=replace(facts.status, time=now))

    def close(self) -> None:
        """Close the journal; the next reading opens it again."""
        if self._past is not None:
            self._past.close()
        self._past = self._known = None
