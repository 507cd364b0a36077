"""Read the conditions of a rule file: nodes of YAML in, `Condition`s out; what is wrong is noted in the document. Pure.

What `define:` names is read here, too: conditions for `use: name`, and pieces of patterns for `%{name}`. Both may use
what was defined above them, and what they unfold to is bounded, so a small file cannot become a large rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from borgwatch.matching.conditions import NUMERIC, AllOf, AnyOf, Condition, FieldTest, Not, as_number
from borgwatch.matching.patterns import MAX_SOURCE, Pattern, PatternError, literal
from borgwatch.matching.vocabulary import COMBINATIONS, MODIFIERS
from borgwatch.yamltree import Document, Node, ScalarNode

__all__ = ["ConditionReader", "job_test", "path_test"]

_MAX_PARTS = 300
"""Conditions that one rule may come to, those that it uses included."""
_MAX_VALUES = 1000
"""Values that one field may be compared with."""
_MAX_STEPS = 100_000
"""Steps that the patterns of one file may come to (see `patterns.py`): all shipped rules come to 12,000."""
_MAX_PIECE = 2000
_MAX_SHOWN = 100
_PARTS = ("re", "contains", "startswith", "endswith")
"""Comparisons with a part of the text: every text has an empty part."""
_NOTHING = AnyOf(())
_PIECE = re.compile(r"%\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][\w-]*\Z")


@dataclass(frozen=True, slots=True)
class _Defined:
    """A named condition, the fields and groups it knows, and how many conditions it comes to."""

    condition: Condition
    names: frozenset[str]
    parts: int


@dataclass(slots=True)
class ConditionReader:
    """Reads conditions of one document; remembers what was defined."""

    document: Document
    _conditions: dict[str, _Defined] = field(default_factory=dict)
    _pieces: dict[str, str] = field(default_factory=dict)
    _parts: int = 0
    _steps: int = 0

    def define(self, node: Node) -> None:
        """Read `define:`."""
        for name, value in self.document.mapping(node, "define").items():
            if not _NAME.match(name):
                self.document.fault(value, f"{name!r} cannot be a name: letters, digits, - and _ are allowed")
            elif isinstance(value, ScalarNode):
                self._pieces[name] = self._piece(value)
            else:
                names: set[str] = set()
                condition = self.read(value, name, names)
                self._conditions[name] = _Defined(condition, frozenset(names), self._parts)

    def _piece(self, node: Node) -> str:
        """Read a piece of a pattern; it must be a pattern by itself."""
        source = self._unfold(node, self.document.text(node, "a piece of a pattern") or "")
        if len(source) > _MAX_PIECE:
            self.document.fault(node, f"a piece of a pattern may come to {_MAX_PIECE} characters at most")
            return ""
        self._pattern(node, source, set())
        return source

    def read(self, node: Node, what: str, names: set[str]) -> Condition:
        """Read a whole condition; the fields and groups that it knows are added to `names`."""
        self._parts = 0
        return self._mapping(node, what, names)

    def _mapping(self, node: Node, what: str, names: set[str]) -> Condition:
        if not self._affords(node, 1):
            return _NOTHING
        parts: list[Condition] = []
        before = self.document.faults
        entries = self.document.mapping(node, what)
        if not entries and self.document.faults == before:
            self.document.fault(node, f"{what} holds no condition: it would match every line")
        for key, value in entries.items():
            if key == "use":
                parts.append(self._use(value, names))
            elif key in COMBINATIONS:
                parts.append(self._combination(key, value, names))
            else:
                parts.append(self._field_test(key, value, names))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _affords(self, node: Node, parts: int) -> bool:
        self._parts += parts
        if self._parts > _MAX_PARTS:
            self.document.fault(node, f"this comes to more than {_MAX_PARTS} conditions: make several rules of it")
        return self._parts <= _MAX_PARTS

    def _combination(self, key: str, node: Node, names: set[str]) -> Condition:
        if key == "not":
            return Not(self._mapping(node, "not", set(names)))
        before = self.document.faults
        parts = tuple([self._mapping(item, f"a part of {key}", names) for item in self.document.items(node, key)])
        if not parts and self.document.faults == before:
            self.document.fault(node, f"{key} holds no condition")
        return AllOf(parts) if key == "all" else AnyOf(parts)

    def _use(self, node: Node, names: set[str]) -> Condition:
        parts = []
        for name in self.document.one_or_many(node, lambda item: self.document.text(item, "use")):
            found = self._conditions.get(name)
            if found is None:
                hint = self.document.nearest(name, self._conditions) or ": define it above"
                self.document.fault(node, f"use names the unknown condition {name!r}{hint}")
            elif self._affords(node, found.parts):
                names |= found.names
                parts.append(found.condition)
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _field_test(self, key: str, node: Node, names: set[str]) -> Condition:
        document = self.document
        if not self._affords(node, 1):
            return _NOTHING
        name, *modifiers = key.split("|")
        names.add(name)
        for modifier in modifiers:
            if modifier not in MODIFIERS:
                document.fault(node, f"unknown modifier {modifier!r} in {key!r}{document.nearest(modifier, MODIFIERS)}")
        comparisons = [modifier for modifier in modifiers if modifier in MODIFIERS and modifier != "cased"]
        if len(comparisons) > 1:
            document.fault(node, f"{key!r} compares in {len(comparisons)} ways: one is allowed")
        comparison = comparisons[0] if comparisons else "is"
        if not name:
            document.fault(node, f"{key!r} names no field")
        if comparison == "exists":
            exists = document.boolean(node, f"{name}|exists")
            return FieldTest(name, comparison, ("true" if exists else "false",))
        texts = self._texts(node, key, comparison)
        if comparison == "re":
            return FieldTest(name, comparison, self._patterns(node, texts, names))
        if comparison in NUMERIC:
            self._require_numbers(node, key, texts)
        return FieldTest(name, comparison, texts, cased="cased" in modifiers)

    def _texts(self, node: Node, key: str, comparison: str) -> tuple[str, ...]:
        texts = self.document.one_or_many(node, lambda item: self.document.text(item, key))
        if not texts:
            self.document.fault(node, f"{key!r} is compared with nothing")
        if len(texts) > _MAX_VALUES:
            self.document.fault(node, f"{key!r} is compared with more than {_MAX_VALUES} values")
            return ()
        if comparison in _PARTS and "" in texts:
            self.document.fault(node, f"{key!r} asks for nothing: it would match every line")
        return texts

    def _require_numbers(self, node: Node, key: str, texts: Iterable[str]) -> None:
        for text in texts:
            if as_number(text) is None:
                self.document.fault(node, f"{key!r} compares numbers, and {text!r} is none")

    def _patterns(self, node: Node, sources: tuple[str, ...], names: set[str]) -> tuple[Pattern, ...]:
        read = (self._pattern(node, self._unfold(node, source), names) for source in sources)
        return tuple(pattern for pattern in read if pattern is not None)

    def _pattern(self, node: Node, source: str, names: set[str]) -> Pattern | None:
        if self.document.is_full or self._steps > _MAX_STEPS:
            return None  # what is refused anyway is not worth the time that large patterns take
        try:
            pattern = Pattern(source)
        except PatternError as error:
            self.document.fault(node, f"bad pattern {_short(source)!r}: {error}")
            return None
        names.update(pattern.groups)
        self._steps += pattern.steps
        if self._steps > _MAX_STEPS:
            self.document.fault(
                node, f"the patterns of this file come to more than {_MAX_STEPS} steps: they are too large"
            )
        return pattern

    def _unfold(self, node: Node, source: str) -> str:
        """Put the pieces that were defined into a pattern."""
        if len(source) > MAX_SOURCE:
            return source  # it is refused as it is

        def piece(found: re.Match[str]) -> str:
            if found[1] not in self._pieces:
                hint = self.document.nearest(found[1], self._pieces) or ": define it above"
                self.document.fault(node, f"the pattern names the unknown piece %{{{found[1]}}}{hint}")
            return f"(?:{self._pieces.get(found[1], '')})"

        return _PIECE.sub(piece, source)


def path_test(globs: Iterable[str]) -> FieldTest:
    """Make the test of a source's path, or of its end: `*` stops at `/`, `**` does not. Raises `PatternError`."""
    return FieldTest("source", "re", tuple(Pattern(f"(?s)(?:^|/){_glob(g.lstrip('/'), '[^/]')}$") for g in globs))


def job_test(globs: Iterable[str]) -> FieldTest:
    """Make the test of a job's name: `*` stands for any letters. Raises `PatternError`."""
    return FieldTest("job", "re", tuple(Pattern(f"(?s)^{_glob(glob, '.')}$") for glob in globs))


def _glob(glob: str, letter: str) -> str:
    words = {"**": ".*", "*": f"{letter}*", "?": letter}
    return "".join(words.get(part) or literal(part) for part in re.split(r"(\*\*|[*?])", glob))


def _short(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
