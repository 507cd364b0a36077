"""Who gets an answer, and the headers on each: strange names and strange requests end here.

Whoever asks must use an address or a name that this machine can be expected to have: a page of somebody else's must not
get here by a name of its own (DNS rebinding).
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from email.utils import formatdate

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard", "is_expected_host"]

_LOCAL_SUFFIXES = (".local", ".lan", ".home.arpa", ".internal", ".localdomain")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?\Z")
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def is_expected_host(host: str, names: tuple[str, ...]) -> bool:
    """Say whether a Host header names this machine: an address, a local name, or one of the settings'."""
    found = _HOST.match(host)
    if found is None:
        return False
    name = found[1].strip("[]").lower().rstrip(".")
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return bool(name) and ("." not in name or name.endswith(_LOCAL_SUFFIXES) or name in names)


class Guard:
    """Stands before the application."""

    def __init__(self, app: ASGIApp, names: tuple[str, ...]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse to."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers["date"] = formatdate(usegmt=True)
            await send(message)

        app = self._app
        if not is_expected_host(Request(scope).headers.get("host", ""), self._names):
            remedy = "This name is not known here: put it into BORGWATCH_WEB_NAMES, or use the address.\n"
            app = PlainTextResponse(remedy, 421)
        await app(scope, receive, send_guarded)
