"""Turn a `Line` of bytes into a `Record`: what it says, apart from how it was written.

Lines come in one at a time, records leave one at a time; nothing here does I/O or keeps state.
A line that no format claims is a record whose `text` is the line itself: no line is ever refused.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from borgwatch.decode.journal import journal_entry
from borgwatch.decode.json_lines import record_from_object, trailing_object
from borgwatch.decode.prefix import split_prefix
from borgwatch.decode.text import clean_text
from borgwatch.model import Line, Record

__all__ = ["decode"]

# A line of `--list` or `--progress` ends with the name of a file, and a file can be called like a JSON object.
_ENDS_WITH_A_NAME = re.compile(r"[AMUCEdbchsfix+?-] |[\d.]+ [kMGTP]?B O ")

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
"""No time in a log is older: what lies at the beginning of the calendar cannot even be told in another zone."""


def decode(line: Line, job: str) -> Record:
    """Decode one line that belongs to `job`; never raises, whatever the bytes."""
    text = clean_text(line.data)
    prefix = journal_entry(text, line.read_at)
    if prefix is None and not text.startswith("{"):
        prefix = split_prefix(text, line.read_at)
    rest = text if prefix is None else prefix.rest
    found = None if _ENDS_WITH_A_NAME.match(rest) else trailing_object(rest)
    record = (
        Record(text=rest, source=line.source, job=job)
        if found is None
        else record_from_object(found, source=line.source, job=job)
    )
    if prefix is not None:
        record = replace(
            record,
            level=record.level or prefix.level,
            logger=record.logger or prefix.logger,
            time=record.time or prefix.time,
            zoned=record.time is not None or prefix.zoned,
        )
    if record.time is not None and record.time < _FIRST:
        record = replace(record, time=None, zoned=False)
    written_at = line.written_at if line.written_at is not None and line.written_at >= _FIRST else None
    if written_at is not None and (record.time is None or not record.zoned):
        return replace(record, time=written_at, zoned=True)  # whoever wrote it down knew the time and the zone
    return record
