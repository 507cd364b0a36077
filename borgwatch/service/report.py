"""Tells what happens, as log lines: one line an event, no line for nothing.

`Report` is what the service tells; `LogReport` writes it to the log. The demo has a report of its own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from borgwatch.logs import Size, get_logger
from borgwatch.model import Alert, Event, FieldValue, Outcome
from borgwatch.pipeline import Step
from borgwatch.service.courier import Receipts
from borgwatch.service.daily import Daily
from borgwatch.sources.problems import Problem
from borgwatch.truenas.client import Watcher
from borgwatch.truenas.delivery import Delivered, Mailed
from borgwatch.truenas.errors import TrueNASError, Verdict
from borgwatch.truenas.ladder import Rung
from borgwatch.truenas.session import Session
from borgwatch.truenas.trust import Certificate, PinVerdict, ends_soon

__all__ = ["LogReport", "Report"]

_SAY_AGAIN_AFTER = 3600.0  # seconds after which a trouble that lasts is told once more
_A_DAY = 86_400.0
_FIELDS = ("archive", "files", "original_size", "deduplicated_size", "rc", "warnings", "errors")
_OF_THE_PAST = ("failures", "recovered_after")
_SIZES = frozenset({"original_size", "deduplicated_size"})
_SPANS = frozenset({"duration", "recovered_after"})
_FLAPS = 3
"""More sessions, or spans in which a log could not be read, than this in an hour are told as one trouble."""
_MANY = 20
"""So many logs that cannot be read are told by name at once; where a disk is gone, it may be thousands."""
_TEXTS = 10
"""How many texts of one trouble are told in an hour: it may change its words at each try."""
_REMEMBERED = 1000
"""How many runs are remembered as told: what is told of one of them again is no new run."""
_TROUBLE = frozenset({Outcome.WARNING, Outcome.FAILURE, Outcome.STALLED, Outcome.MISSED, Outcome.SKIPPED})


class Report(Watcher, Receipts, Protocol):
    """Everything that the service has to tell: of its steps, of the connection, of deliveries."""

    def step(self, step: Step) -> None:
        """Take note of what a step of the pipeline found."""

    def source(self, problem: Problem) -> None:
        """Take note of what stands in the way of reading, or no longer does."""

    def problem(self, event: str, what: str, **fields: object) -> None:
        """Take note of a trouble of borgwatch itself."""

    def resolved(self, event: str, **fields: object) -> None:
        """Take note that such a trouble is over."""

    def reloaded(self, rules: int) -> None:
        """Take note that the rule files were read again and hold so many rules."""

    def rejected(self, problems: Sequence[str]) -> None:
        """Take note of all that is wrong with rule files, which are therefore not in force."""

    def daily(self, daily: Daily) -> None:
        """Take note of what a day brought."""


class LogReport:
    """Writes log lines. What lasts is told when it begins, when it changes, and once an hour; not at each try."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, today: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._log = get_logger()
        self._clock = clock
        self._today = today
        self._said: dict[str, dict[str, float]] = {}
        self._sessions: deque[float] = deque(maxlen=1000)
        self._turns: dict[str, deque[float]] = {}
        self._runs: dict[str, None] = {}

    def step(self, step: Step) -> None:
        """Tell of the events of a step, and of sources that cannot be read or can be read again."""
        past = [event for event in step.events if event.past]
        if past:
            self._log.info("past.learnt", events=len(past), jobs=len({event.job for event in past}))
        alerts = {alert.event_id: alert for alert in step.alerts}
        for event in step.events:
            if not event.past:
                self._event(
                    event, _intention(alerts.get(event.id), is_held=event.id in step.held), alerts.get(event.id)
                )
        for alert in step.alerts:
            if not alert.event_id:
                self._log.info(
                    "deadman.withdrawn", job=alert.job, operation=alert.operation, alert="clear",
                    key=alert.key, note="what was told to be missing is not waited for any more",
                )  # fmt: skip
        for problem in step.problems[:_MANY]:
            self.source(problem)
        if more := step.problems[_MANY:]:
            standing = sum(not problem.resolved for problem in more)
            self._log.warning("source.more_problems", problems=standing, resolved=len(more) - standing)

    def _event(self, event: Event, intention: str, alert: Alert | None) -> None:
        """Tell one event: a run that finished once, with everything that is known of it; what else there is, apart."""
        write = self._log.warning if event.outcome in _TROUBLE else self._log.info
        is_recovery = event.outcome == Outcome.RECOVERED  # beside the success, which says the rest
        shown: dict[str, object] = {"job": event.job, "operation": event.operation, "outcome": event.outcome}
        if isinstance(duration := event.fields.get("duration"), int | float) and not is_recovery:
            shown["started"] = _local(event.time - timedelta(seconds=duration))
        told = _OF_THE_PAST if is_recovery else ("duration", *_FIELDS, *_OF_THE_PAST)
        shown |= {name: _measure(name, event.fields[name]) for name in told if name in event.fields}
        shown |= {"rule": event.rule} if event.rule and not is_recovery else {}
        shown["alert"] = intention
        shown |= {"key": alert.key} if alert is not None else {}
        shown |= {"run": event.run} if event.run else {}
        name = self._name_of(event)
        if name == "event":  # a rule has words of its own; of all others the name of the line says it
            shown["title"] = event.title
        if event.outcome != Outcome.SUCCESS or not event.run:
            shown["reason"] = event.message
        write(name, **shown)

    def _name_of(self, event: Event) -> str:
        if event.outcome == Outcome.RECOVERED:
            return "job.recovered"
        if not event.run:
            return "run.missed" if event.outcome == Outcome.MISSED else "event"
        if event.run in self._runs:
            return "run.amended"
        self._runs[event.run] = None
        if len(self._runs) > _REMEMBERED:
            del self._runs[next(iter(self._runs))]
        return "run.finished"

    def daily(self, daily: Daily) -> None:
        """Tell what a day brought: with this line in the log, borgwatch was alive."""
        self._log.info(
            "daily.summary", since=_local(daily.since), runs=daily.runs, ok=daily.ok, warning=daily.warning,
            failed=daily.failed, skipped=daily.skipped, missed=daily.missed, alerts=daily.alerts,
            waiting=daily.waiting, lines=daily.lines, unclaimed=daily.unclaimed,
        )  # fmt: skip

    def source(self, problem: Problem) -> None:
        """Tell what stands in the way of reading, or no longer does; of what comes and goes, only that it does so."""
        name = f"source {problem.where}"
        turns = self._turns.setdefault(name, deque(maxlen=2 * _FLAPS + 1))
        turns.append(self._clock())
        if len(self._turns) > _REMEMBERED:
            del self._turns[next(iter(self._turns))]
        if len(turns) > 2 * _FLAPS and turns[-1] - turns[0] < _SAY_AGAIN_AFTER:
            if self._is_news(name, ""):
                self._log.warning(
                    "source.flapping", where=problem.where, what=problem.what,
                    note="it can be read and cannot, again and again in an hour: it is not told each time;"
                    " how it stands say `borgwatch healthcheck` and `check`",
                )  # fmt: skip
            return
        self._said.pop(name, None)
        if problem.resolved:
            self._log.info("source.resolved", where=problem.where, what=problem.what)
        else:
            self._log.warning("source.problem", where=problem.where, what=problem.what)

    def problem(self, event: str, what: str, **fields: object) -> None:
        """Tell of a trouble of borgwatch itself."""
        if self._is_news(event, what):
            self._log.error(event, error=what, **fields)

    def resolved(self, event: str, **fields: object) -> None:
        """Tell that the trouble told as `event` is over, if it was told."""
        if self._said.pop(event, None) is not None:
            self._log.info(f"{event}.resolved", **fields)

    def reloaded(self, rules: int) -> None:
        """Tell that new rules are in force."""
        self._log.info("rules.reloaded", rules=rules)

    def rejected(self, problems: Sequence[str]) -> None:
        """Tell what is wrong with rule files; each time, for each time somebody has changed them or asked."""
        for problem in problems[:_TEXTS]:
            self._log.error("rules.rejected", error=problem)
        if (more := len(problems) - _TEXTS) > 0:
            self._log.error("rules.rejected", error=f"and {more} more: borgwatch rules test tells them all")

    def ready(self, session: Session) -> None:
        """Tell by which way people can be told, or why by none."""
        link, ladder = session.connection.link, session.ladder
        transport = "tls" if link.encrypted else "unix socket" if link.unix else "plain"
        self._sessions.append(self._clock())
        if not self._is_flapping():
            self._said.pop("truenas.failed", None)
            self._log.info(
                "truenas.ready", release=session.release, user=session.username, transport=transport,
                delivery=ladder.rung.value,
            )  # fmt: skip
        elif self._is_news("truenas.flapping", ""):
            self._log.warning(
                "truenas.flapping", sessions=len(self._sessions),
                note="the connection ends and comes back again and again in an hour: it is not told each time",
            )  # fmt: skip
        if ladder.rung is Rung.MAIL and self._is_news("truenas.no_alerts", ladder.no_alert):
            self._log.warning("truenas.no_alerts", delivery="mail", reason=ladder.no_alert)
        if ladder.rung is Rung.NONE and self._is_news("truenas.no_delivery", ladder.no_alert):
            self._log.error(
                "truenas.no_delivery", user=session.username,
                error=f"nothing can be delivered: {ladder.no_alert}; and {ladder.no_mail}",
            )  # fmt: skip
        self.still_up(session)

    def still_up(self, session: Session) -> None:
        """Tell of a certificate that is about to end."""
        certificate = session.connection.certificate
        if certificate is None or not ends_soon(certificate, self._today()):
            return
        until = certificate.not_after.date().isoformat()
        if self._is_news("truenas.certificate_ends", until, _A_DAY):
            self._log.warning(
                "truenas.certificate_ends", until=until,
                note="TrueNAS renews its own in its last five days: a pinned one is followed, a fingerprint or a"
                " certificate file has to be put in anew",
            )  # fmt: skip

    def dismissed(self, key: str) -> None:
        """Tell that somebody took one of our alerts away; it stays away until something new happens."""
        self._log.info("alert.dismissed", key=key, by="a user of TrueNAS")

    def lost(self, reason: str) -> None:
        """Tell that the connection ended."""
        if not self._is_flapping():
            self._log.warning("truenas.lost", reason=reason)

    def _is_flapping(self) -> bool:
        while self._sessions and self._clock() - self._sessions[0] >= _SAY_AGAIN_AFTER:
            self._sessions.popleft()
        return len(self._sessions) > _FLAPS

    def failed(self, error: TrueNASError, retry_in: float) -> None:
        """Tell why there is no session."""
        if self._is_news("truenas.failed", str(error)):
            kind = type(error).__name__
            self._log.error("truenas.failed", kind=kind, error=str(error), retry_in=timedelta(seconds=retry_in))

    def pinned(self, verdict: PinVerdict, certificate: Certificate) -> None:
        """Tell which certificate is trusted from now on."""
        renewed = verdict is PinVerdict.RENEWED
        self._log.warning(
            "truenas.certificate_renewed" if renewed else "truenas.certificate_pinned",
            fingerprint=certificate.fingerprint, until=certificate.not_after.date().isoformat(),
            note="the pinned certificate was about to end; compare the new one in the web interface"
            if renewed else "trusted because it was seen first; compare it in the web interface",
        )  # fmt: skip

    def delivered(self, alert: Alert, proof: Delivered | Mailed, took: float) -> None:
        """Tell that TrueNAS was seen to show the alert, or to show it no longer; or that it took a mail."""
        self._said.pop(f"delivery.failed {alert.key}", None)
        if isinstance(proof, Mailed):
            self._mailed(alert, proof, took)
            return
        name = "alert.raised" if proof.raised else "alert.cleared"
        fields = {"alert_class": proof.alert_class} if proof.raised else {}
        self._log.info(
            name, job=alert.job, operation=alert.operation, outcome=alert.outcome, key=alert.key,
            confirmed=True, took=timedelta(seconds=took), **fields,
        )  # fmt: skip

    def _mailed(self, alert: Alert, proof: Mailed, took: float) -> None:
        if proof.told:
            self._log.warning(
                "alert.mailed", job=alert.job, operation=alert.operation, outcome=alert.outcome, key=alert.key,
                confirmed=False, took=timedelta(seconds=took), reason=proof.why,
                note="TrueNAS took the mail; whether it arrived cannot be read back",
            )  # fmt: skip

    def undelivered(self, alert: Alert, error: TrueNASError, queue: int, retry_in: float) -> None:
        """Tell that an alert was not proven to be shown, and which way it failed."""
        if self._is_news(f"delivery.failed {alert.key}", str(error)):
            hopeless = error.verdict in (Verdict.USER, Verdict.UNSUPPORTED)
            self._log.error(
                "delivery.failed", job=alert.job, key=alert.key, kind=type(error).__name__, confirmed=False,
                error=str(error), queue=queue, retry_in=timedelta(seconds=retry_in),
                needs="you" if hopeless else "time",
            )  # fmt: skip

    def _is_news(self, event: str, what: str, again_after: float = _SAY_AGAIN_AFTER) -> bool:
        moment = self._clock()
        said = {text: when for text, when in self._said.get(event, {}).items() if moment - when < again_after}
        is_news = what not in said and len(said) < _TEXTS
        if is_news:
            said[what] = moment
        self._said[event] = said
        return is_news


def _intention(alert: Alert | None, *, is_held: bool) -> str:
    """Say what is asked of TrueNAS; the proof follows as `alert.raised` or `alert.cleared`."""
    if alert is None:
        return "held" if is_held else "none"
    return ("raise" if alert.renotify else "refresh") if alert.raised else "clear"


def _measure(name: str, value: FieldValue) -> object:
    """Give a figure its unit."""
    if name in _SPANS and isinstance(value, int | float):
        return timedelta(seconds=value)
    return Size(value) if name in _SIZES and isinstance(value, int) else value


def _local(time: datetime) -> str:
    return time.astimezone().isoformat(timespec="seconds")
