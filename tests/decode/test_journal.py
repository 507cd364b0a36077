"""Entries of systemd's journal are read as the lines that they hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from borgwatch.decode import decode
from borgwatch.model import Level, Line, Position, Record

READ_AT = datetime(2026, 11, 24, tzinfo=UTC)
NINE = datetime(2026, 11, 23, 9, 0, 0, 250000, tzinfo=UTC)


def read(message: object, **fields: object) -> Record:
    since = str(int(NINE.timestamp() * 1_000_000))
    entry = {"__REALTIME_TIMESTAMP": since, "SYSLOG_IDENTIFIER": "backup.sh", "PRIORITY": "3", "MESSAGE": message}
    data = json.dumps({**entry, **fields}).encode()
    return decode(Line("log", data, Position(1, 1, 0), READ_AT), "nas")


def test_an_entry_is_its_message_with_time_program_and_level() -> None:
    record = read("Repository /mnt/backup/gone does not exist.")

    assert record == Record(
        text="Repository /mnt/backup/gone does not exist.",
        source="log",
        job="nas",
        level=Level.ERROR,
        logger="backup.sh",
        time=NINE,
    )


def test_a_json_line_of_borg_is_found_in_an_entry() -> None:
    record = read('{"type": "log_message", "message": "said", "levelname": "WARNING", "name": "borg.archiver"}')

    assert (record.text, record.level, record.logger, record.time) == ("said", Level.WARNING, "borg.archiver", NINE)


def test_what_a_script_put_before_its_line_comes_off_as_well() -> None:
    record = read("[2026-11-23 09:00:00] WARNING: said")

    assert (record.text, record.level, record.time) == ("said", Level.WARNING, NINE)


def test_a_message_that_is_not_printable_comes_as_numbers() -> None:
    assert read(list(b"10 MB O\rterminating with success status, rc 0")).text == "terminating with success status, rc 0"


@pytest.mark.parametrize("message", [None, 7, {}, [300], ["a"], [-1]])
def test_an_entry_without_a_message_says_nothing(message: object) -> None:
    assert read(message).text == ""


@pytest.mark.parametrize("since", [None, "", "x", "9" * 40, 1795410165911609])
def test_a_time_that_is_none_makes_no_entry(since: object) -> None:
    assert read("said", __REALTIME_TIMESTAMP=since).text == ""
