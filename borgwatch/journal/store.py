"""The journal: the only state that outlives the process, one SQLite file in the state directory.

Read positions, open runs, ended runs, events and what TrueNAS is to show are committed in one transaction
(`commit`): a crash between any two instructions neither loses nor repeats an event. The outbox is the table
`alerts`: one row a key, its newest state; a row is pending until its event was proven to be shown.

A process that dies loses nothing that was committed. Should the whole machine die, the last commits may be undone, in
order and each as a whole: then their lines are read again. What is told to others, or decides what counts as past, is
on the disk before anything is done with it (`durable`).

The tables are described in `borgwatch.journal.schema`; who only looks back reads them through
`borgwatch.journal.lookback`.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from borgwatch.errors import JournalError
from borgwatch.journal.change import Change, put, say_delivery, write
from borgwatch.journal.lookback import FILE, PATIENCE, Lookback, decode, encode, reason_of, time_text
from borgwatch.journal.retention import forget, shrink
from borgwatch.journal.schema import MIGRATIONS
from borgwatch.model import Alert, Position
from borgwatch.policy.folding import Held, Key
from borgwatch.runs.run import Stream
from borgwatch.truenas.trust import Pin

__all__ = ["Change", "Journal", "Pending"]


class _DamagedError(sqlite3.DatabaseError):
    """The file is a database that contradicts itself."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An alert that waits in the outbox; `seq` grows with each change of the key and orders the outbox."""

    alert: Alert
    seq: int


class Journal(Lookback):
    """The open journal. Use one from one thread; `Journal.open` for a file, `Journal(":memory:")` for a trial."""

    def __init__(self, path: str | Path, patience: float = PATIENCE) -> None:
        self._lock_file: int | None = None
        self._path = Path(path) if str(path) != ":memory:" else None
        self._database = sqlite3.connect(path, isolation_level=None, timeout=patience)
        try:
            if self._database.execute("PRAGMA page_count").fetchone() == (0,):  # later, only VACUUM can change it
                self._database.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute("PRAGMA cache_size = -512")  # KiB: a quarter of the usual
            self._migrate()
            self._identity = self._identity_now()
        except BaseException:
            self._database.close()
            raise

    @classmethod
    def open(cls, directory: Path, patience: float = PATIENCE, *, exclusive: bool = False) -> Journal:
        """Open the journal in `directory`, and make both where they are missing.

        `exclusive` is for the service: a second one on the same directory is refused. A journal that is no database
        any more is moved aside and begun anew (the caller sees `recovered`). Raises `JournalError`.
        """
        path = directory / FILE
        lock = None
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # it holds lines of the logs
            lock = _lock(directory) if exclusive else None
            try:
                journal = cls(path, patience)
                if exclusive:
                    journal._check()
            except sqlite3.DatabaseError as error:
                if not _is_corrupt(error) or not exclusive:
                    raise
                aside = _move_aside(path)
                journal = cls(path, patience)
                journal.recovered = f"{path} was damaged ({error}); it was moved to {aside.name} and begun anew"
        except (OSError, sqlite3.Error) as error:
            if lock is not None:
                os.close(lock)
            advice = "; it must be writable for the user that borgwatch runs as (BORGWATCH_STATE)"
            reason = f"{error.strerror}{advice}" if isinstance(error, OSError) else reason_of(error, advice)
            raise JournalError(f"the state directory {directory} cannot be used: {reason}") from None
        except JournalError:
            if lock is not None:
                os.close(lock)
            raise
        journal._lock_file = lock
        return journal

    recovered: str = ""
    """What happened to a damaged journal when this one was opened; empty if nothing."""

    def close(self) -> None:
        """Close the database and give up the lock."""
        self._database.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    # -- the pipeline's side ------------------------------------------------------------------------------

    def commit(self, change: Change) -> None:
        """Write everything that a step found, or nothing."""
        with self._transaction(durable=bool(change.alerts or change.roots)) as database:
            write(database, change)

    def roots(self) -> frozenset[str]:
        """The directories that were looked at before: what is new in them is news, not the past."""
        return frozenset(path for (path,) in self._read("SELECT path FROM roots"))

    def positions(self) -> dict[str, Position]:
        """Where reading goes on, by source."""
        return dict(self._rows("SELECT source, position FROM positions", Position))

    def streams(self) -> dict[str, Stream]:
        """The open runs and their sessions, by source."""
        return dict(self._rows("SELECT source, stream FROM streams", Stream))

    def held(self) -> dict[Key, Held]:
        """What waits to be told, and what was told of late (see `borgwatch.policy.folding`)."""
        return {held.key: held for _, held in self._rows("SELECT key, held FROM held", Held)}

    # -- delivery's side --------------------------------------------------------------------------------------

    def pending(self) -> list[Pending]:
        """The outbox: alerts whose newest state was not yet proven to be shown, oldest change first."""
        rows = self._read("SELECT alert, seq FROM alerts WHERE delivered < seq ORDER BY seq")
        return [Pending(decode(blob, Alert), seq) for blob, seq in rows]

    def queue(self) -> int:
        """How many alerts wait in the outbox."""
        ((waiting,),) = self._read("SELECT count(*) FROM alerts WHERE delivered < seq")
        return int(waiting)

    def mark_delivered(self, shown: Iterable[Pending], mailed: Iterable[Pending] = ()) -> None:
        """Note that what TrueNAS shows was read back and is what was asked for; or that it was mailed instead."""
        shown, mailed = list(shown), list(mailed)
        marks = [(item.seq, 1, item.alert.key) for item in shown] + [(item.seq, 0, item.alert.key) for item in mailed]
        with self._transaction() as database:
            database.executemany("UPDATE alerts SET delivered = max(delivered, ?), shown = ? WHERE key = ?", marks)
            for item in shown:
                say_delivery(database, "raised" if item.alert.raised else "cleared", item.alert.event_id)
            for item in mailed:
                is_told = item.alert.raised and item.alert.renotify
                say_delivery(database, "mailed" if is_told else "quiet", item.alert.event_id)

    def standing(self) -> list[Alert]:
        """The alerts that TrueNAS was seen to show, and that no user has dismissed since."""
        rows = self._read("SELECT alert FROM alerts WHERE delivered = seq AND shown ORDER BY seq")
        return [alert for (blob,) in rows if (alert := decode(blob, Alert)).raised]

    def mark_lost(self, alert: Alert) -> None:
        """Put an alert that TrueNAS has lost back into the outbox."""
        with self._transaction() as database:
            database.execute("UPDATE alerts SET delivered = 0 WHERE key = ?", (alert.key,))
            say_delivery(database, "waiting", alert.event_id)

    def mark_dismissed(self, key: str) -> None:
        """Note that a user dismissed an alert: it is not missed any more, unless something new came up meanwhile."""
        with self._transaction() as database:
            database.execute("UPDATE alerts SET shown = 0 WHERE key = ? AND delivered = seq", (key,))

    # -- looking after itself ---------------------------------------------------------------------------------

    def set_note(self, note: object) -> None:
        """Keep a value of `borgwatch.journal.notes` in place of the one before."""
        with self._transaction() as database:
            put(database, "notes", "name, note", type(note).__name__, encode(note))

    def prune(self, before: datetime, max_bytes: int, rows: int = 500) -> bool:
        """Forget history that ended before a time, or the oldest where the journal is too large; a few rows at a time.

        What is open, waits or stands is never touched. Returns whether there is more to do.
        """
        with self._transaction() as database:
            gone = forget(database, time_text(before), max_bytes, rows)
        try:
            return shrink(self._database) or gone
        except sqlite3.Error as error:
            reason = reason_of(error, "; is the disk full?")
            raise JournalError(f"the journal cannot be made smaller: {reason}") from error

    # -- trust's side -------------------------------------------------------------------------------------------

    def pin(self, host: str) -> Pin | None:
        """The certificate that was pinned for a host."""
        rows = self._read("SELECT pin FROM pins WHERE host = ?", host)
        return decode(rows[0][0], Pin) if rows else None

    def set_pin(self, host: str, pin: Pin) -> None:
        """Pin a certificate for a host."""
        with self._transaction(durable=True) as database:
            put(database, "pins", "host, pin", host, encode(pin))

    # -- inside ---------------------------------------------------------------------------------------------------

    def _identity_now(self) -> tuple[int, int] | None:
        """Which file stands at the journal's path; SQLite itself goes on writing to one that was removed."""
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @contextmanager
    def _transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Do all or nothing; a `durable` one waits for the disk, for itself and for all commits before it."""
        if self._identity_now() != self._identity:
            raise JournalError(
                f"the journal {self._path} was removed or replaced while it was in use: restart borgwatch"
            )
        try:
            self._database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            reason = reason_of(error, "; is the disk full or read-only?")
            raise JournalError(f"the journal cannot be written: {reason}") from error

    def _check(self) -> None:
        """Look for damage inside the file, which opening it does not show."""
        try:
            (found,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise _DamagedError(str(found).splitlines()[-1])
        except sqlite3.Error:
            self._database.close()
            raise

    def _migrate(self) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            self._database.close()
            raise JournalError(
                f"the journal was written by a newer borgwatch (schema {version}, this one knows"
                f" {len(MIGRATIONS)}): use that version, or another state directory"
            )
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            self._database.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")


def _lock(directory: Path) -> int:
    handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise JournalError(f"another borgwatch already runs on the state directory {directory}") from None
    return handle


def _is_corrupt(error: sqlite3.DatabaseError) -> bool:
    names = ("SQLITE_NOTADB", "SQLITE_CORRUPT")
    return isinstance(error, _DamagedError) or getattr(error, "sqlite_errorname", "") in names


def _move_aside(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside
