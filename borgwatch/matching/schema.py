"""The JSON Schema of rule files, made of the tables that the reader itself uses; for editors. Pure.

It can only say less than the reader: that a template names a field that nobody captured, for instance, no schema
can tell. Whatever the reader accepts, the schema accepts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from borgwatch.matching.conditions import BUILT_IN_FIELDS
from borgwatch.matching.vocabulary import (
    COMBINATIONS,
    DEFAULTS,
    EXPECTATION,
    LEVELS,
    MODIFIERS,
    OPERATIONS_OF_RULES,
    PACK,
    RULE,
    SAMPLE,
    SAMPLE_EVENT,
    SCOPE,
    Keys,
    required,
)

__all__ = ["schema"]

_Schema = dict[str, Any]
_SCALAR = {"type": ["string", "number", "boolean", "null"]}
_TEXT_NUMBER = {"type": "string", "pattern": r"^\s*([-+.\d]|[iI][nN][fF]|[nN][aA][nN])"}
_NUMBER = {"anyOf": [{"type": "number"}, {"enum": [*LEVELS, *map(str.lower, LEVELS)]}, _TEXT_NUMBER]}
_CONDITION = {"$ref": "#/$defs/condition"}


def schema() -> _Schema:
    """Make the schema as JSON values."""
    pack = _object(PACK)
    says = [{"required": [key]} for key in ("run", "emit", "extends")] + [{"required": ["enabled"]}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "borgwatch rule file",
        "description": "What lines of Borg's logs mean to borgwatch; see docs/rules.md.",
        **pack,
        "if": {"not": {"required": ["defaults"], "properties": {"defaults": {"required": ["run"]}}}},
        "then": {"properties": {"rules": {"items": {"anyOf": says}}}},
        "$defs": {
            "text": {"description": "Text; what looks like a number or a date is taken as it is written.", **_SCALAR},
            "operation": {"enum": [*OPERATIONS_OF_RULES]},
            "condition": _condition(),
            "for": {**_object(SCOPE), "minProperties": 1},
            "defaults": _object(DEFAULTS),
            "expectation": _object(EXPECTATION),
            "event": _object(SAMPLE_EVENT),
            "sample": {**_object(SAMPLE), "oneOf": [{"required": ["line"]}, {"required": ["lines"]}]},
            "rule": {**_object(RULE), "not": {"required": ["run", "emit"]}},
        },
    }


def _object(keys: Keys) -> _Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required(keys),
        "properties": {name: {"description": _plain(key.meaning), **key.shape} for name, key in keys.items()},
    }


def _plain(meaning: str) -> str:
    return f"{meaning[0].upper()}{meaning[1:]}.".replace("`", "'")


def _condition() -> _Schema:
    parts = {"type": "array", "items": _CONDITION, "minItems": 1}
    shapes: Mapping[str, _Schema] = {"all": parts, "any": parts, "not": _CONDITION, "use": _values(_SCALAR)}
    combinations = {name: {"description": _plain(meaning), **shapes[name]} for name, meaning in COMBINATIONS.items()}
    fields = {
        f"{field}|{modifier}": {"description": _plain(MODIFIERS[modifier])}
        for field in BUILT_IN_FIELDS
        for modifier in MODIFIERS
    }
    comparisons = "|".join(modifier for modifier in MODIFIERS if modifier != "cased")
    name = rf"^[^|]+(\|cased)*(\|({comparisons}))?(\|cased)*$"
    return {
        "type": "object",
        "minProperties": 1,
        "description": "Tests of fields, written 'field|modifier: value'; all must hold.",
        "propertyNames": {"pattern": name},
        "properties": {**combinations, **{field: {} for field in BUILT_IN_FIELDS}, **fields},
        "patternProperties": {
            r"\|exists(\||$)": {"enum": [True, False, "true", "false", "yes", "no", "on", "off"]},
            r"\|[gl]te?(\||$)": _values(_NUMBER),
            rf"^(?!({'|'.join(COMBINATIONS)})$)": _values(_SCALAR),
        },
    }


def _values(item: Mapping[str, Any]) -> _Schema:
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}
