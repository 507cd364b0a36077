r"""Take lines out of the envelopes of Docker's json-file driver: `{"log":"…\n","stream":"stderr","time":"…Z"}`. Pure.

Lines of such a file come in, the lines that the container wrote leave, with the time at which it wrote them. A line of
more than 16 KiB comes in several envelopes, of which only the last ends in `\n`; what is still to be joined is given
back as `held`, and stands in `Position.held`, so that it is committed together with the place behind it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import msgspec

from borgwatch.model import Line
from borgwatch.sources.lines import one_piece

__all__ = ["ENVELOPE", "is_wrapped", "rest_of", "unwrap"]

ENVELOPE = 132 * 1024
"""The longest envelope: 16 KiB of control characters, each written as six, and what stands around them."""
_STREAMS = ("stdout", "stderr")
_BEGINNING = b'{"log":'


class _Envelope(msgspec.Struct):
    log: str
    stream: str = _STREAMS[0]
    time: str = ""


class _StrictEnvelope(msgspec.Struct):
    log: str
    stream: str
    time: datetime


class _Half(msgspec.Struct):
    """The beginning of a line whose end is yet to come."""

    text: str
    time: str = ""


_halves = msgspec.json.Decoder(dict[str, _Half])
_envelopes = msgspec.json.Decoder(_Envelope)
_strict = msgspec.json.Decoder(_StrictEnvelope)


def is_wrapped(data: bytes) -> bool:
    """Tell whether a line of any file is an envelope beyond doubt: others, too, write JSON with a `log` in it."""
    if not data.startswith(_BEGINNING):
        return False
    try:
        envelope = _strict.decode(data)
    except (msgspec.MsgspecError, UnicodeError):
        return False
    return envelope.stream in _STREAMS and envelope.time.tzinfo is not None


def unwrap(lines: Iterable[Line], held: bytes, limit: int) -> tuple[list[Line], bytes]:
    """Take lines out of their envelopes and join what belongs together; return what is still to be joined, too.

    A line that is no envelope stays as it is. No line gets longer than `limit` bytes.
    """
    halves = _halves.decode(held) if held else {}
    whole: list[Line] = []
    for line in lines:
        envelope = _envelope(line.data)
        if envelope is None:
            whole.append(line)
            continue
        stream = envelope.stream if envelope.stream in _STREAMS else _STREAMS[0]
        half = halves.pop(stream, None)
        text = (half.text if half else "") + envelope.log
        if text.endswith("\n"):
            whole.append(_line(line, text, envelope.time, limit))
        else:
            halves[stream] = _Half(_cut(text, limit), envelope.time)
    return whole, msgspec.json.encode(halves) if halves else b""


def rest_of(held: bytes, like: Line, limit: int) -> list[Line]:
    """Make lines of what was held, where nothing is added any more: the container ended in the middle of a line."""
    return [_line(like, half.text, half.time, limit) for _, half in sorted(_halves.decode(held).items())]


def _line(line: Line, text: str, time: str, limit: int) -> Line:
    data = text.removesuffix("\n").removesuffix("\r").encode("utf-8", "surrogatepass")
    return replace(line, data=one_piece(data, limit), written_at=_time(time))


def _cut(text: str, limit: int) -> str:
    """Bound what is held as its line will be cut; of what a progress display writes, the end is held."""
    return text if len(text) <= limit else text[-limit:] if "\r" in text[-limit:] else text[:limit]


def _envelope(data: bytes) -> _Envelope | None:
    """Decode an envelope; one behind the remains of another, which Docker left when it crashed, as well."""
    for start in (0, data.rfind(_BEGINNING)):
        try:
            return _envelopes.decode(data[max(start, 0) :])
        except msgspec.MsgspecError:
            continue
    return None


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo is not None else None
