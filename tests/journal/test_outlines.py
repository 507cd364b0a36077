"""Of thousands of runs, the outline says the same as the whole row."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from borgwatch.errors import JournalError
from borgwatch.journal.lookback import Lookback
from borgwatch.journal.store import Change, Journal
from borgwatch.model import FieldValue, Outcome
from borgwatch.views.history import row_of_run
from tests.journal.test_store import CHANGE, NOW, RUN, event

ENDED = replace(RUN, started=NOW - timedelta(minutes=7), seen=NOW, outcome=Outcome.SUCCESS, operation="backup")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"duration": 12.5, "original_size": 10**12, "deduplicated_size": 5},
        {"duration": 7, "borg_duration": "0:1:2:3.5"},
        {"borg_duration": "nonsense"},
        {"duration": -1.0},
        {"duration": 1e300, "original_size": 1.5},
        {"duration": "long", "original_size": "big", "deduplicated_size": True},
        {"duration": None, "archive": "a", "files": 3, "rc": 0},
    ],
)
@pytest.mark.parametrize("lasted", [timedelta(), timedelta(minutes=7)])
def test_an_outline_has_the_figures_of_the_row(fields: dict[str, FieldValue], lasted: timedelta) -> None:
    run = replace(ENDED, fields=fields, started=NOW - lasted)
    with closing(Journal(":memory:")) as journal:
        journal.commit(Change(runs=[run]))
        (found,) = journal.outlines(NOW)
        assert journal.outlines_of(run.job, "backup", 9) == [found]
    row = row_of_run(run, {})
    for name in ("run", "job", "operation", "outcome", "time", "duration", "original_size", "deduplicated_size"):
        assert getattr(found, name) == getattr(row, name), name


def test_what_was_told_without_a_run_is_outlined_once_and_the_newest_come_first() -> None:
    """An event of a run has the run's outline, and a recovery is told beside a success: neither comes twice."""
    missed = replace(event(2), name="backup.missed", run="", time=NOW - timedelta(hours=1))
    recovered = replace(missed, id="e3", name="backup.recovered")
    with closing(Journal(":memory:")) as journal:
        journal.commit(Change(runs=[ENDED], events=[replace(event(), run=ENDED.id), missed, recovered]))
        found = journal.outlines(NOW - timedelta(days=1))
        assert [(outline.run, outline.outcome) for outline in found] == [(ENDED.id, "success"), ("", "missed")]
        assert len(journal.outlines(NOW - timedelta(days=1), 1)) == 1


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE runs SET run = CAST(X'7B22FF' AS BLOB)",
        "UPDATE runs SET started = 'yesterday'",
        "UPDATE runs SET ended = 'yesterday'",
        "UPDATE events SET event = '[]'",
        "UPDATE events SET time = 'yesterday'",
    ],
)
def test_a_damaged_row_is_told_and_is_no_traceback(tmp_path: Path, damage: str) -> None:
    with closing(Journal.open(tmp_path)) as journal:
        journal.commit(replace(CHANGE, events=[replace(event(), run="")]))
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3")) as database:
        database.execute(damage)
        database.commit()
    with closing(Lookback.open(tmp_path)) as past, pytest.raises(JournalError, match="cannot be read"):
        past.outlines(NOW - timedelta(days=9999))
