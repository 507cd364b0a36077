"""What one step found, and how it is written: statements on a connection, within the transaction of `store`."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from borgwatch.journal.lookback import decode, encode, time_text
from borgwatch.matching.suspicious import RuleHits, Unclaimed
from borgwatch.model import Alert, Event, Position
from borgwatch.policy.folding import Held, Key
from borgwatch.policy.jobs import JobState
from borgwatch.runs.run import Run, Stream

__all__ = ["Change", "put", "say_delivery", "write"]

_MAX_UNCLAIMED = 100
"""How many texts of unclaimed lines are kept of each job, the newest ones."""


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that one step of the pipeline found, to be written together.

    `roots` are watched directories that have been looked at; a position of None means that the source is to be
    forgotten. `lines`, `hits` and `unclaimed` are what came in this step: they are added to what is known. `held` is
    what waits to be told (None: nothing any more).
    """

    roots: Collection[str] = ()
    positions: Mapping[str, Position | None] = field(default_factory=dict)
    streams: Mapping[str, Stream] = field(default_factory=dict)
    runs: Iterable[Run] = ()
    events: Iterable[Event] = ()
    jobs: Iterable[JobState] = ()
    alerts: Collection[Alert] = ()
    hits: Mapping[str, RuleHits] = field(default_factory=dict)
    unclaimed: Iterable[Unclaimed] = ()
    held: Mapping[Key, Held | None] = field(default_factory=dict)
    lines: int = 0


def write(database: sqlite3.Connection, change: Change) -> None:
    """Write everything that a step found."""
    for root in change.roots:
        put(database, "roots", "path", root)
    for source, position in change.positions.items():
        if position is None:
            database.execute("DELETE FROM positions WHERE source = ?", (source,))
            database.execute("DELETE FROM streams WHERE source = ?", (source,))
        else:
            put(database, "positions", "source, position", source, encode(position))
    for source, stream in change.streams.items():
        put(database, "streams", "source, stream", source, encode(stream))
    for run in change.runs:
        columns = "id, job, operation, outcome, started, ended, run"
        times = time_text(run.started), time_text(run.ended)
        put(database, "runs", columns, run.id, run.job, run.operation, run.outcome, *times, encode(run))
    for event in change.events:
        database.execute(
            "INSERT INTO events (id, name, job, time, event) VALUES (?, ?, ?, ?, ?)",
            (event.id, event.name, event.job, time_text(event.time), encode(event)),
        )
    for state in change.jobs:
        put(database, "jobs", "job, operation, state", state.job, state.operation, encode(state))
    for alert in change.alerts:
        _put_alert(database, alert)
    for rule, hits in change.hits.items():
        _add_hits(database, rule, hits)
    unclaimed = tuple(change.unclaimed)
    _count(database, lines=change.lines, unclaimed=sum(line.count for line in unclaimed))
    _add_unclaimed(database, unclaimed)
    _put_held(database, change.held)


def put(database: sqlite3.Connection, table: str, columns: str, *values: object) -> None:
    """Write a row in place of the one with the same key."""
    marks = ", ".join("?" * len(values))
    statement = f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - fixed names
    database.execute(statement, values)


def _put_alert(database: sqlite3.Connection, alert: Alert) -> None:
    """The newest state of a key takes the place of the one before, delivered or not.

    What people were to be told of is still to be told if the one before never arrived; that it is over, is not.
    """
    row = database.execute("SELECT alert FROM alerts WHERE key = ? AND delivered < seq", (alert.key,)).fetchone()
    before = decode(row[0], Alert) if row else None
    if before is not None and before.raised and before.renotify:
        alert = replace(alert, renotify=alert.raised)
    database.execute(
        """
        INSERT INTO alerts (key, job, operation, alert, seq)
        VALUES (?, ?, ?, ?, (SELECT coalesce(max(seq), 0) + 1 FROM alerts))
        ON CONFLICT (key) DO UPDATE SET alert = excluded.alert, seq = excluded.seq
        """,
        (alert.key, alert.job, alert.operation, encode(alert)),
    )
    say_delivery(database, "waiting", alert.event_id)


def say_delivery(database: sqlite3.Connection, what: str, event_id: str) -> None:
    """Write down beside an event what became of its alert: `waiting`, `raised`, `cleared`, `mailed` or `quiet`."""
    database.execute(
        "UPDATE events SET delivery = ? WHERE seq = (SELECT max(seq) FROM events WHERE id = ?)", (what, event_id)
    )


def _count(database: sqlite3.Connection, **more: int) -> None:
    database.executemany(
        """
        INSERT INTO counters (name, count) VALUES (?, ?)
        ON CONFLICT (name) DO UPDATE SET count = count + excluded.count
        """,
        [(name, count) for name, count in more.items() if count],
    )


def _put_held(database: sqlite3.Connection, held: Mapping[Key, Held | None]) -> None:
    for key, waiting in held.items():
        name = encode(key).decode()
        if waiting is None:
            database.execute("DELETE FROM held WHERE key = ?", (name,))
        else:
            put(database, "held", "key, held", name, encode(waiting))


def _add_hits(database: sqlite3.Connection, rule: str, hits: RuleHits) -> None:
    database.execute(
        """
        INSERT INTO rule_hits (rule, count, last) VALUES (?, ?, ?)
        ON CONFLICT (rule) DO UPDATE SET count = count + excluded.count, last = max(last, excluded.last)
        """,
        (rule, hits.count, time_text(hits.last)),
    )


def _add_unclaimed(database: sqlite3.Connection, lines: Iterable[Unclaimed]) -> None:
    jobs = set()
    for line in lines:
        jobs.add(line.job)
        database.execute(
            """
            INSERT INTO unclaimed (job, text, count, first, last, sample, source, seq)
            VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT count FROM counters WHERE name = 'unclaimed'))
            ON CONFLICT (job, text) DO UPDATE SET
                count = count + excluded.count, first = min(first, excluded.first),
                last = max(last, excluded.last), sample = excluded.sample, source = excluded.source,
                seq = excluded.seq
            """,
            (
                line.job,
                line.text,
                line.count,
                time_text(line.first),
                time_text(line.last),
                line.sample,
                line.source,
            ),
        )
    for job in jobs:
        database.execute(
            """
            DELETE FROM unclaimed WHERE job = ? AND text NOT IN (
                SELECT text FROM unclaimed WHERE job = ? ORDER BY last DESC, text LIMIT ?
            )
            """,
            (job, job, _MAX_UNCLAIMED),
        )
