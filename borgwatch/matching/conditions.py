"""What must hold of a record for a rule to speak: `field|modifier: value`, combined with all, any and not.

The words are those of Sigma: comparisons ignore case unless `cased` is said, a list means any-of, the keys of one
mapping mean all-of. `holds` tests a record and adds the named groups of `re` patterns to `captures`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from borgwatch.matching.patterns import Pattern
from borgwatch.model import FieldValue, Level, Record

__all__ = [
    "BUILT_IN_FIELDS",
    "COMPARISONS",
    "NUMERIC",
    "AllOf",
    "AnyOf",
    "Condition",
    "FieldTest",
    "Not",
    "as_number",
    "field_value",
]

BUILT_IN_FIELDS = ("text", "level", "logger", "job", "source")
"""Fields that every record has; any other name is looked up in what the line itself holds."""


def field_value(record: Record, name: str) -> FieldValue:
    """Look up a built-in field or one of the line's own; None where there is none."""
    if name not in BUILT_IN_FIELDS:
        return record.fields.get(name)
    if name == "level":
        return record.level.name if record.level is not None else None
    value: FieldValue = getattr(record, name)
    return value


class Condition(Protocol):
    """Anything that can be asked of a record."""

    def holds(self, record: Record, captures: dict[str, str]) -> bool:
        """Say whether the record meets it; may add to `captures`."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: tuple[Condition, ...]

    def holds(self, record: Record, captures: dict[str, str]) -> bool:
        """Test the parts in order and stop at the first that fails."""
        return all(part.holds(record, captures) for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Condition, ...]

    def holds(self, record: Record, captures: dict[str, str]) -> bool:
        """Test the parts in order and stop at the first that holds."""
        for part in self.parts:
            captured: dict[str, str] = {}  # a part that fails half-way leaves nothing
            if part.holds(record, captured):
                captures.update(captured)
                return True
        return False


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold; what it captured is forgotten."""

    part: Condition

    def holds(self, record: Record, captures: dict[str, str]) -> bool:  # noqa: ARG002 - same shape as the others
        """Test the part with captures of its own."""
        return not self.part.holds(record, {})


@dataclass(frozen=True, slots=True)
class FieldTest:
    """One field compared in one way with one or more values (any of them)."""

    field: str
    comparison: str
    values: tuple[str | Pattern, ...]
    cased: bool = False

    def holds(self, record: Record, captures: dict[str, str]) -> bool:
        """Compare the record's value of the field."""
        value = field_value(record, self.field)
        if self.comparison == "exists":
            return (value is not None) == (self.values[0] == "true")
        if value is None:
            return False
        if self.comparison == "re":
            return self._search(_as_text(value), captures)
        if self.comparison in NUMERIC:
            return self._compare_numbers(value)
        have = _as_text(value)
        test = COMPARISONS[self.comparison]
        if self.cased:
            return any(test(have, str(want)) for want in self.values)
        folded = have.casefold()
        return any(test(folded, want) for want in _folded(self.values))

    def _search(self, text: str, captures: dict[str, str]) -> bool:
        for pattern in self.values:
            if isinstance(pattern, Pattern) and (groups := pattern.search(text)) is not None:
                captures.update(groups)
                return True
        return False

    def _compare_numbers(self, value: FieldValue) -> bool:
        have = as_number(value)
        if have is None:
            return False
        test = NUMERIC[self.comparison]
        return any((want := as_number(str(text))) is not None and test(have, want) for text in self.values)


@lru_cache(maxsize=4096)
def _folded(values: tuple[str | Pattern, ...]) -> tuple[str, ...]:
    return tuple(str(want).casefold() for want in values)


def _as_text(value: FieldValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_number(value: FieldValue) -> float | None:
    """Read a number; the names of levels count as the numbers behind them."""
    if isinstance(value, str) and value.upper() in Level.__members__:
        return float(Level[value.upper()])
    try:
        number = float(value) if value is not None else math.nan
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number


COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "is": lambda have, want: have == want,
    "in": lambda have, want: have == want,
    "startswith": lambda have, want: have.startswith(want),
    "endswith": lambda have, want: have.endswith(want),
    "contains": lambda have, want: want in have,
}
"""Comparisons of text; beside them stand `re`, `exists` and those of `NUMERIC`."""

NUMERIC: Mapping[str, Callable[[float, float], bool]] = {
    "gt": lambda have, want: have > want,
    "gte": lambda have, want: have >= want,
    "lt": lambda have, want: have < want,
    "lte": lambda have, want: have <= want,
}
"""Comparisons of numbers."""
