"""Rule files and log lines that nobody would write: whatever comes in, faults are told and nothing breaks.

`HYPOTHESIS_PROFILE=long pytest tests/fuzz` tries a hundred times as many.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from borgwatch.decode import decode
from borgwatch.matching.explain import near_misses
from borgwatch.matching.load import parse_pack, shipped_rules_dir
from borgwatch.matching.matcher import Matcher
from borgwatch.matching.schema import schema
from borgwatch.matching.vocabulary import (
    COMBINATIONS,
    DEFAULTS,
    EXPECTATION,
    MODIFIERS,
    OPERATIONS_OF_RULES,
    OUTCOMES,
    PACK,
    PHASES,
    RULE,
    SAMPLE,
    SAMPLE_EVENT,
    SCOPE,
)
from borgwatch.model import EVENT_NAMES, Level, Line, Position
from borgwatch.samples import judge_lines

EXAMPLES = 60 * (100 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 1)
FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PLACE = re.compile(r"(?s)fuzz\.yaml:[1-9][0-9]*:[1-9][0-9]*: .+\Z")
SHIPPED = [path.read_text() for path in sorted(shipped_rules_dir().glob("*.yaml"))]
VALIDATOR = jsonschema_rs.Draft202012Validator(schema(), pattern_options=jsonschema_rs.FancyRegexOptions())
READ_AT = datetime(2026, 11, 23, tzinfo=UTC)

WORDS = sorted(
    {
        *COMBINATIONS, *DEFAULTS, *EXPECTATION, *OPERATIONS_OF_RULES, *OUTCOMES, *PACK, *PHASES, *RULE, *SAMPLE,
        *SAMPLE_EVENT, *SCOPE, *EVENT_NAMES, *Level.__members__, "text", "level|gte", "n", "none", "26h", "a", "mine",
        *(f"text|{modifier}" for modifier in MODIFIERS), "{text}", "{a|int}", "(?P<a>x+)", "%{a}", "true", "*", "**/x",
    }
)  # fmt: skip
SCALARS = st.one_of(
    st.sampled_from(WORDS), st.integers(-100, 100), st.booleans(), st.none(), st.floats(), st.text(max_size=20)
)
KEYS = st.sampled_from(WORDS) | st.text(max_size=8)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=30,
)
TESTS = st.dictionaries(
    st.sampled_from(["text", "n", *(f"text|{modifier}" for modifier in MODIFIERS)]), SCALARS, min_size=1, max_size=3
)


def _combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, min_size=1, max_size=3)
    return st.fixed_dictionaries({}, optional={"any": lists, "all": lists, "not": inner, "use": st.just("a")})


CONDITIONS = st.recursive(TESTS, _combined, max_leaves=6)
FITTING: dict[str, st.SearchStrategy[Any]] = {
    "run": st.sampled_from(PHASES),
    "operation": st.sampled_from(OPERATIONS_OF_RULES),
    "outcome": st.sampled_from(OUTCOMES),
    "level": st.sampled_from([*Level.__members__]),
    "weight": st.integers(-99, 99),
    "cooldown": st.sampled_from(["6h", "1.5 d"]),
    "title": st.sampled_from(["{text}", "x", "{job|int}"]),
    "samples": st.lists(st.fixed_dictionaries({"line": st.text(max_size=10) | st.integers()}), max_size=2),
}
"""What fits behind a key, so that some files are right."""


def check(text: str) -> None:
    """Load a rule file, and if nothing is wrong with it, judge lines by it."""
    pack, problems = parse_pack(text, "fuzz.yaml")
    assert all(PLACE.match(problem) for problem in problems), problems
    if problems or pack is None:
        assert problems
        return
    matcher = Matcher(pack.rules)
    lines = [line for rule in pack.rules for sample in rule.samples for line in sample.lines]
    judge_lines([*lines[:20], "x", '{"text": "x", "n": 7, "a": "26h"}'], matcher)
    near_misses(pack.rules, decode(Line("log", b"x", Position(0, 0, 1), READ_AT), "nas"))


@FUZZ
@given(TREES)
def test_any_tree_is_told_to_be_wrong_or_works(tree: Any) -> None:
    check(yaml.safe_dump(tree, allow_unicode=True))


def _rules(shapes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Make files that are nearly right, of the keys of the language."""

    def some(keys: Iterable[str]) -> st.SearchStrategy[Any]:
        return st.dictionaries(st.sampled_from(sorted(keys)), shapes, max_size=3)

    def rule(match: Any, name: str, fitting: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
        return {"match": match, "id": name, "run": "detail", **fitting, **more}

    def file(rules: Any, match: Any, more: dict[str, Any]) -> dict[str, Any]:
        return {"schema": 1, "pack": "mine", "define": {"a": match}, "rules": rules, **more}

    fitting = st.fixed_dictionaries({}, optional=FITTING)
    nothing: st.SearchStrategy[dict[str, Any]] = st.just({})
    others = st.one_of(nothing, nothing, some(RULE))
    rules = st.lists(st.builds(rule, CONDITIONS, st.sampled_from("abc"), fitting, others), max_size=2)
    parts = st.dictionaries(
        st.sampled_from(["for", "defaults", "expect", "define"]), some([*DEFAULTS, *SCOPE]), max_size=1
    )
    return st.builds(file, rules, CONDITIONS, st.one_of(nothing, parts))


@FUZZ
@given(_rules(TREES))
def test_what_is_nearly_a_rule_file_is_told_to_be_wrong_or_works(tree: Any) -> None:
    check(yaml.safe_dump(tree, allow_unicode=True))


@FUZZ
@given(_rules(SCALARS))
def test_whatever_the_reader_takes_the_schema_takes(tree: Any) -> None:
    text = yaml.safe_dump(tree, allow_unicode=True)
    if not parse_pack(text, "fuzz.yaml")[1]:
        assert [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))] == []


@st.composite
def _mutated(draw: st.DrawFn) -> str:
    """Take a shipped pack and change lines of it, as a careless hand would."""
    head, *rules = re.split(r"(?m)^(?=  - id:)", draw(st.sampled_from(SHIPPED)))
    start = draw(st.integers(0, len(rules) - 1))
    lines = (head + "".join(rules[start : start + 3])).splitlines(keepends=True)  # all takes long to read
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        change = draw(st.sampled_from(["drop", "double", "cut", "insert", "indent", "swap", "word"]))
        line = lines[at]
        place = draw(st.integers(0, len(line)))
        if change == "drop":
            del lines[at]
            lines = lines or [""]
        elif change == "double":
            lines.insert(at, line)
        elif change == "cut":
            lines[at] = line[:place]
        elif change == "insert":
            lines[at] = line[:place] + draw(st.text(max_size=4)) + line[place:]
        elif change == "indent":
            lines[at] = "  " + line if draw(st.booleans()) else line.removeprefix("  ")
        elif change == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        else:
            lines[at] = re.sub(r"\w+", draw(st.sampled_from(WORDS)).replace("\\", r"\\"), line, count=1)
    return "".join(lines)


@FUZZ
@given(_mutated())
def test_a_shipped_pack_that_was_changed_is_told_to_be_wrong_or_works(text: str) -> None:
    check(text)


@FUZZ
@given(st.text(st.characters(codec=None), max_size=200))
def test_any_text_is_told_to_be_wrong(text: str) -> None:
    check(text)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=20,
)


@FUZZ
@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_become_a_record(data: bytes) -> None:
    record = decode(Line("log", data, Position(0, 0, len(data)), READ_AT), "nas")
    record.text.encode("utf-8")
    assert not set(record.text) & {"\x00", "\x1b", "\r"} or record.fields
