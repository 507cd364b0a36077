from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from borgwatch.judge import Judge, Judged, SourceRole
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.model import Line, Position
from borgwatch.run import Stream
from borgwatch.runs import Limits

T0 = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
MATCHER = Matcher(load_rules().rules)
SUCCESS, ERROR = "terminating with success status, rc 0", "terminating with error status, rc 2"
CREATING = 'Creating archive at "/mnt/backup/repo::a1"'


def judge(**operations: str) -> Judge:
    return Judge(MATCHER, Limits(), lambda source: SourceRole(source, operations.get(source, "backup")))


def lines(*texts: str, source: str = "nas", at: datetime = T0, past_until: int = 0, first: int = 0) -> list[Line]:
    return [
        Line(source, text.encode(), Position(1, 1, first + number, past_until=past_until), at)
        for number, text in enumerate(texts, 1)
    ]


def says(message: str, at: float, level: str = "ERROR", name: str = "borg.archiver") -> str:
    time = T0.timestamp() + at
    return json.dumps({"type": "log_message", "time": time, "message": message, "levelname": level, "name": name})


def names(*judged: Judged) -> list[str]:
    return [f"{event.job} {event.name}" for one in judged for event in one.events]


def test_sources_are_judged_apart_however_their_lines_are_mixed() -> None:
    mixed = [
        line
        for pair in zip(lines(CREATING, SUCCESS, source="a"), lines(CREATING, ERROR, source="b"), strict=True)
        for line in pair
    ]
    judged = judge().lines({}, mixed)

    assert names(judged) == ["a backup.success", "b backup.failure"]
    assert judged.lines == 4


def test_only_the_streams_that_changed_are_given_back() -> None:
    judged = judge().lines({"quiet": Stream()}, lines("nothing to see", source="quiet") + lines(CREATING))

    assert list(judged.streams) == ["nas"]


def test_a_closing_line_counts_as_what_its_source_stands_for() -> None:
    assert names(judge(a="prune").lines({}, lines(SUCCESS, source="a"))) == ["a prune.success"]


def test_a_setting_that_changed_counts_for_streams_that_were_there_before() -> None:
    before = judge().lines({}, lines(SUCCESS))
    after = judge(nas="verify").lines(before.streams, lines(SUCCESS, at=T0 + timedelta(days=1)))

    assert names(before, after) == ["nas backup.success", "nas verify.success"]


def test_silence_ends_what_is_open_and_leaves_the_rest() -> None:
    a, b = lines(ERROR.replace("terminating", "x"), CREATING, source="a"), lines("Keyboard interrupt", source="b")
    judged = judge().lines({}, a + b)
    silent = judge().silence(judged.streams, T0 + timedelta(seconds=10), {})

    assert (list(silent.streams), names(silent)) == (["b"], ["b backup.failure"])


def test_a_source_that_still_writes_is_not_silent() -> None:
    judged = judge().lines({}, lines("Keyboard interrupt"))
    now = T0 + timedelta(seconds=15)

    assert names(judge().silence(judged.streams, now, {"nas": T0 + timedelta(seconds=6)})) == []
    assert names(judge().silence(judged.streams, now, {"nas": T0 - timedelta(days=1)})) == ["nas backup.failure"]


def test_what_was_there_before_is_learnt_from_and_marked() -> None:
    judged = judge().lines({}, lines(CREATING, SUCCESS, CREATING, SUCCESS, past_until=3))

    assert [event.past for event in judged.events] == [True, False]
    assert [run.past for run in judged.runs] == [True, False]


def test_the_same_lines_give_the_same_events() -> None:
    texts = lines(CREATING, SUCCESS, ERROR)

    assert judge().lines({}, texts) == judge().lines({}, texts)


def test_a_check_that_finds_damage_early_is_one_run_however_long_it_reads_on() -> None:
    texts = [
        says("Starting repository check", 0, "INFO"),
        says("Data integrity error: Segment entry checksum mismatch [segment 38, offset 8]", 5),
        says("Finished full repository check, errors found.", 600),
        says("Starting archive consistency check...", 601, "INFO"),
        *(says(f"Analyzing archive a{n} ({n}/20)", 601 + n * 600, "INFO") for n in range(1, 20)),
        says("Archive consistency check complete, problems found.", 12600),
        says("terminating with warning status, rc 1", 12601, "WARNING", "borg.output.show-rc"),
    ]

    assert names(judge().lines({}, lines(*texts))) == ["nas verify.failure"]


def test_damage_that_a_backup_meets_is_a_failed_backup() -> None:
    texts = [says(CREATING, 0, "INFO"), says("Data integrity error: Chunk 00ff: invalid", 4), ERROR]

    assert names(judge().lines({}, lines(*texts))) == ["nas backup.failure"]


def test_a_number_that_no_float_can_hold_breaks_nothing() -> None:
    texts = [
        "Original size: " + "9" * 400 + " B",
        "Number of files: " + "9" * 400,
        "Duration: " + "9" * 400 + " seconds",
        "terminating with success status, rc " + "9" * 400,
    ]
    judged = judge().lines({}, lines(*texts))

    assert names(judged) == ["nas backup.success"]
    assert {"files", "rc", "original_size"}.isdisjoint(judged.events[0].fields)
