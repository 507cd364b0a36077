"""Lines that no rule claimed: which of them are kept for review, and what is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from borgwatch.decode import decode
from borgwatch.judge import Judge, SourceRole
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.matching.suspicious import SUSPICIOUS_BYTES, is_suspicious
from borgwatch.model import Line, Position
from borgwatch.runs.machine import Limits

NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
SUSPICIOUS = [
    '{"level": "error", "msg": "upload gave up"}',
    '{"type": "log_message", "levelname": "CRITICAL", "name": "rclone", "message": "no token", "time": 1795409741.2}',
    '{"rc": 3, "msg": "done"}',
    "Traceback (most recent call last):",
    "ERROR: cannot mount /mnt/backup",
    "[ERROR] cannot mount /mnt/backup",
    "2026-11-23 02:00:01 ERROR cannot mount",
    "2026-11-23T02:00:01+01:00 [FATAL] cannot mount",
    "backup.sh: error: cannot mount",
    "nas backup[4711]: fatal: no such remote",
    "CRITICAL",
    "job finished, exit code 2",
    "rsync exited with code 23",
    "mount: return code=32",
    "borg create returned 2",
    "Backup FAILED",
    "The nightly backup has failed: see above",
    "FAILED: backup",
    "\N{CROSS MARK} ERROR: cannot mount",
    "*** Error: cannot mount",
    "panic: runtime error",
    'time=2026-11-23T02:00:01Z level=error msg="cannot mount"',
]
HARMLESS = [
    "",
    '{"level": "info", "msg": "0 errors"}',
    '{"rc": 0, "msg": "done"}',
    '{"type": "file_status", "status": "A", "path": "/mnt/ERROR"}',
    "0 errors, 0 failed",
    "job finished, exit code 0",
    "copied /mnt/tank/ERROR: notes.txt",
    "see src 12 for more",
    "No ERROR so far",
    "0 failed",
    "copied failed.txt",
    'time=2026-11-23T02:00:01Z level=info msg="done"',
]


def line(text: str, offset: int = 0, at: datetime = NOW) -> Line:
    return Line("log", text.encode(), Position(1, 1, offset), at)


def judge() -> Judge:
    return Judge(Matcher(load_rules().rules), Limits(), lambda _: SourceRole("nas"))


@pytest.mark.parametrize("text", SUSPICIOUS)
def test_a_line_that_looks_like_trouble_is_suspicious(text: str) -> None:
    assert is_suspicious(decode(line(text), "nas"))


@pytest.mark.parametrize("text", SUSPICIOUS)
def test_a_suspicious_line_holds_one_of_the_byte_patterns(text: str) -> None:
    assert any(pattern in text.encode().lower() for pattern in SUSPICIOUS_BYTES)


@pytest.mark.parametrize("text", HARMLESS)
def test_words_that_are_no_report_of_trouble_are_not_suspicious(text: str) -> None:
    assert not is_suspicious(decode(line(text), "nas"))


def test_lines_that_differ_in_numbers_are_counted_together_and_the_newest_is_kept() -> None:
    later = NOW + timedelta(minutes=5)
    judged = judge().lines({}, [line("ERROR: try 1 of 3"), line("ERROR: try 2 of 3", 1, later)])

    (kept,) = judged.unclaimed
    assert (kept.job, kept.text, kept.count, kept.sample) == ("nas", "ERROR: try # of #", 2, "ERROR: try 2 of 3")
    assert (NOW, later) == (kept.first, kept.last)


def test_secrets_and_control_characters_do_not_get_into_what_is_kept() -> None:
    judged = judge().lines({}, [line("ERROR: BORG_PASSPHRASE=hunter2hunter2 \x07\u202eat ssh://me:secret@nas/repo")])

    (kept,) = judged.unclaimed
    assert kept.sample == "ERROR: BORG_PASSPHRASE=*** at ssh://me:***@nas/repo"


def test_a_line_that_a_rule_claims_counts_for_the_rule_and_is_not_kept() -> None:
    judged = judge().lines({}, [line("terminating with error status, rc 2")])

    assert list(judged.hits) == ["borg.closing-error"]
    assert (judged.hits["borg.closing-error"].count, judged.hits["borg.closing-error"].last) == (1, NOW)
    assert judged.unclaimed == ()
