"""Counts what the process did since it was started: events and what became of their alerts.

`Tally` stands before the report: it counts what it hears, then passes it on. The counts are for the metrics, where a
restart begins them anew as Prometheus expects of counters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from borgwatch.model import Alert
from borgwatch.pipeline import Step
from borgwatch.service.daily import Daily
from borgwatch.service.report import Report
from borgwatch.sources.problems import Problem
from borgwatch.truenas.delivery import Delivered, Mailed
from borgwatch.truenas.errors import TrueNASError
from borgwatch.truenas.session import Session
from borgwatch.truenas.trust import Certificate, PinVerdict

__all__ = ["Tally"]


class Tally:
    """A report that counts. `events` by name; `deliveries` by result: `raised`, `cleared`, `mailed` or `failed`."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._events: Counter[str] = Counter()
        self._deliveries: Counter[str] = Counter()

    @property
    def events(self) -> Mapping[str, int]:
        """How many events came, by name; those of the past are none."""
        return dict(self._events)

    @property
    def deliveries(self) -> Mapping[str, int]:
        """How many attempts to deliver an alert ended, by result."""
        return dict(self._deliveries)

    def step(self, step: Step) -> None:
        """Count the events of a step."""
        self._events.update(event.name for event in step.events if not event.past)
        self._report.step(step)

    def delivered(self, alert: Alert, proof: Delivered | Mailed, took: float) -> None:
        """Count a proof, or a mail in its place."""
        if isinstance(proof, Delivered):
            self._deliveries["raised" if proof.raised else "cleared"] += 1
        elif proof.told:
            self._deliveries["mailed"] += 1
        self._report.delivered(alert, proof, took)

    def undelivered(self, alert: Alert, error: TrueNASError, queue: int, retry_in: float) -> None:
        """Count a failure."""
        self._deliveries["failed"] += 1
        self._report.undelivered(alert, error, queue, retry_in)

    # -- what is only passed on ---

    def source(self, problem: Problem) -> None:
        """Pass it on."""
        self._report.source(problem)

    def problem(self, event: str, what: str, **fields: object) -> None:
        """Pass it on."""
        self._report.problem(event, what, **fields)

    def resolved(self, event: str, **fields: object) -> None:
        """Pass it on."""
        self._report.resolved(event, **fields)

    def reloaded(self, rules: int) -> None:
        """Pass it on."""
        self._report.reloaded(rules)

    def rejected(self, problems: Sequence[str]) -> None:
        """Pass it on."""
        self._report.rejected(problems)

    def daily(self, daily: Daily) -> None:
        """Pass it on."""
        self._report.daily(daily)

    def ready(self, session: Session) -> None:
        """Pass it on."""
        self._report.ready(session)

    def still_up(self, session: Session) -> None:
        """Pass it on."""
        self._report.still_up(session)

    def lost(self, reason: str) -> None:
        """Pass it on."""
        self._report.lost(reason)

    def failed(self, error: TrueNASError, retry_in: float) -> None:
        """Pass it on."""
        self._report.failed(error, retry_in)

    def pinned(self, verdict: PinVerdict, certificate: Certificate) -> None:
        """Pass it on."""
        self._report.pinned(verdict, certificate)

    def dismissed(self, key: str) -> None:
        """Pass it on."""
        self._report.dismissed(key)
