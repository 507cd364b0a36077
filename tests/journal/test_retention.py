"""Forgetting beside everything else: while the service commits, and while somebody looks back."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from borgwatch.journal.lookback import Lookback
from borgwatch.journal.store import Change, Journal
from tests.journal.test_store import NOW, RUN, event


def test_history_goes_while_the_service_is_busy_and_somebody_reads(tmp_path: Path) -> None:
    """What comes meanwhile stays, the reader sees one state throughout, and the file shrinks in the end."""
    old, size = NOW - timedelta(days=500), tmp_path / "journal.sqlite3"
    with closing(Journal.open(tmp_path, exclusive=True)) as journal:
        runs = [replace(RUN, id=f"old-{number}", started=old, seen=old, read=old) for number in range(3000)]
        journal.commit(Change(runs=runs, events=[replace(event(number), time=old) for number in range(3000)]))
        journal._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = size.stat().st_size
        with closing(Lookback.open(tmp_path)) as reader:
            assert len(reader.runs(old)) == 3000
            steps = 0
            while journal.prune(NOW - timedelta(days=400), 10**9):
                steps += 1
                new = replace(RUN, id=f"new-{steps}", started=NOW + timedelta(seconds=steps))
                journal.commit(Change(runs=[new], events=[event(5000 + steps)]))
            assert (len(reader.runs(old)), len(reader.events_since(old))) == (3000, 3000)
        assert steps > 5
        assert len(journal.runs(old)) == len(journal.events_since(old)) == steps
        journal._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert size.stat().st_size < before / 4
