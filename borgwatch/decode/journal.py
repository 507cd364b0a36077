"""Entries of systemd's journal as `journalctl -o json` writes them. Pure.

    {"__REALTIME_TIMESTAMP":"1795410165911609","SYSLOG_IDENTIFIER":"borg","PRIORITY":"6","MESSAGE":"..."}

The fields are those of systemd.journal-fields(7). What the message holds is read like any other line.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from borgwatch.decode.json_lines import trailing_object
from borgwatch.decode.prefix import Prefix, split_prefix
from borgwatch.decode.text import clean_text
from borgwatch.model import Level

__all__ = ["journal_entry"]

_MARK = '"__REALTIME_TIMESTAMP"'
_MICROSECONDS = re.compile(r"\d{16}")
_LEVELS = {
    "0": Level.CRITICAL,
    "1": Level.CRITICAL,
    "2": Level.CRITICAL,
    "3": Level.ERROR,
    "4": Level.WARNING,
    "5": Level.NOTICE,
    "6": Level.INFO,
}


def journal_entry(text: str, before: datetime) -> Prefix | None:
    """Take the message out of an entry of the journal; None where the line is none. `before` is when it was read."""
    if not text.startswith("{") or _MARK not in text:
        return None
    entry = trailing_object(text) or {}
    message, since = _message(entry.get("MESSAGE")), entry.get("__REALTIME_TIMESTAMP")
    if message is None or not isinstance(since, str) or _MICROSECONDS.fullmatch(since) is None:
        return None
    program = entry.get("SYSLOG_IDENTIFIER")
    own = None if message.startswith("{") else split_prefix(message, before)
    found = own or Prefix(message)
    return replace(
        found,
        time=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(since)),
        zoned=True,
        level=found.level or _LEVELS.get(str(entry.get("PRIORITY"))),
        logger=found.logger or (program if isinstance(program, str) else ""),
    )


def _message(value: object) -> str | None:
    """Read a message: a text, or the numbers of its bytes where it holds more than printable characters."""
    if isinstance(value, str):
        return clean_text(value.encode("utf-8", "replace"))
    try:
        return clean_text(bytes(value)) if isinstance(value, list) else None
    except (TypeError, ValueError):
        return None
