"""The words of the rule language: every key, what it means and what may stand behind it. Tables only.

The reader of rule files takes the known keys and words from here, `schema.py` makes the JSON Schema of them, and a
test holds the tables of docs/rules.md against them. So the three cannot come apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from borgwatch.matching.conditions import COMPARISONS, NUMERIC
from borgwatch.model import EVENT_NAMES, OPERATIONS, Level, Outcome
from borgwatch.spans import SPAN_PATTERN

__all__ = [
    "COMBINATIONS",
    "DEFAULTS",
    "EXPECTATION",
    "LEVELS",
    "MAX_WEIGHT",
    "MODIFIERS",
    "NEVER",
    "OPERATIONS_OF_RULES",
    "OUTCOMES",
    "PACK",
    "PHASES",
    "RULE",
    "SAMPLE",
    "SAMPLE_EVENT",
    "SCHEMA_VERSION",
    "SCOPE",
    "Key",
    "Keys",
    "required",
]

SCHEMA_VERSION = "1"
PHASES = ("start", "detail", "end")
OUTCOMES = tuple(outcome.value for outcome in (Outcome.SUCCESS, Outcome.WARNING, Outcome.FAILURE, Outcome.SKIPPED))
OPERATIONS_OF_RULES = (*OPERATIONS, "info", "init", "list", "other", "all")
LEVELS = tuple(Level.__members__)
MAX_WEIGHT = 99
NEVER = "never"
"""What stands in place of a span where nothing is waited for."""

MODIFIERS: Mapping[str, str] = {
    "is": "the whole value; what holds where no modifier says otherwise",
    "in": "the same, for lists",
    "startswith": "the beginning",
    "endswith": "the end",
    "contains": "any part",
    "re": "a regular expression (RE2), searched for anywhere; it minds upper and lower case",
    "exists": "whether there is such a field: true or false",
    "gt": "a number greater than this; the names of levels count as numbers",
    "gte": "greater or equal",
    "lt": "less than",
    "lte": "less or equal",
    "cased": "beside another one: mind upper and lower case",
}
"""What may stand behind `|` in the name of a field."""

COMBINATIONS: Mapping[str, str] = {
    "all": "a list of conditions that must all hold",
    "any": "a list of conditions of which one must hold",
    "not": "a condition that must not hold",
    "use": "the name of a condition from define; of a list of names, one must hold",
}
"""Keys of a condition that are no fields; to ask for a field of such a name, write `all|is`."""

if {"re", "exists", "cased", *COMPARISONS, *NUMERIC} != set(MODIFIERS):
    raise AssertionError("the modifiers that are told differ from those that are there")


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a mapping: what it means, and what may stand behind it as a piece of JSON Schema."""

    meaning: str
    shape: Mapping[str, Any]
    required: bool = False


Keys = Mapping[str, Key]


def required(keys: Keys) -> list[str]:
    """List the keys that must be there."""
    return [name for name, key in keys.items() if key.required]


def _ref(name: str) -> Mapping[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def _many(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """One, or a list of them."""
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}


def _list_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"type": "array", "items": item}


_TEXT = _ref("text")
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_SPAN = {"type": "string", "pattern": SPAN_PATTERN}
_BOOLEAN = {"enum": [True, False, "true", "false", "yes", "no", "on", "off"]}
_WEIGHT = {
    "anyOf": [
        {"type": "integer", "minimum": -MAX_WEIGHT, "maximum": MAX_WEIGHT},
        {"type": "string", "pattern": "^-?[0-9]+$"},
    ]
}
_EVENT = {"anyOf": [{"enum": sorted(EVENT_NAMES)}, {"type": "string", "pattern": r"\{.*\}"}]}

RULE: Keys = {
    "id": Key("its name within the pack", _TEXT, required=True),
    "description": Key("what it is there for; for people", _TEXT),
    "extends": Key("a rule whose keys hold where this one says nothing: an `id` above, or `pack.id`", _TEXT),
    "match": Key("the condition that a line must meet", _ref("condition")),
    "run": Key("the place in a run that the line stands for", {"enum": [*PHASES]}),
    "emit": Key("or: the finished event that the line tells of; may be a template", _EVENT),
    "operation": Key("with `run`: what Borg was doing; left out where the line does not tell", _ref("operation")),
    "outcome": Key("with `run`: how it went, as far as this line tells", {"enum": [*OUTCOMES]}),
    "weight": Key(
        "with `run`: above 0, the outcome stands even if the closing line is milder; the heavier line is the message",
        _WEIGHT,
    ),
    "set": Key("fields of the run or event: a name and a template each", _TEXTS),
    "level": Key("how much it matters; else the outcome decides", {"enum": [*LEVELS]}),
    "title": Key("a template for the title; else the event's name in words", _TEXT),
    "message": Key("a template for the message; else the line itself", _TEXT),
    "next": Key("a template for what the user may do about it", _TEXT),
    "cooldown": Key("after it was told, the same event of the same job is told again only after this span", _SPAN),
    "fold": Key("with `emit`: repeated events within this span become one, with their count", _SPAN),
    "enabled": Key("`false` switches off the shipped rule of this pack and id, or this rule", _BOOLEAN),
    "samples": Key("lines, and what must come of them", _list_of(_ref("sample"))),
}  # fmt: skip
"""The keys of a rule."""

DEFAULTS: Keys = {
    name: RULE[name] for name in ("run", "operation", "outcome", "weight", "level", "next", "cooldown", "fold")
}
"""The keys that a pack can say once for all its rules."""

SCOPE: Keys = {
    "source": Key("file names or ends of paths; `*` within a name, `**` over directories", _many(_TEXT)),
    "job": Key("names of jobs; `*` for any letters", _many(_TEXT)),
}
"""The keys of `for`."""

EXPECTATION: Keys = {
    "job": Key("the job; `*` for any letters, every job by default", _TEXT),
    "operation": Key("the operation; `backup` by default", {"enum": [*OPERATIONS]}),
    "within": Key(
        "how long after a success the next one may take; `never`: it is not waited for",
        {"anyOf": [_SPAN, {"const": NEVER}]},
        required=True,
    ),
    "remind": Key("after this span, tell again that it is still missing", _SPAN),
}
"""The keys of an item of `expect`."""

SAMPLE: Keys = {
    "line": Key("one line", _TEXT),
    "lines": Key("or a few: a list, or a block of text", _many(_TEXT)),
    "hits": Key("`false` where the rule must keep silent", _BOOLEAN),
    "event": Key("what the last event must be like, or `none`", {"anyOf": [{"const": "none"}, _ref("event")]}),
    "source": Key("the file that the lines stand in; `sample` by default", _TEXT),
    "job": Key("the job that they belong to; `sample` by default", _TEXT),
}
"""The keys of a sample."""

SAMPLE_EVENT: Keys = {
    "name": Key("its name", {"enum": sorted(EVENT_NAMES)}),
    "level": Key("its level", {"enum": [*LEVELS]}),
    "title": Key("its title", _TEXT),
    "message": Key("its message", _TEXT),
    "fields": Key("some of its fields", _TEXTS),
}
"""What can be asked of an event."""

PACK: Keys = {
    "schema": Key("the version of the rule language: 1", {"enum": [1, "1"]}, required=True),
    "pack": Key("the name of the pack; the same as a shipped one to change its rules", _TEXT, required=True),
    "description": Key("what it is about; for people", _TEXT),
    "for": Key("which sources and jobs the rules of this pack are asked for; all by default", _ref("for")),
    "define": Key(
        "names for conditions (`use: name`) and for pieces of patterns (`%{name}`)",
        {"type": "object", "additionalProperties": {"anyOf": [_TEXT, _ref("condition")]}},
    ),
    "defaults": Key("what holds for each rule that says nothing else", _ref("defaults")),
    "expect": Key("the dead-man's switch: what must succeed how often", _list_of(_ref("expectation"))),
    "rules": Key("the rules, in the order in which they are asked", _list_of(_ref("rule")), required=True),
}  # fmt: skip
"""The keys of a rule file."""
