"""JSON log lines: Borg's `--log-json`, and any other tool that writes one object a line. Pure.

Borg's line types and their fields: "Internals > Frontends" in Borg's documentation, the same from 1.1 to 2.0
but for details. What differs is kept as fields; only text, level, logger and time get a place of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from math import inf
from typing import Any

import msgspec

from borgwatch.decode.prefix import LEVELS
from borgwatch.decode.text import without_surrogates
from borgwatch.model import FieldValue, Record

__all__ = ["LEVELS", "LOGGER_KEYS", "record_from_object", "trailing_object"]

_DECODER = msgspec.json.Decoder()
_MAX_STARTS = 4  # how many places of one line are tried as the start of an object
_MAX_DEPTH = 8
_MAX_FIELDS = 200
_TEXT_KEYS = ("message", "msg", "event")
_LEVEL_KEYS = ("levelname", "level", "severity")
LOGGER_KEYS = ("name", "logger")
_TIME_KEYS = ("time", "timestamp", "ts")
# A time outside these is no time: nothing may be computed beyond what a datetime can hold.
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_EARLIEST_SECONDS, _LATEST_SECONDS = _EARLIEST.timestamp(), _LATEST.timestamp()
_SCALARS = frozenset({int, float, bool, type(None)})
_MAX_INTEGER = 2**63  # larger ones are kept as floats


def trailing_object(text: str) -> dict[str, Any] | None:
    """Find the JSON object with which the line ends, alone or glued behind a prompt or progress text.

    Borg writes `Enter passphrase for key …: {"type": "log_message", …}` where a prompt had no line end.
    Returns None where the line ends with no object.
    """
    if not text.rstrip().endswith("}"):
        return None
    start = -1
    for _ in range(_MAX_STARTS):
        start = text.find('{"', start + 1)
        if start < 0:
            return None
        value = _parse(text[start:])
        if isinstance(value, dict):
            return value
    return None


def _parse(text: str) -> object:
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        pass
    if "\\ud" not in text and "\\uD" not in text:
        return None
    try:  # a lone surrogate escape is valid JSON, yet strict decoders refuse it
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def record_from_object(found: Mapping[str, Any], *, source: str, job: str) -> Record:
    """Make a record of a decoded object; values of a wrong type are kept as fields and given no meaning."""
    fields: dict[str, FieldValue] = {}
    _flatten(found, "", fields, 0)
    return Record(
        text=_first_text(fields, _TEXT_KEYS),
        source=source,
        job=job,
        fields=fields,
        level=LEVELS.get(_first_text(fields, _LEVEL_KEYS).upper()),
        logger=_first_text(fields, LOGGER_KEYS),
        time=_first_time(fields),
    )


def _flatten(value: Mapping[str, Any], prefix: str, fields: dict[str, FieldValue], depth: int) -> None:
    """Nested objects become dotted names; lists are left out, for no rule can name their items."""
    for key, item in value.items():
        if len(fields) >= _MAX_FIELDS:
            return
        name = f"{prefix}{key}" if prefix else key
        if not name.isascii():
            name = without_surrogates(name)
        kind = type(item)
        if kind is str:
            fields[name] = item if item.isascii() else without_surrogates(item)
        elif kind is dict:
            if depth < _MAX_DEPTH:
                _flatten(item, f"{name}.", fields, depth + 1)
        elif kind is int and not -_MAX_INTEGER <= item < _MAX_INTEGER:
            fields[name] = _as_float(item)
        elif kind in _SCALARS:
            fields[name] = item


def _as_float(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return inf if number > 0 else -inf


def _first_text(fields: Mapping[str, FieldValue], keys: tuple[str, ...]) -> str:
    for key in keys:
        value = fields.get(key)
        if isinstance(value, str):
            return value
    return ""


def _first_time(fields: Mapping[str, FieldValue]) -> datetime | None:
    for key in _TIME_KEYS:
        value = fields.get(key)
        time = None
        if isinstance(value, int | float) and not isinstance(value, bool):
            if _EARLIEST_SECONDS <= value < _LATEST_SECONDS:
                time = datetime.fromtimestamp(value, UTC)
        elif isinstance(value, str):
            time = _iso_time(value)
        if time is not None and _EARLIEST <= time < _LATEST:
            return time
    return None


def _iso_time(text: str) -> datetime | None:
    """Read ISO 8601 with an offset; a time without one could be anywhere and is no time."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo is not None else None
