"""JSON-RPC 2.0 as TrueNAS speaks it: texts in, requests out, and the frames that answer. No I/O.

`params` is always a list; batches are refused; datetimes travel as `{"$date": <ms>}` and sets as `{"$set": [...]}`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .failures import BAD_REQUEST, PARSE_ERROR, CallFailed

__all__ = [
    "BadFrame",
    "Request",
    "answer",
    "collection_update",
    "date",
    "error_answer",
    "notify_unsubscribed",
    "parse_request",
]


@dataclass(frozen=True, slots=True)
class Request:
    """One call; without an id (`notification`) it is done but not answered."""

    method: str
    params: list[Any]
    id: int | str | None
    notification: bool


class BadFrame(Exception):
    """A text frame that is no request; `error` and `id` make the answer."""

    def __init__(self, code: int, message: str, request_id: int | str | None = None) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message}
        self.id = request_id


def parse_request(text: str) -> Request:
    """Return the request in a text frame, or raise `BadFrame`."""
    try:
        message = json.loads(text)
    except ValueError as error:
        raise BadFrame(PARSE_ERROR, str(error)) from None
    if isinstance(message, list):
        raise BadFrame(PARSE_ERROR, "Batch messages are not supported at this time")
    if not isinstance(message, dict):
        raise BadFrame(BAD_REQUEST, "Invalid message format")
    request_id = message.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, int | str | None):
        raise BadFrame(BAD_REQUEST, "'id' member must be of type string or number")
    if message.get("jsonrpc") != "2.0":
        raise BadFrame(BAD_REQUEST, "'jsonrpc' member must be '2.0'", request_id)
    method, params = message.get("method"), message.get("params", [])
    if not isinstance(method, str):
        raise BadFrame(BAD_REQUEST, "'method' member must be of type string", request_id)
    if not isinstance(params, list):
        raise BadFrame(BAD_REQUEST, "'params' member must be of type array", request_id)
    return Request(method, params, request_id, notification="id" not in message)


def answer(request_id: int | str | None, result: Any) -> str:
    """Return the frame that answers a call with its result."""
    return json.dumps({"jsonrpc": "2.0", "result": result, "id": request_id})


def error_answer(request_id: int | str | None, error: dict[str, Any]) -> str:
    """Return the frame that answers a call with an error object."""
    return json.dumps({"jsonrpc": "2.0", "error": error, "id": request_id})


def collection_update(collection: str, change: str, row_id: Any, fields: dict[str, Any] | None) -> str:
    """Return the event for one row of a collection; `removed` rows have no fields."""
    params: dict[str, Any] = {"msg": change, "collection": collection}
    if row_id is not None:
        params["id"] = row_id
    if fields is not None:
        params["fields"] = fields
    return json.dumps({"jsonrpc": "2.0", "method": "collection_update", "params": params})


def notify_unsubscribed(collection: str, failure: CallFailed | None) -> str:
    """Return the notice that a subscription has ended, and why."""
    error = failure.as_data() if failure else None
    params = {"collection": collection, "error": error}
    return json.dumps({"jsonrpc": "2.0", "method": "notify_unsubscribed", "params": params})


def date(moment: datetime) -> dict[str, int]:
    """Return an aware datetime as it travels: milliseconds since the epoch."""
    return {"$date": int(moment.timestamp() * 1000)}
