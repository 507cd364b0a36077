"""How times, spans, sizes and words of logs are written for people, on a terminal and on the page alike.

Whatever comes from a log is masked and made harmless here (`safe`): no control character, no colour code and no
mark that turns the direction of text is left.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from borgwatch.matching.templates import one_line
from borgwatch.redact import redact
from borgwatch.runs.events import human_bytes, human_span
from borgwatch.spans import short_span

__all__ = ["ago", "safe", "seconds", "size", "stamp", "zone"]

_MOST = 300


def safe(text: object, limit: int = _MOST) -> str:
    """Make text from anywhere fit for one line or cell."""
    return one_line(redact(str(text)), limit)


def stamp(time: datetime | None) -> str:
    """Write a time as the clock on the wall shows it; with its offset where the clock shows that time twice."""
    if time is None:
        return "-"
    local = time.astimezone()
    naive = local.replace(tzinfo=None)
    first, second = (naive.replace(fold=fold).astimezone().utcoffset() for fold in (0, 1))
    return f"{local:%Y-%m-%d %H:%M}" if first == second else local.isoformat(" ", "minutes")


def zone() -> str:
    """Name the zone that `stamp` writes times in: `Europe/Dublin`, or `CET` where no more is known."""
    return safe(os.environ.get("TZ") or datetime.now().astimezone().tzname() or "local time")


def ago(time: datetime, now: datetime) -> str:
    """Say how long ago (or ahead) a time is."""
    span = human_span(abs(now - time)) if abs(now - time) >= timedelta(seconds=1) else "no time"
    return f"{span} ago" if time <= now else f"in {span}"


def seconds(value: float | None) -> str:
    """Write a duration in its two largest units: `42s`, `14m2s`, `4h`."""
    return short_span(timedelta(seconds=value)) if value is not None else "-"


def size(value: float | None) -> str:
    """Write a size."""
    return human_bytes(value) if value is not None else "-"
