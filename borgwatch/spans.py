"""Spans of time as users write them: `26h`, `15m`, `1.5d`."""

from __future__ import annotations

import re
from datetime import timedelta

__all__ = ["SPAN_PATTERN", "parse_span", "short_span", "write_span"]

SPAN_PATTERN = r"^\s*\d+(\.\d+)?\s*[smhd]\s*$"
"""What a span looks like, as a regular expression that every engine knows."""

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])\Z", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=3650)
_EXACT = 10  # seconds; of less, parts are worth telling


def parse_span(text: str) -> timedelta:
    """Read a span such as `26h`, `15m`, `1.5d`; raises `ValueError` with what the text should have been."""
    found = _SPAN.match(text.strip())
    try:
        span = timedelta(**{_UNITS[found[2]]: float(found[1])}) if found else timedelta()
    except OverflowError:
        raise ValueError("is too long") from None
    if span <= timedelta():
        raise ValueError("must be a span such as 26h, 15m, 10s or 1d")
    if span > _LONGEST:
        raise ValueError("is longer than ten years")
    return span


def write_span(span: timedelta) -> str:
    """Write a span as `parse_span` reads it, and exactly: `26h`, `60h`, `90m`, `8d`."""
    seconds = span.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def short_span(span: timedelta) -> str:
    """Write a measured span in its two largest units, for people: `0.02s`, `42s`, `14m2s`, `3d4h`."""
    seconds = span.total_seconds()
    if seconds < _EXACT:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + "s"
    left, parts = round(seconds), []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        parts.append(f"{count}{unit}" if count else "")
    first = next(at for at, part in enumerate(parts) if part)
    return "".join(parts[first : first + 2])
