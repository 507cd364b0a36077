"""Read one rule file: a document in, a `Pack` out; every fault is noted in the document with its place. Pure.

What a rule does not say comes from the rule that it `extends`, then from the `defaults:` of its pack. That is put
together as nodes of YAML before anything is read, so it is checked like what was written; faults in what was
inherited are told at `extends:`. Only `match` is inherited as it was read, for it may use what the other file defines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from borgwatch.matching.conditions import BUILT_IN_FIELDS, AllOf, Condition, FieldTest
from borgwatch.matching.patterns import PatternError
from borgwatch.matching.read_conditions import ConditionReader, job_test, path_test
from borgwatch.matching.read_samples import read_samples
from borgwatch.matching.rules import Pack, Rule
from borgwatch.matching.templates import Template, TemplateError
from borgwatch.matching.vocabulary import (
    DEFAULTS,
    LEVELS,
    MAX_WEIGHT,
    OPERATIONS_OF_RULES,
    OUTCOMES,
    PACK,
    PHASES,
    RULE,
    SCHEMA_VERSION,
    SCOPE,
    Keys,
    required,
)
from borgwatch.model import EVENT_NAMES, Level, Outcome, Phase
from borgwatch.policy.expectations import read_expectations
from borgwatch.yamltree import Document, Node, moved_to

__all__ = ["Base", "read_pack"]

_Entries = Mapping[str, Node]
_OWN = ("id", "description", "extends", "match", "enabled", "samples")
"""Keys that no rule inherits (`match` apart, see above)."""
_OFF = frozenset({"id", "description", "enabled"})
"""What switches off a shipped rule; with more, it is a rule by itself, which must be sound although it rests."""
_OF_RUNS = ("run", "operation", "outcome", "weight")
_OF_EVENTS = ("emit", "fold")
_MAX_GLOBS = 100


@dataclass(frozen=True, slots=True)
class Base:
    """A sound rule that others may extend: what was written, the condition it came to, the fields that this knows."""

    entries: _Entries
    when: Condition
    names: frozenset[str]


def read_pack(document: Document, bases: dict[str, Base]) -> Pack | None:
    """Read a file; its sound rules are added to `bases`, which holds those of the files read before, by their ids."""
    if document.root is None:
        if not document.problems:
            document.fault(None, "the file is empty: a rule file holds schema, pack and rules")
        return None
    entries = _mapping(document, document.root, "a rule file", PACK)
    if "schema" in entries and document.text(entries["schema"], "schema") != SCHEMA_VERSION:
        document.fault(entries["schema"], f"this borgwatch reads schema: {SCHEMA_VERSION}")
    name = _name(document, entries["pack"], "pack") if "pack" in entries else None
    reader = _PackReader(document, name or "?", bases)
    if "define" in entries:
        reader.conditions.define(entries["define"])
    if "for" in entries:
        reader.read_scope(entries["for"])
    if "defaults" in entries:
        reader.defaults = _mapping(document, entries["defaults"], "defaults", DEFAULTS)
        reader.check_defaults()
    for node in document.items(entries["rules"], "rules") if "rules" in entries else ():
        reader.read(node)
    return Pack(
        name or "?",
        document.place(document.root),
        tuple(reader.rules),
        reader.disabled,
        read_expectations(document, entries["expect"]) if "expect" in entries else (),
    )


def _mapping(document: Document, node: Node, what: str, keys: Keys) -> _Entries:
    entries = document.mapping(node, what, tuple(keys))
    document.require(node, entries, required(keys), what)
    return entries


def _name(document: Document, node: Node, what: str) -> str | None:
    """Read a name that can be shown on one line."""
    name = document.text(node, what)
    if name is not None and not (name.strip() and name.isprintable()):
        document.fault(node, f"{what} must be a name, not {name!r}")
    return name


def _without_contradiction(entries: _Entries, layer: _Entries) -> dict[str, Node]:
    """Add what `layer` says to `entries`, but nothing of runs to what emits, and nothing of events to what runs."""
    unfit = _OF_RUNS if "emit" in entries else _OF_EVENTS if "run" in entries else ()
    return {**{key: node for key, node in layer.items() if key not in unfit}, **entries}


@dataclass(slots=True)
class _PackReader:
    """Reads the rules of one pack, one after the other."""

    document: Document
    pack: str
    bases: dict[str, Base]
    rules: list[Rule] = field(default_factory=list)
    disabled: dict[str, str] = field(default_factory=dict)
    defaults: _Entries = field(default_factory=dict)
    conditions: ConditionReader = field(init=False)
    _scope: tuple[FieldTest, ...] = ()
    _ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.conditions = ConditionReader(self.document)

    def read_scope(self, node: Node) -> None:
        """Read `for:`, which every rule of the pack must meet as well."""
        document, before = self.document, self.document.faults
        entries = _mapping(document, node, "for", SCOPE)
        if not entries and document.faults == before:
            document.fault(node, "for must say source: or job:")
        tests = []
        for key, make in (("source", path_test), ("job", job_test)):
            if key not in entries:
                continue
            globs = document.one_or_many(entries[key], partial(document.text, what=f"for.{key}"))
            if not all(globs) or not globs:
                document.fault(entries[key], f"for.{key} names nothing")
            if len(globs) > _MAX_GLOBS:
                document.fault(entries[key], f"for.{key} names more than {_MAX_GLOBS}")
                continue
            try:
                tests.append(make(globs))
            except PatternError as error:
                document.fault(entries[key], f"for.{key}: {error}")
        self._scope = tuple(tests)

    def check_defaults(self) -> None:
        """Read the defaults once, so that faults in them are told even if every rule says something else."""
        if "emit" not in self.defaults:
            self._of_run(self.defaults)
        self._of_both(self.defaults, set(), quiet=True)
        self._span(self.defaults, "fold")

    def read(self, node: Node) -> None:
        """Read one rule; it is kept if nothing is wrong with it."""
        document, before = self.document, self.document.faults
        own = _mapping(document, node, "a rule", RULE)
        if "id" not in own:
            return
        rule_id = f"{self.pack}.{_name(document, own['id'], 'id')}"
        if rule_id in self._ids:
            document.fault(own["id"], f"the id {rule_id!r} stands twice in this file")
        self._ids.add(rule_id)
        enabled = document.boolean(own["enabled"], "enabled") if "enabled" in own else True
        if enabled is False and own.keys() <= _OFF:
            self.disabled[rule_id] = document.place(own["id"])
            return
        base = self._base(own["extends"]) if "extends" in own else None
        inherited = {key: item for key, item in base.entries.items() if key not in _OWN} if base else {}
        if "extends" in own:
            inherited = {key: moved_to(item, own["extends"]) for key, item in inherited.items()}
        entries = _without_contradiction(_without_contradiction(own, inherited), self.defaults)
        names = {*BUILT_IN_FIELDS}
        when = self._when(node, rule_id, own, base, names)
        rule = self._rule(node, rule_id, entries, self._in_scope(when), names)
        if document.faults == before and enabled is False:  # a rule of the user's own that rests, or
            if rule_id in self.bases:  # one of the shipped ones, with all that it says
                self.disabled[rule_id] = document.place(own["id"])
        elif document.faults == before:
            self.rules.append(rule)
            self.bases[rule_id] = Base(entries, when, frozenset(names))

    def _base(self, node: Node) -> Base | None:
        name = self.document.text(node, "extends") or ""
        base = self.bases.get(f"{self.pack}.{name}") or self.bases.get(name)
        if base is None:
            hint = "" if self.document.is_full else self.document.nearest(name, self._ids_to_extend())
            self.document.fault(node, f"extends names {name!r}, and there is no sound rule of this id above{hint}")
        return base

    def _ids_to_extend(self) -> list[str]:
        own = f"{self.pack}."
        return [*(key.removeprefix(own) for key in self.bases if key.startswith(own)), *self.bases]

    def _when(self, node: Node, rule_id: str, own: _Entries, base: Base | None, names: set[str]) -> Condition:
        """Read `match`, or inherit it."""
        if "match" in own:
            return self.conditions.read(own["match"], "match", names)
        if base is not None:
            names |= base.names
            return base.when
        if "extends" not in own:
            self.document.fault(node, f"rule {rule_id} must say match:")
        return AllOf(())

    def _in_scope(self, when: Condition) -> Condition:
        """Let the pack's `for` be asked first."""
        if not self._scope:
            return when
        return AllOf((*self._scope, *(when.parts if isinstance(when, AllOf) else (when,))))

    def _rule(self, node: Node, rule_id: str, entries: _Entries, when: Condition, names: set[str]) -> Rule:
        document = self.document
        phase, event = self._what_follows(node, rule_id, entries, names)
        operation, outcome, weight = self._of_run(entries) if phase is not Phase.EVENT else (None, None, 0)
        level, next_step, cooldown = self._of_both(entries, names)
        return Rule(
            id=rule_id,
            place=document.place(node),
            when=when,
            phase=phase,
            operation=operation,
            outcome=outcome,
            event=event,
            level=level,
            title=self._template(entries, "title", names),
            message=self._template(entries, "message", names),
            next_step=next_step,
            captured=self._captured(entries, names),
            weight=weight,
            cooldown=cooldown,
            fold=self._span(entries, "fold"),
            samples=tuple(read_samples(document, entries["samples"])) if "samples" in entries else (),
        )

    def _what_follows(
        self, node: Node, rule_id: str, entries: _Entries, names: set[str]
    ) -> tuple[Phase, Template | None]:
        document = self.document
        if ("run" in entries) == ("emit" in entries):
            if "extends" in entries and "run" not in entries:
                return Phase.DETAIL, None  # what it extends is not there, which has been told
            document.fault(node, f"rule {rule_id} must say either run: (start, detail, end) or emit: (an event name)")
            return Phase.DETAIL, None
        if "run" in entries:
            phase = document.choice(entries["run"], "run", PHASES)
            if phase == "end" and "outcome" not in entries:
                document.fault(entries["run"], f"rule {rule_id} ends a run: it must say its outcome")
            if "fold" in entries:
                document.fault(entries["fold"], "fold belongs to emit:, lines of a run make one event anyway")
            return Phase(phase or "detail"), None
        for key in ("operation", "outcome"):
            if key in entries:
                document.fault(entries[key], f"{key} belongs to run:, an emitted event has it in its name")
        if "weight" in entries:
            document.fault(
                entries["weight"], "weight belongs to run:, an emitted event has nothing to be weighed against"
            )
        event = self._template(entries, "emit", names)
        if event is not None and not event.names and event.source not in EVENT_NAMES:
            hint = document.nearest(event.source, EVENT_NAMES)
            document.fault(entries["emit"], f"unknown event {event.source!r}{hint}")
        return Phase.EVENT, event

    def _of_run(self, entries: _Entries) -> tuple[str | None, Outcome | None, int]:
        """Read what only rules that speak of a run say."""
        outcome = self._word(entries, "outcome", OUTCOMES)
        self._word(entries, "run", PHASES)
        weight = self.document.integer(entries["weight"], "weight") if "weight" in entries else None
        if weight is not None and abs(weight) > MAX_WEIGHT:
            self.document.fault(entries["weight"], f"weight must be between -{MAX_WEIGHT} and {MAX_WEIGHT}")
        return (
            self._word(entries, "operation", OPERATIONS_OF_RULES),
            Outcome(outcome) if outcome else None,
            weight or 0,
        )

    def _of_both(
        self, entries: _Entries, names: set[str], *, quiet: bool = False
    ) -> tuple[Level | None, Template | None, timedelta | None]:
        """Read what runs and events have in common; `quiet` where it is not yet known which fields there are."""
        level = self._word(entries, "level", LEVELS)
        next_step = None if quiet else self._template(entries, "next", names)
        return Level[level] if level else None, next_step, self._span(entries, "cooldown")

    def _span(self, entries: _Entries, key: str) -> timedelta | None:
        return self.document.span(entries[key], key) if key in entries else None

    def _word(self, entries: _Entries, key: str, options: Iterable[str]) -> str | None:
        return self.document.choice(entries[key], key, tuple(options)) if key in entries else None

    def _captured(self, entries: _Entries, names: set[str]) -> dict[str, Template]:
        if "set" not in entries:
            return {}
        nodes = self.document.mapping(entries["set"], "set")
        read = {key: _template(self.document, node, f"set.{key}", names) for key, node in nodes.items()}
        return {key: template for key, template in read.items() if template is not None}

    def _template(self, entries: _Entries, key: str, names: set[str]) -> Template | None:
        return _template(self.document, entries[key], key, names) if key in entries else None


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
            hint = document.nearest(name, names)
            document.fault(node, f"{what} names the unknown field {name!r}{hint}: match it or capture it first")
    return template
