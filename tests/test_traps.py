"""Hard case 26: the traps of what Borg and its wrappers write, one test each, on lines as they were really written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from borgwatch.judge import Judge, SourceRole
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.model import Event, Line, Position
from borgwatch.runs.machine import Limits
from borgwatch.runs.run import Stream

LOGS = Path(__file__).parent / "data" / "borg-logs"
T0 = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
SUCCESS, WARNING, ERROR = (
    f"terminating with {word} status, rc {rc}" for rc, word in enumerate(("success", "warning", "error"))
)
CREATING = 'Creating archive at "/mnt/backup/repo::a1"'
GONE = "Repository /mnt/backup/gone does not exist."
LOCK = "Failed to create/acquire the lock /mnt/backup/repo/lock.exclusive (timeout)."


@cache
def _judge() -> Judge:
    return Judge(Matcher(load_rules().rules), Limits(), lambda _: SourceRole("nas"))


def events(*texts: str | bytes) -> Sequence[Event]:
    """What comes of a whole log."""
    lines = [
        Line("log", text if isinstance(text, bytes) else text.encode(), Position(1, 1, number), T0)
        for number, text in enumerate(texts, 1)
    ]
    judged = _judge().lines({}, lines)
    return judged.events + _judge().finish(judged.streams).events


def names(*texts: str | bytes) -> list[str]:
    return [event.name for event in events(*texts)]


def says(message: str, level: str = "INFO", name: str = "borg.output.show-rc", at: float = 0, **more: str) -> str:
    time = T0.timestamp() + at
    return json.dumps(
        {"type": "log_message", "time": time, "message": message, "levelname": level, "name": name, **more}
    )


@pytest.mark.parametrize("version", ["1.1.18", "1.2.4"])
def test_trap_1_damage_is_a_failure_whatever_the_exit_code(version: str) -> None:
    log = (LOGS / f"borg-{version}" / "check-corrupt-text.stderr").read_bytes()
    assert b"terminating with warning status, rc 1" in log
    assert names(*log.split(b"\n")) == ["verify.failure"]


def test_trap_1_a_repair_that_ends_with_success_found_something() -> None:
    assert names("Starting repository check", "Finished full repository check, errors found.", SUCCESS) == [
        "verify.warning"
    ]


def test_trap_2_a_good_prune_does_not_hide_a_failed_create() -> None:
    assert names(CREATING, LOCK, ERROR, "Keeping archive: a1", SUCCESS, SUCCESS) == ["backup.failure", "prune.success"]


def test_trap_3_one_error_line_without_a_closing_line_is_a_failure() -> None:
    (event,) = events(GONE)
    assert (event.name, event.message) == ("backup.failure", GONE)
    assert event.fields["next_step"] == "Is the disk or share with the repository mounted, and is the path right?"


def test_trap_4_json_behind_a_prompt_is_read() -> None:
    error = says("can not acquire a passphrase: ...", "ERROR", "borg.archiver", msgid="NoPassphraseFailure")
    (event,) = events(f"Enter passphrase for key /mnt/backup/enc: {error}")
    assert (event.name, event.rule) == ("backup.failure", "borg.passphrase")


def test_trap_5_a_line_that_is_glued_behind_progress_is_read() -> None:
    assert names(CREATING, "1.05 GB O 1.05 GB C 1.05 GB D 0 N mnt/x\rSaving files cache\r" + ERROR) == [
        "backup.failure"
    ]


CREATE = "0 B O 0 B C 0 B D 0 N mnt/tank/big \rInitializing cache transaction: Reading files\r\r45 MB O 45 MB C 0 N a\r"
PROGRESS = {
    "check": ("Checking segments   0%\rChecking segments  50%\r\r", "verify"),
    "compact": ("Compacting segments   0%\rCompacting segments  75%\r\r", "compact"),
    "create": (f"{CREATE}  \rSaving files cache\rSaving cache config\r\r", "backup"),
    "create of Borg 1.1": (f"{CREATE}Compacting segments   0%\r\rSaving files cache\r\r", "backup"),
}


@pytest.mark.parametrize(("progress", "operation"), PROGRESS.values(), ids=PROGRESS)
def test_trap_5_what_a_closing_line_was_written_over_names_its_command(progress: str, operation: str) -> None:
    """`borg --progress --show-rc check` in Borg 1.1 and 1.2 writes one line, which was a successful backup."""
    assert names(progress + SUCCESS) == [f"{operation}.success"]
    assert names(CREATING, SUCCESS, progress + SUCCESS)[1:] == [f"{operation}.success"]


def test_trap_5_damage_behind_progress_is_that_of_the_check() -> None:
    assert names(PROGRESS["check"][0] + WARNING) == ["verify.warning"]
    assert names(PROGRESS["check"][0] + ERROR) == ["verify.failure"]


def test_trap_5_the_deletion_behind_progress_is_no_backup() -> None:
    assert names(f"Decrementing references   0%\rDecrementing references  50%\r\r{SUCCESS}") == []


def test_trap_6_a_half_line_and_silence_is_a_run_that_never_ended() -> None:
    assert names(CREATING, '{"type": "file_status", "status": "A", "pa') == ["backup.stalled"]


def test_trap_7_no_changed_files_and_a_retry_are_no_warning() -> None:
    retry = "/mnt/x: file changed while we read it!: backup error, slept 0.001s, next: retry: 1 of 9..."
    lines = (
        says(retry, "WARNING", "borg.archiver.create_cmd"),
        says("Files changed while reading: 0", name="borg.output.stats"),
    )
    assert names(*lines, says(SUCCESS, at=1)) == ["backup.success"]


def test_trap_8_a_missing_archive_of_delete_is_not_about_the_backup() -> None:
    assert names(says("Archive a2 not found (1/1).", "WARNING", "borg.archiver"), says(WARNING, "WARNING")) == []


@pytest.mark.parametrize(
    "name", ["error", "failed: terminating with error status, rc 2", "No space left on device", "check, errors found"]
)
@pytest.mark.parametrize("as_json", [True, False])
def test_trap_9_names_of_files_can_say_anything(name: str, as_json: bool) -> None:
    path = f"/mnt/tank/{name}"
    listed = json.dumps({"type": "file_status", "status": "A", "path": path}) if as_json else f"A {path}"
    assert names(CREATING, listed, SUCCESS) == ["backup.success"]


@pytest.mark.parametrize("outcome", [SUCCESS, ERROR])
def test_trap_9_a_name_with_a_line_end_is_no_closing_line(outcome: str) -> None:
    listing = ("A /mnt/odd/x", outcome, "A /mnt/odd/y", "E /mnt/odd/z", "d /mnt/odd")
    assert names(*listing, WARNING) == ["backup.warning"]
    assert names(*listing, ERROR) == ["backup.failure"]


def test_trap_9_two_runs_that_list_the_same_are_two_runs() -> None:
    listing = ("A /mnt/odd/x", "A /mnt/odd/y", "d /mnt/odd")
    assert names(*listing, SUCCESS, *listing, ERROR) == ["backup.success", "backup.failure"]


def test_trap_10_time_that_runs_backwards_ends_nothing_twice() -> None:
    lines = (
        says(CREATING, name="borg.archiver", at=3600),
        says("Archive name: a1", name="borg.output.stats", at=-3600),
    )
    assert names(*lines, says(SUCCESS, at=-3599)) == ["backup.success"]


@pytest.mark.parametrize("prefix", ["", "[2026-11-23 02:00:01,123] CRITICAL: ", "[2026-11-23T02:00:01] "])
def test_trap_11_borgmatic_counts_a_missing_source_as_an_error(prefix: str) -> None:
    lines = (
        "nas: Creating archive",
        "/mnt/x: stat: [Errno 2] No such file or directory: '/mnt/x'",
        "nas: Treating exit code 107 (BackupFileNotFoundError) as an error, as per borgmatic defaults",
        "nas: Error running actions for repository",
        "/etc/borgmatic/config.yaml: An error occurred",
        "summary:",
        "Need some help? https://torsion.org/borgmatic/#issues",
        "Exception ignored in: <function _TemporaryFileCloser.__del__ at 0x7f7bc4e30220>",
        "Traceback (most recent call last):",
        "FileNotFoundError: [Errno 2] No such file or directory: '/tmp/borgmatic-t3vc8rqv'",
    )
    assert names(*(prefix + line for line in lines)) == ["backup.failure"]


STATISTICS = "Utilization of max. archive size: 0%"
START = ("Starting Borg Backup", "Archive: backup-2026-11-23_05-03-34", "Creating backup archive...")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ((*START, LOCK), ["backup.failure"]),
        ((*START, STATISTICS, "ERROR: Failed to start borg or capture PID"), ["backup.success"]),
        ((*START, "Backup completed successfully!"), ["backup.success"]),
        ((*START, "💥 Backup failed!"), ["backup.failure"]),
        ((*START, "Received SIGTERM.", "INFO: Backup terminated by window monitor"), ["backup.skipped"]),
        ((*START, "Borg Backup Container Starting"), ["backup.failure", "container.startup"]),
        (("Borg Backup Container Starting",), ["container.startup"]),
        (("Pruning Old Backups", LOCK), ["prune.failure"]),
        ((*START, "AssertionError: bug in code, exclusive lock should exist here"), ["backup.failure"]),
    ],
    ids=["lock under set -e", "short run", "good", "other glyph", "window", "restart", "start", "prune", "broken lock"],
)  # fmt: skip
def test_trap_12_docker_borg_client(lines: Sequence[str], told: list[str]) -> None:
    assert names(*lines) == told


def test_trap_12_what_was_skipped_is_no_success() -> None:
    line = "2026-10-11T03:05:00+0200 verify.skipped WARNING Borg Verification Skipped | Level: repository, locked"
    (event,) = events(line)
    assert (event.name, event.time) == ("verify.skipped", datetime(2026, 10, 11, 1, 5, tzinfo=UTC))


def test_trap_13_what_docker_wraps_is_in_its_own_tests() -> None:
    """The envelope: tests/decode/test_envelope.py; whole logs in it: tests/test_recordings.py."""
    assert (LOGS / "docker-json-file").is_dir()


def test_a_killed_backup_is_not_made_good_by_the_compaction_after_it() -> None:
    killed = json.dumps({"type": "file_status", "status": "A", "path": "/mnt/tank/a/b"})
    compacting = json.dumps({"type": "progress_percent", "msgid": "repository.compact_segments", "finished": True})
    assert "backup.success" not in names(killed, compacting, SUCCESS)


def test_a_quiet_listing_is_no_stalled_run_and_a_broken_one_is() -> None:
    assert names("A /mnt/tank/a/b", "d /mnt/tank/a", "d /mnt/tank") == []
    assert names(CREATING, "A /mnt/tank/a/b", "d /mnt/tank/a", "A /mnt/tank/c", "d /mnt/tank") == []
    assert names(CREATING, "d /mnt/tank/a", "A /mnt/tank/c") == ["backup.stalled"]


def test_runs_that_never_close_are_told_once() -> None:
    """`borg create -v` alone: the first silence is told, with what helps; after that it is a habit."""
    streams: dict[str, Stream] = {}
    told: list[str] = []
    for night in range(4):
        at = T0 + timedelta(days=2 * night)
        judged = _judge().lines(streams, [Line("log", CREATING.encode(), Position(1, 1, night), at)])
        streams = {**streams, **judged.streams}
        silent = _judge().silence(streams, at + timedelta(days=1), {})
        streams = {**streams, **silent.streams}
        told += [event.name for event in judged.events + silent.events]
    assert told == ["backup.stalled"]
