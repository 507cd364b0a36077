"""Three weeks of two machines, always the same: what the outputs in the documentation and their snapshots show.

`nas` is saved each night, with warnings on two of them, one night that took four hours and a failure at the end;
`laptop` was not saved the last two nights. Both have an alert under the bell, and a line of `nas` nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from borgwatch.journal.notes import DeliveryState, ReviewMark, ServiceState
from borgwatch.journal.store import Change, Journal
from borgwatch.matching.suspicious import RuleHits, Unclaimed
from borgwatch.model import Event, FieldValue, Outcome
from borgwatch.policy.alerts import EventFilter, alert_for
from borgwatch.policy.deadman import Expectation, missed
from borgwatch.policy.jobs import JobState, learn
from borgwatch.runs.events import event_of_run
from borgwatch.runs.run import Evidence, Run
from borgwatch.service.heartbeat import Condition, Health, Link, TrueNASState
from borgwatch.service.live import Live, SourceState

__all__ = ["EXPECT", "LIVE", "NOW", "make"]

NOW = datetime(2026, 11, 24, 6, 46, tzinfo=UTC)
BEGAN = NOW - timedelta(days=20)
EXPECT = (Expectation("*", "backup", timedelta(hours=26)),)
LIVE = Live(
    "1.0.0", BEGAN, Health(Condition.HEALTHY, "reading, with a session"), TrueNASState(Link.CONNECTED, "alert"),
    sources=(
        SourceState("/watch/nas/backup.log", "nas", 512, NOW - timedelta(seconds=7)),
        SourceState("/watch/laptop/backup.log", "laptop"),
    ),
    events={"backup.failure": 1, "backup.missed": 1, "backup.success": 37, "backup.warning": 2},
    deliveries={"raised": 2, "cleared": 1}, rules=178, expect=EXPECT,
)  # fmt: skip
_LOCKED = "Failed to create/acquire the lock /mnt/backup/repo/lock.exclusive (timeout)."
_CHANGED = "/srv/mail/317.idx: file changed while we backed it up"
_SHAPE = "ERROR: smartctl: /dev/sd#: # reallocated sectors"
_STRANGE = "ERROR: smartctl: /dev/sd4: 12 reallocated sectors"


def make(directory: Path) -> None:
    """Write the journal as the service would have written it by `NOW`."""
    states: dict[str, JobState] = {}
    with closing(Journal.open(directory, exclusive=True)) as journal:
        for run in _runs():
            event = event_of_run(run)
            assert event is not None
            known = states.get(run.job) or JobState(run.job, "backup")
            states[run.job], event = learn(known, event, run.ended)
            _commit(journal, event, states[run.job], run)
        late = missed(states["laptop"], EXPECT[0], NOW)
        assert late is not None
        _commit(journal, late[1], late[0])
        first, last = NOW - timedelta(days=2), NOW - timedelta(hours=3)
        unclaimed = Unclaimed("nas", _SHAPE, 2, first, last, _STRANGE, "log")
        journal.commit(Change(unclaimed=[unclaimed], lines=81_200, hits={"borg.rc": RuleHits(39, NOW)}))
        journal.set_note(ServiceState("1.0.0", BEGAN, NOW))
        journal.set_note(DeliveryState("alert", BEGAN, release="25.10.6", user="root"))
        journal.set_note(ReviewMark(NOW - timedelta(days=7), _newest_before(journal, NOW - timedelta(days=7))))


def _runs() -> Iterator[Run]:
    for back in range(20, -1, -1):
        night = NOW.replace(hour=2, minute=10) - timedelta(days=back)
        telling, took = None, timedelta(minutes=14, seconds=30 - 8 * (back % 3))
        if back in (2, 4):
            telling = Evidence(Outcome.WARNING, "borg.file-changed", _CHANGED)
        if back == 1:
            took = timedelta(hours=4)
        if back == 0:
            telling, took = Evidence(Outcome.FAILURE, "borg.lock-timeout", _LOCKED, weight=10), timedelta(minutes=1)
        yield _run("nas", night, took, telling, 864_000_000_000, 2_360_000_000)
        if back >= 2:
            yield _run(
                "laptop", night + timedelta(minutes=40), timedelta(seconds=95), None, 51_000_000_000, 180_000_000
            )


def _run(job: str, began: datetime, took: timedelta, telling: Evidence | None, size: int, added: int) -> Run:
    outcome = telling.outcome if telling else Outcome.SUCCESS
    fields: dict[str, FieldValue] = {
        "archive": f"{job}-{began:%Y-%m-%d}",
        "files": 214_880,
        "original_size": size,
        "deduplicated_size": added,
    }
    return Run(
        id=f"{job}-{began:%m%d}", job=job, source=f"/watch/{job}/backup.log", operation="backup", started=began,
        read=began + took, seen=began + took, telling=telling,
        closing=Evidence(outcome, "borg.rc", "terminating with its return code"), outcome=outcome, closed=True,
        warnings=int(outcome is Outcome.WARNING), errors=int(outcome is Outcome.FAILURE),
        fields={"rc": 2} if outcome is Outcome.FAILURE else {**fields, "rc": int(outcome is Outcome.WARNING)},
    )  # fmt: skip


def _commit(journal: Journal, event: Event, state: JobState, *runs: Run) -> None:
    current = journal.alerts().get((event.job, event.operation))
    alert = alert_for(event, current, EventFilter(), "main")
    journal.commit(Change(runs=runs, events=[event], jobs=[state], alerts=[alert] if alert else []))
    journal.mark_delivered(journal.pending())


def _newest_before(journal: Journal, time: datetime) -> int:
    return max(found.seq for found in journal.events_after(0) if found.event.time < time)
