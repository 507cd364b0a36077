from __future__ import annotations

from borgwatch.matching.load import parse_pack
from borgwatch.matching.matcher import Matcher
from borgwatch.samples import SampleResult, judge_lines, run_samples

PACK = """
schema: 1
pack: my-nas
rules:
  - id: tape-full
    match:
      text|re: 'tape (?P<tape>\\w+) is full'
    emit: backup.failure
    level: CRITICAL
    title: 'Tape {tape} is full'
    samples:
      - SAMPLE
"""


def run(sample: str) -> SampleResult:
    pack, problems = parse_pack(PACK.replace("SAMPLE", sample), "my-nas.yaml")
    assert problems == []
    assert pack is not None
    (result,) = run_samples(pack.rules)
    return result


def differences(sample: str) -> tuple[str, ...]:
    return run(sample).differences


def test_a_sample_that_gives_what_it_must_differs_in_nothing() -> None:
    event = "{name: backup.failure, level: CRITICAL, title: 'Tape A7 is full', fields: {tape: A7}}"

    assert differences(f"{{line: 'tape A7 is full', event: {event}}}") == ()
    assert differences("{lines: [x, 'tape A7 is full']}") == ()
    assert differences("{line: 'tape is fine', hits: false, event: none}") == ()


def test_a_rule_that_keeps_silent_is_told() -> None:
    assert differences("{line: 'tape is fine'}") == ("expected my-nas.tape-full to speak; no rule spoke",)


def test_a_rule_that_speaks_where_it_must_not_is_told() -> None:
    assert (differences("{line: 'tape A7 is full', hits: false, event: none}")) == (
        "expected my-nas.tape-full to keep silent; my-nas.tape-full spoke",
        "expected no event; got backup.failure",
    )


def test_every_value_that_differs_is_told() -> None:
    event = "{name: prune.failure, level: ERROR, title: x, message: 'tape A7 is full', fields: {tape: A8, side: B}}"

    assert differences(f"{{line: 'tape A7 is full', event: {event}}}") == (
        "name: expected 'prune.failure'; got 'backup.failure'",
        "level: expected 'ERROR'; got 'CRITICAL'",
        "title: expected 'x'; got 'Tape A7 is full'",
        "fields.tape: expected 'A8'; got 'A7'",
        "fields.side: expected 'B'; got None",
    )


def test_a_missing_event_is_told() -> None:
    assert differences("{line: fine, hits: false, event: {name: backup.failure}}") == (
        "name: expected 'backup.failure'; got 'no event'",
    )


def test_a_sample_knows_its_place() -> None:
    assert run("{line: 'tape A7 is full'}").sample.place == "my-nas.yaml:12:9"


def test_lines_are_judged_as_one_whole_log_of_text_or_bytes() -> None:
    pack, _ = parse_pack(PACK.replace("SAMPLE", "{line: x}"), "my-nas.yaml")
    assert pack is not None
    events = judge_lines(["tape A7 is full", b"tape \xff", b"tape B2 is full", "caf\udce9"], Matcher(pack.rules))

    assert [event.title for event in events] == ["Tape A7 is full", "Tape B2 is full"]
    assert len({event.id for event in events}) == 2
