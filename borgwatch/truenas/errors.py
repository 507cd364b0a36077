"""What can go wrong with TrueNAS, and what is done then. Pure.

    TrueNASError               (`verdict` says what to do, the message says it to the user)
    ├── Unreachable            no connection: name, network, TLS, HTTP
    ├── NotTrusted             the certificate is not the one that is trusted
    ├── InsecureTransport      the API key would have left unencrypted; it did not
    ├── LoginRefused           the key or its user is refused
    │   └── Redirected         a standby node names the active one
    ├── ConnectionLost         the connection broke off: what was under way may have happened or not
    ├── NoAnswer               no answer in time: the same
    ├── CallFailed             TrueNAS answered with an error
    └── NotShown               TrueNAS said yes, yet the alert is not in alert.list

Each error of a call is classified once, by `CALL_ERRORS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from borgwatch.errors import PeerError
from borgwatch.matching.templates import one_line
from borgwatch.redact import redact

__all__ = [
    "CALL_ERRORS",
    "CallFailed",
    "ConnectionLost",
    "InsecureTransport",
    "LoginRefused",
    "NoAnswer",
    "NotShown",
    "NotTrusted",
    "Redirected",
    "TrueNASError",
    "Unreachable",
    "Verdict",
    "call_failed",
    "said",
]


class Verdict(Enum):
    """What is done about an error."""

    RETRY_NOW = "retry"
    """It may pass by itself: try again with back-off, 1 s to 60 s."""
    RETRY_LATER = "retry later"
    """Trying again soon would do harm or no good: wait a quarter of an hour."""
    USER = "needs the user"
    """Only a person can mend it; it is tried again as for RETRY_LATER, in case one did."""
    UNSUPPORTED = "not on this release"
    """This release of TrueNAS cannot do it at all."""


class TrueNASError(PeerError):
    """Anything that stands between an alert and its proof."""

    verdict = Verdict.RETRY_NOW


class Unreachable(TrueNASError):
    """No connection could be made."""

    def __init__(self, message: str, verdict: Verdict = Verdict.RETRY_NOW) -> None:
        super().__init__(message)
        self.verdict = verdict


class NotTrusted(TrueNASError):
    """The server's certificate is not trusted; nothing secret was sent."""

    verdict = Verdict.USER


class InsecureTransport(TrueNASError):
    """The API key was about to leave over a connection on which it must not; it stayed."""

    verdict = Verdict.USER


class LoginRefused(TrueNASError):
    """TrueNAS does not let this key in; `may_be_anothers` says that it may be the key of another user."""

    verdict = Verdict.USER

    def __init__(self, message: str, *, may_be_anothers: bool = False) -> None:
        super().__init__(message)
        self.may_be_anothers = may_be_anothers


class Redirected(LoginRefused):
    """This is the standby node of a pair; `urls` name the active one, if any will do."""

    verdict = Verdict.RETRY_NOW

    def __init__(self, urls: tuple[str, ...]) -> None:
        super().__init__(
            f"this is the standby node of a pair, and the active one ({said(', '.join(urls)) or 'not named'}) does not"
            " let us in safely: give its address, or one that moves with it"
        )
        self.urls = urls


class ConnectionLost(TrueNASError):
    """The connection ended while something was under way."""

    def __init__(self, message: str, verdict: Verdict = Verdict.RETRY_NOW) -> None:
        super().__init__(message)
        self.verdict = verdict


class NoAnswer(TrueNASError):
    """No answer came in time."""


class NotShown(TrueNASError):
    """The alert is not shown, though it was accepted; with the verdict USER, because its class cannot be had here."""

    def __init__(self, message: str, verdict: Verdict = Verdict.RETRY_LATER) -> None:
        super().__init__(message)
        self.verdict = verdict


class CallFailed(TrueNASError):
    """TrueNAS answered a call with an error; `code`, `errno` and `reason` are its own."""

    def __init__(self, message: str, verdict: Verdict, code: int, errno: int | None, reason: str) -> None:
        super().__init__(message)
        self.verdict = verdict
        self.code = code
        self.errno = errno
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of the table: None and "" fit anything; `says` is the remedy for the user."""

    code: int
    errno: int | None
    reason: str
    verdict: Verdict
    says: str = ""


NOT_AUTHENTICATED = 207
INVALID_PARAMS = -32602
METHOD_NOT_FOUND = -32601

_RIGHTS = "the key's user needs more rights: alerts take a full administrator, mail the role MAIL_WRITE"

CALL_ERRORS = (
    # code, errno, part of the reason: what is done, what the user is told. The first row that fits counts.
    _Row(-32000, None, "", Verdict.RETRY_NOW, "too many calls at once"),
    _Row(-32001, NOT_AUTHENTICATED, "", Verdict.RETRY_NOW, "the session ended: logging in again"),
    _Row(-32001, 16, "Rate Limit", Verdict.RETRY_LATER, "TrueNAS limits the rate of logins"),
    _Row(-32001, 95, "", Verdict.USER, "a security mode of TrueNAS (STIG) forbids API keys"),
    _Row(-32001, 13, "", Verdict.USER, _RIGHTS),
    _Row(-32001, 1, "", Verdict.USER, _RIGHTS),
    _Row(-32001, None, "Not authorized", Verdict.USER, _RIGHTS),
    _Row(-32001, None, "takes 3 positional arguments", Verdict.UNSUPPORTED, "TrueNAS 27 takes no alerts from outside"),
    _Row(-32001, None, "is not a one-shot alert class", Verdict.UNSUPPORTED, "this release takes no such alert"),
    _Row(-32001, None, "Invalid alert class", Verdict.UNSUPPORTED, "this release has no such alert class"),
    _Row(-32001, None, "outgoing mailserver", Verdict.USER, "set up mail in TrueNAS: System > General > Email"),
    _Row(-32001, None, "None of the local administrators", Verdict.USER, "give an administrator an e-mail address"),
    _Row(-32001, 201, "", Verdict.UNSUPPORTED, "this release does not offer the method here"),
    _Row(METHOD_NOT_FOUND, None, "", Verdict.UNSUPPORTED, "this release does not have the method"),
    _Row(INVALID_PARAMS, None, "", Verdict.UNSUPPORTED, "this release takes other arguments"),
    _Row(-32001, None, "", Verdict.RETRY_NOW),
)
"""Errors as TrueNAS 25.04 to 27 answers them; one that is not listed is tried again."""


def said(words: object, limit: int = 500) -> str:
    """Make what a server said fit for a message: one line, cut, and without the key that it may have repeated."""
    return one_line(redact(str(words)[: limit * 4]), limit)


def call_failed(method: str, error: Any) -> CallFailed:
    """Make the exception for the `error` object of an answer; takes any shape without complaint."""
    error = error if isinstance(error, dict) else {}
    data = error.get("data") if isinstance(error.get("data"), dict) else {}
    code = error.get("code") if isinstance(error.get("code"), int) else 0
    errno = data.get("error") if isinstance(data.get("error"), int) else None
    reason = said(data.get("reason") or error.get("message") or "no reason given")
    return _classified(method, code, errno, reason)


def job_failed(method: str, reason: object) -> CallFailed:
    """Make the exception for a job that failed: its error text is all there is."""
    return _classified(method, -32001, None, said(reason or "no reason given"))


def _classified(method: str, code: int, errno: int | None, reason: str) -> CallFailed:
    row = next(
        (row for row in CALL_ERRORS if row.code == code and row.errno in (None, errno) and row.reason in reason),
        _Row(code, errno, "", Verdict.RETRY_NOW),
    )
    message = f"{method}: {reason}" + (f" ({row.says})" if row.says else "")
    return CallFailed(message, row.verdict, code, errno, reason)
