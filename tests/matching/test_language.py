"""What saves repetition in rule files, and what bounds it: define, use, extends, defaults, for, expect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from borgwatch.matching.load import load_rules, parse_pack
from borgwatch.matching.matcher import Matcher
from borgwatch.matching.rules import Pack
from borgwatch.model import Level, Line, Outcome, Phase, Position, Record, Signal
from borgwatch.policy.deadman import Expectation
from borgwatch.samples import run_samples

HEAD = "schema: 1\npack: mine\n"
READ_AT = datetime(2026, 11, 23, tzinfo=UTC)


def pack(text: str) -> Pack:
    read, problems = parse_pack(HEAD + text, "mine.yaml")
    assert problems == []
    assert read is not None
    return read


def problems(text: str) -> list[str]:
    return [problem.removeprefix("mine.yaml:") for problem in parse_pack(HEAD + text, "mine.yaml")[1]]


def say(text: str, line: str, *, source: str = "/watch/nas/borg.log", job: str = "nas") -> Signal | None:
    record = Record(line, source, job)
    return Matcher(pack(text).rules).match(record, Line(source, line.encode(), Position(1, 1, 9), READ_AT))


# -- define and use -----------------------------------------------------------------------------------------------

NAMED = r"""
define:
  stamp: '\d\d:\d\d:\d\d '
  prefix: '^(?:%{stamp})?'
  tape: {text|re: '%{prefix}tape (?P<tape>\w+)'}
  quiet: {not: {text|contains: verbose}}
rules:
  - id: full
    match: {use: tape, all: [{use: quiet}], text|endswith: full}
    emit: backup.failure
    title: 'Tape {tape}'
  - id: any
    match: {use: [tape, quiet]}
    run: detail
"""


@pytest.mark.parametrize(
    ("line", "rule", "title"),
    [
        ("tape A7 is full", "mine.full", "Tape A7"),
        ("02:10:11 tape A7 is full", "mine.full", "Tape A7"),
        ("02:10 tape A7 is full", "mine.any", ""),
        ("tape A7 is verbose and full", "mine.any", ""),
        ("verbose", None, ""),
    ],
)
def test_named_conditions_and_pieces_of_patterns(line: str, rule: str | None, title: str) -> None:
    signal = say(NAMED, line)
    assert (signal and (signal.rule, signal.title)) == (rule and (rule, title))


def test_a_piece_is_one_piece_in_the_pattern() -> None:
    """`a|b` behind something else is still either of the two."""
    text = "define: {p: 'a|b'}\nrules: [{id: r, match: {text|re: '^x%{p}y$'}, run: detail}]"
    assert say(text, "xay")
    assert say(text, "xa") is None


def test_a_field_may_be_called_like_a_combination() -> None:
    text = "rules: [{id: r, match: {use|is: disk}, run: detail}]"
    record = Record("x", "s", "j", fields={"use": "disk"})
    assert Matcher(pack(text).rules).match(record, Line("s", b"x", Position(1, 1, 1), READ_AT))


RULE = "rules: [{id: r, match: {text: x}, run: detail}]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "define: {tape: {text: x}}\nrules: [{id: r, match: {use: tap}, run: detail}]",
            "4:30: use names the unknown condition 'tap' (did you mean 'tape'?)",
        ),
        (
            "rules: [{id: r, match: {use: tape}, run: detail}]",
            "3:30: use names the unknown condition 'tape': define it above",
        ),
        (
            "define: {a: {use: b}, b: {text: x}}\n" + RULE,
            "3:19: use names the unknown condition 'b': define it above",
        ),
        (
            "rules: [{id: r, match: {text|re: '%{stmp}x'}, run: detail}]\ndefine: {stamp: x}",
            "3:34: the pattern names the unknown piece %{stmp} (did you mean 'stamp'?)",
        ),
        ("define: {'a b': x}\n" + RULE, "3:17: 'a b' cannot be a name: letters, digits, - and _ are allowed"),
        ("define: {a: '(x'}\n" + RULE, "3:13: bad pattern '(x': missing ): (x"),
        ("define: {a: {}}\n" + RULE, "3:13: a holds no condition: it would match every line"),
        ("define: {a: [x]}\n" + RULE, "3:13: a must be a mapping (key: value), not a list"),
        ("define: [x]\n" + RULE, "3:9: define must be a mapping (key: value), not a list"),
        (f"define: {{a: {'x' * 2001}}}\n" + RULE, "3:13: a piece of a pattern may come to 2000 characters at most"),
        ("for: {}\n" + RULE, "3:6: for must say source: or job:"),
        ("for: {sorce: x}\n" + RULE, "3:7: unknown key 'sorce' in for (did you mean 'source'?)"),
        ("for: {job: []}\n" + RULE, "3:12: for.job names nothing"),
        (f"for: {{source: {'x' * 10001}}}\n" + RULE, "3:15: for.source: it is longer than 10000 characters"),
        ("defaults: {levl: x}\n" + RULE, "3:12: unknown key 'levl' in defaults (did you mean 'level'?)"),
        (
            "defaults: {level: LOUD}\n" + RULE,
            "3:19: level cannot be 'LOUD' (known: CRITICAL, ERROR, INFO, NOTICE, WARNING)",
        ),
        ("defaults: {run: never}\nrules: []", "3:17: run cannot be 'never' (known: detail, end, start)"),
        ("defaults: {fold: soon}\nrules: []", "3:18: fold must be a span such as 26h, 15m, 10s or 1d (it is 'soon')"),
        (
            "rules: [{id: r, match: {text: x}, run: detail, fold: 5m}]",
            "3:54: fold belongs to emit:, lines of a run make one event anyway",
        ),
        (
            "rules: [{id: r, match: {text: x}, emit: backup.failure, cooldown: never}]",
            "3:67: cooldown must be a span such as 26h, 15m, 10s or 1d (it is 'never')",
        ),
        (
            "rules: [{id: r, match: {text: x}, emit: backup.failure, weight: 3}]",
            "3:65: weight belongs to run:, an emitted event has nothing to be weighed against",
        ),
        (
            "rules: [{id: r, extends: base, outcome: failure}]",
            "3:26: extends names 'base', and there is no sound rule of this id above",
        ),
        (
            "rules: [{id: base, match: {text: x}, run: detail}, {id: r, extends: bsae}]",
            "3:69: extends names 'bsae', and there is no sound rule of this id above (did you mean 'base'?)",
        ),
        (
            "rules: [{id: b, match: {tape: x}, run: detail, message: '{tape}'}, {id: r, extends: b, match: {tap: y}}]",
            "3:85: message names the unknown field 'tape' (did you mean 'tap'?): match it or capture it first",
        ),
        ("expect: [{job: nas}]\n" + RULE, "3:10: an expectation must say within:"),
        (
            "expect: [{within: 1y}]\n" + RULE,
            "3:19: within must be a span such as 26h, 15m, 10s or 1d (it is '1y')",
        ),
        (
            "expect: [{within: 26h, operation: backups}]\n" + RULE,
            "3:35: operation cannot be 'backups' (did you mean 'backup'?)",
        ),
        (
            "expect: [{within: 26h, jobs: x}]\n" + RULE,
            "3:24: unknown key 'jobs' in an expectation (did you mean 'job'?)",
        ),
        (
            "expect: [{within: never, remind: 1d}]\n" + RULE,
            "3:34: remind does not go with within: never, of which nothing is told",
        ),
        ("expect: [{within: [never]}]\n" + RULE, "3:19: within must be text, not a list"),
        (
            "expect: [{within: 1d, remind: never}]\n" + RULE,
            "3:31: remind must be a span such as 26h, 15m, 10s or 1d (it is 'never')",
        ),
    ],
)
def test_a_fault_is_told_with_its_place(text: str, expected: str) -> None:
    assert [expected] == problems(text)


def test_what_small_files_unfold_to_is_bounded() -> None:
    """Twenty names, each twice in the next, would be a million conditions."""
    names = "".join(f"  a{n + 1}: {{any: [{{use: a{n}}}, {{use: a{n}}}]}}\n" for n in range(20))
    found = problems(f"define:\n  a0: {{text: x}}\n{names}rules: [{{id: r, match: {{use: a20}}, run: detail}}]")
    assert found[0].endswith("this comes to more than 300 conditions: make several rules of it")
    pieces = "".join(f"  p{n + 1}: '%{{p{n}}}%{{p{n}}}'\n" for n in range(40))
    found = problems(f"define:\n  p0: xxxxxxxxxx\n{pieces}rules: []")
    assert found[0].endswith("a piece of a pattern may come to 2000 characters at most")


# -- extends and defaults -----------------------------------------------------------------------------------------

LAYERS = """
defaults: {run: detail, outcome: failure, weight: 10, level: ERROR, next: 'Look at it.'}
rules:
  - id: base
    match: {text|re: 'tape (?P<tape>A7)'}
    message: 'Tape {tape}'
    cooldown: 6h
    samples: [{line: tape A7}]
  - id: milder
    extends: base
    match: {text|re: 'belt (?P<tape>B2)'}
    outcome: warning
  - id: event
    extends: base
    match: {text|re: 'disk (?P<tape>C3)'}
    emit: backup.warning
  - id: same-match
    extends: mine.event
    match: {text|contains: disk C, use|exists: false, text|re: '(?P<tape>C4)'}
"""


def test_a_rule_takes_what_it_does_not_say_from_the_one_it_extends_and_then_from_the_defaults() -> None:
    base, milder, event, same = pack(LAYERS).rules
    assert (base.phase, base.outcome, base.weight, base.level) == (Phase.DETAIL, Outcome.FAILURE, 10, Level.ERROR)
    assert (milder.outcome, milder.weight, milder.cooldown) == (Outcome.WARNING, 10, timedelta(hours=6))
    assert milder.samples == ()
    assert (event.phase, event.outcome, event.weight, event.level) == (Phase.EVENT, None, 0, Level.ERROR)
    assert same.event == event.event
    signals = [say(LAYERS, line) for line in ("tape A7", "belt B2", "disk C3", "disk C4")]
    assert [signal and (signal.rule, signal.message, signal.next_step) for signal in signals] == [
        ("mine.base", "Tape A7", "Look at it."),
        ("mine.milder", "Tape B2", "Look at it."),
        ("mine.event", "Tape C3", "Look at it."),
        ("mine.same-match", "Tape C4", "Look at it."),
    ]


def test_a_user_changes_one_thing_of_a_shipped_rule(tmp_path: Path) -> None:
    """The condition is inherited with what the shipped file defines for it."""
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    shipped.mkdir()
    own.mkdir()
    (shipped / "borg.yaml").write_text(
        "schema: 1\npack: borg\ndefine: {lock: {text|contains: 'lock (?'}}\n"
        "rules: [{id: lock, match: {use: lock}, run: detail, outcome: failure, next: Wait.}]"
    )
    (own / "mine.yaml").write_text("schema: 1\npack: borg\nrules: [{id: lock, extends: lock, outcome: warning}]")
    loaded = load_rules([own], shipped=shipped)
    (rule,) = loaded.rules
    assert loaded.problems == ()
    assert (rule.id, rule.outcome, rule.next_step and rule.next_step.source) == ("borg.lock", Outcome.WARNING, "Wait.")
    assert Matcher(loaded.rules).match(Record("a lock (?", "s", "j"), Line("s", b"", Position(1, 1, 1), READ_AT))


# -- for ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "source", "job", "asked"),
    [
        ("{source: 'prune-*.log'}", "/watch/nas/prune-1.log", "nas", True),
        ("{source: 'prune-*.log'}", "prune-1.log", "nas", True),
        ("{source: 'prune-*.log'}", "/watch/nas/xprune-1.log", "nas", False),
        ("{source: 'prune-*.log'}", "/watch/nas/prune-1.log.gz", "nas", False),
        ("{source: 'prune-*.log'}", "/watch/prune-/1.log", "nas", False),
        ("{source: 'nas/*.log'}", "/watch/nas/borg.log", "x", True),
        ("{source: 'nas/*.log'}", "/watch/nas/deep/borg.log", "x", False),
        ("{source: 'nas/**.log'}", "/watch/nas/deep/borg.log", "x", True),
        ("{source: ['a.?og', '/watch/b.log']}", "/watch/a.log", "x", True),
        ("{source: ['a.?og', '/watch/b.log']}", "/watch/c.log", "x", False),
        ("{source: 'a+(b).log'}", "/w/a+(b).log", "x", True),
        ("{job: nas}", "x", "nas", True),
        ("{job: nas}", "x", "nas2", False),
        ("{job: [web, 'nas*']}", "x", "nas2", True),
        ("{job: nas, source: a.log}", "a.log", "web", False),
        ("{job: nas, source: a.log}", "a.log", "nas", True),
    ],
)
def test_a_pack_speaks_only_for_the_sources_and_jobs_it_is_for(scope: str, source: str, job: str, asked: bool) -> None:
    text = f"for: {scope}\nrules: [{{id: r, match: {{text: x, level|exists: no}}, run: detail}}]"
    assert asked is (say(text, "x", source=source, job=job) is not None)


def test_a_sample_says_where_its_lines_stand() -> None:
    text = "for: {job: nas, source: a.log}\nrules: [{id: r, match: {text: x}, emit: backup.failure, samples: [%s]}]"
    sample = "{line: x, source: /w/a.log, job: nas, event: {name: backup.failure}}"
    assert [result.differences for result in run_samples(pack(text % sample).rules)] == [()]
    assert run_samples(pack(text % "{line: x}").rules)[0].differences


@pytest.mark.parametrize("text", ['{lines: "one\\ntwo\\n"}', '{lines: ["one", "two"]}', '{line: "one\\ntwo"}'])
def test_a_block_of_text_is_as_many_lines(text: str) -> None:
    """Lines that are copied from a log stand best behind `|`; no line of a log holds a line end."""
    (rule,) = pack(f"rules: [{{id: a, match: {{text|re: ^two$}}, run: detail, samples: [{text}]}}]").rules
    assert [sample.lines for sample in rule.samples] == [("one", "two")]


# -- what bounds a file ---


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            f"rules: [{{id: a, run: detail, match: {{text|contains: [{', '.join(map(str, range(1001)))}]}}}}]",
            "'text|contains' is compared with more than 1000 values",
        ),
        (f"for: {{job: [{', '.join(map(str, range(101)))}]}}\nrules: []", "for.job names more than 100"),
        (
            "rules:\n"
            + "".join(f"- {{id: r{n}, match: {{text|re: 'a{{999}}b{n}'}}, run: detail}}\n" for n in range(150)),
            "the patterns of this file come to more than 100000 steps: they are too large",
        ),
    ],
    ids=["values", "globs", "patterns"],
)
def test_a_file_cannot_hold_more_than_can_be_asked_of_each_line(text: str, says: str) -> None:
    (problem,) = problems(text)
    assert problem.endswith(f": {says}")


# -- expect -------------------------------------------------------------------------------------------------------


def test_a_file_says_what_it_expects(tmp_path: Path) -> None:
    text = "expect: [{job: nas, operation: prune, within: 8d, remind: 24h}, {within: 26h}]\nrules: []\n"
    hours = [Expectation("nas", "prune", timedelta(days=8), timedelta(days=1))]
    hours.append(Expectation("*", "backup", timedelta(hours=26), None))
    assert list(pack(text).expectations) == hours
    (tmp_path / "mine.yaml").write_text(HEAD + text)
    assert [(it.job, it.within) for it in load_rules([tmp_path]).expectations] == [
        ("nas", timedelta(days=8)), ("*", timedelta(hours=26)),
    ]  # fmt: skip


def test_a_file_says_what_is_never_waited_for() -> None:
    assert pack("expect: [{job: old, within: never}]\nrules: []\n").expectations == (
        Expectation("old", "backup", None),
    )


# -- several files ------------------------------------------------------------------------------------------------


def test_what_contradicts_itself_between_files_is_told(tmp_path: Path) -> None:
    rule = "rules: [{id: a, match: {text: x}, run: detail}]"
    (tmp_path / "a.yaml").write_text(HEAD + rule)
    (tmp_path / "b.yaml").write_text(HEAD + rule)
    (tmp_path / "c.yaml").write_text("schema: 1\npack: borg\nrules: [{id: lock-tmeout, enabled: false}]")
    twice, unknown = load_rules([tmp_path]).problems
    assert twice == f"{tmp_path}/b.yaml:3:9: the id 'mine.a' stands already at {tmp_path}/a.yaml:3:9"
    assert unknown == (
        f"{tmp_path}/c.yaml:3:14: enabled: false names the rule 'borg.lock-tmeout', which is not there"
        " (did you mean 'borg.lock-timeout'?)"
    )
