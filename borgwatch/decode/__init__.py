"""Turn a `Line` of bytes into a `Record`: what it says, apart from how it was written.

Lines come in one at a time, records leave one at a time; nothing here does I/O or keeps state.
A line that no format claims is a record whose `text` is the line itself: no line is ever refused.
"""

from __future__ import annotations

from dataclasses import replace

from borgwatch.decode.json_lines import record_from_object, trailing_object
from borgwatch.decode.text import clean_text
from borgwatch.model import Line, Record

__all__ = ["decode"]


def decode(line: Line, job: str) -> Record:
    """Decode one line that belongs to `job`; never raises, whatever the bytes."""
    text = clean_text(line.data)
    found = trailing_object(text)
    if found is None:
        return Record(text=text, source=line.source, job=job, time=line.written_at)
    record = record_from_object(found, source=line.source, job=job)
    return record if record.time or not line.written_at else replace(record, time=line.written_at)
