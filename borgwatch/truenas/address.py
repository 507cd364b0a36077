"""Where TrueNAS is, from whatever address the user wrote. Pure.

The only path that is ever used is `/api/current`: versioned paths lack what borgwatch needs, `/websocket` and
`/api/v2.0` are other protocols (TrueNAS 25.04 to 27).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["API_PATH", "Address", "is_host", "is_loopback", "parse_address"]

API_PATH = "/api/current"
_SCHEMES = {"wss": True, "https": True, "ws": False, "http": False}
_UNIX = "unix:"
_TLS_PORT = 443
_PLAIN_PORT = 80
_LONGEST_NAME = 253


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port. `was_plain` says that the user wrote an unencrypted scheme (`ws://`, `http://`).

    `unix` is the path of a Unix socket instead; host and port mean nothing then.
    """

    host: str
    port: int
    was_plain: bool = False
    unix: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether the name itself says that it is this machine; what it resolves to is checked again later."""
        return self.host == "localhost" or is_loopback(self.host)

    @property
    def tls_port(self) -> int:
        """The port on which TLS is tried: the one given, but 443 in place of plain HTTP's 80."""
        return _TLS_PORT if self.was_plain and self.port == _PLAIN_PORT else self.port

    def url(self, *, tls: bool) -> str:
        """The WebSocket URL of the API."""
        port = self.tls_port if tls else self.port
        standard = port == (_TLS_PORT if tls else _PLAIN_PORT)
        return f"{'wss' if tls else 'ws'}://{self._bracketed}{'' if standard else f':{port}'}{API_PATH}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return self.unix or f"{self._bracketed}:{self.tls_port}"


def is_loopback(ip: str) -> bool:
    """Say whether an IP address is one that TrueNAS counts as local (127.0.0.0/8, ::1)."""
    try:
        parsed = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)


def parse_address(text: str) -> Address:
    """Read an address: `wss://host`, `ws://host:port`, `https://host/any/path`, `http://host/api/v2.0`, or `host`.

    `unix:///run/middleware/middlewared.sock` is the socket of TrueNAS itself. Raises ValueError with what is wrong.
    """
    text = text.strip()
    if text.startswith(_UNIX):
        return _unix_address(text.removeprefix(_UNIX))
    if "://" not in text:
        text = f"wss://{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"is not an address: {error}") from None
    if parts.scheme.lower() not in _SCHEMES:
        raise ValueError(f"cannot begin with {parts.scheme}://; write wss://<host>")
    if parts.username or parts.password:
        raise ValueError("must not hold a user name or password; the API key goes into NOTIFY_TRUENAS_API_KEY")
    if not host:
        raise ValueError("has no host; write wss://<host>")
    if not is_host(host):
        raise ValueError(f"has no valid host: {host!r}")
    tls = _SCHEMES[parts.scheme.lower()]
    return Address(host, port or (_TLS_PORT if tls else _PLAIN_PORT), was_plain=not tls)


def _unix_address(rest: str) -> Address:
    path = "/" + rest.lstrip("/")
    if not rest.startswith("/") or path == "/" or not path.isprintable():
        raise ValueError("must name the socket by its absolute path: unix:///run/middleware/middlewared.sock")
    return Address("localhost", 0, unix=path)


def is_host(name: str) -> bool:
    """Say whether a name or address can be looked up at all: no label of it empty or too long, nothing unprintable."""
    if not name.isprintable() or any(c in " <>\"'" for c in name):
        return False
    try:
        return 0 < len(name.encode("idna")) <= _LONGEST_NAME
    except UnicodeError:
        return False
