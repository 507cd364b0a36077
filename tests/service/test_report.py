"""What borgwatch says, word for word: the lines are a promise to whoever searches for them."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from borgwatch.logs import configure
from borgwatch.model import Alert, Event, Level
from borgwatch.pipeline import Step
from borgwatch.policy.jobs import recovery
from borgwatch.service.daily import Daily
from borgwatch.service.report import LogReport
from borgwatch.sources.problems import Problem
from borgwatch.truenas.connection import Connection
from borgwatch.truenas.delivery import Delivered, Mailed
from borgwatch.truenas.errors import TrueNASError
from borgwatch.truenas.session import Session

ENDED = datetime(2026, 11, 23, 3, 14, 5, tzinfo=UTC)
FAILED = Event(
    "e1", "backup.failure", Level.CRITICAL, "nas", "Borg Backup Failed", "lock timeout", ENDED, "borg.lock-timeout",
    "/watch/nas/backup.log", "r1", {"rc": 73, "duration": 842.4, "errors": 1, "next_step": "Wait."},
)  # fmt: skip
GOOD = replace(
    FAILED, id="e2", name="backup.success", message="Archive: a", rule="", run="r2",
    fields={"duration": 3.21, "archive": "nas-1", "files": 7, "original_size": 5, "deduplicated_size": 2, "rc": 0},
)  # fmt: skip
ALERT = Alert("borgwatch:main:nas", "nas", "backup", "failure", Level.CRITICAL, "text", True, "e1", ENDED)


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setenv("TZ", "UTC")
    stream = io.StringIO()
    configure(stream=stream)
    return stream


def lines(out: io.StringIO) -> list[str]:
    """The lines without their time."""
    return [line[26:] for line in out.getvalue().splitlines()]


def local(time: datetime) -> str:
    return time.astimezone().isoformat(timespec="seconds")


def test_a_run_that_failed_is_one_line_with_everything(out: io.StringIO) -> None:
    LogReport().step(Step(events=(FAILED,), alerts=(ALERT,)))
    assert lines(out) == [
        (
            "[warning] run.finished job=nas operation=backup outcome=failure"
            f" started={local(ENDED - timedelta(seconds=842.4))} duration=14m2s rc=73 errors=1 rule=borg.lock-timeout"
            " alert=raise key=borgwatch:main:nas run=r1 reason='lock timeout'"
        )
    ]


def test_what_was_read_back_is_confirmed_and_a_mail_is_not(out: io.StringIO) -> None:
    report = LogReport()
    report.delivered(ALERT, Delivered(True, "CloudBackupTaskFailed", "u1"), 0.02)
    report.delivered(replace(ALERT, raised=False, outcome="success"), Delivered(False), 0.01)
    report.delivered(ALERT, Mailed(True, "TrueNAS 27 takes no alerts"), 1)
    report.delivered(ALERT, Mailed(True, "TrueNAS 27 takes no alerts", told=False), 1)
    of, key = "job=nas operation=backup", "key=borgwatch:main:nas"
    why = "reason='TrueNAS 27 takes no alerts' note='TrueNAS took the mail; whether it arrived cannot be read back'"
    assert lines(out) == [
        f"[info] alert.raised {of} outcome=failure {key} confirmed=True took=0.02s alert_class=CloudBackupTaskFailed",
        f"[info] alert.cleared {of} outcome=success {key} confirmed=True took=0.01s",
        f"[warning] alert.mailed {of} outcome=failure {key} confirmed=False took=1s {why}",
    ]


def test_a_run_that_went_well_is_one_line_with_its_figures(out: io.StringIO) -> None:
    LogReport().step(Step(events=(GOOD,), alerts=(replace(ALERT, raised=False, event_id="e2"),)))
    assert lines(out) == [
        (
            "[info] run.finished job=nas operation=backup outcome=success"
            f" started={local(ENDED - timedelta(seconds=3.21))} duration=3.21s archive=nas-1 files=7 original_size=5B"
            " deduplicated_size=2B rc=0 alert=clear key=borgwatch:main:nas run=r2"
        )
    ]


def test_a_run_is_told_as_finished_once_and_what_follows_is_told_as_something_else(out: io.StringIO) -> None:
    """A stalled run that ends after all, a success that ends trouble, a run that did not come."""
    report = LogReport()
    again = recovery(replace(GOOD, fields={"failing_since": local(ENDED), "recovered_after": 7200.0, "failures": 3}))
    assert again is not None
    report.step(Step(events=(replace(FAILED, name="backup.stalled"),)))
    report.step(Step(events=(replace(FAILED, name="backup.success"), GOOD, again)))
    report.step(Step(events=(replace(FAILED, name="backup.missed", run="", fields={}, rule="deadman"),)))
    report.step(Step(events=(replace(FAILED, name="verify.skipped", run="", fields={}, rule="mine.skip"),)))
    assert [line.split(" ")[1] for line in lines(out)] == [
        "run.finished", "run.amended", "run.finished", "job.recovered", "run.missed", "event",
    ]  # fmt: skip
    assert lines(out)[3].endswith(
        " outcome=recovered failures=3 recovered_after=2h alert=none run=r2"
        " reason='It works again after 2 hours and 3 failed runs'"
    )


def test_a_repeated_failure_says_that_it_only_refreshes_its_alert(out: io.StringIO) -> None:
    LogReport().step(Step(events=(FAILED,), alerts=(replace(ALERT, renotify=False),)))
    assert " alert=refresh " in lines(out)[0]


def test_an_alert_that_goes_because_nothing_is_expected_any_more_is_one_line(out: io.StringIO) -> None:
    LogReport().step(Step(alerts=(replace(ALERT, outcome="missed", raised=False, event_id=""),)))
    assert lines(out) == [
        (
            "[info] deadman.withdrawn job=nas operation=backup alert=clear key=borgwatch:main:nas"
            " note='what was told to be missing is not waited for any more'"
        )
    ]


def test_what_is_wrong_with_rule_files_is_told_each_time_and_never_in_a_flood(out: io.StringIO) -> None:
    report = LogReport()
    for _ in range(2):
        report.rejected(["my.yaml:5:1: no"])
    assert lines(out) == ["[error] rules.rejected error='my.yaml:5:1: no'"] * 2
    report.rejected([f"my.yaml:{line}:1: no" for line in range(300)])
    assert lines(out)[-1] == "[error] rules.rejected error='and 290 more: borgwatch rules test tells them all'"
    assert len(lines(out)) == 13


def test_a_failure_whose_alert_a_rule_holds_back_says_so(out: io.StringIO) -> None:
    LogReport().step(Step(events=(FAILED,), held=frozenset({"e1"})))
    assert " alert=held " in lines(out)[0]


def test_a_log_that_can_be_read_and_cannot_does_not_fill_the_log(out: io.StringIO) -> None:
    """Each minute for a day: the first turns are told, then that it comes and goes, once an hour; others are told."""
    moment = [0.0]
    report = LogReport(clock=lambda: moment[0])
    for turn in range(24 * 60):
        report.source(Problem("/watch/a.log", "permission denied", resolved=turn % 2 == 1))
        moment[0] += 60
    report.source(Problem("/watch/b.log", "permission denied"))
    told = [line.split()[1] for line in lines(out)]
    assert told[:7] == ["source.problem", "source.resolved"] * 3 + ["source.flapping"]
    assert told.count("source.flapping") == 24
    assert len(told) == 6 + 24 + 1
    moment[0] += 3600
    report.source(Problem("/watch/a.log", "permission denied"))
    assert lines(out)[-1].startswith("[warning] source.problem where=/watch/a.log")


def test_of_thousands_of_logs_that_cannot_be_read_twenty_are_named(out: io.StringIO) -> None:
    problems = tuple(Problem(f"/watch/{number}.log", "i/o error") for number in range(5000))
    LogReport().step(Step(problems=problems))
    assert len(lines(out)) == 21
    assert lines(out)[-1] == "[warning] source.more_problems problems=4980 resolved=0"


def test_what_was_past_is_one_line(out: io.StringIO) -> None:
    LogReport().step(Step(events=tuple(replace(FAILED, id=str(n), past=True) for n in range(50))))
    assert lines(out) == ["[info] past.learnt events=50 jobs=1"]


def test_the_day_is_one_line(out: io.StringIO) -> None:
    LogReport().daily(Daily(ENDED, 4, 3, 1, 0, 0, 1, 1, 0, 812, 17))
    assert lines(out) == [
        (
            f"[info] daily.summary since={local(ENDED)} runs=4 ok=3 warning=1 failed=0 skipped=0 missed=1 alerts=1"
            " waiting=0 lines=812 unclaimed=17"
        )
    ]


def test_hostile_words_of_a_log_stay_words(out: io.StringIO) -> None:
    hostile = "<script>alert(1)</script>\x1b[31m\x1b]0;title\x07\u202eevil\n2026-01-01T00:00:00+00:00 [error] fake.line"
    LogReport().step(Step(events=(replace(FAILED, message=hostile, job="a\x1b[2Jb"),)))
    (line,) = lines(out)
    assert "\x1b" not in line
    assert "\u202e" not in line
    assert line.startswith("[warning] run.finished job=ab ")
    assert "reason='<script>alert(1)</script> evil 2026-01-01" in line


def session() -> Session:
    parts: dict[str, Any] = {"waits_for_jobs": True, "username": "root", "roles": frozenset()}
    link = SimpleNamespace(link=SimpleNamespace(encrypted=True, unix=False), certificate=None)
    return Session(connection=cast(Connection, link), **parts, release="25.10.6")


def test_a_network_that_comes_and_goes_does_not_fill_the_log(out: io.StringIO) -> None:
    """A session each minute for a day: the first ones are told, then that it flaps, once an hour; and it ends."""
    moment = [0.0]
    report = LogReport(clock=lambda: moment[0])
    for _ in range(24 * 60):
        report.ready(session())
        report.lost("the connection ended")
        report.failed(TrueNASError("connection refused"), 1.0)
        moment[0] += 60
    told = [line.split()[1] for line in lines(out)]
    assert told[:3] == ["truenas.ready", "truenas.lost", "truenas.failed"]
    assert told.count("truenas.flapping") == 24
    assert len(told) < 60
    moment[0] += 3600
    report.ready(session())
    assert lines(out)[-1].startswith("[info] truenas.ready ")


def test_a_trouble_that_changes_its_words_is_told_once_an_hour_in_each_of_them(out: io.StringIO) -> None:
    moment = [0.0]
    report = LogReport(clock=lambda: moment[0])
    for attempt in range(24 * 60):
        report.failed(TrueNASError(("refused", "timed out")[attempt % 2]), 60.0)
        report.problem("journal.failed", f"error {attempt}")
        moment[0] += 60
    told = [line.split()[1] for line in lines(out)]
    assert told.count("truenas.failed") == 48
    assert told.count("journal.failed") == 240
