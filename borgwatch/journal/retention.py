"""Forgetting: the oldest history goes, a few rows at a time, and its space is given back.

Only `events`, `runs` and `unclaimed` are history. The newest event stays, so that no number is given out twice; and
the newest thousand rows stay however large the journal is: then it is not they who fill the disk.
"""

from __future__ import annotations

import sqlite3

__all__ = ["forget", "shrink"]

_ALWAYS_KEPT = 1000
_INCREMENTAL = 2
_PAGES_AT_ONCE = 1000


def forget(database: sqlite3.Connection, before: str, max_bytes: int, rows: int) -> bool:
    """Delete some of what is older than `before`, or the oldest where more than `max_bytes` are in use.

    Belongs into a transaction. Returns whether anything was deleted.
    """
    cut = before
    if _used_bytes(database) > max_bytes:
        cut = max(before, _time_of_oldest(database, rows))
    gone = sum(_delete(database, table, cut, rows) for table in ("events", "runs"))
    gone += database.execute("DELETE FROM unclaimed WHERE last < ?", (before,)).rowcount
    return gone > 0


def shrink(database: sqlite3.Connection) -> bool:
    """Give some free pages back; a journal from before that was possible is written anew once that pays.

    Returns whether there were any.
    """
    query = "SELECT * FROM pragma_auto_vacuum, pragma_page_count, pragma_freelist_count"
    kind, pages, free = database.execute(query).fetchone()
    if kind == _INCREMENTAL:
        database.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
        return bool(free)
    if free > _PAGES_AT_ONCE and free * 4 > pages:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("VACUUM")
    return False


def _used_bytes(database: sqlite3.Connection) -> int:
    query = "SELECT * FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
    pages, free, size = database.execute(query).fetchone()
    return int((pages - free) * size)


def _time_of_oldest(database: sqlite3.Connection, rows: int) -> str:
    """The time of the newest of so many oldest rows that may go; "" where none may."""
    query = "SELECT time FROM events UNION ALL SELECT ended FROM runs ORDER BY 1 LIMIT ?"
    found = database.execute(query, (rows + _ALWAYS_KEPT,)).fetchall()
    spare = len(found) - _ALWAYS_KEPT
    return str(found[spare - 1][0]) if spare > 0 else ""


def _delete(database: sqlite3.Connection, table: str, cut: str, rows: int) -> int:
    time, keys, but = {
        "events": ("time", "seq", "AND seq < (SELECT max(seq) FROM events)"),
        "runs": ("ended", "id, started", ""),
    }[table]
    statement = (
        f"DELETE FROM {table} WHERE ({keys}) IN"  # noqa: S608 - fixed names
        f" (SELECT {keys} FROM {table} WHERE {time} <= ? {but} ORDER BY {time} LIMIT ?)"
    )
    return database.execute(statement, (cut, rows)).rowcount
