from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, time, timedelta

import pytest
import structlog

from borgwatch.logs import Size, configure, get_logger
from borgwatch.redact import register_secret
from tests.process import environment

SECRET = "Wk9" * 15
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    register_secret(f"5-{SECRET}")
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_text_line_is_time_level_event_and_values(stream: io.StringIO) -> None:
    configure(stream=stream)
    get_logger().info("source.new", path="/watch/nas", lines=3, ratio=1.5, ok=True)
    get_logger().warning("source.gone")

    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(TIME + r" \[info\] source\.new path=/watch/nas lines=3 ratio=1\.5 ok=True", first)
    assert re.fullmatch(TIME + r" \[warning\] source\.gone", second)


def test_a_json_line_is_one_object(stream: io.StringIO) -> None:
    configure("json", stream=stream)
    get_logger().error("journal.failed", reason="disk full", tries=2, ok=False, none=None)
    line = json.loads(stream.getvalue())

    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
    assert line == {
        "level": "error",
        "event": "journal.failed",
        "reason": "disk full",
        "tries": 2,
        "ok": False,
        "none": None,
    }


def test_time_level_and_event_come_first_in_json_too(stream: io.StringIO) -> None:
    configure("json", stream=stream)
    get_logger().info("x.y", job="nas", rc=0)
    logging.getLogger("websockets.client").warning("closing")
    keys = [list(json.loads(line)) for line in stream.getvalue().splitlines()]

    assert keys == [["timestamp", "level", "event", "job", "rc"], ["timestamp", "level", "event", "message"]]


def test_a_logfmt_line_begins_with_time_level_and_event(stream: io.StringIO) -> None:
    configure("logfmt", stream=stream)
    get_logger().info("run.ended", job="my nas", note='say "x"', ok=True)

    expected = TIME.replace("T", "T") + r' level=info event=run\.ended job="my nas" note="say \\"x\\"" ok=true\n'
    assert re.fullmatch("timestamp=" + expected, stream.getvalue())


@pytest.mark.parametrize("log_format", ["text", "json", "logfmt"])
def test_what_is_below_the_level_is_not_written(stream: io.StringIO, log_format: str) -> None:
    configure(log_format, stream=stream)
    get_logger().debug("too.fine")
    assert stream.getvalue() == ""
    configure(log_format, stream=stream, level=logging.DEBUG)
    get_logger().debug("fine")

    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize("log_format", ["text", "json", "logfmt"])
def test_a_hostile_value_stays_on_its_line_and_moves_no_cursor(stream: io.StringIO, log_format: str) -> None:
    configure(log_format, stream=stream)
    hostile = "a\nb\r\x1b[2J\x1b[31mred\x9b\u202e\x00\u2028c\udce9"
    get_logger().info("x.y", text=hostile, path=[hostile], error=ValueError(hostile))
    logging.getLogger("websockets").warning(hostile)

    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u202e\udce9]", "".join(lines))
    stream.getvalue().encode("utf-8")


def _fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("log_format", ["text", "json", "logfmt"])
def test_secrets_are_masked_in_every_place(stream: io.StringIO, log_format: str) -> None:
    configure(log_format, stream=stream)
    logger = get_logger()
    try:
        _fail(RuntimeError(f"login with 5-{SECRET} failed"))
    except RuntimeError:
        logger.exception("login.failed", key=f"5-{SECRET}", many={"k": [SECRET]}, url=f"wss://root:{SECRET}@nas")
        logging.getLogger("websockets.client").exception("sent %s", SECRET)
        logging.getLogger("lib").exception("stack", stack_info=True)
    logging.getLogger("lib").warning("frame %r", {"params": [f"5-{SECRET}"]})

    text = stream.getvalue()
    assert SECRET not in text
    assert text.count("RuntimeError: login with ") == 3
    assert len(text.splitlines()) == 4


@pytest.mark.parametrize("log_format", ["text", "json", "logfmt"])
def test_a_traceback_is_one_line(stream: io.StringIO, log_format: str) -> None:
    configure(log_format, stream=stream)
    try:
        _fail(ValueError("first\nsecond"))
    except ValueError:
        get_logger().exception("step.failed")

    (line,) = stream.getvalue().splitlines()
    assert "Traceback (most recent call last): | File" in line
    assert "ValueError: first | second" in line


def test_a_line_of_a_library_has_a_dotted_name_of_its_own(stream: io.StringIO) -> None:
    configure("json", stream=stream)
    logging.getLogger("watchdog.observers").warning("overflow of %d", 7)
    logging.getLogger("watchdog.observers").info("chatter")
    line = json.loads(stream.getvalue())

    assert (line["event"], line["level"], line["message"]) == ("library.watchdog.observers", "warning", "overflow of 7")


def test_warnings_and_errors_of_libraries_go_the_same_way_once(stream: io.StringIO) -> None:
    configure(stream=stream)
    configure(stream=stream)
    logging.getLogger("x").error("once")

    assert re.fullmatch(TIME + r" \[error\] library\.x message=once\n", stream.getvalue())


def test_a_very_long_value_is_cut(stream: io.StringIO) -> None:
    configure("json", stream=stream)
    get_logger().info("x", text="y" * 10_000)

    assert len(json.loads(stream.getvalue())["text"]) == 300


def test_a_broken_value_does_not_break_the_line(stream: io.StringIO) -> None:
    configure("json", stream=stream)
    get_logger().info("x", text=b"\xff\n", when=time(1))
    line = json.loads(stream.getvalue())

    assert (line["text"], line["when"]) == (r"b'\xff\n'", "01:00:00")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
@pytest.mark.usefixtures("stream")
def test_colour_comes_on_a_terminal_only_and_can_be_refused(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], *, coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    terminal = _Terminal()
    configure(stream=terminal)
    get_logger().info("x")

    assert coloured is ("\x1b[" in terminal.getvalue())


@pytest.mark.usefixtures("stream")
def test_standard_output_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    configure(stream=None)
    get_logger().info("x.y")

    captured = capsys.readouterr()
    assert (captured.out[25:], captured.err) == (" [info] x.y\n", "")
    assert sys.stdout is not None


@pytest.mark.parametrize(
    ("log_format", "says"),
    [
        ("text", "took=14m2s waits=0.04s size=2.48MB none=0B"),
        ("logfmt", "took=14m2s waits=0.04s size=2.48MB none=0B"),
        ("json", '"took": 842.4, "waits": 0.041, "size": 2480000, "none": 0'),
    ],
)
def test_spans_and_sizes_have_units_for_people_and_are_numbers_in_json(
    stream: io.StringIO, log_format: str, says: str
) -> None:
    configure(log_format, stream=stream)
    took, waits = timedelta(seconds=842.4), timedelta(seconds=0.0412345)
    get_logger().info("x.y", took=took, waits=waits, size=Size(2_480_000), none=Size(0))
    assert says in stream.getvalue()


def test_of_a_long_traceback_the_end_is_told(stream: io.StringIO) -> None:
    """What happened stands in its last line."""
    configure("json", stream=stream)
    try:
        try:
            _fail(KeyError("y" * 9000))
        except KeyError as error:
            raise RuntimeError("the real end") from error
    except RuntimeError:
        get_logger().exception("x.y")
    told = json.loads(stream.getvalue())["exception"]
    assert told.startswith("Traceback (most recent call last): | File")
    assert told.endswith("RuntimeError: the real end")
    assert len(told) < 4100


def test_a_line_of_a_library_that_cannot_be_put_together_is_one_line(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("json", stream=stream)
    logging.getLogger("lib").warning("frame %d", "not a number")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["logger"], line["message"]) == ("library.unreadable", "lib", "frame %d")
    assert capsys.readouterr().err == ""


def test_a_number_that_json_does_not_know_is_a_text(stream: io.StringIO) -> None:
    configure("json", stream=stream)
    get_logger().info("x.y", a=float("nan"), b=float("-inf"), c=1.5)

    def refuse(word: str) -> None:
        raise AssertionError(word)

    line = json.loads(stream.getvalue(), parse_constant=refuse)
    assert (line["a"], line["b"], line["c"]) == ("nan", "-inf", 1.5)


@pytest.mark.parametrize(
    "code",
    [
        "raise ValueError(key)",
        "import threading; t = threading.Thread(target=lambda: int(key)); t.start(); t.join()",
        "class A:\n    def __del__(self): int(key)\nA()",
        "import warnings; warnings.warn(key)",
    ],
)
def test_what_nobody_catches_is_one_masked_line(code: str) -> None:
    """Also where Python itself would write a traceback, with the key in it, to standard error."""
    begin = f"from borgwatch.logs import *\nconfigure('json')\ncatch_strays()\nkey = '7-' + {SECRET!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", begin + code], env=environment({}), capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    (line,) = map(json.loads, done.stdout.splitlines())
    assert line["event"] in ("borgwatch.broken", "library.py.warnings")
    assert SECRET not in done.stdout
    assert "***" in done.stdout


def test_a_traceback_of_a_command_is_masked() -> None:
    """Commands keep Python's traceback for what nobody thought of, without the secrets in it."""
    code = (
        "import sys, click, borgwatch.cli as c\n"
        f"c._run = lambda: int('7-' + {SECRET!r})\nsys.argv = ['borgwatch']\nc.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment({}), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "ValueError: invalid literal" in done.stderr
    assert SECRET not in done.stderr
