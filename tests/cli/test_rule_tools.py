"""The tools of rule authors as they call them: replay, explain, rules."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from borgwatch.cli import cli
from borgwatch.errors import ConfigError
from borgwatch.journal.store import Change, Journal
from borgwatch.matching.suspicious import RuleHits
from tests.process import ROOT, borgwatch

RECORDINGS = ROOT / "tests" / "data" / "borg-logs" / "borg-1.4.5"
TAPE = """
schema: 1
pack: my
rules:
- id: tape
  match: {text|re: 'tape (?P<tape>\\w+) is full', job: nas}
  emit: backup.failure
  title: 'Tape {tape} is full'
"""
GOOD = 'Creating archive at "/r::a"\nterminating with success status, rc 0\n'


@pytest.fixture(autouse=True)
def _no_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BORGWATCH_CONFIG", "")
    monkeypatch.setenv("BORGWATCH_RULES", str(tmp_path / "rules"))
    monkeypatch.setenv("BORGWATCH_STATE", str(tmp_path / "state"))


def call(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(cli, arguments, input=stdin, catch_exceptions=False, standalone_mode=False)


def objects(*arguments: str, stdin: str = "") -> list[dict[str, Any]]:
    return [json.loads(line) for line in call(*arguments, "--json", stdin=stdin).stdout.splitlines()]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "rules" / "my.yaml"
    path.parent.mkdir()
    path.write_text(TAPE)
    return path


# -- replay ---------------------------------------------------------------------------------------------------------


def test_replay_takes_globs_compressed_logs_and_docker_s_envelope(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(GOOD)
    (tmp_path / "b.log.1.gz").write_bytes(gzip.compress(GOOD.encode()))
    wrapped = [{"log": f"{line}\n", "stream": "stderr", "time": "2026-11-23T04:57:07Z"} for line in GOOD.splitlines()]
    (tmp_path / "c.log").write_text("".join(json.dumps(line) + "\n" for line in wrapped))
    found = objects("replay", str(tmp_path / "*"))
    assert [(event["event"], event["job"]) for event in found] == [("backup.success", job) for job in "abc"]
    assert datetime.fromisoformat(found[2]["time"]) == datetime(2026, 11, 23, 4, 57, 7, tzinfo=UTC)


def test_replay_asks_the_rules_of_the_user_as_the_service_does(own: Path) -> None:
    assert own.exists()
    assert [event["rule"] for event in objects("replay", "--job", "nas", "-", stdin="tape A7 is full\n")] == ["my.tape"]


async def test_replay_tells_what_could_be_read_of_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "a.log.gz"
    path.write_bytes(gzip.compress(GOOD.encode() * 2000)[:-9])
    done = await borgwatch("replay", "--json", str(path))
    assert done.code == 2
    assert done.out.count("backup.success") > 1900
    assert (
        done.err == f"borgwatch: {path}: the compressed data is damaged: "
        "Compressed file ended before the end-of-stream marker was reached\n"
    )


async def test_replay_tells_of_a_glob_that_matches_nothing(tmp_path: Path) -> None:
    done = await borgwatch("replay", f"{tmp_path}/*.log")
    assert (done.code, done.err) == (2, f"borgwatch: {tmp_path}/*.log: no file matches\n")


# -- explain --------------------------------------------------------------------------------------------------------


def test_explain_tells_how_a_line_was_read_who_spoke_and_what_follows(own: Path) -> None:
    (found,) = objects("explain", "--job", "nas", "tape A7 is full")
    assert (found["record"]["format"], found["record"]["text"]) == ("text", "tape A7 is full")
    assert (found["rule"], found["asked"], found["captures"]) == ("my.tape", 1, {"tape": "A7"})
    assert [part["holds"] for part in found["conditions"]["parts"]] == [True, True]
    assert found["signal"]["event"] == "backup.failure"
    (event,) = found["events"]
    assert (event["event"], event["title"], event["notified"]) == ("backup.failure", "Tape A7 is full", True)
    assert str(own) in call("explain", "--job", "nas", "tape A7 is full").stdout


def test_explain_tells_why_a_rule_did_not_match(own: Path) -> None:
    (found,) = objects("explain", "--job", "web", "tape A7 is full")
    assert (found["rule"], found["events"], found["at_the_end"]) == (None, [], [])
    (miss,) = found["near"]
    assert (miss["rule"], miss["failed"]) == ("my.tape", "job: 'nas'")
    assert [(part["says"], part["holds"]) for part in miss["conditions"]["parts"]] == [
        ("text|re: 'tape (?P<tape>\\w+) is full'", True),
        ("job: 'nas'", False),
    ]
    text = call("explain", "--job", "web", "tape A7 is full").stdout
    assert f"my.tape ({own}:5:3) failed at job: 'nas'" in text
    assert "NO job: 'nas' (it is 'web')" in text


def test_explain_shows_the_conditions_of_the_rule_that_is_asked_for(own: Path) -> None:
    assert own.exists()
    (found,) = objects("explain", "--rule", "my.tape", "something else")
    assert [part["holds"] for part in found["conditions"]["parts"]] == [False, False]


def test_explain_knows_the_run_that_a_line_of_a_file_stands_in(tmp_path: Path) -> None:
    path = tmp_path / "nas.log"
    path.write_text(
        "Starting backup\nFailed to acquire the lock /r (timeout).\nsome words\nterminating with error status, rc 2\n"
    )
    (second,) = objects("explain", "--file", str(path), "--line", "2")
    assert second["run"]["before"]["outcome_so_far"] is None
    assert second["run"]["after"]["outcome_so_far"] == "failure"
    assert [event["event"] for event in second["at_the_end"]] == ["backup.failure"]
    (last,) = objects("explain", "--file", str(path))
    assert (last["line"], last["rule"], last["run"]["after"]) == (4, "borg.closing-error", None)
    assert last["run"]["before"]["rule"] == "borg.lock-timeout"
    (event,) = last["events"]
    assert (event["job"], event["rule"]) == ("nas", "borg.lock-timeout")
    (piped,) = objects("explain", "--file", "-", "--line", "2", stdin=path.read_text())
    assert piped["record"]["text"] == second["record"]["text"]
    assert objects("explain", "-", stdin=path.read_text())[0]["line"] == 4


def test_explain_says_whether_somebody_would_hear_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "terminating with success status, rc 0"
    assert "would not be notified (NOTIFY_EVENTS)" in call("explain", line).stdout
    monkeypatch.setenv("NOTIFY_EVENTS", "backup.*")
    assert "would be notified" in call("explain", line).stdout


def test_explain_prints_nothing_that_a_terminal_would_obey() -> None:
    text = call("explain", '{"message": "\x1b[31mred\u202e\\u001b]0;title\\u0007", "k\\u001b": "\\u202e"}').stdout
    assert not set(text) & set("\x1b\x07\u202e")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name a LINE, or --file and --line"),
        (("x", "--file", "y"), "name a LINE, or --file and --line"),
        (("x", "--line", "2"), "--line belongs to --file"),
        (("--file", "/no/such"), "/no/such: cannot be read: No such file or directory"),
        (("--file", "/dev/null"), "/dev/null is empty"),
        (("--file", __file__, "--line", "100000"), " lines"),
        (
            ("x", "--rule", "borg.lock-timeot"),
            "there is no rule 'borg.lock-timeot' (did you mean 'borg.lock-timeout'?)",
        ),
    ],
)
async def test_a_wrong_call_of_explain_is_one_clear_line_and_exit_2(arguments: tuple[str, ...], says: str) -> None:
    done = await borgwatch("explain", *arguments)
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert says in line


# -- rules ----------------------------------------------------------------------------------------------------------


def test_rules_list_shows_how_often_each_rule_spoke(own: Path, tmp_path: Path) -> None:
    assert own.exists()
    journal = Journal.open(tmp_path / "state")
    when = datetime(2026, 11, 23, 4, tzinfo=UTC)
    journal.commit(Change(hits={"my.tape": RuleHits(7, when)}))
    journal.close()
    found = {rule["id"]: rule for rule in objects("rules", "list")}
    assert (found["my.tape"]["hits"], datetime.fromisoformat(found["my.tape"]["last"])) == (7, when)
    assert (found["borg.quota"]["hits"], found["borg.quota"]["last"]) == (0, None)
    lines = call("rules", "list").stdout.splitlines()
    assert lines[0].startswith("my.tape ")
    assert "7 times, last 2026-11-2" in lines[0]
    assert lines[-1].endswith(" never")


def test_rules_list_without_a_journal_says_so_and_lists(tmp_path: Path) -> None:
    result = call("rules", "list")
    assert result.stderr == (
        f"borgwatch: no hits are shown: there is no journal in {tmp_path}/state yet:"
        " `borgwatch run` makes it (BORGWATCH_STATE)\n"
    )
    assert "never" not in result.stdout
    assert result.return_value == 0
    assert objects("rules", "list")[0]["hits"] is None
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "journal.sqlite3").write_bytes(b"no database" * 100)
    assert "no hits are shown: " in call("rules", "list").stderr
    assert (tmp_path / "state" / "journal.sqlite3").read_bytes() == b"no database" * 100


def test_rules_list_writes_nothing_and_leaves_the_journal_of_another_version_as_it_is(tmp_path: Path) -> None:
    Journal.open(tmp_path / "state").close()
    with closing(sqlite3.connect(tmp_path / "state" / "journal.sqlite3")) as database:
        database.execute("PRAGMA user_version = 1")
    before = {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()}
    assert "no hits are shown: the journal was written by an older borgwatch" in call("rules", "list").stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()} == before


def test_rules_test_shows_what_each_line_gave(own: Path) -> None:
    own.write_text(
        TAPE + "  samples:\n  - {lines: [tape A7 is new, tape A7 is full], job: nas, event: {title: Tape B2 is full}}\n"
    )
    result = call("rules", "test")
    assert result.return_value == 1
    assert result.stdout.splitlines()[:8] == [
        f"{own}:10:5: FAILED my.tape",
        "    line  tape A7 is new",
        "          no rule spoke",
        "    line  tape A7 is full",
        "          my.tape spoke",
        "    gave  CRITICAL backup.failure: Tape A7 is full | tape A7 is full",
        "    E     title: expected 'Tape B2 is full'; got 'Tape A7 is full'",
        result.stdout.splitlines()[7],
    ]
    (failed,) = [sample for sample in objects("rules", "test") if not sample["passed"]]
    assert (failed["rule"], failed["speakers"]) == ("my.tape", ["", "my.tape"])


def test_rules_schema_prints_the_schema() -> None:
    assert json.loads(call("rules", "schema").stdout)["title"] == "borgwatch rule file"


def test_what_was_most_likely_not_meant_is_noted_by_list_and_test(own: Path) -> None:
    own.write_text("schema: 1\npack: my\nrules: [{id: all, match: {text|re: '.*'}, emit: backup.failure}]\n")
    note = f"{own}:3:9: note: my.all: it speaks for "
    assert call("rules", "list").stdout.splitlines()[-1].startswith(note)
    assert [line for line in call("rules", "test").stdout.splitlines() if line.startswith(note)]
    notes = {rule["id"]: rule["note"] for rule in objects("rules", "list")}
    assert notes["my.all"].startswith("it speaks for ")
    assert notes["borg.quota"] is None


# -- nothing that a terminal would obey -----------------------------------------------------------------------------

_HOSTILE = "\x1b]0;title\x07\x1b[31mred\x9b2J\u202egnp.exe\u2066\u200f\u2028two\r\b\x00"
_SEEN = set(_HOSTILE) - set("]0;title[31mred2Jgnp.exetwo")


def hostile_files(tmp_path: Path) -> tuple[Path, Path]:
    """A log and a rule file that hold everything that moves a cursor, hides text or turns it."""
    log = tmp_path / "nas.log"
    objects_ = {"type": "log_message", "levelname": "ERROR", "message": f"tape {_HOSTILE}", f"k{_HOSTILE}": _HOSTILE}
    escaped = json.dumps({**objects_, "name": _HOSTILE})
    text = f"tape {_HOSTILE.replace(chr(13), '')}\n{escaped}\n"
    log.write_text(text + json.dumps(objects_, ensure_ascii=False).replace("\n", "") + "\n", encoding="utf-8")
    rules = tmp_path / "rules" / "my.yaml"
    rules.parent.mkdir()
    samples = json.dumps([{"line": f"tape {_HOSTILE}", "event": {"message": _HOSTILE}}])
    quoted = json.dumps(_HOSTILE)
    rules.write_text(
        "schema: 1\npack: my\nrules:\n"
        f"- {{id: tape, match: {{text|re: '^tape (?P<what>.*)'}}, emit: backup.failure, title: {quoted},"
        f" message: 'got {{what}}', next: {quoted}, set: {{more: {quoted}}}, samples: {samples}}}\n"
        f"- {{id: two, match: {{text: {quoted}}}, emit: {json.dumps('{text}' + _HOSTILE)}}}\n"
    )
    return log, rules


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
@pytest.mark.parametrize(
    "command",
    [
        ("replay", "LOG"), ("explain", "--file", "LOG", "--line", "1"), ("explain", "--file", "LOG", "--line", "2"),
        ("explain", "--file", "LOG", "--line", "3"), ("explain", "--file", "LOG", "--rule", "my.two"),
        ("explain", _HOSTILE.replace("\0", "")), ("rules", "list"), ("rules", "test"),
    ],
    ids=lambda command: " ".join(command)[:30] if command[-1] in ("LOG", "1", "2", "3", "list", "test") else command[0],
)  # fmt: skip
def test_no_text_of_a_log_or_a_rule_reaches_a_terminal_as_it_is(
    tmp_path: Path, command: tuple[str, ...], *, as_json: bool
) -> None:
    log, _ = hostile_files(tmp_path)
    arguments = [str(log) if word == "LOG" else word for word in command]
    result = call(*arguments, *(["--json"] if as_json else []))
    assert result.stdout
    for line in (result.stdout + result.stderr).removesuffix("\n").split("\n"):
        assert not _SEEN & set(line)
        assert line.isprintable()
        if as_json and line.startswith("{"):
            json.loads(line)


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", f"/no/{_HOSTILE}*"), ("replay", f"/no/{_HOSTILE}"), ("explain", "--file", f"/no/{_HOSTILE}"),
        ("explain", "x", "--rule", _HOSTILE), ("explain", "x", "--operation", _HOSTILE), ("rules", _HOSTILE),
        ("rules", "list", f"/no/{_HOSTILE}"), ("replay", "--rules", "BROKEN", "x"), ("rules", "test", "BROKEN"),
    ],
    ids=range(9),
)  # fmt: skip
async def test_no_error_holds_anything_that_a_terminal_would_obey(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "my.yaml").write_text(
        f"schema: 1\npack: {json.dumps(_HOSTILE)}\n{json.dumps(_HOSTILE)}: 1\nrules:\n"
        f"- {{id: a, match: {{text|re: {json.dumps('(' + _HOSTILE)}}}, emit: {json.dumps(_HOSTILE)}}}\n"
    )
    done = await borgwatch(*(str(tmp_path) if word == "BROKEN" else word.replace("\0", "") for word in arguments))
    assert done.code == 2
    lines = done.err.removesuffix("\n").split("\n")
    assert [line for line in lines if not line.isprintable() or not line.startswith("borgwatch: ")] == []
    assert len(lines) == (4 if "BROKEN" in arguments else 1)


# -- the line of a file ---------------------------------------------------------------------------------------------


def test_explain_counts_the_lines_of_the_file_also_where_docker_cut_them(tmp_path: Path) -> None:
    """An editor shows the pieces as lines; the number of each finds the whole, and none shifts those behind it."""
    path = tmp_path / "nas-json.log"
    pieces = [
        ("one\n", "stdout"),
        ("half ", "stderr"),
        ("and ", "stderr"),
        ("half\n", "stderr"),
        ("terminating with", "stdout"),
        (" error status, rc 2\n", "stdout"),
        ("no end", "stdout"),
    ]
    path.write_text(
        "".join(
            json.dumps({"log": log, "stream": stream, "time": "2026-11-23T04:57:07Z"}) + "\n" for log, stream in pieces
        )
    )
    found = [objects("explain", "--file", str(path), "--line", str(number))[0] for number in range(1, 8)]
    whole = ["one", *["half and half"] * 3, *["terminating with error status, rc 2"] * 2, "no end"]
    assert [(explained["raw"], explained["line"]) for explained in found] == list(
        zip(whole, [1, 4, 4, 4, 6, 6, 7], strict=True)
    )
    assert objects("explain", "--file", str(path))[0]["line"] == 7
    with pytest.raises(ConfigError, match=r"nas-json\.log has 7 lines"):
        call("explain", "--file", str(path), "--line", "8")
