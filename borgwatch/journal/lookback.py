"""Looking back: what the journal knows, read beside a running service.

`Lookback.open` opens the journal read-only: it makes no file, waits for no lock and sees one state throughout, whatever
the service writes meanwhile. `mark_reviewed` is the one thing that a person may write.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from borgwatch.errors import JournalError
from borgwatch.journal.notes import Recorded, ReviewMark, Standing
from borgwatch.journal.outlines import Outline, outline_of_event, outline_of_run
from borgwatch.journal.schema import MIGRATIONS
from borgwatch.matching.suspicious import RuleHits, Unclaimed
from borgwatch.model import Alert, Event
from borgwatch.policy.jobs import JobState
from borgwatch.runs.run import Run

__all__ = ["FILE", "PATIENCE", "Lookback", "decode", "encode", "mark_reviewed", "reason_of", "time_text"]

FILE = "journal.sqlite3"
PATIENCE = 5.0
"""Seconds that are waited for somebody who keeps the journal locked, such as one who writes."""
_T = TypeVar("_T")


class Lookback:
    """Reads the journal. `Journal` is one that writes, too."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    def open(cls, directory: Path, patience: float = PATIENCE) -> Lookback:
        """Open the journal in `directory` for reading; raises `JournalError` where there is none that can be read.

        Where another process has it for itself, so many seconds are waited, here and each time it is read.
        """
        path = directory / FILE
        if not path.is_file():
            raise JournalError(f"there is no journal in {directory} yet: `borgwatch run` makes it (BORGWATCH_STATE)")
        # Where nobody writes there is no -wal, and a read-only connection could not make one.
        at_rest = not path.with_name(f"{FILE}-wal").exists()
        database = _connect(path, "immutable=1" if at_rest else "mode=ro", patience)
        try:
            database.execute("BEGIN")
            _check_version(database)
        except sqlite3.Error as error:
            database.close()
            raise JournalError(f"the journal {path} cannot be read: {reason_of(error)}") from None
        except JournalError:
            database.close()
            raise
        found = cls(database)
        found.at_rest = at_rest
        return found

    at_rest: bool = False
    """Whether nobody wrote when it was opened: what is written later is not seen then, not even after `renew`."""

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def rest(self) -> None:
        """Let go of the state that was seen, and stay open: `renew` sees the one of then."""
        if self._database.in_transaction:
            self._database.execute("COMMIT")

    def renew(self) -> int:
        """See the state of now; returns a number that is another one if anybody else has committed since."""
        try:
            self.rest()
            self._database.execute("BEGIN")
            _check_version(self._database)  # the first look fixes the state that is seen
        except sqlite3.Error as error:
            raise JournalError(f"the journal cannot be read: {reason_of(error)}") from None
        return int(self._read("PRAGMA data_version")[0][0])

    # -- history ---------------------------------------------------------------------------------------------------

    def runs(self, since: datetime, job: str | None = None, limit: int = -1) -> list[Run]:
        """The runs that ended since a time, the newest first; at most so many."""
        rows = self._read(
            "SELECT run FROM runs WHERE ended >= ? AND (? IS NULL OR job = ?) ORDER BY ended DESC LIMIT ?",
            time_text(since), job, job, limit,
        )  # fmt: skip
        return [decode(blob, Run) for (blob,) in rows]

    def runs_of(self, job: str, operation: str, limit: int) -> list[Run]:
        """The newest runs of one operation of a job, the newest first."""
        rows = self._read(
            "SELECT run FROM runs WHERE job = ? AND operation = ? ORDER BY ended DESC LIMIT ?", job, operation, limit
        )
        return [decode(blob, Run) for (blob,) in rows]

    def outlines(self, since: datetime, limit: int = -1) -> list[Outline]:
        """What ended since a time, runs and what was told without one, the newest first; at most so many of each."""
        begin = time_text(since)
        query = "SELECT name, job, time, event FROM events WHERE time >= ? ORDER BY time DESC LIMIT ?"
        with _telling_damage("outline"):
            events = [
                outline for row in self._each(query, begin, limit) if (outline := outline_of_event(*row)) is not None
            ]
        found = [*self._outlines("ended >= ?", begin, limit), *events]
        return sorted(found, key=lambda outline: outline.time, reverse=True)

    def outlines_of(self, job: str, operation: str, limit: int) -> list[Outline]:
        """The newest runs of one operation of a job in outline, the newest first."""
        return self._outlines("job = ? AND operation = ?", job, operation, limit)

    def _outlines(self, where: str, *values: object) -> list[Outline]:
        columns = "id, job, operation, outcome, started, ended, run"
        query = f"SELECT {columns} FROM runs WHERE {where} ORDER BY ended DESC LIMIT ?"  # noqa: S608 - fixed texts
        with _telling_damage("run"):
            return [outline_of_run(*row) for row in self._each(query, *values)]

    def events_since(self, since: datetime, job: str | None = None) -> list[Recorded]:
        """The events since a time, oldest first."""
        return self._recorded("time >= ? AND (? IS NULL OR job = ?)", time_text(since), job, job)

    def events(self, limit: int = 100) -> list[Event]:
        """The newest events, oldest of them first."""
        rows = self._read("SELECT event FROM events ORDER BY seq DESC LIMIT ?", limit)
        return [decode(blob, Event) for (blob,) in rows][::-1]

    def size(self) -> int:
        """How many bytes the journal takes, without what is yet to be moved into its file."""
        ((pages, page),) = self._read("SELECT page_count, page_size FROM pragma_page_count, pragma_page_size")
        return int(pages * page)

    def counters(self) -> dict[str, int]:
        """What was counted since the journal was begun: `lines` judged, suspicious lines `unclaimed`."""
        return dict(self._read("SELECT name, count FROM counters"))

    def events_after(self, seq: int) -> list[Recorded]:
        """The events with a greater number than `seq`, oldest first, and what became of their alerts."""
        return self._recorded("seq > ?", seq)

    def _recorded(self, where: str, *values: object) -> list[Recorded]:
        query = f"SELECT seq, event, delivery FROM events WHERE {where} ORDER BY seq"  # noqa: S608 - fixed texts
        return [Recorded(seq, decode(blob, Event), delivery) for seq, blob, delivery in self._read(query, *values)]

    def last_seq(self) -> int:
        """The number of the newest event; 0 where there is none."""
        ((seq,),) = self._read("SELECT coalesce(max(seq), 0) FROM events")
        return int(seq)

    # -- the present ---

    def jobs(self) -> dict[tuple[str, str], JobState]:
        """What is known of each operation of each job."""
        states = (state for _, state in self._rows("SELECT job, state FROM jobs", JobState))
        return {(state.job, state.operation): state for state in states}

    def alerts(self) -> dict[tuple[str, str], Alert]:
        """The newest alert of each operation of each job, delivered or not."""
        alerts = (alert for _, alert in self._rows("SELECT key, alert FROM alerts ORDER BY seq", Alert))
        return {(alert.job, alert.operation): alert for alert in alerts}

    def standings(self) -> list[Standing]:
        """For each operation of each job the newest alert, and what TrueNAS was seen to make of it."""
        rows = self._read("SELECT alert, delivered >= seq, shown FROM alerts ORDER BY seq")
        return [Standing(decode(blob, Alert), bool(done), bool(shown)) for blob, done, shown in rows]

    def rule_hits(self) -> dict[str, RuleHits]:
        """How often each rule spoke, by its id; a rule that is not named never did."""
        rows = self._read("SELECT rule, count, last FROM rule_hits ORDER BY rule")
        return {rule: RuleHits(count, _time(last)) for rule, count, last in rows}

    def unclaimed(self, after: int = 0) -> list[Unclaimed]:
        """Suspicious lines that no rule claimed, the newest first; a bounded number for each job.

        With `after`, those that came after so many had been counted.
        """
        columns = "job, text, count, first, last, sample, source"
        query = f"SELECT {columns} FROM unclaimed WHERE seq > ? ORDER BY last DESC, job, text"  # noqa: S608 - fixed texts
        rows = self._read(query, after)
        return [
            Unclaimed(job, text, count, _time(first), _time(last), sample, source)
            for job, text, count, first, last, sample, source in rows
        ]

    def note(self, kind: type[_T]) -> _T | None:
        """The single value of a type of `borgwatch.journal.notes`, if there is one yet."""
        rows = self._read("SELECT note FROM notes WHERE name = ?", kind.__name__)
        return decode(rows[0][0], kind) if rows else None

    # -- inside ---

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return list(self._each(query, *values))

    def _each(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Read row by row: of thousands, none need to be held as the journal has them."""
        try:
            yield from self._database.execute(query, values)
        except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite quotes damaged names as they are
            raise JournalError(f"the journal cannot be read: {reason_of(error)}") from error

    def _rows(self, query: str, kind: type[_T]) -> Iterator[tuple[str, _T]]:
        for key, blob in self._read(query):
            yield key, decode(blob, kind)


def mark_reviewed(directory: Path, mark: ReviewMark, patience: float = PATIENCE) -> None:
    """Note how far a person has reviewed, unless another has reviewed further; the journal must be there."""
    try:
        with closing(_connect(directory / FILE, "mode=rw", patience)) as database:
            _check_version(database)
            database.execute("BEGIN IMMEDIATE")
            known = Lookback(database).note(ReviewMark)
            if known is None or (known.seq, known.unclaimed) <= (mark.seq, mark.unclaimed):
                statement = "INSERT OR REPLACE INTO notes (name, note) VALUES (?, ?)"
                database.execute(statement, (ReviewMark.__name__, encode(mark)))
            database.execute("COMMIT")
    except sqlite3.Error as error:
        raise JournalError(f"the mark could not be written into {directory / FILE}: {reason_of(error)}") from None


def _connect(path: Path, how: str, patience: float) -> sqlite3.Connection:
    name = f"file:{quote(str(path.absolute()))}?{how}"
    return sqlite3.connect(name, uri=True, isolation_level=None, timeout=patience)


def reason_of(error: Exception, advice: str = "") -> str:
    """Say what SQLite says, and advice; of a lock who has it, for nothing of borgwatch keeps one for long."""
    is_locked = getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
    return "another process keeps it locked (database is locked)" if is_locked else f"{error}{advice}"


def _check_version(database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version != len(MIGRATIONS):
        whose = "a newer" if version > len(MIGRATIONS) else "an older"
        remedy = "use that version" if version > len(MIGRATIONS) else "start `borgwatch run` once: it takes it over"
        raise JournalError(f"the journal was written by {whose} borgwatch: {remedy}")


def encode(value: object) -> bytes:
    """Write a value as the journal keeps it."""
    return msgspec.json.encode(value)


def decode(blob: bytes, kind: type[_T]) -> _T:
    """Read a value of the journal; raises `JournalError`."""
    with _telling_damage(kind.__name__):
        return msgspec.json.decode(blob, type=kind)


@contextmanager
def _telling_damage(what: str) -> Iterator[None]:
    """Whatever a damaged disk made of a row is told as that."""
    try:
        yield
    except (TypeError, ValueError) as error:  # what does not fit a type, and what is no UTF-8 or no time
        raise JournalError(f"the journal holds a {what} that cannot be read: {error}") from None


def _time(text: str) -> datetime:
    """Read what `time_text` wrote."""
    with _telling_damage("time"):
        return datetime.fromisoformat(text)


def time_text(time: datetime) -> str:
    """Write a time so that texts sort as times do."""
    return time.astimezone(UTC).isoformat()
