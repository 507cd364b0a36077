"""Patterns: what they match, what they refuse, and that none can stall the watcher (hard case 23)."""

from __future__ import annotations

import pytest

from borgwatch.matching.patterns import MAX_STEPS, Pattern, PatternError

BACK_TRACKING = ["(a+)+$", "(a|a)*b", "(a*)*(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$", "(x+x+)+y"]
DEAR = ["(?:a{0,24}){30}b", "(?:a?){450}a{450}", "(?P<x>.*a){50}b", "".join(f"(?P<g{n}>.*)" for n in range(20))]


@pytest.mark.parametrize("source", BACK_TRACKING)
def test_what_back_tracks_for_ever_elsewhere_ends_here(source: str) -> None:
    """Without a linear engine this test would not come back."""
    assert Pattern(source).search("a" * 1_000_000 + "!") is None


@pytest.mark.parametrize("source", [*BACK_TRACKING, *DEAR])
def test_no_search_costs_more_steps_than_the_budget(source: str) -> None:
    """What the 100 ms for a hostile pattern on a hostile line rest on; they are measured in tests/bench."""
    pattern = Pattern(source)
    steps = pattern._find.programsize * (1 + len(pattern.groups) / 4)
    assert steps <= MAX_STEPS
    assert min(pattern.reach, 65536) * steps < 1.01 * (3 << 20)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (".{0,900}b.{0,900}c", "it is too large: 16206 steps, and 1500 are allowed"),
        ("[^b]{1000}b$", "it is too large: 8005 steps, and 1500 are allowed"),
        ("((a{0,100}){0,100}){0,100}", "invalid repetition size: {0,100}"),
        ("(?P<a>x)" + "(x)" * 60, "it is too large: 3"),
        ("x" * 10_001, "it is longer than 10000 characters"),
        ("(?=a)", "invalid perl operator: (?=; look-around and back-references are not available"),
        (r"(a)\1", r"invalid escape sequence: \1"),
    ],
)
def test_what_could_cost_too_much_is_refused_when_it_is_loaded(source: str, says: str) -> None:
    with pytest.raises(PatternError) as caught:
        Pattern(source)
    assert str(caught.value).startswith(says)


def test_groups_without_names_do_not_count() -> None:
    assert Pattern("(x)?" * 50).search("xx") == {}


def test_a_pattern_looks_at_no_more_than_its_reach() -> None:
    pattern = Pattern("(?:a{0,24}){30}b")
    assert pattern.search("-" * (pattern.reach - 1) + "b") == {}
    assert pattern.search("-" * pattern.reach + "b") is None


def test_where_the_reach_ends_the_text_does_not() -> None:
    """A `$` that held there would see the end of a line where there is none."""
    pattern = Pattern("(?:x?){400}rc 0$")
    assert pattern.search("-" * (pattern.reach - 4) + "rc 0") == {}
    assert pattern.search("-" * (pattern.reach - 4) + "rc 0 was not reached") is None


def test_the_named_groups_that_took_part_are_returned() -> None:
    pattern = Pattern(r"tape (?P<tape>\w+)(?P<side> side \w)? is (full)")
    assert pattern.search("the Täpe, tape A7 is full") == {"tape": "A7"}
    assert set(pattern.groups) == {"tape", "side"}


def test_a_group_that_stands_twice_is_refused() -> None:
    """RE2 would fill only the first, and say nothing."""
    with pytest.raises(PatternError, match="stands twice"):
        Pattern(r"tape (?P<n>\d+) full|disk (?P<n>\d+) full")
    assert Pattern(r"\(?P<n> (?P<n>\d+)").groups == ("n",)
