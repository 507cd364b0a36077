"""What the tests of the TrueNAS side share: logins, alerts, witnesses, and servers that answer as they are told.

The simulator stands for a TrueNAS that works or breaks as TrueNAS does; `Stub` for one that answers whatever a test
wants over real TLS; `raw_server` for something that is no TrueNAS at all.
"""

from __future__ import annotations

import asyncio
import functools
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from borgwatch.model import Alert, Level
from borgwatch.secret import Secret
from borgwatch.truenas.address import parse_address
from borgwatch.truenas.connection import Connection, Trust, open_connection
from borgwatch.truenas.credentials import ApiKey
from borgwatch.truenas.delivery import Delivered, deliver
from borgwatch.truenas.errors import TrueNASError
from borgwatch.truenas.session import Login, Session, open_session
from borgwatch.truenas.simulator import PROFILES, Simulator, default_certificate
from borgwatch.truenas.simulator.scram import Exchange, Verifier
from borgwatch.truenas.trust import Certificate, Pin, PinVerdict

RELEASES = [release for release in PROFILES if release != "27-master"]
"""The releases that take alerts."""
OLD, NEW = "25.04.2.6", "25.10.6"
"""One release that answers with the number of a job, and one that waits for it."""

SECRET = "1-" + "s" * 64
KEY = "borgwatch:nas1:photos:backup"
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)

FAST = 50_000
"""The iterations of SCRAM in tests: the fewest that the client accepts, a tenth of what TrueNAS takes."""
simulator = functools.partial(Simulator, scram_iterations=FAST)
"""Makes a simulator whose SCRAM logins are fast; the same as `Simulator` for releases without SCRAM."""


def now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def alert(
    text: str = "Borg backup of photos failed: repository locked",
    *,
    key: str = KEY,
    level: Level = Level.ERROR,
    raised: bool = True,
    renotify: bool = True,
) -> Alert:
    """Make an alert."""
    return Alert(key, "photos", "backup", "failure", level, text, raised, "event-1", NOW, renotify)


def cleared(key: str = KEY) -> Alert:
    """Make an alert that asks for nothing to be shown."""
    return alert("", key=key, raised=False)


@dataclass
class Pins:
    """Where pins are kept."""

    kept: dict[str, Pin] = field(default_factory=dict)

    def pin(self, host: str) -> Pin | None:
        """Look up the certificate that was pinned for a host."""
        return self.kept.get(host)

    def set_pin(self, host: str, pin: Pin) -> None:
        """Pin a certificate for a host."""
        self.kept[host] = pin


@dataclass
class Told:
    """Remembers which certificates were announced as trusted."""

    verdicts: list[PinVerdict] = field(default_factory=list)

    def __call__(self, verdict: PinVerdict, _: Certificate) -> None:
        """Take note."""
        self.verdicts.append(verdict)


def login_at(url: str, *, key: str = SECRET, username: str | None = None, trust: Trust | None = None) -> Login:
    """Make a login; without `trust` the certificate that simulators and stubs share is trusted by fingerprint."""
    trust = trust or Trust(verify=False, fingerprint=default_certificate().fingerprint)
    return Login(parse_address(url), ApiKey(Secret(key)), trust, username)


@asynccontextmanager
async def session_at(url: str, **login: Any) -> AsyncIterator[Session]:
    """Open a session and close it."""
    session = await open_session(login_at(url, **login), now, on_pin=Told())
    try:
        yield session
    finally:
        await session.connection.close()


@asynccontextmanager
async def session_with(nas: Simulator, **login: Any) -> AsyncIterator[Session]:
    """Open a session with the first key of a simulator and close it."""
    login.setdefault("key", nas.keys[0].key)
    async with session_at(nas.url, **login) as session:
        yield session


async def show(session: Session, given: Alert) -> Delivered:
    """Deliver an alert to the bell, and to nowhere else."""
    proof = await deliver(session, given)
    assert isinstance(proof, Delivered), f"a mail, and no alert: {proof.why}"
    return proof


@asynccontextmanager
async def connection_at(url: str, trust: Trust | None = None) -> AsyncIterator[Connection]:
    """Open a connection without logging in and close it."""
    login = login_at(url, trust=trust)
    connection = await open_connection(login.address, login.trust, now, on_pin=Told())
    try:
        yield connection
    finally:
        await connection.close()


def methods(nas: Simulator) -> list[str]:
    """The methods that were called, in order."""
    return [method for method, _ in nas.calls]


def creations(nas: Simulator) -> list[str]:
    """The classes of the alerts whose creation was asked for, directly or wrapped in a bulk job."""
    return [
        params[0] if method == "alert.oneshot_create" else params[1][0][0]
        for method, params in nas.calls
        if method == "alert.oneshot_create" or (method == "core.bulk" and params[0] == "alert.oneshot_create")
    ]


class Witness:
    """Takes note of all that client and courier tell, and lets a test wait for it."""

    def __init__(self) -> None:
        self.readies: list[Session] = []
        self.losses: list[str] = []
        self.failures: list[tuple[TrueNASError, float]] = []
        self.pins: list[PinVerdict] = []
        self.dismissals: list[str] = []
        self.proofs: list[tuple[Alert, Any]] = []
        self.refusals: list[tuple[Alert, TrueNASError, int, float]] = []
        self._changed = asyncio.Event()

    async def until(self, predicate: Callable[[Witness], object], seconds: float = 5) -> None:
        """Wait until a predicate of what was told holds."""
        async with asyncio.timeout(seconds):
            while not predicate(self):
                self._changed.clear()
                await self._changed.wait()

    def ready(self, session: Session) -> None:
        """Take note of a session that works."""
        self.readies.append(session)
        self._changed.set()

    def still_up(self, session: Session) -> None:
        """Take note of a session that has held for a day."""

    def dismissed(self, key: str) -> None:
        """Take note of an alert that a user took away."""
        self.dismissals.append(key)
        self._changed.set()

    def lost(self, reason: str) -> None:
        """Take note of a session that ended."""
        self.losses.append(reason)
        self._changed.set()

    def failed(self, error: TrueNASError, retry_in: float) -> None:
        """Take note of a failed attempt."""
        self.failures.append((error, retry_in))
        self._changed.set()

    def pinned(self, verdict: PinVerdict, _: Certificate) -> None:
        """Take note of a certificate that is trusted from now on."""
        self.pins.append(verdict)
        self._changed.set()

    def delivered(self, given: Alert, proof: Any, took: float) -> None:
        """Take note of a proof."""
        assert took >= 0
        self.proofs.append((given, proof))
        self._changed.set()

    def undelivered(self, given: Alert, error: TrueNASError, queue: int, retry_in: float) -> None:
        """Take note of an alert that could not be delivered."""
        self.refusals.append((given, error, queue, retry_in))
        self._changed.set()


Reply = Callable[["Stub", ServerConnection, dict[str, Any]], Awaitable[None]]
_USER = {"pw_name": "root", "privilege": {"roles": {"$set": ["FULL_ADMIN"]}}}
_HAPPY: dict[str, Any] = {
    "core.set_options": {"legacy_jobs": False, "private_methods": True, "py_exceptions": False},
    "auth.login_ex": {"response_type": "SUCCESS", "user_info": _USER, "authenticator": "LEVEL_1"},
    "system.version": "25.10.6",
    "alert.list": [],
    "alert.oneshot_create": None,
    "alert.oneshot_delete": None,
    "alert.dismiss": None,
}


class Stub:
    """A server over TLS whose answers are a table: method to result, or to a coroutine function that replies itself.

    Without a table it lets every key in as a full administrator and lists no alert.
    """

    def __init__(
        self, answers: dict[str, Any] | None = None, *, http: Callable[[Request], Response | None] | None = None
    ) -> None:
        self.answers = {**_HAPPY, **(answers or {})}
        self.paths: list[str] = []
        self.calls: list[str] = []
        self.frames: list[str] = []
        self.connections = 0
        self._http = http
        self._server: Server | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, ssl=default_certificate().server_context(), ping_interval=None,
            close_timeout=0.2, process_request=self._request, max_size=None,
        )  # fmt: skip
        self.url = f"wss://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close(code=1001)
        await self._server.wait_closed()

    def _request(self, _: ServerConnection, request: Request) -> Response | None:
        self.paths.append(request.path)
        return self._http(request) if self._http else None

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections += 1
        try:
            async for message in connection:
                call = json.loads(message)
                self.calls.append(call["method"])
                self.frames.append(str(message))
                answer = self.answers.get(call["method"])
                if callable(answer):
                    await answer(self, connection, call)
                else:
                    await self.reply(connection, call, answer)
        except ConnectionClosed:
            pass

    async def reply(self, connection: ServerConnection, call: dict[str, Any], result: Any) -> None:
        """Answer a call with a result."""
        await connection.send(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": result}))


@functools.cache
def _verifier() -> Verifier:
    return Verifier.derive(SECRET[2:], FAST)


SCRAM_STEPS = ("auth.mechanism_choices", "CLIENT_FIRST_MESSAGE", "CLIENT_FINAL_MESSAGE")
"""The calls of a login by SCRAM."""
Altered = Callable[[ServerConnection, dict[str, Any], Any], Awaitable[Any]]


def scram_stub(step: str = "", altered: Altered | None = None) -> Stub:
    """Make a stub that lets `SECRET` in by SCRAM alone.

    At one step `altered` makes the result out of the honest one; it may do other harm, and answer `...` for nothing.
    """
    verifier = _verifier()
    exchanges: dict[ServerConnection, Exchange] = {}

    def honest(connection: ServerConnection, login: dict[str, Any]) -> Any:
        if login.get("mechanism") != "SCRAM":
            return {"response_type": "AUTH_ERR"}
        answer = {"response_type": "SCRAM_RESPONSE", "scram_type": "SERVER_FIRST_RESPONSE", "user_info": None}
        if login["scram_type"] == "CLIENT_FIRST_MESSAGE":
            exchange = exchanges[connection] = Exchange(login["rfc_str"], verifier, default_certificate().binding)
            return {**answer, "rfc_str": exchange.server_first}
        final = exchanges[connection].finish(login["rfc_str"])
        return {**answer, "scram_type": "SERVER_FINAL_RESPONSE", "rfc_str": final, "user_info": _USER}

    async def reply(stub: Stub, connection: ServerConnection, call: dict[str, Any]) -> None:
        login = call["params"][0] if call["params"] else {}
        result = ["API_KEY_PLAIN", "SCRAM"] if call["method"] == SCRAM_STEPS[0] else honest(connection, login)
        if altered is not None and step in (call["method"], login.get("scram_type")):
            result = await altered(connection, call, result)
        if result is not ...:
            await stub.reply(connection, call, result)

    return Stub({"auth.mechanism_choices": reply, "auth.login_ex": reply, "auth.login_with_api_key": False})


@asynccontextmanager
async def raw_server(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], *, tls: bool = False
) -> AsyncIterator[int]:
    """Listen with a handler for the bare stream; gives the port. Streams are closed and handlers ended after it."""
    tasks: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handle(reader, writer)
        except (OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            tasks.discard(task)

    context: ssl.SSLContext | None = default_certificate().server_context() if tls else None
    server = await asyncio.start_server(run, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        ending = list(tasks)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await server.wait_closed()
