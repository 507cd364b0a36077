"""JSON-RPC 2.0 as TrueNAS speaks it over its WebSocket, without I/O: calls to text, text to answers.

One frame is one object; batches are not supported by TrueNAS 25.04 to 27. Notifications from the server are
`collection_update` and the like, and may come between a call and its answer, even before it.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any

__all__ = ["Answer", "Calls", "Notice", "ProtocolError", "Sealed"]

MAX_FRAME_OUT = 65_536  # characters, once logged in (TrueNAS closes with 1009 above it)


class ProtocolError(ValueError):
    """A frame that is no JSON-RPC, or too large to send."""


class Sealed(str):
    """Text for the wire alone: it travels as it is, and prints as `***` in messages, logs and tracebacks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, _: str) -> str:
        return "***"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to call `id`: a result, or an `error` object."""

    id: int
    result: Any = None
    error: Any = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the server says unasked."""

    method: str
    params: Any


class Calls:
    """Numbers calls and reads frames; knows which calls wait for an answer."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: set[int] = set()

    def request(self, method: str, params: tuple[Any, ...]) -> tuple[int, Sealed]:
        """Write a call; returns its number and the frame. Raises `ProtocolError` if the frame is too large."""
        number = next(self._numbers)
        frame = Sealed(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        if len(frame) > MAX_FRAME_OUT:
            raise ProtocolError(f"{method}: the call is {len(frame)} characters long, TrueNAS takes {MAX_FRAME_OUT}")
        self._waiting.add(number)
        return number, frame

    def receive(self, frame: str | bytes) -> Answer | Notice | None:
        """Read a frame. None for an answer that nobody waits for. Raises `ProtocolError` for anything else."""
        try:
            value = json.loads(frame)
        except (ValueError, RecursionError):
            raise ProtocolError("not JSON") from None
        if not isinstance(value, dict):
            raise ProtocolError("not a JSON object")
        if isinstance(value.get("method"), str):
            return Notice(value["method"], value.get("params"))
        number = value.get("id")
        if "result" not in value and "error" not in value:
            raise ProtocolError("neither a result nor an error")
        if type(number) is not int or number not in self._waiting:  # Python takes true and 1.0 for 1
            return None
        self._waiting.discard(number)
        return Answer(number, value.get("result"), value.get("error"))

    def forget(self, number: int) -> None:
        """Wait no longer for an answer."""
        self._waiting.discard(number)
