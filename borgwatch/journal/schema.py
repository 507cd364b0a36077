"""The tables of the journal, as the scripts that made them, one after the other.

positions, streams       where reading goes on, and the runs that are open there
runs, events             the history; the events say in `delivery` what became of their alert: "" there was none to
                         change, `waiting`, `raised` and `cleared` (read back), `mailed`, `quiet` (nobody told anew)
jobs, alerts             the past of each job as far as it matters later; what TrueNAS is to show (the outbox)
rule_hits, unclaimed     how often each rule spoke; suspicious lines for which none did, and (`seq`) how many had been
                         counted when the last of them came
held                     what waits to be told (`borgwatch.policy.folding`)
counters, notes          sums since the journal was begun; single values by type (`borgwatch.journal.notes`)
roots, pins              directories that were looked at; certificates that are trusted
"""

from __future__ import annotations

__all__ = ["MIGRATIONS"]

MIGRATIONS = (
    """
    CREATE TABLE positions (source TEXT PRIMARY KEY, position BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE streams (source TEXT PRIMARY KEY, stream BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE runs (
        id TEXT NOT NULL, job TEXT NOT NULL, operation TEXT, outcome TEXT,
        started TEXT NOT NULL, ended TEXT NOT NULL, run BLOB NOT NULL, PRIMARY KEY (id, started)
    ) WITHOUT ROWID;
    CREATE INDEX runs_by_time ON runs (ended);
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, job TEXT NOT NULL,
        time TEXT NOT NULL, event BLOB NOT NULL
    );
    CREATE INDEX events_by_time ON events (time);
    CREATE TABLE jobs (
        job TEXT NOT NULL, operation TEXT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (job, operation)
    ) WITHOUT ROWID;
    CREATE TABLE alerts (
        key TEXT PRIMARY KEY, job TEXT NOT NULL, operation TEXT NOT NULL, alert BLOB NOT NULL,
        seq INTEGER NOT NULL, delivered INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE INDEX alerts_by_job ON alerts (job, operation);
    CREATE TABLE roots (path TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE pins (host TEXT PRIMARY KEY, pin BLOB NOT NULL) WITHOUT ROWID;
    """,
    "ALTER TABLE alerts ADD COLUMN shown INTEGER NOT NULL DEFAULT 1",
    """
    CREATE TABLE rule_hits (rule TEXT PRIMARY KEY, count INTEGER NOT NULL, last TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE unclaimed (
        job TEXT NOT NULL, text TEXT NOT NULL, count INTEGER NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL,
        sample TEXT NOT NULL, source TEXT NOT NULL, PRIMARY KEY (job, text)
    ) WITHOUT ROWID;
    """,
    "CREATE TABLE held (key TEXT PRIMARY KEY, held BLOB NOT NULL) WITHOUT ROWID",
    """
    ALTER TABLE events ADD COLUMN delivery TEXT NOT NULL DEFAULT '';
    CREATE INDEX events_by_id ON events (id);
    CREATE INDEX runs_by_job ON runs (job, operation, ended);
    CREATE TABLE counters (name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE notes (name TEXT PRIMARY KEY, note BLOB NOT NULL) WITHOUT ROWID;
    """,
    "ALTER TABLE unclaimed ADD COLUMN seq INTEGER NOT NULL DEFAULT 1",
)
"""One script for each version of the schema; `user_version` counts those that were applied."""
