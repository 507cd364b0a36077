"""What is done once an hour and once a day."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path

import pytest

from borgwatch.errors import JournalError
from borgwatch.journal.notes import DailyMark, Recorded, ServiceState
from borgwatch.journal.store import Change, Journal
from borgwatch.model import Event, Level
from borgwatch.service.daily import Daily, Housekeeping, is_due, sum_up

START = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _in_dublin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Dublin")
    time.tzset()
    yield
    os.environ.pop("TZ", None)
    time.tzset()


def event(name: str, seq: int, *, past: bool = False, delivery: str = "") -> Recorded:
    found = Event(f"e{seq}", name, Level.INFO, "nas", "t", "m", START, "r", "log", f"r{seq}", past=past)
    return Recorded(seq, found, delivery)


@pytest.mark.parametrize(
    ("last", "now", "due"),
    [
        ("2026-11-22T09:00:01+00:00", "2026-11-23T08:59:59+00:00", False),
        ("2026-11-22T09:00:01+00:00", "2026-11-23T09:00:00+00:00", True),
        ("2026-11-23T09:00:02+00:00", "2026-11-23T23:00:00+00:00", False),
        ("2026-07-01T07:30:00+00:00", "2026-07-01T07:59:00+00:00", False),
        ("2026-07-01T07:30:00+00:00", "2026-07-01T08:00:00+00:00", True),  # nine o'clock is eight in UTC in summer
        ("2026-11-20T09:00:00+00:00", "2026-11-23T03:00:00+00:00", True),  # it was off for days
        ("2027-11-20T09:00:00+00:00", "2026-11-23T03:00:00+00:00", True),  # the clock was set back
    ],
)
def test_the_day_is_summed_up_after_nine(last: str, now: str, *, due: bool) -> None:
    assert due is is_due(datetime.fromisoformat(last), datetime.fromisoformat(now))


def test_a_day_is_counted_by_outcome_and_leaves_out_the_past() -> None:
    found = sum_up(
        [
            event("backup.success", 1, past=True), event("backup.success", 2, delivery="cleared"),
            event("prune.warning", 3, delivery="mailed"), event("backup.failure", 4, delivery="raised"),
            event("backup.stalled", 5, delivery="waiting"), event("backup.missed", 6), event("verify.skipped", 7),
            event("backup.recovered", 8),
        ],
        START,
    )  # fmt: skip
    assert found == Daily(START, 5, 1, 1, 2, 1, 1, alerts=2, waiting=1)


def test_a_run_that_was_told_twice_is_counted_once() -> None:
    """It stalled, ended well after all, and that was told as a recovery, too."""
    stalled = event("backup.stalled", 1, delivery="raised")
    told = [replace(stalled.event, name=f"backup.{outcome}") for outcome in ("success", "recovered")]
    found = sum_up([stalled, Recorded(2, told[0], "cleared"), Recorded(3, told[1], "")], START)
    assert found == Daily(START, runs=1, ok=1, alerts=1)


def test_housekeeping_notes_that_it_works_sums_up_once_a_day_and_forgets_what_is_old(tmp_path: Path) -> None:
    clock = [START]
    with closing(Journal.open(tmp_path)) as journal:
        old = replace(event("backup.success", 0).event, time=START - timedelta(days=40))
        journal.commit(Change(events=[old, old], lines=7))
        house = Housekeeping(journal, timedelta(days=30), 10**9, "1.0", lambda: clock[0])
        assert house.look() is None
        assert journal.note(ServiceState) == ServiceState("1.0", START, START)
        assert journal.note(DailyMark) == DailyMark(START, 2, 7, 0)
        assert len(journal.events()) == 1  # the newest stays
        journal.commit(Change(events=[replace(old, time=START)], lines=5))
        summaries = []
        for _ in range(48 * 60):
            clock[0] += timedelta(minutes=1)
            summaries.append(house.look())
        assert [found for found in summaries if found is not None] == [
            Daily(START, 1, ok=1, lines=5),
            Daily(START + timedelta(hours=6)),
        ]
        state = journal.note(ServiceState)
        assert state is not None
        assert clock[0] - state.looked < timedelta(hours=1)
        house.stop()
        assert journal.note(ServiceState) == ServiceState("1.0", START, clock[0], clock[0])


def test_a_journal_that_cannot_be_made_smaller_now_is_tried_again_in_an_hour(tmp_path: Path) -> None:
    """Somebody reads it, or the disk is full: each step would keep the disk busy; and the summary comes anyway."""
    clock, tries = [START], []

    class Stuck(Journal):
        def prune(self, before: datetime, max_bytes: int, rows: int = 500) -> bool:
            tries.append((before, max_bytes, rows))
            raise JournalError("the journal cannot be made smaller: database is locked")

    with closing(Stuck(tmp_path / "journal.sqlite3")) as journal:
        house = Housekeeping(journal, timedelta(days=30), 10**9, "1.0", lambda: clock[0])
        summaries = []
        for _ in range(8 * 60):
            with suppress(JournalError):
                summaries.append(house.look())
            clock[0] += timedelta(minutes=1)
    assert len(tries) == 8
    assert [found for found in summaries if found is not None] == [Daily(START + timedelta(minutes=1))]


def test_a_restart_neither_repeats_nor_loses_a_summary(tmp_path: Path) -> None:
    with closing(Journal.open(tmp_path)) as journal:
        for hours, expected in ((0, None), (5, None), (7, Daily(START, lines=3)), (8, None)):
            if hours == 5:
                journal.commit(Change(lines=3))
            clock = cycle([START + timedelta(hours=hours)])
            house = Housekeeping(journal, timedelta(days=30), 10**9, "1.0", clock.__next__)
            assert house.look() == expected
