"""Why a rule matched a record or did not: each of its conditions, true or false. Pure.

A rule's condition and a record come in; a `Trace` leaves, a tree of the same shape as the condition. Unlike
matching, tracing asks every part, also those behind the first that fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from borgwatch.matching.conditions import AllOf, AnyOf, Condition, FieldTest, Not, field_value
from borgwatch.matching.patterns import Pattern
from borgwatch.matching.rules import Rule
from borgwatch.model import FieldValue, Record

__all__ = ["NearMiss", "Trace", "first_failure", "near_misses", "trace"]

_NEAR = 0.5
_TELLING_WORDS = 3  # so many words make one alternative of a pattern worth comparing by itself
_WORD = re.compile(r"[^\W\d_]{3,}")
_ESCAPE = re.compile(r"\\[A-Za-z]|\(\?P<\w+>")


@dataclass(frozen=True, slots=True)
class Trace:
    """One condition and whether it holds; `found` is what the record has in the field that it asks for.

    `closeness` says how near it came, 0 to 1; None where that means nothing (`not`, `exists`).
    """

    says: str
    holds: bool
    parts: tuple[Trace, ...] = ()
    found: FieldValue = None
    closeness: float | None = None


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule that did not match, and its conditions."""

    rule: Rule
    trace: Trace


def trace(condition: Condition, record: Record) -> Trace:
    """Ask every part of a condition."""
    if isinstance(condition, FieldTest):
        return _trace_field(condition, record)
    if isinstance(condition, Not):
        part = trace(condition.part, record)
        return Trace("not", not part.holds, (part,))
    if not isinstance(condition, AllOf | AnyOf):
        return Trace(str(condition), condition.holds(record, {}))
    parts = tuple(trace(part, record) for part in condition.parts)
    near = [part.closeness for part in parts if part.closeness is not None]
    if isinstance(condition, AllOf):
        return Trace("all", all(part.holds for part in parts), parts, closeness=sum(near) / len(near) if near else None)
    return Trace("any", any(part.holds for part in parts), parts, closeness=max(near, default=None))


def first_failure(found: Trace) -> Trace | None:
    """Find the first single condition because of which the whole does not hold; None where it does."""
    if found.holds:
        return None
    if found.says == "not":
        return found
    parts = found.parts
    if found.says == "any":  # all of them failed: the one that came nearest tells most
        parts = tuple(sorted(parts, key=lambda part: -(part.closeness or 0)))
    for part in parts:
        if (failed := first_failure(part)) is not None:
            return failed
    return found


def near_misses(rules: Iterable[Rule], record: Record, limit: int = 3) -> list[NearMiss]:
    """Find the rules that came nearest to matching without doing so, the nearest first."""
    misses = [NearMiss(rule, trace(rule.when, record)) for rule in rules]
    near = [miss for miss in misses if not miss.trace.holds and (miss.trace.closeness or 0) >= _NEAR]
    return sorted(near, key=lambda miss: -(miss.trace.closeness or 0))[:limit]


def _trace_field(test: FieldTest, record: Record) -> Trace:
    holds = test.holds(record, {})
    found = field_value(record, test.field)
    closeness: float | None = None
    if test.comparison != "exists":
        closeness = 1.0 if holds else max((_likeness(text, str(found or "")) for text in _texts(test)), default=0.0)
    return Trace(_says(test), holds, (), found, closeness)


def _texts(test: FieldTest) -> Iterator[str]:
    for value in test.values:
        text = _ESCAPE.sub(" ", value.source) if isinstance(value, Pattern) else value
        yield text
        if isinstance(value, Pattern):
            yield from (part for part in text.split("|") if len(_WORD.findall(part)) >= _TELLING_WORDS)


def _likeness(wanted: str, have: str) -> float:
    """How many of the wanted words there are: a guess, good enough to tell which rule was meant."""
    words = {word.lower() for word in _WORD.findall(wanted)}
    there = {word.lower() for word in _WORD.findall(have)}
    return 0.9 * len(words & there) / len(words) if words else 0.0


def _says(test: FieldTest) -> str:
    """Write a test as it stands in a rule file."""
    modifiers = [test.comparison] * (test.comparison != "is") + ["cased"] * test.cased
    if test.comparison == "exists":
        return f"{test.field}|exists: {test.values[0]}"
    values = [f"'{value.source if isinstance(value, Pattern) else value}'" for value in test.values]
    return f"{'|'.join([test.field, *modifiers])}: {values[0] if len(values) == 1 else '[' + ', '.join(values) + ']'}"
