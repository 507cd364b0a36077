"""What loggers put before a line of their own comes off, whatever logger it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgwatch.decode import decode
from borgwatch.decode.prefix import split_prefix
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.model import Level, Line, Position, Record

READ_AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
SAID = "Creating archive"
CET = timezone(timedelta(hours=1))
FIVE = datetime(2026, 11, 23, 5, 3, 10)  # noqa: DTZ001 - as it is written: without a zone

# prefix, what is written of the time, whether it names its zone, level, logger
PREFIXES: list[tuple[str, datetime, bool, Level | None, str]] = [
    ("[2026-11-23 05:03:10,164] INFO: ", FIVE.replace(microsecond=164000), False, Level.INFO, ""),
    ("[2026-11-23 05:03:10,164] ANSWER: ", FIVE.replace(microsecond=164000), False, Level.NOTICE, ""),
    ("[2026-11-23T05:03:10] ", FIVE, False, None, ""),
    ("[2026-11-23 05:03:10] ", FIVE, False, None, ""),
    ("2026-11-23 05:03:10,164 - vorta.scheduler - ERROR - ", FIVE.replace(microsecond=164000), False, Level.ERROR,
     "vorta.scheduler"),
    ("Nov 23 05:03:10 ", FIVE, False, None, ""),
    ("Nov 23 05:03:10 nas borgmatic[4711]: INFO ", FIVE, False, Level.INFO, "borgmatic"),
    ("Nov 23 05:03:10 nas borgmatic: CRITICAL ", FIVE, False, Level.CRITICAL, "borgmatic"),
    ("2026-11-23T05:03:10+0100 nas backup.sh[12]: ", FIVE.replace(tzinfo=CET), True, None, "backup.sh"),
    ("2026-11-23T05:03:10.164123+01:00 nas borg[12]: ", FIVE.replace(microsecond=164123, tzinfo=CET), True, None,
     "borg"),
    ("2026-11-23T05:03:10Z ", FIVE.replace(tzinfo=UTC), True, None, ""),
    ("2026-11-23 05:03:10 [WARNING] ", FIVE, False, Level.WARNING, ""),
    ("2026/11/23 05:03:10 ", FIVE, False, None, ""),
    ("Mon Nov 23 05:03:10 UTC 2026 ", FIVE.replace(tzinfo=UTC), True, None, ""),
    ("Mon Nov 23 05:03:10 CET 2026: ", FIVE, False, None, ""),
    ("Mon 23 Nov 2026 05:03:10 AM UTC ", FIVE.replace(tzinfo=UTC), True, None, ""),
    ("borg-backup-1  | ", FIVE, False, None, ""),
    ("borg-1  | 2026-11-23T05:03:10.164123456Z ", FIVE.replace(microsecond=164123, tzinfo=UTC), True, None, ""),
    ("2026-11-23T05:03:10.164123456Z stderr F ", FIVE.replace(microsecond=164123, tzinfo=UTC), True, None, ""),
    ("<30>1 2026-11-23T05:03:10.164Z nas borg 4711 - - ", FIVE.replace(microsecond=164000, tzinfo=UTC), True, None,
     "borg"),
    ("Mon 2026-11-23 05:03:10 UTC nas borg[4711]: ", FIVE.replace(tzinfo=UTC), True, None, "borg"),
    ("Mon 2026-11-23 05:03:10 CET nas borg[4711]: ", FIVE, False, None, "borg"),
    ("Nov 23 05:03:10 Tower root: ", FIVE, False, None, "root"),
    ("Mon Nov 23 05:03:10 AM UTC 2026 ", FIVE.replace(tzinfo=UTC), True, None, ""),
    ("2026-11-23 05:03:10 INFO     ", FIVE, False, Level.INFO, ""),
    ("<13>Nov 23 05:03:10 nas borg[4711]: ", FIVE, False, None, "borg"),
    ("[Mon Nov 23 05:03:10 UTC 2026] ", FIVE.replace(tzinfo=UTC), True, None, ""),
    ("2026-11-23 05:03:10\t", FIVE, False, None, ""),
    ("2026-11-23 05:03:10 | ", FIVE, False, None, ""),
    ("2026-11-23 05:03:10 - ", FIVE, False, None, ""),
    ("2026-11-23 05:03:10 [borg] ", FIVE, False, None, ""),
    ("[borg-1] 2026-11-23 05:03:10 ", FIVE, False, None, ""),
    ("[pod/borg-7d/borg] ", FIVE, False, None, ""),
    ("[ERROR] ", FIVE, False, Level.ERROR, ""),
    ("ERROR:borg.archiver:", FIVE, False, Level.ERROR, "borg.archiver"),
    ("1795410190.5 ", datetime(2026, 11, 23, 5, 3, 10, 500000, UTC), True, None, ""),
    ("05:03:10 ", FIVE, False, None, ""),
    ("[05:03:10] ", FIVE, False, None, ""),
    ("23.11.2026 05:03:10 ", FIVE, False, None, ""),
    ("20261123-050310 ", FIVE, False, None, ""),
    ("@4000000065a1b2c30a1b2c3d ", FIVE, False, None, ""),
    ("Mo 23. Nov 05:03:10 CET 2026 ", FIVE, False, None, ""),
    ("lun. 23 nov. 2026 05:03:10 CET ", FIVE, False, None, ""),
    ("[12345.678901] nas borg[4711]: ", FIVE, False, None, "borg"),
]  # fmt: skip


def read(text: str) -> Record:
    return decode(Line("log", text.encode(), Position(1, 1, 0), READ_AT), "nas")


@pytest.mark.parametrize(("prefix", "time", "zoned", "level", "logger"), PREFIXES, ids=[row[0] for row in PREFIXES])
def test_a_prefix_becomes_time_level_and_logger(
    prefix: str, time: datetime, zoned: bool, level: Level | None, logger: str
) -> None:
    record = read(prefix + SAID)

    assert (record.text, record.level, record.logger) == (SAID, level, logger)
    if record.time is not None:
        assert (record.time, record.zoned) == (time.astimezone() if time.tzinfo is None else time, zoned)


@pytest.mark.parametrize("prefix", [row[0] for row in PREFIXES])
def test_json_behind_a_prefix_is_understood_and_its_own_time_wins(prefix: str) -> None:
    record = read(prefix + '{"type": "log_message", "time": 1795410165.5, "message": "said", "levelname": "ERROR"}')

    assert (record.text, record.level, record.zoned) == ("said", Level.ERROR, True)
    assert record.time == datetime(2026, 11, 23, 5, 2, 45, 500000, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "Keeping archive: backup-2026-11-23",
        "A /mnt/2026-11-23 05:03:10 x",
        "Mon, 2026-11-23 05:02:45",
        "Mon, 2026-11-23 05:02:45 UTC x",
        "level=info msg=unquoted",
        'time="2026-11-23T05:03:10Z" level=info msg="without its end',
        "INFO: Backup terminated by window monitor",
        "[1]+  Killed                  borg create",
        "12:00 is no time",
        "2026-13-45 99:99:99 no time",
        "nas: Creating archive",
        "",
    ],
)
def test_what_is_no_prefix_stays(text: str) -> None:
    assert split_prefix(text, READ_AT) is None
    assert read(text).text == text


@pytest.mark.parametrize(
    ("line", "text", "level", "time"),
    [
        ('time="2026-11-23T05:03:10Z" level=info msg="Creating archive at \\"/r::a\\"" channel=stderr iteration=0',
         'Creating archive at "/r::a"', Level.INFO, FIVE.replace(tzinfo=UTC)),
        ('time=2026-11-23T05:03:10.5+01:00 level=ERROR msg="exit status 2"', "exit status 2", Level.ERROR,
         FIVE.replace(microsecond=500000, tzinfo=CET)),
        (r'level=warning msg="half of \x1b an escape"', r"half of \x1b an escape", Level.WARNING, None),
        ('borg-1  | time="yesterday" level=info msg="2026-11-23T05:03:10Z said"', "said", Level.INFO,
         FIVE.replace(tzinfo=UTC)),
        (r'time="2026-11-23T05:03:10Z" level=info msg="{\"message\": \"said\", \"levelname\": \"ERROR\"}" channel=x',
         "said", Level.ERROR, FIVE.replace(tzinfo=UTC)),
        ('time="0001-01-01T00:00:00" level=info msg="said"', "said", Level.INFO, None),
    ],
    ids=["supercronic", "slog", "Go's escapes", "within Compose's", "JSON", "a time of no calendar"],
)  # fmt: skip
def test_the_message_is_taken_out_of_logfmt(line: str, text: str, level: Level, time: datetime | None) -> None:
    record = read(line)

    assert (record.text, record.level, record.time) == (text, level, time)


def test_a_capital_word_after_the_time_is_no_host() -> None:
    assert read("Nov 23 05:03:10 Keeping archive: nas-1").text == "Keeping archive: nas-1"


def test_a_time_without_a_year_is_the_last_one_before_it_was_read() -> None:
    found = split_prefix("Dec 31 23:59:59 nas borg[1]: x", datetime(2027, 1, 1, 0, 1, tzinfo=UTC))

    assert found is not None
    assert found.time is not None
    assert found.time.year == 2026


@pytest.mark.parametrize("prefix", ["2026-11-23 05:03:10 ", "[2026-11-23 05:03:10] INFO: ", "05:03:10 INFO "])
def test_the_indent_of_a_json_document_stays(prefix: str) -> None:
    assert read(f'{prefix}    "archive": {{').text == '    "archive": {'


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("05:03:10 - /mnt/a: open: [Errno 13] Permission denied", "/mnt/a: open: [Errno 13] Permission denied"),
        ("05:03:10 - - /mnt/a", "- /mnt/a"),
        ("05:03:10 - /mnt/a", "- /mnt/a"),
    ],
)
def test_a_dash_behind_the_time_is_no_dry_run_before_trouble(line: str, text: str) -> None:
    assert read(line).text == text


@pytest.mark.parametrize("fence", ["A ", "M ", "d ", "- ", "65.42 MB O 65.42 MB C 65.42 MB D 0 N "])
def test_the_name_of_a_listed_file_is_never_read_as_json(fence: str) -> None:
    """A file can be called like a closing line of Borg."""
    name = '{"type": "log_message", "message": "terminating with success status, rc 0", "name": "borg.output.show-rc"}'

    assert read(f"{fence}mnt/{name}").fields == {}


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    found = split_prefix(text, READ_AT)

    assert found is None or text.endswith(found.rest)


def _time_of(text: str, *, past: bool = False, read_at: datetime = READ_AT) -> datetime | None:
    matcher = Matcher(load_rules().rules)
    position = Position(1, 1, 10, past_until=10 if past else 0)
    line = Line("log", text.encode(), position, read_at)
    signal = matcher.match(decode(line, "nas"), line)
    assert signal is not None
    return signal.time


LOCAL = READ_AT.astimezone().replace(tzinfo=None)


@pytest.mark.parametrize(
    ("hours", "past", "believed"),
    [(1, False, False), (1, True, True), (20, False, True), (-3, True, False), (-3, False, False)],
    ids=["fresh", "fresh, of the past", "old", "ahead, of the past", "ahead"],
)
def test_a_time_without_a_zone_counts_only_where_the_time_of_reading_tells_less(
    hours: int, past: bool, believed: bool
) -> None:
    """A container that runs in another zone than the host must not move the last success by hours."""
    written = LOCAL - timedelta(hours=hours)
    time = _time_of(f"{written:%Y-%m-%d %H:%M:%S} Creating archive", past=past)

    assert time == (written.astimezone() if believed else None)
