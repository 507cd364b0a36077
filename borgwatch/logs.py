"""Log lines: one an event, `time [level] event key=value …`, as text, JSON or logfmt.

The time is RFC 3339 with its offset, levels are not padded (log viewers recognise them then), colour comes only on
a terminal without `NO_COLOR`. Every value passes one processor that masks secrets and takes away control
characters, tracebacks included; the lines of `websockets`, `watchdog` and others go the same way. Spans (`timedelta`)
and sizes (`Size`) have their unit in text, and are numbers of seconds and bytes in JSON.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import os
import sys
import threading
from datetime import datetime, timedelta
from types import TracebackType
from typing import TextIO, cast

from borgwatch.lean import without

with without("rich"):  # structlog would load it for tracebacks in colour, which are never drawn here: 5 MB, 0.1 s
    import structlog
    from structlog.typing import EventDict, Processor, WrappedLogger

from borgwatch.matching.templates import one_line
from borgwatch.redact import redact
from borgwatch.runs.events import human_bytes
from borgwatch.spans import short_span

__all__ = ["Size", "catch_strays", "configure", "get_logger"]

_MAX_VALUE = 300
_MAX_TRACEBACK = 4000
_FORMATS = ("text", "json", "logfmt")


class Size(int):
    """A number of bytes, as a value of a log line."""


def get_logger() -> structlog.stdlib.BoundLogger:
    """The logger of borgwatch."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger()
    return logger


def configure(log_format: str = "text", *, stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send borgwatch's log lines, and the warnings of its libraries, to `stream` (standard output by default)."""
    out = cast("TextIO", _Unbreakable(stream or sys.stdout))
    structlog.configure(
        processors=[*_common(log_format), _renderer(log_format, out)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_name_foreign, *_common(log_format)],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(log_format, out)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes the lines of libraries; one that cannot even be put together is told as a line, not as a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging calls it so
        get_logger().warning("library.unreadable", logger=record.name, message=str(record.msg))


def catch_strays() -> None:
    """Let what nobody catches go the way of all lines, and masked: of the process, its threads, its destructors.

    Warnings of libraries go there, too.
    """

    def tell(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        get_logger().error("borgwatch.broken", exc_info=(kind, error or kind(), trace))

    sys.excepthook = tell
    threading.excepthook = lambda stray: tell(stray.exc_type, stray.exc_value, stray.exc_traceback)
    sys.unraisablehook = lambda stray: tell(stray.exc_type, stray.exc_value, stray.exc_traceback)
    logging.captureWarnings(True)


class _Unbreakable(io.TextIOBase):
    """A stream whose reader may go away or whose disk may fill up: a lost log line must not stop a delivery."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


def _timestamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["timestamp"] = datetime.now().astimezone().isoformat(timespec="seconds")
    return event


def _name_foreign(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Give a line of a library a dotted name of its own and keep its text as a field."""
    record = event.get("_record")
    if record is not None:
        event["message"] = event["event"]
        event["event"] = f"library.{record.name}"
    return event


def _measured(log_format: str) -> Processor:
    """Write spans and sizes as people read them, or as numbers."""
    is_for_people = log_format != "json"

    def measured(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        for key, value in event.items():
            if isinstance(value, timedelta):
                event[key] = short_span(value) if is_for_people else round(value.total_seconds(), 3)
            elif isinstance(value, Size):
                event[key] = human_bytes(value).replace(" ", "") if is_for_people else int(value)
        return event

    return measured


def _harmless(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Mask secrets and take away what could move a cursor, in every value of the line."""
    for key, value in event.items():
        if key.startswith("_"):
            continue
        if isinstance(value, str):
            event[key] = _traceback(redact(value)) if key == "exception" else one_line(redact(value), _MAX_VALUE)
        elif isinstance(value, float) and not math.isfinite(value):
            event[key] = str(value)  # JSON has no such number
        elif not isinstance(value, bool | int | float | None):
            event[key] = one_line(redact(str(value)), _MAX_VALUE)
    return event


def _traceback(text: str) -> str:
    """Write a traceback as one line; of a long one the end stays as well, for it says what happened."""
    line = one_line(text.replace("\n", " | "), len(text) * 3)
    half = _MAX_TRACEBACK // 2
    return line if len(line) <= _MAX_TRACEBACK else f"{line[:half]}…{line[-half:]}"


def _in_order(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Put time, level and event before the values in every format."""
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


def _common(log_format: str) -> tuple[Processor, ...]:
    return (
        structlog.stdlib.add_log_level,
        _timestamp,
        structlog.processors.format_exc_info,
        _measured(log_format),
        _harmless,
        _in_order,
    )


def _renderer(log_format: str, stream: TextIO) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer()
    if log_format == "logfmt":
        return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)
    colours = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    console = structlog.dev.ConsoleRenderer(colors=colours, pad_level=False, pad_event_to=0, sort_keys=False)

    def render(logger: WrappedLogger, name: str, event: EventDict) -> str:
        """Keep tracebacks on the line: the console renderer gives `exception` and `stack` lines of their own."""
        for key, shown_as in (("exception", "traceback"), ("stack", "stack_trace")):
            if key in event:
                event[shown_as] = event.pop(key)
        return console(logger, name, event)

    return render
