"""Why a rule matched or did not: the trace says the same as matching, and all of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from borgwatch.matching.conditions import AllOf, AnyOf, Condition, FieldTest, Not
from borgwatch.matching.explain import first_failure, near_misses, trace
from borgwatch.matching.load import load_rules, parse_pack
from borgwatch.matching.patterns import Pattern
from borgwatch.matching.rules import Rule
from borgwatch.model import Record

RULES = load_rules().rules


def rule(match: str) -> Rule:
    pack, problems = parse_pack(f"schema: 1\npack: t\nrules: [{{id: r, match: {match}, run: detail}}]", "t.yaml")
    assert problems == []
    assert pack is not None
    return pack.rules[0]


def record(text: str) -> Record:
    return Record(text, "log", "nas", fields={"n": 7})


def test_every_condition_is_asked_and_says_what_it_found() -> None:
    found = trace(
        rule("{text|contains: tape, n|gt: 9, not: {job: nas}, any: [{n: 7}, {x|exists: true}]}").when, record("a")
    )
    assert [(part.says, part.holds, part.found) for part in found.parts] == [
        ("text|contains: 'tape'", False, "a"),
        ("n|gt: '9'", False, 7),
        ("not", False, None),
        ("any", True, None),
    ]
    assert [(part.says, part.holds) for part in found.parts[3].parts] == [("n: '7'", True), ("x|exists: true", False)]
    assert not found.holds


@pytest.mark.parametrize(
    ("match", "failed"),
    [
        ("{text: x, n: 8}", "n: '8'"),
        ("{text: y, n: 8}", "text: 'y'"),
        ("{text: x, not: {n: 7}}", "not"),
        ("{text: x, any: [{n: 8}, {text|re: '^(x|z)y$'}]}", "n: '8'"),
        ("{any: [{n: 8}, {text|cased|in: [A, B]}]}", "n: '8'"),
        ("{all: [{n: 7}, {text|startswith|cased: [A, B]}]}", "text|startswith|cased: ['A', 'B']"),
        ("{text: x}", None),
    ],
)
def test_the_first_condition_that_failed_is_named(match: str, failed: str | None) -> None:
    found = first_failure(trace(rule(match).when, record("x")))
    assert failed == (found.says if found else None)


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("Failed to create/acquire the lok /mnt/x (timeout).", "borg.lock-timeout"),
        ("terminating with succes status, rc 0", "borg.closing-error"),
        ("Passphrase supplied in BORG_PASSPHRASE was incorrect.", "borg.passphrase"),
        ("something altogether different", None),
        ("", None),
    ],
)
def test_the_rule_that_was_probably_meant_is_found(line: str, near: str | None) -> None:
    misses = [miss.rule.id for miss in near_misses(RULES, record(line))]
    assert len(misses) <= 3
    assert (near in misses) if near else misses == []


_TESTS = st.one_of(
    st.builds(FieldTest, st.sampled_from(["text", "n", "x"]), st.just("is"), st.just(("7",))),
    st.builds(
        FieldTest, st.sampled_from(["text", "n", "x"]), st.just("exists"), st.sampled_from([("true",), ("false",)])
    ),
    st.builds(FieldTest, st.just("text"), st.just("re"), st.just((Pattern("^a"),))),
)


def _combined(parts: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    lists = st.lists(parts, max_size=3).map(tuple)
    return st.one_of(st.builds(AllOf, lists), st.builds(AnyOf, lists), st.builds(Not, parts))


@settings(max_examples=200, deadline=None)
@given(st.recursive(_TESTS, _combined, max_leaves=8), st.sampled_from(["", "a", "7", "b"]))
def test_a_trace_says_what_matching_says(condition: Condition, text: str) -> None:
    found = trace(condition, record(text))
    assert found.holds == condition.holds(record(text), {})
    assert (first_failure(found) is None) == found.holds
