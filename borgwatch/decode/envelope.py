r"""Docker's json-file envelope: `{"log":"…\n","stream":"stderr","time":"…Z"}`, one write of a container a line. Pure.

A line of more than 16 KiB comes in pieces; only the last of them ends with a line end. Who reads such a file joins
the pieces of each stream: standard output and standard error are cut apart from each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

__all__ = ["Wrapped", "unwrap"]


class _Entry(msgspec.Struct):
    log: str
    stream: str
    time: datetime


_DECODER = msgspec.json.Decoder(_Entry)


@dataclass(frozen=True, slots=True)
class Wrapped:
    """What one line of the envelope holds; `complete` says that `data`, which has no line end, ends its line."""

    data: bytes
    stream: str
    time: datetime
    complete: bool


def unwrap(line: bytes) -> Wrapped | None:
    """Take one line out of its envelope; None where it is none."""
    if not line.startswith(b"{"):
        return None
    try:
        entry = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    if entry.time.tzinfo is None:
        return None
    complete = entry.log.endswith("\n")
    return Wrapped(entry.log.removesuffix("\n").encode(), entry.stream, entry.time, complete)
