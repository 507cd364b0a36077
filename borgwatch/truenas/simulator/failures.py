"""How a TrueNAS method fails: one exception, and its two faces in the protocol.

A failed call is answered with a JSON-RPC error object (`as_error`); a failed job carries the same failure in its
`error` and `exc_info` fields (`as_job_fields`). Every release words both alike; the few texts that differ come from the
profile of the release.
"""

from __future__ import annotations

import errno as system_errno
from typing import Any

__all__ = [
    "BAD_REQUEST",
    "INVALID_PARAMS",
    "METHOD_CALL_ERROR",
    "NO_SUCH_METHOD",
    "PARSE_ERROR",
    "TOO_MANY_CALLS",
    "CallFailed",
    "call_error",
    "instance_not_found",
    "invalid_params",
    "not_authenticated",
    "not_authorized",
    "python_error",
]

PARSE_ERROR = -32700
BAD_REQUEST = -32600
NO_SUCH_METHOD = -32601
INVALID_PARAMS = -32602
METHOD_CALL_ERROR = -32001
TOO_MANY_CALLS = -32000

_MESSAGES = {INVALID_PARAMS: "Invalid params", METHOD_CALL_ERROR: "Method call error"}
_MIDDLEWARE_NAMES = {201: "ENOMETHOD", 207: "ENOTAUTHENTICATED"}

_VALIDATION = "VALIDATION"


class CallFailed(Exception):
    """A method call that ends in an error.

    `number` is the errno of a TrueNAS error and None for a plain Python exception, which the wire shows as EINVAL.
    """

    def __init__(
        self,
        reason: str,
        *,
        number: int | None,
        kind: str,
        shown: str,
        extra: list[list[Any]] | None = None,
        code: int = METHOD_CALL_ERROR,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.number = number
        self.kind = kind
        self.shown = shown
        self.extra = extra
        self.code = code

    @property
    def _trace(self) -> dict[str, Any]:
        return {"class": self.kind, "frames": [], "formatted": f"{self.kind}: {self.reason}\n", "repr": self.shown}

    def as_data(self) -> dict[str, Any]:
        """Return the failure as the `data` of an error object."""
        number = system_errno.EINVAL if self.number is None else self.number
        return {
            "error": number,
            "errname": _errname(number),
            "reason": self.reason,
            "trace": self._trace,
            "extra": self.extra,
        }

    def as_error(self) -> dict[str, Any]:
        """Return the JSON-RPC error object that answers the call."""
        return {"code": self.code, "message": _MESSAGES[self.code], "data": self.as_data()}

    def as_job_fields(self) -> dict[str, Any]:
        """Return the fields of a job that failed so."""
        return {
            "error": self.reason,
            "exception": self._trace["formatted"],
            "exc_info": {"repr": self.shown, "type": self.kind, "errno": self.number, "extra": self.extra},
        }


def _errname(number: int) -> str:
    return _MIDDLEWARE_NAMES.get(number) or system_errno.errorcode[number]


def call_error(message: str, number: int = system_errno.EFAULT) -> CallFailed:
    """Return the failure that the middleware's own `CallError` gives."""
    return CallFailed(
        f"[{_errname(number)}] {message}", number=number, kind="CallError", shown=f"CallError({message!r})"
    )


def python_error(error: Exception) -> CallFailed:
    """Return the failure that a plain Python exception inside a method gives."""
    return CallFailed(str(error), number=None, kind=type(error).__name__, shown=repr(error))


def invalid_params(problems: list[tuple[str, str]]) -> CallFailed:
    """Return the refusal of parameters of the wrong shape: pairs of attribute and complaint."""
    number = system_errno.EINVAL
    reason = "".join(f"[EINVAL] {attribute}: {complaint}\n" for attribute, complaint in problems)
    extra: list[list[Any]] = [[attribute, complaint, number] for attribute, complaint in problems]
    shown = f"ValidationErrors({extra!r})"
    return CallFailed(reason, number=number, kind=_VALIDATION, shown=shown, extra=extra, code=INVALID_PARAMS)


def instance_not_found(message: str, shown: str) -> CallFailed:
    """Return the failure of a look-up by id."""
    number = system_errno.ENOENT
    return CallFailed(
        f"[ENOENT] None: {message}",
        number=number,
        kind=_VALIDATION,
        shown=shown,
        extra=[[None, message, number]],
    )


def not_authenticated() -> CallFailed:
    """Return what a session without login is answered: errno 207 on every release."""
    return call_error("Not authenticated", 207)


def not_authorized(number: int = system_errno.EACCES) -> CallFailed:
    """Return what a session without the needed role is answered: EACCES, or EPERM inside `core.bulk`."""
    return call_error("Not authorized", number)
