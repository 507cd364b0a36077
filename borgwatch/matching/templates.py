"""Templates: text with `{field}` and a few filters, as in `{size|bytes}` or `{archive|default:unknown}`.

A template can name fields and nothing else: no attribute, no index, no format specifier, no code. What a log line
puts into a field stays text: it is never read as a template again, and control characters in it become spaces.
`{{` and `}}` stand for the braces themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from borgwatch.decode.text import ANSI
from borgwatch.model import FieldValue

__all__ = ["FILTERS", "Named", "Template", "TemplateError", "one_line"]

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[A-Za-z_][\w.-]*\Z")
_LENGTH = re.compile(r"[1-9][0-9]{0,3}\Z")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_SIZE = re.compile(r"\s*([\d.]+)\s*([kKMGTP]?)(i?)B?\s*\Z")
_MAX_VALUE = 2000
_MAX_INTEGER = 2**63
# Everything that moves the cursor, hides text or turns its direction: C0, C1, zero width, bidi marks, separators.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]+"
)


def one_line(text: str, limit: int = _MAX_VALUE) -> str:
    """Make text from outside fit for one line: ANSI sequences go, unsafe characters become a space; cut at `limit`."""
    safe = text[: limit * 2]
    if not safe.isprintable():  # which says more than is unsafe, and says it fast
        safe = _UNSAFE.sub(" ", ANSI.sub("", safe))
    safe = " ".join(safe.split()) if "  " in safe else safe.strip()
    return safe if len(safe) <= limit else f"{safe[: limit - 1]}…"


class TemplateError(ValueError):
    """A template that cannot be read; the message says why."""


def _to_int(value: FieldValue, _: str) -> FieldValue:
    try:
        number = int(float(str(value)))
    except (ValueError, OverflowError):
        return None
    return number if -_MAX_INTEGER <= number < _MAX_INTEGER else None


def _to_float(value: FieldValue, _: str) -> FieldValue:
    try:
        return float(str(value))
    except ValueError:
        return None


def _to_bytes(value: FieldValue, _: str) -> FieldValue:
    found = _SIZE.match(str(value))
    if found is None:
        return None
    base = _UNITS[found[2].lower()]
    if found[3]:
        base = 1024 ** (list(_UNITS).index(found[2].lower()))
    try:
        return _to_int(float(found[1]) * base, "")
    except ValueError:
        return None


def _cut(value: FieldValue, argument: str) -> FieldValue:
    return one_line(str(value), int(argument))


FILTERS: Mapping[str, Callable[[FieldValue, str], FieldValue]] = {
    "bytes": _to_bytes,
    "cut": _cut,
    "default": lambda value, argument: argument if value in (None, "") else value,
    "first_line": lambda value, _: str(value).strip().partition("\n")[0],
    "float": _to_float,
    "int": _to_int,
    "last_line": lambda value, _: str(value).strip().rpartition("\n")[2],
    "lower": lambda value, _: str(value).lower(),
    "upper": lambda value, _: str(value).upper(),
}
"""What may stand behind `|`: a function of the value and the text behind `:`."""


class Named(Protocol):
    """Where templates look up what they name."""

    def get(self, name: str, /) -> FieldValue:
        """Give the value of a field; None where there is none."""


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str
    filters: tuple[tuple[str, str], ...]

    def value(self, fields: Named) -> FieldValue:
        value = fields.get(self.name)
        for name, argument in self.filters:
            if value is not None or name == "default":
                value = FILTERS[name](value, argument)
        return value


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was read; `names` are the fields it asks for."""

    source: str
    parts: tuple[str | _Slot, ...]

    @classmethod
    def parse(cls, source: str) -> Template:
        """Read a template; raises `TemplateError` for a lone brace, a bad name or an unknown filter."""
        parts: list[str | _Slot] = []
        position = 0
        for found in _PART.finditer(source):
            parts.append(source[position : found.start()])
            position = found.end()
            if found[0] in ("{{", "}}"):
                parts.append(found[0][0])
            elif found[1] is None:
                raise TemplateError(f"a lone {found[0]!r}: write {found[0] * 2!r} for the character itself")
            else:
                parts.append(_slot(found[1]))
        parts.append(source[position:])
        return cls(source, tuple(part for part in parts if part != ""))

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that the template asks for."""
        return tuple(part.name for part in self.parts if isinstance(part, _Slot))

    def value(self, fields: Named) -> FieldValue:
        """Fill in; a template that is a single `{slot}` keeps the type of its value."""
        if len(self.parts) == 1 and isinstance(self.parts[0], _Slot):
            value = self.parts[0].value(fields)
            return one_line(value) if isinstance(value, str) else value
        return self.render(fields)

    def render(self, fields: Named) -> str:
        """Fill in as one line of text; a field that is not there leaves nothing."""
        pieces = []
        for part in self.parts:
            value = part if isinstance(part, str) else part.value(fields)
            pieces.append("" if value is None else value if isinstance(value, str) else str(value))
        return one_line("".join(pieces))


def _slot(inside: str) -> _Slot:
    name, *filters = (piece.strip() for piece in inside.split("|"))
    if not _NAME.match(name):
        raise TemplateError(f"{{{inside}}} does not name a field")
    calls = []
    for call in filters:
        filter_name, _, argument = call.partition(":")
        if filter_name not in FILTERS:
            raise TemplateError(f"unknown filter {filter_name!r} (known: {', '.join(sorted(FILTERS))})")
        if filter_name == "cut" and not _LENGTH.match(argument):
            raise TemplateError(f"{call!r} must say a length, such as cut:80")
        calls.append((filter_name, argument))
    return _Slot(name, tuple(calls))
