"""Read rule files and merge them: shipped packs first, the user's files over them.

A file is one pack. Where a user's pack has the name of a shipped one, its rules take the place of those with the
same id, or switch them off (`enabled: false`); its other rules are asked before all shipped ones. A broken file is
left out whole and every fault in it is told, so that the sound files go on working.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from borgwatch.matching.conditions import (
    BUILT_IN_FIELDS,
    COMPARISONS,
    NUMERIC,
    AllOf,
    AnyOf,
    Condition,
    FieldTest,
    Not,
    as_number,
)
from borgwatch.matching.patterns import Pattern, PatternError
from borgwatch.matching.rules import Pack, Rule, Sample
from borgwatch.matching.templates import Template, TemplateError
from borgwatch.model import EVENT_NAMES, OPERATIONS, FieldValue, Level, Outcome, Phase
from borgwatch.yamltree import Document, Node, nearest

__all__ = ["RuleSet", "load_rules", "parse_pack", "shipped_rules_dir"]

SCHEMA_VERSION = "1"
SUFFIXES = (".yaml", ".yml")
_PACK_KEYS = ("schema", "pack", "description", "rules")
_RULE_KEYS = (
    "id", "description", "match", "run", "emit", "operation", "outcome", "set", "level", "title", "message", "next",
    "weight", "enabled", "samples",
)  # fmt: skip
_SAMPLE_KEYS = ("line", "lines", "hits", "event")
_EVENT_KEYS = ("name", "level", "title", "message", "fields")
_COMBINATIONS = ("all", "any", "not")
_MODIFIERS = (*COMPARISONS, "re", "exists", *NUMERIC, "cased")
_PHASES = ("start", "detail", "end")
_OUTCOMES = tuple(outcome.value for outcome in (Outcome.SUCCESS, Outcome.WARNING, Outcome.FAILURE, Outcome.SKIPPED))
_OPERATIONS_OF_RULES = (*OPERATIONS, "info", "init", "list", "other", "all")
_MAX_WEIGHT = 99


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules in the order in which they are asked, the packs they come from, and what was wrong with files."""

    rules: tuple[Rule, ...]
    packs: tuple[Pack, ...]
    problems: tuple[str, ...] = ()


def shipped_rules_dir() -> Path:
    """Find the packs that come with borgwatch: inside the installed package, or in the checkout beside it."""
    packaged = Path(str(resources.files("borgwatch"))) / "packs"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "rules"


def load_rules(user_dirs: Iterable[Path] = (), *, shipped: Path | None = None) -> RuleSet:
    """Load the shipped packs and the rule files in `user_dirs`; a directory that is not there holds none."""
    problems: list[str] = []
    shipped_packs = _load_dir(shipped or shipped_rules_dir(), problems, shipped=True)
    user_packs = [pack for directory in user_dirs for pack in _load_dir(directory, problems, shipped=False)]
    return RuleSet(_merge(shipped_packs, user_packs), (*shipped_packs, *user_packs), tuple(problems))


def _load_dir(directory: Path, problems: list[str], *, shipped: bool) -> list[Pack]:
    try:
        files = sorted(path for path in directory.iterdir() if path.suffix in SUFFIXES and path.is_file())
    except FileNotFoundError:
        files = []
    except OSError as error:
        problems.append(f"{directory}:1:1: rules cannot be read: {error.strerror}")
        files = []
    packs = []
    for path in files:
        document = Document.load(path)
        pack = _pack(document)
        problems.extend(document.in_order())
        if pack is not None and not document.problems:
            packs.append(replace(pack, shipped=shipped))
    return packs


def _merge(shipped: list[Pack], user: list[Pack]) -> tuple[Rule, ...]:
    replaced = {rule.id: rule for pack in user for rule in pack.rules}
    disabled = {rule_id for pack in user for rule_id in pack.disabled} - set(replaced)
    shipped_ids = {rule.id for pack in shipped for rule in pack.rules}
    own = tuple(rule for rule_id, rule in replaced.items() if rule_id not in shipped_ids)
    rest = tuple(replaced.get(rule.id, rule) for pack in shipped for rule in pack.rules if rule.id not in disabled)
    return own + rest


def parse_pack(text: str, name: str) -> tuple[Pack | None, list[str]]:
    """Read one pack from text; returns it with the problems found (the pack is whole only if there are none)."""
    document = Document.parse(text, name)
    return _pack(document), document.problems


def _pack(document: Document) -> Pack | None:
    if document.root is None:
        if not document.problems:
            document.fault(None, "the file is empty: a rule file holds schema, pack and rules")
        return None
    entries = document.mapping(document.root, "a rule file", _PACK_KEYS)
    _require(document, document.root, entries, ("schema", "pack", "rules"), "a rule file")
    if "schema" in entries and document.text(entries["schema"], "schema") != SCHEMA_VERSION:
        document.fault(entries["schema"], f"this borgwatch reads schema: {SCHEMA_VERSION}")
    name = document.text(entries["pack"], "pack") if "pack" in entries else None
    reader = _PackReader(document, name or "?")
    for node in document.items(entries["rules"], "rules") if "rules" in entries else ():
        reader.read(node)
    return Pack(name or "?", _place(document, document.root), tuple(reader.rules), frozenset(reader.disabled))


@dataclass(slots=True)
class _PackReader:
    """Reads the rules of one pack, one after the other."""

    document: Document
    pack: str
    rules: list[Rule] = field(default_factory=list)
    disabled: list[str] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set)

    def read(self, node: Node) -> None:
        """Read one rule; it is kept if nothing is wrong with it."""
        document, before = self.document, len(self.document.problems)
        entries = document.mapping(node, "a rule", _RULE_KEYS)
        _require(document, node, entries, ("id",), "a rule")
        if "id" not in entries:
            return
        rule_id = f"{self.pack}.{document.text(entries['id'], 'id')}"
        if rule_id in self._ids:
            document.fault(entries["id"], f"the id {rule_id!r} stands twice in this file")
        self._ids.add(rule_id)
        enabled = document.boolean(entries["enabled"], "enabled") if "enabled" in entries else True
        if enabled is False:
            self.disabled.append(rule_id)
            return
        rule = self._rule(node, rule_id, entries)
        if rule is not None and len(document.problems) == before:
            self.rules.append(rule)

    def _rule(self, node: Node, rule_id: str, entries: Mapping[str, Node]) -> Rule | None:
        document = self.document
        _require(document, node, entries, ("match",), f"rule {rule_id}")
        names: set[str] = set(BUILT_IN_FIELDS)
        when = _condition(document, entries["match"], "match", names) if "match" in entries else AnyOf(())
        phase, event = self._what_follows(node, rule_id, entries, names)

        def template(key: str) -> Template | None:
            return _template(document, entries[key], key, names) if key in entries else None

        def word(key: str, options: Iterable[str]) -> str | None:
            return document.choice(entries[key], key, tuple(options)) if key in entries else None

        outcome = word("outcome", _OUTCOMES)
        level = word("level", Level.__members__)
        return Rule(
            id=rule_id,
            place=_place(document, node),
            when=when,
            phase=phase,
            operation=word("operation", _OPERATIONS_OF_RULES),
            outcome=Outcome(outcome) if outcome else None,
            event=event,
            level=Level[level] if level else None,
            title=template("title"),
            message=template("message"),
            next_step=template("next"),
            captured=self._captured(entries, names),
            weight=self._weight(entries),
            samples=tuple(self._samples(entries)),
        )

    def _what_follows(
        self, node: Node, rule_id: str, entries: Mapping[str, Node], names: set[str]
    ) -> tuple[Phase, Template | None]:
        document = self.document
        if ("run" in entries) == ("emit" in entries):
            document.fault(node, f"rule {rule_id} must say either run: (start, detail, end) or emit: (an event name)")
            return Phase.DETAIL, None
        if "run" in entries:
            phase = document.choice(entries["run"], "run", _PHASES)
            if phase == "end" and "outcome" not in entries:
                document.fault(entries["run"], f"rule {rule_id} ends a run: it must say its outcome")
            return Phase(phase or "detail"), None
        for key in ("operation", "outcome"):
            if key in entries:
                document.fault(entries[key], f"{key} belongs to run:, an emitted event has it in its name")
        event = _template(document, entries["emit"], "emit", names)
        if event is not None and not event.names and event.source not in EVENT_NAMES:
            document.fault(entries["emit"], f"unknown event {event.source!r}{nearest(event.source, EVENT_NAMES)}")
        return Phase.EVENT, event

    def _captured(self, entries: Mapping[str, Node], names: set[str]) -> dict[str, Template]:
        if "set" not in entries:
            return {}
        read = {
            key: _template(self.document, node, f"set.{key}", names)
            for key, node in self.document.mapping(entries["set"], "set").items()
        }
        return {key: template for key, template in read.items() if template is not None}

    def _weight(self, entries: Mapping[str, Node]) -> int:
        if "weight" not in entries:
            return 0
        weight = self.document.integer(entries["weight"], "weight")
        if weight is not None and abs(weight) > _MAX_WEIGHT:
            self.document.fault(entries["weight"], f"weight must be between -{_MAX_WEIGHT} and {_MAX_WEIGHT}")
        return weight or 0

    def _samples(self, entries: Mapping[str, Node]) -> Iterable[Sample]:
        document = self.document
        for node in document.items(entries["samples"], "samples") if "samples" in entries else ():
            parts = document.mapping(node, "a sample", _SAMPLE_KEYS)
            if ("line" in parts) == ("lines" in parts):
                document.fault(node, "a sample has either line: or lines:")
                continue
            lines = document.one_or_many(
                parts["line"] if "line" in parts else parts["lines"], lambda item: document.text(item, "a line")
            )
            hits = document.boolean(parts["hits"], "hits") if "hits" in parts else True
            event = _expected_event(document, parts["event"]) if "event" in parts else {}
            yield Sample(lines, _place(document, node), hits is not False, event)


def _expected_event(document: Document, node: Node) -> dict[str, FieldValue]:
    """Read what an event must be like; `none` asks that there is none."""
    if getattr(node, "value", None) == "none":
        return {"name": None}
    expected: dict[str, FieldValue] = {}
    for key, value in document.mapping(node, "event (or none)", _EVENT_KEYS).items():
        if key == "fields":
            entries = document.mapping(value, "fields")
            expected.update({f"fields.{name}": document.text(item, name) for name, item in entries.items()})
        else:
            expected[key] = document.text(value, key)
    name = expected.get("name")
    if isinstance(name, str) and name not in EVENT_NAMES:
        document.fault(node, f"unknown event {name!r}{nearest(name, EVENT_NAMES)}")
    return expected


def _condition(document: Document, node: Node, what: str, names: set[str]) -> Condition:
    """Read one mapping of field tests and combinations; the fields and groups it knows are added to `names`."""
    parts: list[Condition] = []
    before = len(document.problems)
    entries = document.mapping(node, what)
    if not entries and len(document.problems) == before:
        document.fault(node, f"{what} holds no condition: it would match every line")
    for key, value in entries.items():
        if key in _COMBINATIONS:
            parts.append(_combination(document, key, value, names))
        else:
            parts.append(_field_test(document, key, value, names))
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _combination(document: Document, key: str, node: Node, names: set[str]) -> Condition:
    if key == "not":
        return Not(_condition(document, node, "not", set(names)))
    before = len(document.problems)
    parts = tuple(_condition(document, item, f"a part of {key}", names) for item in document.items(node, key))
    if not parts and len(document.problems) == before:
        document.fault(node, f"{key} holds no condition")
    return AllOf(parts) if key == "all" else AnyOf(parts)


def _field_test(document: Document, key: str, node: Node, names: set[str]) -> FieldTest:
    name, *modifiers = key.split("|")
    names.add(name)
    for modifier in modifiers:
        if modifier not in _MODIFIERS:
            document.fault(node, f"unknown modifier {modifier!r} in {key!r}{nearest(modifier, _MODIFIERS)}")
    comparisons = [modifier for modifier in modifiers if modifier in _MODIFIERS and modifier != "cased"]
    if len(comparisons) > 1:
        document.fault(node, f"{key!r} compares in {len(comparisons)} ways: one is allowed")
    comparison = comparisons[0] if comparisons else "is"
    if not name:
        document.fault(node, f"{key!r} names no field")
    if comparison == "exists":
        exists = document.boolean(node, f"{name}|exists")
        return FieldTest(name, comparison, ("true" if exists else "false",))
    texts = document.one_or_many(node, lambda item: document.text(item, key))
    if not texts:
        document.fault(node, f"{key!r} is compared with nothing")
    if comparison == "re":
        return FieldTest(name, comparison, _patterns(document, node, texts, names))
    if comparison in NUMERIC:
        _require_numbers(document, node, key, texts)
    return FieldTest(name, comparison, texts, cased="cased" in modifiers)


def _require_numbers(document: Document, node: Node, key: str, texts: Iterable[str]) -> None:
    for text in texts:
        if as_number(text) is None:
            document.fault(node, f"{key!r} compares numbers, and {text!r} is none")


def _patterns(document: Document, node: Node, sources: tuple[str, ...], names: set[str]) -> tuple[Pattern, ...]:
    patterns = []
    for source in sources:
        try:
            pattern = Pattern(source)
        except PatternError as error:
            document.fault(node, f"bad pattern {source!r}: {error}")
        else:
            names.update(pattern.groups)
            patterns.append(pattern)
    return tuple(patterns)


def _template(document: Document, node: Node, what: str, names: set[str]) -> Template | None:
    source = document.text(node, what)
    if source is None:
        return None
    try:
        template = Template.parse(source)
    except TemplateError as error:
        document.fault(node, f"{what}: {error}")
        return None
    for name in template.names:
        if name not in names:
            document.fault(
                node, f"{what} names the unknown field {name!r}{nearest(name, names)}: match it or capture it first"
            )
    return template


def _require(document: Document, node: Node, entries: Mapping[str, Node], keys: tuple[str, ...], what: str) -> None:
    for key in keys:
        if key not in entries:
            document.fault(node, f"{what} must say {key}:")


def _place(document: Document, node: Node) -> str:
    return f"{document.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
