from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from borgwatch.matching.load import parse_pack
from borgwatch.matching.matcher import Matcher, line_id
from borgwatch.model import FieldValue, Level, Line, Phase, Position, Record, Signal

READ_AT = datetime(2026, 11, 23, tzinfo=UTC)


def record(text: str = "", level: Level | None = None, **fields: FieldValue) -> Record:
    return Record(text=text, source="/watch/nas/borg.log", job="nas", fields=fields, level=level, logger="borg.x")


def matcher(match: str, more: str = "run: detail") -> Matcher:
    pack, problems = parse_pack(f"schema: 1\npack: t\nrules:\n  - id: r\n    match: {match}\n    {more}\n", "t.yaml")
    assert problems == []
    assert pack is not None
    return Matcher(pack.rules)


def speak(match: str, of: Record, more: str = "run: detail", *, past: bool = False) -> Signal | None:
    position = Position(1, 1, 100, past_until=100 if past else 0)
    return matcher(match, more).match(of, Line("log", b"data", position, READ_AT))


@pytest.mark.parametrize(
    ("match", "of", "holds"),
    [
        # is, and in: the whole value, in any case of letters
        ("{text: Hello}", record("hELLO"), True),
        ("{text: Hell}", record("hello"), False),
        ("{text|is: Hello}", record("hello"), True),
        ("{text|in: [a, hello]}", record("hello"), True),
        ("{text|in: [a, b]}", record("hello"), False),
        ("{text: STRASSE}", record("straße"), True),
        # cased
        ("{text|cased: Hello}", record("hello"), False),
        ("{text|cased: Hello}", record("Hello"), True),
        ("{text|contains|cased: ELL}", record("hello"), False),
        ("{text|cased|startswith: He}", record("Hello"), True),
        # parts
        ("{text|startswith: HE}", record("hello"), True),
        ("{text|startswith: el}", record("hello"), False),
        ("{text|endswith: LO}", record("hello"), True),
        ("{text|endswith: ell}", record("hello"), False),
        ("{text|contains: ELL}", record("hello"), True),
        ("{text|contains: xyz}", record("hello"), False),
        ("{text|contains: [xyz, ll]}", record("hello"), True),
        # re is searched for, and minds the case unless it says otherwise
        ("{text|re: 'l+o$'}", record("hello"), True),
        ("{text|re: '^l+o$'}", record("hello"), False),
        ("{text|re: HELLO}", record("hello"), False),
        ("{text|re: '(?i)HELLO'}", record("hello"), True),
        ("{text|re: [x, h]}", record("hello"), True),
        ("{done|re: '^true$'}", record(done=True), True),
        # exists
        ("{path|exists: true}", record(path=""), True),
        ("{path|exists: true}", record(), False),
        ("{path|exists: true}", record(path=None), False),
        ("{path|exists: false}", record(), True),
        ("{path|exists: no}", record(path="x"), False),
        # numbers, and the names of levels
        ("{n|gt: 5}", record(n=5), False),
        ("{n|gt: 5}", record(n=5.1), True),
        ("{n|gte: 5}", record(n=5), True),
        ("{n|gte: 5}", record(n=4), False),
        ("{n|lt: 5}", record(n=4), True),
        ("{n|lt: 5}", record(n=5), False),
        ("{n|lte: 5}", record(n=5), True),
        ("{n|lte: 5}", record(n=6), False),
        ("{n|gt: 5}", record(n="6"), True),
        ("{n|gt: 5}", record(n="six"), False),
        ("{n|gt: 5}", record(), False),
        ("{n|gt: 5}", record(n=float("nan")), False),
        ("{n|gt: 5}", record(n=10**400), False),
        ("{level|gte: warning}", record(level=Level.ERROR), True),
        ("{level|gte: WARNING}", record(level=Level.INFO), False),
        ("{level|gte: WARNING}", record(), False),
        # values that are no text
        ("{done: true}", record(done=True), True),
        ("{done: false}", record(done=True), False),
        ("{n: 7}", record(n=7), True),
        ("{n: 7}", record(), False),
        # every record has these
        ("{level: ERROR, logger: borg.x, job: NAS, source|endswith: .log}", record(level=Level.ERROR), True),
        ("{archive.name: a1}", replace(record(), fields={"archive.name": "a1"}), True),
        # combinations
        ("{text: a, n: 1}", record("a", n=1), True),
        ("{text: a, n: 1}", record("a", n=2), False),
        ("{any: [{text: a}, {n: 1}]}", record("b", n=1), True),
        ("{any: [{text: a}, {n: 1}]}", record("b", n=2), False),
        ("{all: [{text: a}, {n: 1}]}", record("a", n=1), True),
        ("{all: [{text: a}, {n: 1}]}", record("a"), False),
        ("{text: a, not: {n: 1}}", record("a"), True),
        ("{text: a, not: {n: 1}}", record("a", n=1), False),
        ("{not: {any: [{text: a}, {text: b}]}}", record("c"), True),
        ("{not: {any: [{text: a}, {text: b}]}}", record("b"), False),
    ],
)
def test_a_match_holds_for_what_it_says(match: str, of: Record, holds: bool) -> None:
    assert holds is (speak(match, of) is not None)


def test_the_first_rule_that_matches_speaks() -> None:
    rules = "".join(
        f"  - {{id: r{n}, match: {{text|contains: '{word}'}}, run: detail}}\n" for n, word in enumerate("xab")
    )
    pack, _ = parse_pack(f"schema: 1\npack: t\nrules:\n{rules}", "t.yaml")
    assert pack is not None
    signal = Matcher(pack.rules).match(record("ab"), Line("log", b"", Position(1, 1, 0), READ_AT))

    assert signal is not None
    assert signal.rule == "t.r1"


def test_named_groups_become_fields_of_an_emitted_event() -> None:
    signal = speak("{text|re: 'tape (?P<tape>A\\d)(?P<side>x)?'}", record("tape A7\x1b"), "emit: backup.failure")

    assert signal is not None
    assert (signal.captured, signal.phase, signal.event) == ({"tape": "A7"}, Phase.EVENT, "backup.failure")


def test_what_a_group_caught_is_made_harmless() -> None:
    signal = speak("{text|re: '(?P<tape>A.*7)'}", record("tape A\u202e\x9b7 is full"), "emit: backup.failure")

    assert signal is not None
    assert signal.captured == {"tape": "A 7"}


def test_an_alternative_that_fails_half_way_leaves_no_captures() -> None:
    match = "{any: [{text|re: '^(?P<wrong>\\w+)', n: 1}, {text|re: '(?P<right>\\w+)$'}]}"
    signal = speak(match, record("first last"), "emit: backup.failure")

    assert signal is not None
    assert signal.captured == {"right": "last"}


def test_what_a_not_captures_is_forgotten() -> None:
    signal = speak("{not: {text|re: '(?P<x>z)'}, text|re: '(?P<y>a)'}", record("a"), "emit: backup.failure")

    assert signal is not None
    assert signal.captured == {"y": "a"}


def test_a_line_that_names_no_known_event_is_not_recognised() -> None:
    match = "{text|re: '^(?P<name>\\S+) '}"

    assert speak(match, record("backup.exploded x"), "emit: '{name}'") is None
    assert speak(match, record("backup.failure x"), "emit: '{name}'") is not None


def test_a_signal_knows_whether_its_line_was_there_before() -> None:
    past, news = speak("{n: 1}", record(n=1), past=True), speak("{n: 1}", record(n=1))

    assert past is not None
    assert news is not None
    assert (past.past, news.past) == (True, False)


def test_the_id_of_a_line_tells_place_source_and_content_apart() -> None:
    lines = [
        Line("log", b"data", Position(1, 1, 10), READ_AT),
        Line("log", b"data", Position(1, 1, 11), READ_AT),
        Line("log", b"date", Position(1, 1, 10), READ_AT),
        Line("other", b"data", Position(1, 1, 10), READ_AT),
        Line("caf\udce9", b"data", Position(1, 1, 10), READ_AT),
    ]

    assert len(lines) == len({line_id(line) for line in lines})
    assert line_id(lines[0]) == line_id(Line("log", b"data", Position(7, 7, 10, b"anchor"), datetime.now(UTC)))
