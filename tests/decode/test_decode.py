from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from math import inf

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from borgwatch.decode import decode
from borgwatch.decode.json_lines import trailing_object
from borgwatch.decode.text import clean_text
from borgwatch.model import Level, Line, Position, Record

READ_AT = datetime(2026, 11, 23, tzinfo=UTC)
CLOSING = (
    b'{"type": "log_message", "time": 1795410165.5, "message": "terminating", "levelname": "INFO", "name": "borg"}'
)


def read(data: bytes) -> Record:
    return decode(Line("log", data, Position(1, 1, 0), READ_AT), "nas")


def test_a_borg_line_is_understood_as_far_as_its_format_goes() -> None:
    expected = Record(
        text="terminating",
        source="log",
        job="nas",
        fields={
            "type": "log_message",
            "time": 1795410165.5,
            "message": "terminating",
            "levelname": "INFO",
            "name": "borg",
        },
        level=Level.INFO,
        logger="borg",
        time=datetime(2026, 11, 23, 5, 2, 45, 500000, tzinfo=UTC),
    )

    assert expected == read(CLOSING)


def test_a_line_that_no_format_claims_is_its_own_text() -> None:
    assert Record(text="any words", source="log", job="nas") == read(b"any words")


def _is_sane(record: Record) -> bool:
    """Everything can be stored, compared and printed."""
    texts = [record.text, record.logger, *record.fields, *(v for v in record.fields.values() if isinstance(v, str))]
    for text in texts:
        text.encode("utf-8")
    for value in record.fields.values():
        if isinstance(value, int):
            assert -(2**63) <= value < 2**63
    if record.time is not None:
        assert record.time.astimezone(UTC) + timedelta(days=365_000) > READ_AT
    return True


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
@example(b"\xff\xfet\x00e\x00x\x00t\x00")
@example(b'\x1b[{"a":1}')
def test_no_bytes_are_refused(data: bytes) -> None:
    assert _is_sane(read(data))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(st.characters(codec=None), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
KNOWN_KEYS = st.sampled_from(
    ["time", "timestamp", "ts", "level", "levelname", "name", "logger", "message", "msg", "type"]
)


@settings(max_examples=120, deadline=None)
@given(st.dictionaries(KNOWN_KEYS | st.text(max_size=6), JSON, max_size=6), st.text(max_size=10), st.booleans())
def test_no_object_is_refused_whatever_its_values(value: dict[str, object], before: str, ascii_only: bool) -> None:
    text = before + json.dumps(value, ensure_ascii=ascii_only)

    assert _is_sane(read(text.encode("utf-8", "surrogatepass")))


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=6), st.integers(-5, 5) | st.text(max_size=6), min_size=1, max_size=4)
)
def test_an_object_glued_behind_a_prompt_is_found(value: dict[str, object]) -> None:
    text = f"Enter passphrase for key /mnt/enc: {json.dumps(value)}"

    assert value == trailing_object(text)


@pytest.mark.parametrize(
    "before",
    [
        b"Enter passphrase for key /mnt/enc: ",
        b"\xef\xbb\xbf",
        b"\x00\x00\x00",
        b"\x1b[0m",
        b"12 MB O 3 N x\r",
        b'{"a": ',
    ],
)
def test_what_stands_before_an_object_does_not_hide_it(before: bytes) -> None:
    assert read(before + CLOSING).text == "terminating"


def test_an_object_in_mid_line_is_not_the_line() -> None:
    assert read(CLOSING + b" and more").fields == {}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"plain", "plain"),
        (b"crlf\r", "crlf"),
        (b"Saving files cache\rSaving cache config\r\r-----", "-----"),
        (b"one\rtwo\r   \r", "two"),
        (b"\r\r\r", ""),
        (b"\xef\xbb\xbfbom", "bom"),
        (b"\x00\x00nul\x00", "nul"),
        (b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07end", "red end"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"caf\xe9", "caf\ufffd"),
        ("Übergröße 名前".encode(), "Übergröße 名前"),
        (b"tab\tstays", "tab\tstays"),
        (b"bell\x07 back\x08 del\x7f", "bell back del"),
        ("UTF-16".encode("utf-16-le"), "UTF-16"),
        (b"", ""),
    ],
)
def test_text_is_what_a_terminal_would_have_left_standing(data: bytes, expected: str) -> None:
    assert expected == clean_text(data)


@pytest.mark.parametrize("escape", ["\\udce9", "\\uDCE9", "\\ud83d"])
def test_a_lone_surrogate_becomes_a_replacement_character(escape: str) -> None:
    record = read(f'{{"type": "file_status", "path": "/mnt/caf{escape}", "k{escape}": 1}}'.encode())

    assert record.fields == {"type": "file_status", "path": "/mnt/caf\ufffd", "k\ufffd": 1}


def test_a_pair_of_surrogate_escapes_stays_one_character() -> None:
    assert read(b'{"message": "\\ud83d\\ude00"}').text == "\U0001f600"


def test_the_last_of_doubled_keys_counts() -> None:
    assert read(b'{"message": "one", "message": "two"}').text == "two"


def test_nested_objects_become_dotted_names_and_lists_are_left_out() -> None:
    record = read(b'{"archive": {"name": "a1", "stats": {"nfiles": 3}}, "tags": [1, 2], "x": null}')

    assert record.fields == {"archive.name": "a1", "archive.stats.nfiles": 3, "x": None}


@pytest.mark.parametrize("depth", [20, 5000, 200_000])
def test_deep_nesting_is_survived(depth: int) -> None:
    data = b'{"a":' * depth + b"1" + b"}" * depth

    assert read(data).fields == {}


def test_an_object_with_very_many_keys_keeps_the_first_ones() -> None:
    data = json.dumps({"message": "text", **{f"k{n}": n for n in range(5000)}}).encode()

    assert (read(data).text, len(read(data).fields)) == ("text", 200)


def test_nan_is_no_json() -> None:
    assert read(b'{"a": NaN}').fields == {}


@pytest.mark.parametrize(
    ("number", "expected"),
    [("9223372036854775807", 2**63 - 1), ("9223372036854775808", 2.0**63), ("9" * 400, inf), ("-" + "9" * 400, -inf)],
)
def test_an_integer_beyond_64_bits_becomes_a_float(number: str, expected: float) -> None:
    value = read(f'{{"n": {number}}}'.encode()).fields["n"]

    assert expected == value
    assert type(expected) is type(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1795410165", datetime(2026, 11, 23, 5, 2, 45, tzinfo=UTC)),
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
        ('"2026-11-23T05:02:45+01:00"', datetime(2026, 11, 23, 5, 2, 45, tzinfo=timezone(timedelta(hours=1)))),
        ('"2026-11-23T05:02:45Z"', datetime(2026, 11, 23, 5, 2, 45, tzinfo=UTC)),
        ('"2026-11-23T05:02:45"', None),
        ('"yesterday"', None),
        ("true", None),
        ("-1", None),
        ("1e300", None),
        ("253402300798", None),
        ("10413792000", None),
        ("1795410165911", None),
        ('"0001-01-01T00:00:00+05:00"', None),
        ('"9999-12-31T23:59:59-05:00"', None),
    ],
)
def test_a_time_has_an_offset_and_lies_in_our_days(value: str, expected: datetime | None) -> None:
    """What lies at the ends of the calendar could not even be converted to another zone."""
    assert expected == read(f'{{"time": {value}}}'.encode()).time


def test_the_first_key_that_holds_a_time_gives_it() -> None:
    assert datetime(2026, 11, 23, 5, tzinfo=UTC) == read(b'{"time": "soon", "ts": "2026-11-23T05:00:00Z"}').time


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("warn", Level.WARNING),
        ("Error", Level.ERROR),
        ("FATAL", Level.CRITICAL),
        ("debug", None),
        ("notice", Level.NOTICE),
    ],
)
def test_levels_are_known_by_the_names_that_tools_give_them(word: str, level: Level | None) -> None:
    assert level is read(f'{{"level": "{word}", "msg": "x"}}'.encode()).level


def test_values_of_a_wrong_type_are_given_no_meaning() -> None:
    record = read(b'{"message": 5, "levelname": ["ERROR"], "name": {"x": 1}, "time": {}}')

    assert (record.text, record.level, record.logger, record.time) == ("", None, "", None)


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 5_000_000,
        b'{"a":' * 1_000_000 + b"}",
        b'{"' * 2_500_000 + b"}",
        b"\x1b]" * 2_500_000,
        b"\x1b[" * 2_500_000,
        b"\r" * 5_000_000,
        b'{"message": "' + b"y" * 5_000_000 + b'"}',
        b'{"message": "\\udce9' + b'{"' * 2_000_000 + b"}",
    ],
    ids=["text", "objects", "starts", "osc", "csi", "returns", "message", "surrogates"],
)
def test_a_line_of_megabytes_takes_bounded_time(data: bytes) -> None:
    started = time.perf_counter()
    read(data)

    assert time.perf_counter() - started < 5
