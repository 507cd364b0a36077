"""Looking back beside a running service: nothing is made, locked or waited for."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from borgwatch.errors import JournalError
from borgwatch.journal.lookback import Lookback, mark_reviewed
from borgwatch.journal.notes import ReviewMark
from borgwatch.journal.store import Change, Journal
from borgwatch.matching.suspicious import RuleHits, Unclaimed
from tests.journal.test_store import CHANGE, DATA, NOW, RUN, as_nobody, event


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_journal_in_use_is_read_as_it_is_and_writing_goes_on(tmp_path: Path) -> None:
    with closing(Journal.open(tmp_path, exclusive=True)) as journal:
        journal.commit(CHANGE)
        with closing(Lookback.open(tmp_path)) as past:
            assert [found.event for found in past.events_after(0)] == [event()]
            journal.commit(Change(events=[event(2)]))  # would fail or wait if the reader held a lock
            assert len(past.events_after(0)) == 1  # one state throughout
            assert past.runs(NOW - timedelta(days=1)) == [RUN]
        with closing(Lookback.open(tmp_path)) as past:
            assert past.last_seq() == 2


def test_a_journal_at_rest_is_read_without_leaving_a_trace(tmp_path: Path) -> None:
    with closing(Journal.open(tmp_path, exclusive=True)) as journal:
        journal.commit(CHANGE)
    before = files(tmp_path)
    with closing(Lookback.open(tmp_path)) as past:
        assert past.jobs()["nas", "backup"].last_outcome == "failure"
        assert files(tmp_path) == before
    assert files(tmp_path) == before


def test_a_journal_on_a_read_only_directory_can_be_read(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with closing(Journal.open(state, exclusive=True)) as journal:
        journal.commit(CHANGE)
    state.chmod(0o555)
    (state / "journal.sqlite3").chmod(0o444)
    with as_nobody(state), closing(Lookback.open(state)) as past:
        assert past.last_seq() == 1
    state.chmod(0o755)


def test_where_there_is_no_journal_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"there is no journal in .* yet: `borgwatch run` makes it"):
        Lookback.open(tmp_path / "state")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("version", "says"), [(99, "a newer borgwatch: use that"), (1, "an older borgwatch: start")])
def test_a_journal_of_another_version_is_left_alone(tmp_path: Path, version: int, says: str) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3")) as database:
        database.executescript((DATA / "schema-1.sql").read_text("utf-8"))
        database.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(JournalError, match=says):
        Lookback.open(tmp_path)
    with pytest.raises(JournalError, match=says):
        mark_reviewed(tmp_path, ReviewMark(NOW, 1))


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite3").write_bytes(b"x" * 5000)
    with pytest.raises(JournalError, match="cannot be read: file is not a database"):
        Lookback.open(tmp_path)


def test_runs_are_found_by_time_job_and_number(tmp_path: Path) -> None:
    with closing(Journal.open(tmp_path)) as journal:
        for hour in range(6):
            at = NOW + timedelta(hours=hour)
            journal.commit(Change(runs=[replace(RUN, id=f"r{hour}", started=at, seen=at, read=at, job="ab"[hour % 2])]))
        assert [run.id for run in journal.runs(NOW + timedelta(hours=2))] == ["r5", "r4", "r3", "r2"]
        assert [run.id for run in journal.runs(NOW, "a", 2)] == ["r4", "r2"]
        assert [run.id for run in journal.runs_of("b", "backup", 5)] == ["r5", "r3", "r1"]


def test_the_mark_is_set_beside_a_running_service(tmp_path: Path) -> None:
    with closing(Journal.open(tmp_path, exclusive=True)) as journal:
        journal.commit(CHANGE)
        mark_reviewed(tmp_path, ReviewMark(NOW, 1))
        assert journal.note(ReviewMark) == ReviewMark(NOW, 1)


def test_of_two_who_review_at_once_the_one_who_has_seen_more_counts(tmp_path: Path) -> None:
    """Whoever looked first and notes it last must not make the other see everything again, nor miss anything."""
    with closing(Journal.open(tmp_path, exclusive=True)) as journal:
        later = ReviewMark(NOW, 7, 3)
        mark_reviewed(tmp_path, later)
        mark_reviewed(tmp_path, ReviewMark(NOW + timedelta(hours=1), 5, 9))
        assert journal.note(ReviewMark) == later
        mark_reviewed(tmp_path, ReviewMark(NOW, 7, 4))
        assert journal.note(ReviewMark) == ReviewMark(NOW, 7, 4)


def test_the_mark_waits_for_who_writes_and_tells_who_never_ends(tmp_path: Path) -> None:
    with closing(Journal.open(tmp_path)) as journal, closing(sqlite3.connect(tmp_path / "journal.sqlite3")) as busy:
        busy.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as other:
            marked = other.submit(mark_reviewed, tmp_path, ReviewMark(NOW, 1))
            with pytest.raises(TimeoutError):
                marked.result(0.1)
            busy.execute("COMMIT")
            marked.result(10)
        assert journal.note(ReviewMark) == ReviewMark(NOW, 1)
        busy.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match=r"the mark could not be written .*: another process keeps it locked"):
            mark_reviewed(tmp_path, ReviewMark(NOW, 2), patience=0.05)


def test_unclaimed_lines_are_new_by_when_they_were_read_whatever_time_they_bear(tmp_path: Path) -> None:
    old = Unclaimed("nas", "ERROR: a", 1, NOW - timedelta(days=9), NOW - timedelta(days=8), "ERROR: a", "log")
    with closing(Journal.open(tmp_path)) as journal:
        journal.commit(Change(unclaimed=[replace(old, text="ERROR: b", last=NOW)]))
        seen = journal.counters()["unclaimed"]
        assert journal.unclaimed(seen) == []
        journal.commit(Change(unclaimed=[old]))
        assert journal.unclaimed(seen) == [old]
        journal.commit(Change(unclaimed=[replace(old, text="ERROR: b", first=old.first, last=old.last)]))
        assert [line.text for line in journal.unclaimed(seen)] == ["ERROR: b", "ERROR: a"]
        assert len(journal.unclaimed()) == 2


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE events SET event = CAST(X'7B226964223A22FF227D' AS BLOB)",
        "UPDATE rule_hits SET last = 'yesterday'",
        "UPDATE unclaimed SET first = 'yesterday'",
        "UPDATE unclaimed SET last = 7",
        "UPDATE unclaimed SET sample = CAST(X'FF' AS TEXT)",
    ],
)
def test_a_damaged_row_is_told_and_is_no_traceback(tmp_path: Path, damage: str) -> None:
    """Whatever a damaged disk made of a row, the reader gets one clear error."""
    line = Unclaimed("nas", "ERROR: #", 1, NOW, NOW, "ERROR: 1", "log")
    with closing(Journal.open(tmp_path)) as journal:
        journal.commit(replace(CHANGE, hits={"a": RuleHits(1, NOW)}, unclaimed=[line]))
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3")) as database:
        database.execute(damage)
        database.commit()
    with closing(Lookback.open(tmp_path)) as past, pytest.raises(JournalError, match="read"):
        (past.events_after(0), past.rule_hits(), past.unclaimed())
