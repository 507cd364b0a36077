"""The hard cases of rules, by their numbers: 22 samples, 23 hostile patterns, 24 error texts, 25 injection."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from borgwatch.cli import cli
from borgwatch.decode import decode
from borgwatch.logs import configure, get_logger
from borgwatch.matching.load import load_rules, parse_pack
from borgwatch.matching.matcher import Matcher
from borgwatch.matching.rules import Rule
from borgwatch.model import Event, Line, Outcome, Phase, Position, Signal
from borgwatch.policy.alerts import EventFilter, alert_for
from borgwatch.samples import judge_lines
from borgwatch.sources.oldlogs import read_lines
from borgwatch.truenas.alerts import alert_text_for

RULES = load_rules().rules
MATCHER = Matcher(RULES)
READ_AT = datetime(2026, 11, 23, tzinfo=UTC)


def signal_of(text: str) -> Signal | None:
    line = Line("log", text.encode("utf-8", "surrogatepass"), Position(1, 1, 1), READ_AT)
    return MATCHER.match(decode(line, "nas"), line)


# -- 22: samples ----------------------------------------------------------------------------------------------------


def test_22_every_shipped_rule_has_a_sample_that_it_must_hit() -> None:
    assert [rule.id for rule in RULES if not any(sample.hits for sample in rule.samples)] == []


@pytest.mark.parametrize("outcome", [Outcome.SUCCESS, Outcome.WARNING, Outcome.FAILURE])
def test_22_of_each_outcome_there_is_a_line_that_must_not_match(outcome: Outcome) -> None:
    assert [rule for rule in RULES if rule.outcome is outcome and not all(sample.hits for sample in rule.samples)]


def _texts(rule: Rule) -> list[str]:
    return [line for sample in rule.samples if sample.hits for line in sample.lines if '{"' not in line]


@pytest.mark.parametrize("rule", [rule for rule in RULES if _texts(rule)], ids=lambda rule: rule.id)
def test_22_a_file_that_is_called_like_the_line_of_a_rule_is_only_a_file(rule: Rule) -> None:
    """`borg create --list` prints the names of files, and these can hold any words."""
    for text in _texts(rule):
        listed = signal_of(f"A /mnt/tank/{text}")
        status = signal_of(json.dumps({"type": "file_status", "status": "A", "path": f"/mnt/tank/{text}"}))
        for found in (listed, status):
            assert found is None or (found.outcome, found.phase) == (None, Phase.DETAIL), (text, found.rule)


# -- 23: hostile patterns -------------------------------------------------------------------------------------------


def test_23_a_pattern_that_back_tracks_elsewhere_does_not_hold_up_the_lines_behind_it(
    tmp_path: Path,
) -> None:
    """Without a linear engine this test would not come back; the milliseconds are measured in tests/bench."""
    text = "schema: 1\npack: my\nrules: [{id: r, match: {text|re: '(a+)+$'}, emit: backup.failure}]"
    pack, problems = parse_pack(text, "my.yaml")
    assert problems == []
    assert pack is not None
    matcher = Matcher((*pack.rules, *RULES))
    path = tmp_path / "log"
    path.write_text("a" * 1_000_000 + "!\nFailed to acquire the lock /r (timeout).\n")
    found = [matcher.match(decode(line, "nas"), line) for line in read_lines(str(path))]
    assert [signal and signal.rule for signal in found] == ["my.r", "borg.lock-timeout"]


# -- 24: error texts ------------------------------------------------------------------------------------------------

HEAD = "schema: 1\npack: mine\nrules:\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            HEAD + "- {id: r, match: {text: x}\n  run: detail}\n",
            "5:3: not valid YAML: expected ',' or '}', but got '<scalar>'",
            id="bad YAML",
        ),
        pytest.param(
            HEAD + "- {id: r, match: {text: x}, rnu: detail}\n",
            "4:29: unknown key 'rnu' in a rule (did you mean 'run'?)",
            id="unknown key",
        ),
        pytest.param(
            HEAD + "- {id: r, match: {text: x}, run: detail, weight: [1]}\n",
            "4:50: weight must be a whole number, not a list",
            id="wrong type",
        ),
        pytest.param(
            HEAD + "- {id: r, match: {text|re: 'a('}, run: detail}\n",
            "4:28: bad pattern 'a(': missing ): a(",
            id="bad pattern",
        ),
        pytest.param(
            HEAD + "- {id: r, match: {text|endwith: x}, run: detail}\n",
            "4:33: unknown modifier 'endwith' in 'text|endwith' (did you mean 'endswith'?)",
            id="unknown modifier",
        ),
        pytest.param(
            HEAD + "- {id: r, match: {text: x}, run: detail}\n- {id: r, match: {text: y}, run: detail}\n",
            "5:8: the id 'mine.r' stands twice in this file",
            id="duplicate id",
        ),
        pytest.param(
            HEAD + "- {id: r, match: {text: x}, emit: backups.failure}\n",
            "4:35: unknown event 'backups.failure' (did you mean 'backup.failure'?)",
            id="unknown event",
        ),
        pytest.param(
            HEAD + "- {id: r, match: {text|re: '(?P<host>x)'}, run: detail, message: '{hots}'}\n",
            "4:66: message names the unknown field 'hots' (did you mean 'host'?): match it or capture it first",
            id="template naming an unknown field",
        ),
    ],
)
def test_24_each_fault_is_told_with_file_line_and_column_and_the_nearest_word(text: str, expected: str) -> None:
    faults = parse_pack(text, "/rules/mine.yaml")[1]
    assert f"/rules/mine.yaml:{expected}" in faults
    if "unknown key" not in expected:
        assert len(faults) == 1


def test_24_all_faults_of_a_file_are_told_at_once_from_top_to_bottom(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        HEAD
        + "- {id: a, match: {text|re: 'a('}, emit: backups.failure, levl: ERROR}\n"
        + "- {id: a, match: {text|endwith: x}, run: detail, weight: [1], title: '{x'}\n"
        + "- {match: {}}\n"
    )
    places = [problem.split(":")[1:3] for problem in load_rules([tmp_path]).problems]
    assert len(places) == 8
    assert places == sorted(places, key=lambda place: [int(number) for number in place])


# -- 25: injection --------------------------------------------------------------------------------------------------

NAMES = [
    "{text} {0.__class__} %s %(x)s {{text}} ${x}",
    "<script>alert(1)</script><img src=x onerror=alert(1)> &amp; </pre>",
    "a\x1b[31mred\x1b]0;title\x07\x9b2J\x08\x7f",
    "first\nsecond\r\nthird\x85fourth\u2028fifth",
    "\u202egpj.exe\u2066x\u2069\u200b\ufeff",
    "\udcff\ud800 lone \U000e0041",
]
TEMPLATE_RULES = """
schema: 1
pack: my
rules:
- id: bad
  match: {path|exists: true, path|re: '(?s)(?P<name>.*)'}
  emit: backup.failure
  title: 'Bad {path}'
  message: 'File {name}: {path|upper}'
  next: 'Look at {path|default:x}'
  set: {copy: '{path}'}
"""


def event_of(path: str) -> Event:
    pack, problems = parse_pack(TEMPLATE_RULES, "my.yaml")
    assert problems == []
    assert pack is not None
    (event,) = judge_lines([json.dumps({"path": path})], Matcher(pack.rules))
    return event


def text_of(event: Event) -> str:
    """What TrueNAS gets."""
    alert = alert_for(event, None, EventFilter(("*",)), "main")
    assert alert is not None
    return alert_text_for(alert)


def is_harmless(text: str) -> bool:
    """One line that no terminal obeys and that reads in the direction in which it is written."""
    unsafe = {chr(code) for code in (*range(32), *range(127, 160), *range(0x200B, 0x2010), *range(0x2028, 0x202F))}
    unsafe |= {chr(code) for code in (*range(0x2060, 0x2070), 0xFEFF)}
    return not unsafe & set(text) and text.encode("utf-8", "strict").decode() == text


class Tags(HTMLParser):
    """Finds the tags that a mail program would see."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the shape of the base class
        self.found.append(tag)


@pytest.mark.parametrize("name", NAMES, ids=["template", "HTML", "ANSI", "newlines", "bidi", "surrogates"])
def test_25_what_a_log_line_holds_reaches_alert_and_mail_as_plain_text(name: str) -> None:
    event = event_of(name)
    for text in (event.title, event.message, str(event.fields["copy"]), str(event.fields["next_step"])):
        assert is_harmless(text)
    sent = text_of(event)
    tags = Tags()
    tags.feed(sent)
    assert is_harmless(sent)
    assert tags.found == []
    if name.startswith(("{", "<")):
        assert event.title == f"Bad {name}"


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec=None), max_size=200))
def test_25_no_text_at_all_gets_through_as_anything_else(name: str) -> None:
    sent = text_of(event_of(name))
    tags = Tags()
    tags.feed(sent)
    assert is_harmless(sent)
    assert tags.found == []


@pytest.mark.parametrize("name", NAMES, ids=["template", "HTML", "ANSI", "newlines", "bidi", "surrogates"])
@pytest.mark.parametrize("command", [["replay", "log"], ["explain", "--file", "log"], ["rules", "test"]], ids=" ".join)
def test_25_commands_print_lines_that_no_terminal_obeys(
    name: str, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BORGWATCH_CONFIG", "")
    monkeypatch.setenv("BORGWATCH_RULES", str(tmp_path / "rules"))
    Path("rules").mkdir()
    line = json.dumps({"path": name})
    sample = f"  samples: [{{line: {json.dumps(line)}, event: none}}]\n"
    Path("rules/my.yaml").write_text(TEMPLATE_RULES + sample)
    Path("log").write_text(line + "\n")
    printed = CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False)
    assert "Bad " in printed.stdout
    assert [text for text in (*printed.stdout.split("\n"), *printed.stderr.split("\n")) if not is_harmless(text)] == []


@pytest.mark.parametrize("log_format", ["text", "json", "logfmt"])
def test_25_log_lines_of_borgwatch_stay_lines(log_format: str) -> None:
    out = io.StringIO()
    configure(log_format, stream=out)
    for name in NAMES:
        get_logger().info("event", reason=event_of(name).message, source=name.encode("utf-8", "replace").decode())
    lines = out.getvalue().splitlines()
    assert len(lines) == len(NAMES)
    assert all(is_harmless(line) for line in lines)


async def test_25_a_rule_file_cannot_inject_by_its_faults(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text('schema: 1\npack: "\\e[31m\\u202e"\n"\\e]0;x\\a": 1\nrules: []\n')
    process = await asyncio.to_thread(
        CliRunner().invoke, cli, ["rules", "test", str(tmp_path)], catch_exceptions=False, standalone_mode=False
    )
    assert "unknown key" in process.stderr
    assert all(is_harmless(line) for line in process.stderr.split("\n"))
