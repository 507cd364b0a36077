from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import accumulate, cycle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from borgwatch.judge import Judge, Judged, SourceRole
from borgwatch.matching.candidates import Candidates
from borgwatch.matching.load import load_rules, parse_pack
from borgwatch.matching.matcher import Matcher
from borgwatch.matching.rules import Rule
from borgwatch.matching.templates import one_line
from borgwatch.model import Line
from borgwatch.redact import redact
from borgwatch.runs.machine import Limits
from borgwatch.runs.run import depth_of

from .writing import borg_lines, line_of, lines, rules

LIMITS = Limits()
SHIPPED = load_rules().rules


def judge(rules: Sequence[Rule]) -> Judge:
    return Judge(Matcher(rules), LIMITS, lambda _: SourceRole("nas"))


def whole(log: Sequence[bytes]) -> list[Line]:
    """All lines of a log."""
    found, offset = [], 0
    for data in log:
        offset += len(data) + 1
        found.append(line_of(data, offset))
    return found


def chosen(candidates: Candidates, log: Sequence[bytes], blocks: Sequence[int]) -> list[Line]:
    """The lines of a log that are chosen when it is read in blocks of so many lines, one size after the other."""
    found: list[Line] = []
    every = whole(log)
    sizes = cycle(blocks or [len(log) + 1])
    at = 0
    while at < len(every):
        part = every[at : at + next(sizes)]
        raw = [data + b"\n" for data in log[at : at + len(part)]]
        begins = dict(zip(accumulate(map(len, raw[:-1]), initial=0), part, strict=True))
        starts = candidates.starts(b"".join(raw), 0, sum(map(len, raw)))
        found += part if starts is None else [begins[start] for start in starts]
        at += len(part)
    return found


def judged(judge: Judge, lines: Sequence[Line]) -> Judged:
    first = judge.lines({}, lines)
    last = judge.finish(first.streams)
    return Judged({**first.streams, **last.streams}, first.runs + last.runs, first.events + last.events)


@cache
def shipped() -> tuple[Judge, Candidates]:
    return judge(SHIPPED), Candidates(Matcher(SHIPPED), patience=LIMITS.settle)


@settings(max_examples=100, deadline=None)
@given(borg_lines(), st.lists(st.integers(1, 30), max_size=3))
def test_the_shipped_rules_give_the_same_of_the_lines_chosen(log: list[bytes], blocks: list[int]) -> None:
    judge, candidates = shipped()

    assert judged(judge, whole(log)) == judged(judge, chosen(candidates, log, blocks))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(rules(), st.sampled_from(SHIPPED)), max_size=6),
    st.lists(st.one_of(lines.map(lambda line: [line]), borg_lines()), max_size=5),
    st.lists(st.integers(1, 30), max_size=3),
)
def test_any_rules_give_the_same_of_the_lines_chosen(
    some: list[Rule], parts: list[list[bytes]], blocks: list[int]
) -> None:
    log = [line for part in parts for line in part]
    judge_ = judge(some)
    candidates = Candidates(Matcher(some), patience=LIMITS.settle)

    assert judged(judge_, whole(log)) == judged(judge_, chosen(candidates, log, blocks))


PROGRESS = '{{"nfiles": 1, "path": "mnt/a", "time": {}, "type": "archive_progress", "finished": false}}'
LOCKED = b"Failed to create/acquire the lock /r (timeout)."


def progress(*times: float) -> list[bytes]:
    return [PROGRESS.format(1795409811.5 + time).encode() for time in times]


@pytest.mark.parametrize(
    "times",
    [
        [0.2 * step for step in range(1000)],
        [0, 1, 2, 62, 63, 64],
        [0, 9, 18, 27, 36, 45, 54, 5000, 5009, 5018],
        [0, 3],
    ],
    ids=["steady", "one leap", "slow, and one leap", "two"],
)
def test_a_silence_is_neither_made_up_nor_lost_between_lines_with_times(times: list[float]) -> None:
    """After a failure, ten seconds of silence end the run; its last time is that of the last line."""
    judge, candidates = shipped()
    log = [LOCKED, *progress(*times)]

    assert judged(judge, whole(log)) == judged(judge, chosen(candidates, log, []))


RECORDED = Path(__file__).parents[1] / "data" / "borg-logs"


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*/*.*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_recorded_log_gives_the_same_of_the_lines_chosen(path: Path) -> None:
    judge, candidates = shipped()
    log = path.read_bytes().split(b"\n")

    for blocks in ([], [7]):
        assert judged(judge, whole(log)) == judged(judge, chosen(candidates, log, blocks))


def test_of_a_murmur_little_is_left() -> None:
    log = [b'{"type": "file_status", "status": "A", "path": "/mnt/a"}'] * 1000
    log[300:300] = progress(*range(9))

    assert [log.index(line.data) for line in chosen(shipped()[1], log, [])] == [0, 300, 308]


def test_nothing_is_searched_for_behind_more_lines_than_are_asked_for() -> None:
    """What is left out lies behind them: the lines before are those that are chosen anyway."""
    block = (LOCKED + b"\n") * 1000
    few = Candidates(Matcher(SHIPPED), patience=LIMITS.settle, most=10).starts(block, 0, len(block))
    every = shipped()[1].starts(block, 0, len(block))

    assert few is not None
    assert every is not None
    assert (len(few), len(every)) == (11, 1000)
    assert few == every[:11]


def test_what_nobody_claims_is_chosen_if_it_is_suspicious() -> None:
    log = [
        b"fine",
        b'{"level": "error", "msg": "x"}',
        b"an ERROR of rsync",
        b"rc 23",
        b"the search 23",
        b"Traceback (most recent call last):",
    ]
    candidates = Candidates(Matcher(()), patience=timedelta(seconds=10))

    assert log[1:4] + log[5:] == [line.data for line in chosen(candidates, log, [])]


DENIED = (
    '{{"type": "log_message", "time": {}, "message": "/m: stat: [Errno 13] Permission denied: \'/m\'",'
    ' "levelname": "WARNING", "name": "borg.archiver"}}'
)


def test_a_warning_about_a_file_does_not_begin_the_murmur_anew() -> None:
    """It is judged, and what the murmur says of itself is known already."""
    log = [b'{"type": "file_status", "status": "A", "path": "/mnt/a"}', *progress(*range(9))]
    log[6:6] = [DENIED.format(1795409816.5).encode()]
    judge, candidates = shipped()

    assert [log.index(line.data) for line in chosen(candidates, log, [])] == [0, 1, 6, 10]
    assert judged(judge, whole(log)) == judged(judge, chosen(candidates, log, []))


def test_warnings_along_a_long_stretch_do_not_begin_it_anew_but_a_silence_before_one_does() -> None:
    """What counts is the time since the last line that is judged, not since the first of the murmur."""
    log = [b'{"type": "file_status", "status": "A", "path": "/mnt/a"}', *progress(*range(1, 6001, 1))]
    for at in range(6000, 0, -5):
        log.insert(at, DENIED.format(1795409811.5 + at).encode())
    log.append(DENIED.format(1795409811.5 + 9000).encode())
    judge, candidates = shipped()
    found = chosen(candidates, log, [])

    assert judged(judge, whole(log)) == judged(judge, found)
    assert sum(b"archive_progress" in line.data for line in found) < 1200


def test_a_silence_before_a_stretch_of_murmur_is_not_made_up_from_its_listing() -> None:
    """The listing had gone on behind the uppermost directory: the run was not done when it fell silent."""
    listing = [
        b'{"type": "file_status", "status": "%s", "path": "/%s"}' % line for line in ((b"d", b""), (b"A", b"m/a"))
    ]
    log = [DENIED.format(1795409811.0).encode(), listing[1], *listing, *progress(1000)]
    judge, candidates = shipped()

    assert judged(judge, whole(log)) == judged(judge, chosen(candidates, log, []))


PRUNED = (
    b'{"type": "log_message", "time": 1795409811.0, "levelname": "INFO", "name": "borg.output.list",'
    b' "message": "Keeping archive: x"}'
)


@pytest.mark.parametrize(
    ("first", "last"),
    [(LOCKED, b'"A", "path": "/mnt/a"'), (PRUNED, b'"d", "path": "/"')],
    ids=["a file", "a directory"],
)
def test_the_last_name_before_another_run_begins_is_chosen(first: bytes, last: bytes) -> None:
    """A name behind the uppermost directory shows that the listing had not come to its end."""
    log = [first, b"d /", b"A /mnt/a", b'{"type": "file_status", "status": %s}' % last]
    judge, candidates = shipped()

    assert judged(judge, whole(log)) == judged(judge, chosen(candidates, log, []))


def listed(path: str, status: str, *, escaped: bool) -> bytes:
    """A line of a listing in JSON; what is no ASCII may be spelt as escapes."""
    return json.dumps({"type": "file_status", "status": status, "path": path}, ensure_ascii=escaped).encode()


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize(
    ("before", "higher"),
    [
        (6, "/mnt/a/TOKEN=/b/c/d/e/f/g"),
        (6, "/mnt/a/PASSWORD':/b/c/d/e/f/g"),
        (6, "/mnt/a/PASSWORD'\N{NO-BREAK SPACE}: /b/c/d/e/f/g"),
        (9, "/" + "/".join(["n" * 255] * 14)),
    ],
    ids=["assigned", "said", "spaced", "cut"],
)
def test_a_directory_lies_as_high_as_it_is_shown(before: int, higher: str, *, escaped: bool) -> None:
    """Masked as a secret, or cut for its length, it may lie higher than the bytes of its line say."""
    deep = "/".join(["/mnt", *"abcdefghi"[: before - 1]])
    log = [
        b'Creating archive at "/r::a"',
        listed(f"{deep}/file", "A", escaped=escaped),
        listed(deep, "d", escaped=escaped),
    ]
    log += [listed(f"{deep}/{number}", "A", escaped=escaped) for number in range(30)]
    log += [listed(higher, "d", escaped=escaped), listed(f"{deep}/i/j/k", "A", escaped=escaped)]
    judge, candidates = shipped()
    all_of_it = judged(judge, whole(log))

    assert [run.top for run in all_of_it.runs] == [depth_of(redact(one_line(higher)))]
    assert depth_of(redact(one_line(higher))) < before < depth_of(higher)
    assert all_of_it == judged(judge, chosen(candidates, log, []))


def test_a_line_that_was_foreseen_is_judged_as_if_it_were_not() -> None:
    """What is remembered of a line says nothing of whose it is."""
    matcher = Matcher(SHIPPED)
    fresh = Matcher(SHIPPED)
    for data in (DENIED.format(1795409811.0).encode(), LOCKED, b'{"type": "file_status", "status": "A", "path": "/e"}'):
        line = line_of(data, 500)
        assert matcher.foresee(data) is not None
        assert matcher.judge(line, "nas") == fresh.judge(line, "nas")
        assert matcher.judge(replace(line, source="other"), "laptop") == fresh.judge(
            replace(line, source="other"), "laptop"
        )


def test_a_line_is_not_foreseen_where_a_rule_asks_whose_it_is() -> None:
    pack, _ = parse_pack(OF_ONE_JOB, "own.yaml")
    assert pack is not None
    matcher = Matcher(pack.rules)

    assert matcher.foresee(b"tape 7 is full") is None
    assert matcher.foresee(b"another line") is not None


OF_ONE_JOB = """
schema: 1
pack: own
rules:
  - id: tape
    match: {job: nas, text|contains: tape}
    emit: backup.failure
"""
