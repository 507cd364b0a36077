"""The JSON Schema of rule files: one truth with the reader, checked with a real validator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from borgwatch.matching.load import parse_pack, shipped_rules_dir
from borgwatch.matching.schema import schema
from tests.process import ROOT

PACKS = sorted(shipped_rules_dir().glob("*.yaml"))
HEAD = "schema: 1\npack: mine\nrules:\n"
RULE = "- {id: r, match: {text: x}, run: detail}"


def values(text: str) -> Any:
    return yaml.safe_load(text)


def faults(text: str) -> list[str]:
    validator = jsonschema_rs.Draft202012Validator(schema(), pattern_options=jsonschema_rs.FancyRegexOptions())
    return [error.message for error in validator.iter_errors(values(text))]


def test_the_schema_is_a_schema() -> None:
    jsonschema_rs.meta.validate(schema())


def test_the_schema_in_the_documents_is_the_one_that_is_printed() -> None:
    """Made with `borgwatch rules schema > docs/rules.schema.json`."""
    assert schema() == json.loads((ROOT / "docs" / "rules.schema.json").read_text())


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.name)
def test_the_shipped_packs_are_valid(path: Path) -> None:
    assert faults(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "schema: 1\npack: mine\n",
        "schema: 2\npack: mine\nrules: []",
        "schema: 1\npack: mine\nrules: []\nruls: []",
        "schema: 1\npack: mine\nrules: {}",
        HEAD + "- {match: {text: x}, run: detail}",
        HEAD + "- {id: r, match: {text: x}}",
        HEAD + "- {id: r, match: {text: x}, run: detail, emit: backup.failure}",
        HEAD + "- {id: r, match: {text: x}, run: finish}",
        HEAD + "- {id: r, match: {text: x}, emit: backup.failur}",
        HEAD + "- {id: r, match: {text: x}, run: detail, mesage: x}",
        HEAD + "- {id: r, match: {}, run: detail}",
        HEAD + "- {id: r, match: x, run: detail}",
        HEAD + "- {id: r, match: {text|startwith: x}, run: detail}",
        HEAD + "- {id: r, match: {text|re|contains: x}, run: detail}",
        HEAD + "- {id: r, match: {'|re': x}, run: detail}",
        HEAD + "- {id: r, match: {n|gt: many}, run: detail}",
        HEAD + "- {id: r, match: {n|exists: 7}, run: detail}",
        HEAD + "- {id: r, match: {any: []}, run: detail}",
        HEAD + "- {id: r, match: {any: {text: x}}, run: detail}",
        HEAD + "- {id: r, match: {not: [{text: x}]}, run: detail}",
        HEAD + "- {id: r, match: {text: {a: b}}, run: detail}",
        HEAD + "- {id: r, match: {text: x}, run: detail, weight: 100}",
        HEAD + "- {id: r, match: {text: x}, run: detail, weight: heavy}",
        HEAD + "- {id: r, match: {text: x}, run: detail, level: SEVERE}",
        HEAD + "- {id: r, match: {text: x}, run: detail, outcome: missed}",
        HEAD + "- {id: r, match: {text: x}, run: detail, enabled: maybe}",
        HEAD + "- {id: r, match: {text: x}, emit: backup.failure, fold: soon}",
        HEAD + "- {id: r, match: {text: x}, run: detail, samples: [{hits: true}]}",
        HEAD + "- {id: r, match: {text: x}, run: detail, samples: [{line: x, event: {name: backup.fail}}]}",
        HEAD + RULE + "\nfor: {sorce: x}",
        HEAD + RULE + "\ndefaults: {id: x}",
        HEAD + RULE + "\nexpect: [{job: nas}]",
        HEAD + RULE + "\nexpect: [{within: 26}]",
    ],
)
def test_what_the_reader_refuses_the_schema_refuses_as_well(text: str) -> None:
    assert parse_pack(text, "mine.yaml")[1]
    assert faults(text)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + RULE,
        HEAD + "- {id: 7, match: {text: 7, n|gt: WARNING, 'x|lte': ['5', 6], any|is: y}, run: detail, weight: '-5'}",
        HEAD + "- {id: r, enabled: false}",
        HEAD + "- {id: r, match: {text: x}}\ndefaults: {run: detail}",
        HEAD + "- {id: r, match: {use: a}, emit: '{text}'}\ndefine: {p: x+, a: {text|re: '%{p}'}}",
        HEAD + RULE + "\nfor: {source: ['*.log', b.txt], job: nas}\nexpect: [{within: 1.5 d, remind: 24h}]",
        HEAD + RULE + "\n- {id: s, extends: r, outcome: failure, cooldown: 6h}",
        HEAD + "- {id: r, match: {text|cased|contains: no, type|exists: no}, run: detail, samples: [{line: on}]}",
    ],
)
def test_what_the_reader_takes_the_schema_takes_as_well(text: str) -> None:
    assert parse_pack(text, "mine.yaml")[1] == []
    assert faults(text) == []


def test_an_editor_finds_what_a_key_is_for() -> None:
    """Descriptions are what makes a completion list readable."""
    made = schema()
    objects = [made, *made["$defs"].values()]
    keys = [shape for it in objects for name, shape in it.get("properties", {}).items() if "|" in name or it is made]
    assert len(keys) > 60
    assert all("description" in shape for shape in keys)
