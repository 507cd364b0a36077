from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from borgwatch.decode import decode
from borgwatch.matching.candidates import Candidates
from borgwatch.matching.conditions import Condition, FieldTest
from borgwatch.matching.literals import Run, required_runs
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.matching.needs import ODD, TYPICAL, compiled, need_of

from .writing import conditions, fitting_tests, in_docker, line_of, lines

SHIPPED = [rule.when for rule in load_rules().rules]


def meets(condition: Condition, data: bytes) -> bool:
    need = need_of(condition)
    return need is None or compiled([*need, *ODD]).search(data) is not None


@st.composite
def met(draw: st.DrawFn) -> tuple[Condition, bytes]:
    """A line, and a condition that holds of it and needs something."""
    data = draw(lines)
    record = decode(line_of(data), "nas")
    condition = draw(
        st.one_of(
            fitting_tests(record), fitting_tests(record), fitting_tests(record), conditions, st.sampled_from(SHIPPED)
        )
    )
    assume(need_of(condition) is not None and condition.holds(record, {}))
    return condition, data


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(met())
def test_a_line_of_which_a_condition_holds_has_what_it_needs(case: tuple[Condition, bytes]) -> None:
    """Within an envelope of Docker, too."""
    assert meets(*case)
    assert meets(case[0], in_docker(case[1]))


@pytest.mark.parametrize(
    ("pattern", "runs"),
    [
        (r"^terminating with error status, rc (?P<rc>\d+)$", ["terminating with error status, rc "]),
        (r"^terminating with error status, rc \d+$", ["terminating with error status, rc 0"]),
        ("a(bc)?def", ["def"]),
        ("(Keeping|Pruning) archive", [" archive"]),
        ("(Keeping|Pruning)", ["Keeping", "Pruning"]),
        ("(?i)Cancel", ["Cancel"]),
        ("abcd?", ["abc"]),
        ("abc+d", ["abc"]),
        ('say "no"', ["say "]),
        ("a|", None),
        (".*", None),
        ("(?m)^abc", None),
        (r"\Qa.b\E", None),
        (r"\pLabc", None),
        ("[[:alpha:]]abc", None),
        ("abc{,2}def", ["abc{,2}def"]),
    ],
)
def test_what_a_pattern_needs_is_read_from_it(pattern: str, runs: list[str] | None) -> None:
    """Of several runs the longest is chosen here."""

    def longest(found: Iterable[tuple[Run, ...] | None]) -> tuple[Run, ...] | None:
        return max(
            (runs for runs in found if runs), key=lambda runs: min(len(r.characters) for r in runs), default=None
        )

    found = required_runs(pattern, longest)

    assert runs == (found and ["".join(min(one) for one in run.characters) for run in found])


def test_every_shipped_rule_needs_something_that_noise_does_not_have() -> None:
    """So that the search finds little; but for the rules that are there for the noise."""
    noisy = [rule.id for rule in load_rules().rules if (need := need_of(rule.when)) is None or _found(need)]

    assert noisy == ["borg.list-text", "borg.progress-text", "borg.file-status", "borg.archive-progress"]


def _found(need: tuple[str, ...]) -> bool:
    pattern = compiled(need)
    return any(pattern.search(line) for line in TYPICAL)


def test_a_logger_may_stand_behind_the_name_of_a_host() -> None:
    """As a program does in what syslog and journald write."""
    condition = FieldTest("logger", "is", ("systemd",))
    data = b"Nov 23 03:12:01 nas systemd[1]: borg-backup.service: Failed with result 'oom-kill'."

    assert condition.holds(decode(line_of(data), "nas"), {})
    assert meets(condition, data)


def test_no_expression_of_the_search_counts_far() -> None:
    """A repetition counted to 80, before which anything may stand, made the search a thousand times slower."""
    counted = [
        int(most or least)
        for expression in Candidates(Matcher(load_rules().rules), patience=timedelta(seconds=10)).wanted
        for least, most in re.findall(r"\{(\d+)(?:,(\d*))?\}", expression)
    ]
    assert max(counted) <= 24
