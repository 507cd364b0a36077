"""What `explain` says of a line is what `replay` and the judge of the service make of it, whatever the lines are."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from borgwatch.cli import cli, explain, replay
from borgwatch.judge import Judge, SourceRole
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.runs.machine import Limits
from borgwatch.runs.run import Stream
from borgwatch.sources.oldlogs import read_lines
from tests.fuzz.test_rules_fuzz import EXAMPLES
from tests.process import ROOT

OWN = """
schema: 1
pack: own
rules:
  - {id: emits, match: {text|re: '^tape (?P<tape>\\w+) is full'}, emit: backup.failure, title: 'Tape {tape}'}
  - {id: begins, match: {text|startswith: '=== '}, run: start, operation: verify}
  - {id: of-a-job, match: {job: nas, text|contains: [read error, permission]}, run: detail, outcome: warning, weight: 5}
  - {id: of-a-field, match: {rc|gte: 3, not: {logger|exists: false}}, run: end, outcome: failure}
  - {id: names, match: {event|re: '.', text|exists: true}, emit: '{event}'}
"""
FIELDS = ("event", "level", "job", "title", "message", "time", "rule", "source", "run", "id", "fields")


def _recorded() -> Iterator[bytes]:
    """The lines of all recordings, and of the samples of all rules."""
    for path in sorted((ROOT / "tests" / "data" / "borg-logs").rglob("*")):
        if path.is_file() and path.name != "index.jsonl":
            data = path.read_bytes()
            yield from (gzip.decompress(data) if path.suffix == ".gz" else data).split(b"\n")[:200]
    for rule in load_rules().rules:
        for sample in rule.samples:
            yield from (line.encode("utf-8", "surrogateescape") for line in sample.lines if "\n" not in line)


LINES = sorted({line for line in _recorded() if len(line) < 4000})
REAL = st.sampled_from(LINES)
TURNED = st.builds(
    lambda line, at, more: line[: at % (len(line) + 1)] + more + line[at % (len(line) + 1) :],
    REAL, st.integers(0, 300), st.binary(max_size=3),
)  # fmt: skip
MADE = st.sampled_from(
    [
        b"tape A7 is full", b"=== now", b"read error on sda", b'{"rc": 7, "name": "x", "message": "end"}',
        b'{"event": "verify.skipped"}', b'{"event": "no.such"}', b"", b"\x1b[31mError: x\x1b[0m",
    ]
)  # fmt: skip
LOGS = st.lists(st.one_of(REAL, REAL, TURNED, MADE, st.binary(max_size=60)), min_size=1, max_size=6).map(
    lambda lines: [line.replace(b"\n", b" ") for line in lines]
)


@pytest.fixture(scope="module", autouse=True)
def matcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matcher]:
    """Rules that are read once, and no settings from outside."""
    own = tmp_path_factory.mktemp("rules")
    (own / "own.yaml").write_text(OWN)
    rules = load_rules([own])
    assert rules.problems == ()
    made = Matcher(rules.rules)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(explain, "sound_matcher", lambda _: made)
        patched.setattr(replay, "sound_matcher", lambda _: made)
        patched.setenv("BORGWATCH_CONFIG", "")
        yield made


def objects(*arguments: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(cli, [*arguments, "--json", "--job", "nas"], standalone_mode=False)
    assert result.exception is None
    return [json.loads(line) for line in result.stdout.splitlines()]


def shown(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{field: event[field] for field in FIELDS} for event in events]


@settings(
    max_examples=EXAMPLES, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(log=LOGS)
def test_what_explain_says_of_each_line_is_what_replay_and_the_judge_make_of_the_log(
    log: list[bytes], tmp_path: Path, matcher: Matcher
) -> None:
    path = tmp_path / "nas.log"
    path.write_bytes(b"\n".join([b"text", *log]) + b"\n")  # what looks compressed is tried elsewhere
    os.utime(path, (1_795_410_000, 1_795_410_000))
    lines = list(read_lines(str(path)))
    judge = Judge(matcher, Limits(), {str(path): SourceRole("nas")}.__getitem__)
    streams: dict[str, Stream] = {}
    events: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        (found,) = objects("explain", "--file", str(path), "--line", str(number))
        judged = judge.lines(streams, [line])
        streams.update(judged.streams)
        events += found["events"]
        assert found["rule"] == next(iter(judged.hits), None)
        assert [event["id"] for event in found["events"]] == [event.id for event in judged.events]
        assert [event["id"] for event in found["at_the_end"]] == [event.id for event in judge.finish(streams).events]
        if found["rule"] is not None:
            assert found["conditions"]["holds"]
        assert not any(miss["conditions"]["holds"] for miss in found["near"])
    assert shown(objects("replay", str(path))) == shown([*events, *found["at_the_end"]])
    together = judge.lines({}, lines)
    assert [event.id for event in together.events] == [event["id"] for event in events]
