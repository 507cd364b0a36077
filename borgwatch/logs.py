"""Log lines: one an event, `time [level] event key=value …`, as text, JSON or logfmt.

The time is RFC 3339 with its offset, levels are not padded (log viewers recognise them then), colour comes only on
a terminal without `NO_COLOR`. Every value passes one processor that masks secrets and takes away control
characters, tracebacks included; the lines of `websockets`, `watchdog` and others go the same way.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from datetime import datetime, timedelta
from typing import TextIO, cast

from borgwatch.lean import without

with without("rich"):  # structlog would load it for tracebacks in colour, which are never drawn here: 5 MB, 0.1 s
    import structlog
    from structlog.typing import EventDict, Processor, WrappedLogger

from borgwatch.matching.templates import one_line
from borgwatch.redact import redact

__all__ = ["configure", "get_logger", "span_text"]

_MAX_VALUE = 300
_MAX_TRACEBACK = 4000
_FORMATS = ("text", "json", "logfmt")


def get_logger() -> structlog.stdlib.BoundLogger:
    """The logger of borgwatch."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger()
    return logger


def configure(log_format: str = "text", *, stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send borgwatch's log lines, and the warnings of its libraries, to `stream` (standard output by default)."""
    out = cast("TextIO", _Unbreakable(stream or sys.stdout))
    structlog.configure(
        processors=[*_COMMON, _renderer(log_format, out)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_name_foreign, *_COMMON],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(log_format, out)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


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


def span_text(span: timedelta) -> str:
    """Write a span in the largest unit that fits: `26h`, `90s`, `3d`."""
    seconds = round(span.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds}s"


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


def _harmless(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Mask secrets and take away what could move a cursor, in every value of the line."""
    for key, value in event.items():
        if key.startswith("_"):
            continue
        if isinstance(value, str):
            limit = _MAX_TRACEBACK if key == "exception" else _MAX_VALUE
            text = value.replace("\n", " | ") if key == "exception" else value
            event[key] = one_line(redact(text), limit)
        elif not isinstance(value, bool | int | float | None):
            event[key] = one_line(redact(str(value)), _MAX_VALUE)
    return event


def _in_order(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Put time, level and event before the values in every format."""
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


_COMMON: tuple[Processor, ...] = (
    structlog.stdlib.add_log_level,
    _timestamp,
    structlog.processors.format_exc_info,
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
