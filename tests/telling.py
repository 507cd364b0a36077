"""Has everything told once that the service tells, for the snapshots of the log."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from borgwatch.model import Alert, Event, Level
from borgwatch.pipeline import Step
from borgwatch.policy.jobs import recovery
from borgwatch.service.daily import Daily
from borgwatch.service.report import LogReport
from borgwatch.sources.problems import Problem
from borgwatch.truenas.connection import Connection
from borgwatch.truenas.delivery import Delivered, Mailed
from borgwatch.truenas.errors import Unreachable
from borgwatch.truenas.session import Session
from borgwatch.truenas.trust import Certificate, PinVerdict

__all__ = ["tell_everything"]


def tell_everything(ended: datetime) -> None:
    """Write the lines of a bad day and of a good one; `ended` is when the runs ended."""
    failed = Event(
        "e1", "backup.failure", Level.CRITICAL, "nas", "Borg Backup Failed", "lock timeout", ended,
        "borg.lock-timeout", "/watch/nas/backup.log", "r1", {"rc": 73, "duration": 842.4, "errors": 1},
    )  # fmt: skip
    good = replace(
        failed, id="e2", name="backup.success", message="Archive: a", rule="", run="r2",
        fields={"duration": 3.21, "archive": "nas-1", "files": 7, "original_size": 5, "deduplicated_size": 2, "rc": 0,
                "failures": 3, "recovered_after": 7200.0, "failing_since": ended.isoformat()},
    )  # fmt: skip
    again = recovery(good)
    assert again is not None
    missed = replace(failed, id="e3", name="backup.missed", run="", rule="deadman", fields={}, message="No backup came")
    skipped = replace(
        missed, id="e4", name="verify.skipped", rule="mine.skip", message="It was\x1b[31m not its \u202eday"
    )
    alert = Alert("borgwatch:main:nas", "nas", "backup", "failure", Level.CRITICAL, "text", True, "e1", ended)
    clear = replace(alert, raised=False, outcome="success", event_id="e2")
    report = LogReport(clock=lambda: 0.0, today=lambda: ended)
    report.step(Step(events=(replace(failed, past=True),) * 3))
    report.step(Step(events=(failed,), alerts=(alert,)))
    report.step(
        Step(events=(replace(failed, id="e5", run="r5"),), alerts=(replace(alert, event_id="e5", renotify=False),))
    )
    report.step(Step(events=(good, again), alerts=(clear,)))
    report.step(Step(events=(replace(failed, name="backup.success", fields={}), missed, skipped)))
    report.source(Problem("/watch/nas/backup.log", "permission denied: give the user 568 the right to read it"))
    report.source(Problem("/watch/nas/backup.log", "permission denied", resolved=True))
    report.problem("journal.failed", "the journal cannot be written: disk full")
    report.resolved("journal.failed")
    report.problem("rules.rejected", "/rules/own.yaml:3:5: unknown key 'emitt': did you mean 'emit'?")
    report.reloaded(178)
    _tell_of_delivery(report, alert, clear, ended)
    report.daily(Daily(ended, 4, 3, 1, 0, 0, 1, 1, 0, 812, 17))


def _tell_of_delivery(report: LogReport, alert: Alert, clear: Alert, ended: datetime) -> None:
    certificate = Certificate("5f0c2a" * 10, ended + timedelta(days=3))
    report.pinned(PinVerdict.FIRST, certificate)
    report.pinned(PinVerdict.RENEWED, certificate)
    parts: dict[str, Any] = {"waits_for_jobs": True, "username": "root", "roles": frozenset()}
    link = SimpleNamespace(link=SimpleNamespace(encrypted=True, unix=False), certificate=certificate)
    for _ in range(4):
        report.ready(Session(connection=cast(Connection, link), **parts, release="25.10.6"))
        report.lost("the connection ended")
    report.failed(Unreachable("nas: connection refused"), 30.0)
    report.delivered(alert, Delivered(True, "CloudBackupTaskFailed"), 0.009)
    report.delivered(clear, Delivered(False, ""), 0.009)
    report.delivered(alert, Mailed(True, "TrueNAS 27 takes no alerts"), 0.2)
    report.undelivered(alert, Unreachable("nas: connection refused"), 2, 30.0)
    report.dismissed(alert.key)
