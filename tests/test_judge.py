from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from borgwatch.judge import Judge, Judged, SourceRole
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.model import Line, Position
from borgwatch.runs.machine import Limits
from borgwatch.runs.run import Stream

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


@pytest.mark.parametrize(
    "texts",
    [(CREATING,), (CREATING, says("Failed", 5)), (CREATING, says("a file changed", 5, "WARNING"))],
    ids=["begun", "failed", "warned"],
)
def test_silence_ends_nothing_before_it_is_due_and_something_then(texts: tuple[str, ...]) -> None:
    """So thousands of runs need not be looked at before the first of them is due."""
    first = judge().lines({}, [*lines(*texts), *lines(CREATING, SUCCESS, source="done")])
    due = judge().silence(first.streams, T0, {}).due

    assert judge().silence(first.streams, due - timedelta(microseconds=1), {}) == Judged(due=due)
    ended = judge().silence(first.streams, due, {})
    assert list(ended.streams) == ["nas"]
    assert ended.due > due
    assert judge().silence(first.streams, due, {}, ["done", "unknown"]) == Judged()


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


# -- hard case 27 -----------------------------------------------------------------------------------------------------

SCRIPT = ("Starting backup", "Pruning repository", "Backup and Prune finished successfully")


def both(*parts: list[Line]) -> list[str]:
    """Judge lines of several files of one job, in this order, and let silence end what is open."""
    one = Judge(MATCHER, Limits(), lambda _: SourceRole("nas"))
    streams: dict[str, Stream] = {}
    told = []
    for part in parts:
        judged = one.lines(streams, part)
        streams.update(judged.streams)
        told.append(judged)
    later = T0 + timedelta(days=2)
    told.append(one.silence(streams, later, {}))
    return [event.name for judged in told for event in judged.events if event.operation == "backup"]


@pytest.mark.parametrize("names", [("backup.out", "backup.err"), ("stdout.log", "stderr.log"), ("b.log", "b.err.log")])
@pytest.mark.parametrize("out_first", [True, False])
def test_case_27_one_job_in_two_files_is_one_run(names: tuple[str, str], out_first: bool) -> None:
    out = lines(*SCRIPT, source=f"/watch/nas/{names[0]}")
    err = lines(SUCCESS, SUCCESS, source=f"/watch/nas/{names[1]}")

    assert both(*((out, err) if out_first else (err, out))) == ["backup.success"]


@pytest.mark.parametrize("out_first", [True, False])
def test_case_27_a_script_that_only_says_that_it_begins_does_not_make_a_good_run_stalled(out_first: bool) -> None:
    out = lines("Starting backup", source="/watch/nas/backup.out")
    err = lines(CREATING, SUCCESS, source="/watch/nas/backup.err")

    assert both(*((out, err) if out_first else (err, out))) == ["backup.success"]


def test_case_27_the_worse_of_two_files_is_told() -> None:
    out = lines(*SCRIPT, source="/watch/nas/backup.out")
    err = lines("Repository /r does not exist.", ERROR, source="/watch/nas/backup.err")

    assert both(out, err) == ["backup.success", "backup.failure"]
    assert both(err, out) == ["backup.failure"]


def test_case_27_files_that_are_no_pair_tell_each_for_itself() -> None:
    assert both(lines(CREATING, SUCCESS, source="/w/a.log"), lines(CREATING, ERROR, source="/w/b.log")) == [
        "backup.success",
        "backup.failure",
    ]
    later = lines(CREATING, SUCCESS, source="/w/a.out", at=T0 + timedelta(hours=24))
    assert both(lines(CREATING, SUCCESS, source="/w/a.err"), later) == ["backup.success"] * 2


def test_case_27_two_jobs_in_one_file_are_two_runs() -> None:
    """One script, two repositories, one log: what went wrong with the first does not vanish."""
    first = ['Creating archive at "/mnt/a::1"', "Failed to create/acquire the lock /mnt/a (timeout).", ERROR]
    second = ['Creating archive at "/mnt/b::1"', SUCCESS]

    assert names(judge().lines({}, lines(*first, *second))) == ["nas backup.failure", "nas backup.success"]
    assert names(judge().lines({}, lines(*second, *first))) == ["nas backup.success", "nas backup.failure"]


def test_case_27_overlapping_runs_of_different_jobs_do_not_touch() -> None:
    a, b = lines(CREATING, ERROR, source="a"), lines(CREATING, SUCCESS, source="b")

    assert names(judge().lines({}, [a[0], b[0], b[1], a[1]])) == ["b backup.success", "a backup.failure"]
