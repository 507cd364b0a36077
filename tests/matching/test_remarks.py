"""What is sound in rule files and most likely not meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from borgwatch.matching.load import load_rules
from borgwatch.matching.remarks import Remark, remarks

RULE = "schema: 1\npack: {pack}\nrules: [{{id: {id}, match: {{{match}}}, emit: backup.failure}}]\n"


def remarked(tmp_path: Path, match: str = "text: x", pack: str = "my", id: str = "a") -> list[Remark]:  # noqa: A002 - a key of rules
    (tmp_path / "own.yaml").write_text(RULE.format(pack=pack, id=id, match=match))
    rules = load_rules([tmp_path])
    assert rules.problems == ()
    return list(remarks(rules))


@pytest.mark.parametrize(
    "match",
    [
        "text|re: '.*'", "text|re: '\\w'", "text|exists: true", "job: nas", "not: {text: foo}", "not: {job: nas}",
        "any: [{job: nas}, {text: foo}]", "all: [{source|endswith: .log}, {text|re: .}]",
    ],
)  # fmt: skip
def test_a_rule_that_speaks_for_nearly_every_line_is_told(tmp_path: Path, match: str) -> None:
    """Whatever it looks like: what counts is what it makes of real lines. Jobs and sources narrow nothing here."""
    (remark,) = remarked(tmp_path, match)
    assert (remark.rule, remark.place) == ("my.a", f"{tmp_path}/own.yaml:3:9")
    assert re.match(r"it speaks for \d+ of the \d+ sample lines", remark.what)
    assert remark.what.endswith("hardly a line is left for the rules after it")


@pytest.mark.parametrize(
    "match",
    [
        "level|gte: WARNING", "text|re: '(?i)error|fail'", "text|contains: tape", "any: [{text: a}, {text: b}]",
        "job: nas, text|contains: tape", "not: {not: {text: tape}}",
    ],
)  # fmt: skip
def test_a_rule_that_asks_for_something_is_not(tmp_path: Path, match: str) -> None:
    assert remarked(tmp_path, match) == []


@pytest.mark.parametrize(
    ("pack", "name", "says"),
    [
        (
            "borg",
            "lock-timeot",
            "it is a new rule beside the shipped ones of borg (did you mean 'lock-timeout'?)",
        ),
        (
            "borgg",
            "lock-timeout",
            "it is a new rule of the new pack 'borgg' (did you mean the shipped pack 'borg'?)",
        ),
        ("borg", "lock-timeout", ""),
        ("borg", "tape-full", ""),
        ("my", "lock-timeout", ""),
    ],
)
def test_a_rule_that_nearly_takes_the_place_of_a_shipped_one_is_told(
    tmp_path: Path, pack: str, name: str, says: str
) -> None:
    assert [remark.what for remark in remarked(tmp_path, pack=pack, id=name)] == ([says] if says else [])


def test_the_shipped_rules_give_no_cause_for_remarks(tmp_path: Path) -> None:
    assert remarks(load_rules([tmp_path])) == ()
