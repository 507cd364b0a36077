"""The metrics are read anew when, and only when, something was committed."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from borgwatch.errors import JournalError
from borgwatch.journal.lookback import Lookback
from borgwatch.journal.store import Change, Journal
from borgwatch.model import Outcome
from borgwatch.policy.jobs import JobState, learn
from borgwatch.runs.events import event_of_run
from borgwatch.runs.run import Run
from borgwatch.views.facts import read_facts
from borgwatch.web import reading
from borgwatch.web.reading import Reader
from borgwatch.web.server import PATIENCE
from tests.scenario import EXPECT, NOW


def test_what_was_committed_since_is_seen_and_nothing_is_read_where_nothing_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []

    def counting(past: Lookback, *more: object) -> object:
        counted.append(more)
        return read_facts(past, *more)  # type: ignore[arg-type] # as they came

    monkeypatch.setattr(reading, "read_facts", counting)
    with closing(Journal.open(tmp_path, exclusive=True)) as journal, closing(Reader(tmp_path, PATIENCE)) as reader:
        for number in range(3):
            journal.commit(Change(jobs=[JobState(f"host-{number}", "backup")], lines=5))
            for minute in range(4):
                facts = reader.facts(EXPECT, NOW + timedelta(minutes=minute))
                assert (len(facts.status.jobs), facts.counters["lines"]) == (number + 1, 5 * (number + 1))
                assert facts.status.time == NOW + timedelta(minutes=minute)
        assert len(counted) == 3
        reader.facts((), NOW)  # changed rule files may expect something else
        assert len(counted) == 4


def test_of_many_jobs_the_last_run_is_read_of_those_alone_that_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is told anew, as a stalled run that ended after all, is another one."""
    real, asked = Lookback.runs_of, []

    def counting(past: Lookback, job: str, *more: Any) -> list[Run]:
        asked.append(job)
        return real(past, job, *more)

    monkeypatch.setattr(Lookback, "runs_of", counting)
    with closing(Journal.open(tmp_path, exclusive=True)) as journal, closing(Reader(tmp_path, PATIENCE)) as reader:
        for job in ("laptop", "nas"):
            journal.commit(ended(job, Outcome.STALLED, NOW))
        assert [row.outcome for row in reader.facts((), NOW).last.values()] == ["stalled", "stalled"]
        asked.clear()
        journal.commit(ended("nas", Outcome.SUCCESS, NOW + timedelta(hours=3)))
        facts = reader.facts((), NOW)
        assert asked == ["nas"]
        assert facts.last["nas", "backup"].outcome == "success"
        assert facts.last["nas", "backup"].duration == 4 * 3600
        assert facts.last["laptop", "backup"].outcome == "stalled"
        assert facts == read_facts(journal, (), NOW)


def ended(job: str, outcome: Outcome, when: datetime) -> Change:
    run = Run(
        id=job, job=job, source="log", operation="backup", started=NOW - timedelta(hours=1), read=when, seen=when,
        outcome=outcome, closed=True,
    )  # fmt: skip
    event = event_of_run(run)
    assert event is not None
    state, event = learn(JobState(job, "backup"), event, when)
    return Change(runs=[run], events=[event], jobs=[state])


def test_between_two_scrapes_no_old_state_is_held(tmp_path: Path) -> None:
    """A reader that held one would keep SQLite's log from being emptied, and it would grow."""
    with closing(Journal.open(tmp_path, exclusive=True)) as journal, closing(Reader(tmp_path, PATIENCE)) as reader:
        journal.commit(Change(lines=1))
        reader.facts(EXPECT, NOW)
        journal.commit(Change(lines=1))
        busy, _, _ = journal._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert busy == 0
        assert (tmp_path / "journal.sqlite3-wal").stat().st_size == 0
        assert reader.facts(EXPECT, NOW).counters["lines"] == 2


def test_a_journal_at_rest_is_read_and_one_that_wakes_up_is_followed(tmp_path: Path) -> None:
    with closing(Reader(tmp_path, PATIENCE)) as reader:
        with closing(Journal.open(tmp_path, exclusive=True)) as journal:
            journal.commit(Change(lines=1))
        assert not (tmp_path / "journal.sqlite3-wal").exists()
        assert reader.facts(EXPECT, NOW).counters == {"lines": 1}
        with closing(Journal.open(tmp_path, exclusive=True)) as journal:
            for count in (2, 3):
                journal.commit(Change(lines=1))
                assert reader.facts(EXPECT, NOW).counters == {"lines": count}


def test_after_a_trouble_the_journal_is_opened_again(tmp_path: Path) -> None:
    with closing(Reader(tmp_path, PATIENCE)) as reader:
        with pytest.raises(JournalError, match="there is no journal"):
            reader.facts(EXPECT, NOW)
        with closing(Journal.open(tmp_path, exclusive=True)) as journal:
            journal.commit(Change(lines=1))
            assert reader.facts(EXPECT, NOW).counters == {"lines": 1}
            journal._database.execute("PRAGMA user_version = 99")
            with pytest.raises(JournalError, match="newer"):
                reader.facts(EXPECT, NOW)
