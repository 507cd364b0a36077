"""Status and heartbeat files, as scripts and tools write them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgwatch.decode import decode
from borgwatch.model import Outcome
from borgwatch.sources.choice import Kind, Wish
from borgwatch.sources.reports import Report, reports_in

from .world import World, append

NINE = datetime(2026, 11, 23, 9, tzinfo=UTC)
EPOCH = int(NINE.timestamp())
OK, WARN, BAD = Outcome.SUCCESS, Outcome.WARNING, Outcome.FAILURE
RESTICPROFILE = {
    "profiles": {
        "nas": {
            "backup": {"success": True, "time": NINE.isoformat(), "error": "", "stderr": "", "duration": 12},
            "check": {"success": False, "time": NINE.isoformat(), "error": "exit status 1", "stderr": "damaged"},
        }
    }
}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"{EPOCH}\n", [Report("backup", OK, NINE)]),
        (f"{EPOCH} nas-2026-11-23\n", [Report("backup", OK, NINE, "nas-2026-11-23")]),
        (f"{EPOCH}000", [Report("backup", OK, NINE)]),
        ("2026-11-23T09:00:00Z\n", [Report("backup", OK, NINE)]),
        ("2026-11-23 10:00:00+01:00 nas", [Report("backup", OK, NINE, "nas")]),
        ("ok\n", [Report("backup", OK)]),
        (f"{EPOCH} 2\n", [Report("backup", BAD, NINE, "2")]),
        (f"{EPOCH} 0\n", [Report("backup", OK, NINE, "0")]),
        ("2026-11-23T09:00:00Z FAILED\n", [Report("backup", BAD, NINE, "FAILED")]),
        ("OK 2026-11-23T09:00:00Z\n", [Report("backup", OK, NINE)]),
        ("FAILED: the repository is locked\n", [Report("backup", BAD, None, "the repository is locked")]),
        ("no backup was found\n", []),
        ('{"state": "completed", "errors": 3}', [Report("backup", BAD)]),
        ('{"state": "completed", "errors": 0}', [Report("backup", OK)]),
        ("FAILED\n", [Report("backup", BAD)]),
        ("status=ok\n", [Report("backup", OK)]),
        (f"exit_code=0\nlast_run={EPOCH}\n", [Report("backup", OK, NINE)]),
        ("exit_code=2\n", [Report("backup", BAD)]),
        ("rc=107", [Report("backup", WARN)]),
        ("status=ok\nexit_code=2\n", [Report("backup", BAD)]),
        ("status: success\r\noperation: prune\r\n", [Report("prune", OK)]),
        ('export STATUS="failed"\nexport ERROR="disk full"\n', [Report("backup", BAD, None, "disk full")]),
        ("status=running\n", []),
        (f"last_success={EPOCH}\n", [Report("backup", OK, NINE)]),
        ('{"status": "ok", "finished_at": "2026-11-23T09:00:00+00:00"}', [Report("backup", OK, NINE)]),
        ('{"status": "error", "exit_code": 2, "message": "no space"}', [Report("backup", BAD, None, "no space")]),
        ('{"success": true, "command": "create", "archive": "a1"}', [Report("backup", OK, None, "a1")]),
        ('{"status": "ok", "finis', []),
        (
            json.dumps(RESTICPROFILE),
            [Report("backup", OK, NINE), Report("verify", BAD, NINE, "exit status 1")],
        ),
        (
            f"# HELP borg_last_success_timestamp_seconds x\nborg_last_success_timestamp_seconds {EPOCH}.0\n",
            [Report("backup", OK, NINE)],
        ),
        (
            "".join(
                f'borg_exit_code{{repo="{repo}"}} {code}\nborg_last_run_timestamp_seconds{{repo="{repo}"}} {EPOCH}\n'
                for repo, code in (("a", 2), ("b", 0))
            ),
            [Report("backup", BAD, NINE, 'repo="a"'), Report("backup", OK, NINE, 'repo="b"')],
        ),
        (f"borg_prune_last_success_timestamp_seconds {EPOCH:.3e}\n", None),
        ("borg_backup_success 0\n", [Report("backup", BAD, stands=True)]),
        ("node_load1 0.5\n", []),
        ("", []),
        ("what ever this is\n", []),
        ("17\n", []),
        ("\x00\x00", []),
    ],
)
def test_a_status_file_is_understood_in_every_shape(content: str, expected: list[Report] | None) -> None:
    found = reports_in(content.encode(), "backup")

    if expected is None:  # a float keeps but a few digits of a time
        assert [(one.operation, one.outcome) for one in found] == [("prune", OK)]
    else:
        assert list(found) == expected


@given(st.binary(max_size=300) | st.text(alphabet='{}":=,_ 0123456789\nstausexiNaN-+e.', max_size=200).map(str.encode))
def test_no_content_breaks_the_reader(content: bytes) -> None:
    for report in reports_in(content, "backup"):
        assert report.outcome in (OK, WARN, BAD)


def told(world: World) -> list[tuple[str, str, str]]:
    """Let the file settle and tell what was reported since: operation, outcome, message."""
    before = len(world.lines)
    for _ in range(2):
        world.look()
        world.wait(2)
    records = [decode(line, "job") for line in world.lines[before:]]
    return [(str(one.fields["operation"]), str(one.fields["outcome"]), one.text) for one in records]


def named(world: World, path: str, kind: Kind = Kind.STATUS, operation: str = "backup") -> None:
    """Let the settings name a file."""
    world.wishes = (*world.wishes, Wish(kind, path, operation, is_named=True))
    world.restart()


def replace(path: Path, content: str) -> None:
    """Write a file as careful scripts do: beside, then renamed."""
    new = path.with_name(".new")
    new.write_text(content)
    new.rename(path)


def test_a_status_is_told_when_it_says_something_new_and_only_then(world: World) -> None:
    named(world, "nas/*.status")
    status = world.file("nas/borg.status", f"status=ok\nlast_run={EPOCH}\n")
    assert told(world) == [("backup", "success", "")]
    assert decode(world.lines[-1], "nas").time == NINE

    replace(status, f"status=ok\nlast_run={EPOCH}\n")
    assert told(world) == []
    world.restart()
    assert told(world) == []
    replace(status, f"status=failed\nlast_run={EPOCH + 60}\nerror=disk full\n")
    assert told(world) == [("backup", "failure", "disk full")]


def test_only_the_part_that_changed_is_told(world: World) -> None:
    named(world, "status.json")
    said = json.loads(json.dumps(RESTICPROFILE))
    status = world.file("status.json", json.dumps(said))
    assert told(world) == [("backup", "success", ""), ("verify", "failure", "exit status 1")]

    said["profiles"]["nas"]["backup"]["time"] = "2026-11-24T09:00:00Z"
    replace(status, json.dumps(said))
    assert told(world) == [("backup", "success", "")]


def test_a_status_without_a_time_is_told_each_time_it_is_written(world: World) -> None:
    named(world, "*.status")
    status = world.file("a.status", "status=ok\n")
    assert len(told(world)) == 1
    os.utime(status, (EPOCH, EPOCH))

    assert told(world) == [("backup", "success", "")]
    assert decode(world.lines[-1], "a").time == NINE


def test_a_metric_without_a_time_is_not_told_each_time_it_is_written(world: World) -> None:
    """Collectors write their files every few minutes."""
    metrics = world.file("borg.prom", "borg_exit_code 2\n")
    assert told(world) == [("backup", "failure", "")]
    replace(metrics, "borg_exit_code 2\n")
    assert told(world) == []
    replace(metrics, "borg_exit_code 0\n")
    assert told(world) == [("backup", "success", "")]


def test_a_touched_file_is_a_heartbeat(world: World) -> None:
    named(world, "alive", Kind.HEARTBEAT)
    beat = world.file("alive", "")
    os.utime(beat, (EPOCH, EPOCH))
    assert told(world) == [("backup", "success", "")]
    assert decode(world.lines[-1], "alive").time == NINE
    assert told(world) == []
    os.utime(beat, (EPOCH + 60, EPOCH + 60))
    assert told(world) == [("backup", "success", "")]


def test_an_empty_status_file_is_no_success(world: World) -> None:
    """Many scripts empty theirs when they begin."""
    named(world, "*.status")
    world.file("a.status", "")

    assert told(world) == []


def test_files_that_speak_for_themselves_need_no_setting(world: World) -> None:
    """docker-borg-client's restore drill, and Prometheus' text files."""
    drill = world.file("config/last-restore-drill", f"{EPOCH} nas-1\n")
    assert told(world) == [("restore", "success", "nas-1")]
    replace(drill, f"{EPOCH + 60} nas-2\n")
    assert told(world) == [("restore", "success", "nas-2")]
    world.file("node.prom", "node_load1 0.5\n")
    assert told(world) == []
    assert world.problems == []


def test_a_file_is_not_judged_while_it_is_written(world: World) -> None:
    named(world, "*.json")
    status = world.file("a.json", '{"status": "failed", ')
    world.look()
    world.wait(0.5)
    world.look()
    append(status, '"status": "ok"}')

    assert told(world) == [("backup", "success", "")]
    assert world.problems == []


def test_what_cannot_be_understood_is_told_once_and_its_end_too(world: World) -> None:
    named(world, "*.status")
    status = world.file("a.status", "lorem ipsum dolor\n")
    assert told(world) == []
    assert told(world) == []
    assert [problem.resolved for problem in world.problems] == [False]
    replace(status, "status=ok\n")
    told(world)
    assert [problem.resolved for problem in world.problems] == [False, True]


def test_a_huge_status_file_is_refused(world: World) -> None:
    named(world, "*.status")
    world.file("a.status", "status=ok\n" * 100_000)

    assert told(world) == []
    assert "65536 bytes" in world.problems[0].what


def test_10_a_status_that_was_there_at_the_first_start_is_past(world: World) -> None:
    world.first_start = True
    named(world, "*.status")
    status = world.file("a.status", "status=failed\n")
    told(world)
    assert [line.past for line in world.lines] == [True]
    replace(status, "status=ok\n")
    told(world)

    assert [line.past for line in world.lines] == [True, False]


def test_what_is_not_committed_is_told_again(world: World) -> None:
    named(world, "*.status")
    world.file("a.status", "status=ok\n")
    world.look()
    world.wait(2)
    assert len(world.tree.read(1 << 20).lines) == 1
    assert len(world.tree.read(1 << 20).lines) == 1
    world.restart()

    assert told(world) == [("backup", "success", "")]


def test_08_a_status_file_that_is_away_for_a_while_says_nothing_new(world: World) -> None:
    named(world, "*.status")
    status = world.file("a.status", f"{EPOCH}\n")
    assert len(told(world)) == 1
    status.unlink()
    assert told(world) == []
    status.write_text(f"{EPOCH}\n")

    assert told(world) == []


def test_17_a_fifo_where_a_status_file_is_expected_is_refused(world: World) -> None:
    named(world, "*.status")
    os.mkfifo(world.root / "a.status")
    world.look()

    assert "is a FIFO" in world.problems[0].what


def test_a_log_that_was_taken_for_a_status_file_is_read_whole_again(world: World) -> None:
    """What was noted of the one means nothing for the other."""
    log = world.file("nas.log", "status=ok\nrc=0\n")
    world.wishes = (Wish(Kind.STATUS, "nas.log", is_named=True),)
    world.restart()
    for _ in range(2):
        world.catch_up()
        world.wait(3)
    assert world.positions
    world.wishes = ()
    world.restart()

    assert world.catch_up() == [b"status=ok", b"rc=0"]
    append(log, "more\n")
    assert world.catch_up() == [b"more"]
