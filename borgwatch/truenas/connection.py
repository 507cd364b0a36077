"""One WebSocket connection to TrueNAS: opened, trusted, called, closed. No other module imports the client library.

`open_connection` makes the connection and judges the certificate; nothing secret has been sent when it returns.
`Connection.call` sends a call and waits for its answer.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)

from borgwatch.truenas.address import API_PATH, Address, is_host
from borgwatch.truenas.credentials import Link
from borgwatch.truenas.errors import (
    ConnectionLost,
    NoAnswer,
    NotTrusted,
    Unreachable,
    Verdict,
    call_failed,
    said,
)
from borgwatch.truenas.rpc import Answer, Calls, Notice, ProtocolError
from borgwatch.truenas.trust import Certificate, Pin, PinVerdict, judge_pin, pin_of, tls_context

__all__ = ["Connection", "PinStore", "Trust", "open_connection"]

OPEN_TIMEOUT = 20.0
CALL_TIMEOUT = 30.0
PING_INTERVAL = 20.0  # nginx of 25.04 and 25.10 cuts what is silent for 60 s; a pong counts as a sign of life
IN_FLIGHT = 18  # TrueNAS refuses the 21st call of a connection that waits for its answer (25.04 to 27)
CLOSE_TIMEOUT = 2.0  # a TrueNAS that has gone must not use up the ten seconds that a container has to stop
MAX_FRAME_IN = 16 << 20  # alert.list and user_info are not bounded by the server
_REDIRECTS = range(300, 400)
_BUSY = (502, 503, 504)
_NOT_ALLOWED = 1008  # the close code for an address that is not in `ui_allowlist` (25.04 to 27)
_TOO_LARGE = 1009  # the close code that we send for a frame that is larger than we read
_LOG = logging.getLogger(f"{__name__}.wire")
_LOG.setLevel(logging.INFO)  # at DEBUG the library logs the ends of frames, and with them a part of the key


class PinStore(Protocol):
    """Where pinned certificates are kept."""

    def pin(self, host: str) -> Pin | None:
        """Look up the certificate that was pinned for a host."""

    def set_pin(self, host: str, pin: Pin) -> None:
        """Pin a certificate for a host."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What makes a certificate trusted: the authorities (`verify`), a fingerprint, or a pin; or nothing at all.

    `allow_plain` lets a `ws://` address be used unencrypted where nobody speaks TLS: for a login that keeps the key.
    """

    verify: bool = True
    ca_file: Path | None = None
    server_name: str | None = None
    fingerprint: str | None = None
    pins: PinStore | None = None
    allow_plain: bool = False

    @property
    def is_checked(self) -> bool:
        """Whether anything says that the server is the one it should be."""
        return self.verify or self.fingerprint is not None or self.pins is not None


class _Connect(connect):
    """A connection attempt that follows no redirect: where the key goes is the user's choice alone."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Connection:
    """An open connection. Calls may run at the same time, `IN_FLIGHT` at most; notices go to `on_notice`."""

    def __init__(self, socket_: ClientConnection, link: Link, certificate: Certificate | None) -> None:
        self.link = link
        self.certificate = certificate
        self.on_notice: Callable[[Notice], None] = lambda _: None
        self._socket = socket_
        self._was_too_large = False
        self._calls = Calls()
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._reader = asyncio.create_task(self._read())

    async def call(self, method: str, *params: Any, timeout: float = CALL_TIMEOUT) -> Any:  # noqa: ASYNC109 - a span for each call
        """Call a method and return its result.

        Raises `CallFailed` for an error, `NoAnswer` after `timeout` seconds, `ConnectionLost` when the connection
        ends before the answer; after the last two, the call may have been carried out or not.
        """
        try:
            async with asyncio.timeout(timeout), self._slots:
                answer = await self._exchange(method, params)
        except TimeoutError:
            raise NoAnswer(f"{method}: TrueNAS did not answer within {timeout:g} s") from None
        except ConnectionClosed:
            raise self._lost(method) from None
        if answer.error is not None:
            raise call_failed(method, answer.error)
        return answer.result

    async def _exchange(self, method: str, params: tuple[Any, ...]) -> Answer:
        try:
            number, frame = self._calls.request(method, params)
        except ProtocolError as error:
            raise Unreachable(str(error), Verdict.UNSUPPORTED) from None
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        try:
            await self._socket.send(frame)
            return await future
        finally:
            future.cancel()  # where it could not be sent, nobody will fetch what the reader may have put in
            self._answers.pop(number, None)
            self._calls.forget(number)

    async def wait_closed(self) -> str:
        """Wait until the connection ends; returns why."""
        await self._socket.wait_closed()
        return self._reason()

    async def close(self) -> None:
        """Close the connection; safe to call again."""
        await self._socket.close()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for frame in self._socket:
                try:
                    value = self._calls.receive(frame)
                except ProtocolError:
                    continue  # a broken frame answers nothing; the calls run into their time-out
                if isinstance(value, Notice):
                    self.on_notice(value)
                elif value is not None and (future := self._answers.get(value.id)) and not future.done():
                    future.set_result(value)
        except ConnectionClosed as error:
            self._was_too_large = error.sent is not None and error.sent.code == _TOO_LARGE
        finally:
            for future in self._answers.values():
                if not future.done():
                    future.set_exception(self._lost("a call"))

    def _lost(self, what: str) -> ConnectionLost:
        if self._socket.close_code == _NOT_ALLOWED:
            return ConnectionLost(
                f"{what}: TrueNAS does not let this address in ({self._reason()}): add it to the allowed IP addresses"
                " (System > General > GUI), or empty that list",
                Verdict.USER,
            )
        if self._was_too_large:
            most = f"{MAX_FRAME_IN >> 20} MiB"
            return ConnectionLost(
                f"{what}: TrueNAS sent more at once than is read ({most}); are there very many alerts?"
            )
        return ConnectionLost(f"{what}: the connection to TrueNAS ended ({self._reason()})")

    def _reason(self) -> str:
        code, reason = self._socket.close_code, self._socket.close_reason
        return f"code {code}{f', {said(reason)}' if reason else ''}" if code is not None else "no reason given"


async def open_connection(
    address: Address, trust: Trust, now: Callable[[], datetime], *, on_pin: Callable[[PinVerdict, Certificate], None]
) -> Connection:
    """Connect to TrueNAS and check its certificate; nothing secret is sent.

    An address that was written as plain text (`ws://`) is tried over TLS. Only on this very machine, or where the user
    allowed it, plain text follows when nobody speaks TLS there: a login that does not send the key may go over it.
    `on_pin` is told of a certificate that is pinned for the first time or anew. Raises `Unreachable` or `NotTrusted`.
    """
    if address.unix:
        return await _open_unix(address)
    try:
        return await _open(address, address.url(tls=True), trust, now, on_pin)
    except Unreachable:
        if not (address.was_plain and (address.is_loopback or trust.allow_plain)):
            raise
    return await _open(address, address.url(tls=False), trust, now, on_pin)


def _options() -> dict[str, Any]:
    """The options of every connection.

    Nothing is compressed: the size of what was would tell whoever sees it go by how much an alert's text, which others
    write, has in common with the key that went before it.
    """
    return {
        "compression": None,
        "open_timeout": OPEN_TIMEOUT,
        "ping_interval": PING_INTERVAL,
        "ping_timeout": PING_INTERVAL,
        "close_timeout": CLOSE_TIMEOUT,
        "logger": _LOG,
        "max_size": MAX_FRAME_IN,
    }


async def _open_unix(address: Address) -> Connection:
    """Connect to the socket of TrueNAS' middleware, which knows its peers by their processes (25.04 to 27)."""
    try:
        opened = await unix_connect(address.unix, f"ws://localhost{API_PATH}", **_options())
    except (OSError, WebSocketException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else said(error, 200)
        raise Unreachable(
            f"the socket {address.unix} of TrueNAS cannot be used: {reason}; is its directory mounted (not the socket,"
            " which is made anew at each start)?"
        ) from None
    return Connection(opened, Link(encrypted=False, peer=address.unix, unix=True), None)


async def _open(
    address: Address,
    url: str,
    trust: Trust,
    now: Callable[[], datetime],
    on_pin: Callable[[PinVerdict, Certificate], None],
) -> Connection:
    encrypted = url.startswith("wss:")
    options: dict[str, Any] = {}
    if encrypted:
        try:
            options["ssl"] = tls_context(verify=trust.verify, ca_file=trust.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise NotTrusted(f"the certificate file {trust.ca_file} cannot be used: {error}") from None
        if trust.server_name:
            if not is_host(trust.server_name):
                raise NotTrusted(f"NOTIFY_TRUENAS_SERVER_NAME is not a host name: {trust.server_name!r}")
            options["server_hostname"] = trust.server_name
    try:
        opened = await _connect(url, address, options)
    except (OSError, WebSocketException) as error:
        raise _explained(error, address, url, trust) from None
    try:
        certificate = _shown_certificate(opened) if encrypted else None
        if certificate is not None:
            _check(certificate, address, trust, now(), on_pin)
    except BaseException:
        opened.transport.abort()
        raise
    peer = opened.remote_address[0] if opened.remote_address else ""
    return Connection(opened, Link(certificate is not None, peer), certificate)


async def _connect(url: str, address: Address, options: Mapping[str, Any]) -> ClientConnection:
    """Connect over IPv4, and over IPv6 only to what has no IPv4 address.

    On 25.04.0 a client with an IPv6 address counts as insecure even over TLS, and loses its key.
    """
    family = socket.AF_UNSPEC if ":" in address.host else socket.AF_INET
    try:
        return await _Connect(url, proxy=None, family=family, **_options(), **options)
    except socket.gaierror:
        if family is socket.AF_UNSPEC:
            raise
    return await _Connect(url, proxy=None, family=socket.AF_INET6, **_options(), **options)


def _shown_certificate(opened: ClientConnection) -> Certificate:
    tls = opened.transport.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    if not der:
        raise NotTrusted("TrueNAS showed no certificate")
    try:
        return Certificate.from_der(der)
    except ValueError as error:
        raise NotTrusted(f"TrueNAS showed a certificate that cannot be read: {error}") from None


def _check(
    certificate: Certificate,
    address: Address,
    trust: Trust,
    now: datetime,
    on_pin: Callable[[PinVerdict, Certificate], None],
) -> None:
    """Compare the certificate with fingerprint and pin; the authorities have had their say in the handshake."""
    if trust.fingerprint is not None and certificate.fingerprint != trust.fingerprint:
        raise NotTrusted(
            f"the certificate of {address} has the fingerprint {certificate.fingerprint}, not the one in"
            " NOTIFY_TRUENAS_FINGERPRINT. TrueNAS makes itself a new certificate about once a year: compare it in"
            " the web interface, then put the new fingerprint in"
        )
    if trust.pins is None:
        return
    host = str(address)
    verdict = judge_pin(trust.pins.pin(host), certificate, now)
    if verdict is PinVerdict.REFUSED:
        raise NotTrusted(
            f"the certificate of {address} is not the one that was seen first and pinned; it has the fingerprint"
            f" {certificate.fingerprint}. TrueNAS makes itself a new certificate about once a year; if it did not,"
            " somebody may be in between. Compare it in the web interface, then set NOTIFY_TRUENAS_FINGERPRINT to it"
        )
    if verdict is not PinVerdict.SAME:
        trust.pins.set_pin(host, pin_of(certificate, now))
        on_pin(verdict, certificate)


_CUT_OFF = (ConnectionResetError, ConnectionAbortedError)
_EXPIRED = 10  # OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED
_OTHER_NAME = (62, 64)  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH


def _explained(error: Exception, address: Address, url: str, trust: Trust) -> Unreachable | NotTrusted:
    """Say in the user's words why no connection came about."""
    where = f"{address}" if url.startswith("wss:") else f"{address.host}:{address.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return NotTrusted(
            f"the certificate of {where} is not trusted: {error.verify_message.rstrip('.')}. {_remedy(error, trust)}"
        )
    if isinstance(error, ssl.SSLError) or (url.startswith("wss:") and isinstance(error, _CUT_OFF)):
        return Unreachable(
            f"{where} does not speak TLS there ({str(error) or 'it hung up'}); is this the HTTPS port of TrueNAS? The"
            " API key is never sent unencrypted, for TrueNAS would revoke it"
        )
    if isinstance(error, socket.gaierror):
        return Unreachable(f"could not resolve the name {address.host} ({error.strerror}); is it spelt right?")
    if isinstance(error, TimeoutError):
        return Unreachable(f"{where} does not answer; is TrueNAS on, and does a firewall let this host through?")
    if isinstance(error, InvalidStatus):
        return _explained_status(error.response.status_code, where)
    if isinstance(error, InvalidURI | InvalidHandshake):
        return Unreachable(f"{where} is not the API of TrueNAS: {said(error, 200)}; is this its web interface's port?")
    if isinstance(error, OSError):
        return Unreachable(f"{where}: {_os_reason(error)}")
    return Unreachable(f"{where}: the connection broke off while it was opened ({error})")


def _remedy(error: ssl.SSLCertVerificationError, trust: Trust) -> str:
    if error.verify_code in _OTHER_NAME:
        return "Put the name that is in it into NOTIFY_TRUENAS_SERVER_NAME (in TrueNAS' own it is localhost)"
    if trust.ca_file is not None:
        return (
            f"TrueNAS makes itself a new certificate about once a year: export it again into {trust.ca_file}"
            " (NOTIFY_TRUENAS_CA_FILE)"
        )
    if error.verify_code == _EXPIRED:
        return "TrueNAS renews its own by itself: restart its web interface, or renew the one you gave it"
    return (
        "If it is TrueNAS' own, choose NOTIFY_TRUENAS_VERIFY_SSL=pin, NOTIFY_TRUENAS_FINGERPRINT or"
        " NOTIFY_TRUENAS_CA_FILE"
    )


def _explained_status(status: int, where: str) -> Unreachable:
    if status in _REDIRECTS:
        return Unreachable(f"{where} redirects elsewhere (HTTP {status}); use wss://<host> itself", Verdict.USER)
    if status in _BUSY:
        return Unreachable(f"{where} answers HTTP {status}: TrueNAS' middleware is starting or stopping")
    return Unreachable(f"{where} answers HTTP {status}; is this TrueNAS 25.04 or later?", Verdict.USER)


def _os_reason(error: OSError) -> str:
    reasons = {
        errno.ECONNREFUSED: "connection refused; is TrueNAS' web interface on this port?",
        errno.EHOSTUNREACH: "no route to the host; is TrueNAS on?",
        errno.ENETUNREACH: "the network cannot be reached",
    }
    if "Multiple exceptions" in str(error) or error.errno is None:
        return str(error) or type(error).__name__
    return reasons.get(error.errno, error.strerror or str(error))
