"""The simulated TrueNAS as a server: TLS on one port, plain text on another, HTTP beside the WebSocket.

`Simulator` is what demo, tests and the command line use. It owns the sockets; the state behind them is an `Appliance`,
which survives stopping and starting again, as a NAS survives a restart of its middleware.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve, unix_serve
from websockets.http11 import Request, Response

from .appliance import Appliance
from .apps import App, Container
from .auth import Origin
from .certificates import Certificate, default_certificate
from .failures import call_error
from .faults import Faults
from .keys import Key
from .profiles import PROFILES
from .session import Session

__all__ = ["Simulator"]

_MAX_FRAME = 4 * 2**20  # of the server under TrueNAS; the limits that clients meet are far lower
_SERVER_OPTIONS: dict[str, Any] = {"ping_interval": None, "close_timeout": 1, "max_size": _MAX_FRAME}
_SCRAM_ITERATIONS = 500_000
_RATE_LIMIT = 20
_INSECURE_ADDRESS = "192.0.2.10"  # plain connections count as coming from here (RFC 5737)


class _Connection(ServerConnection):
    """A connection that is dropped when nothing was sent for a while, as nginx's `proxy_read_timeout` does.

    Pongs count as sent, so a client that pings keeps its connection.
    """

    idle_timeout: Callable[[], float | None] = staticmethod(lambda: None)
    _idle_timer: asyncio.TimerHandle | None = None

    def send_data(self) -> None:
        """Send what the protocol has to send, and start to count anew."""
        super().send_data()
        self._stop_timer()
        timeout = self.idle_timeout()
        if timeout is not None:
            self._idle_timer = self.loop.call_later(timeout, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting."""
        self._stop_timer()
        super().connection_lost(exc)

    def _stop_timer(self) -> None:
        if self._idle_timer:
            self._idle_timer.cancel()
            self._idle_timer = None


class Simulator:
    """A TrueNAS of a given release, on loopback.

    Connections to the TLS port count as secure; those to the insecure port as remote and unencrypted, so that a plain
    key sent there is revoked; with `insecure_is_local` as coming from the NAS itself, which counts as secure. At
    `unix_path` stands the socket of the middleware: whoever connects is logged in as `unix_user`, or as nobody (None).
    Port 0 takes a free port and keeps it over `stop` and `start`; `insecure_port` None means
    no such port. Without `keys` there is one, of a full administrator. `rate_limit` is the number of calls a minute
    without login (for each method and address, by `clock` in seconds); None means any number. Fewer
    `scram_iterations` make SCRAM logins faster than real ones. Use it as an async context manager, or `start` and
    `stop` it.
    """

    def __init__(
        self,
        release: str = "25.10.6",
        *,
        keys: Sequence[Key] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        insecure_port: int | None = None,
        insecure_is_local: bool = False,
        unix_path: Path | None = None,
        unix_user: str | None = "root",
        certificate: Certificate | None = None,
        mail: bool = True,
        scram_iterations: int = _SCRAM_ITERATIONS,
        rate_limit: int | None = _RATE_LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if release not in PROFILES:
            raise ValueError(f"Unknown release {release!r}; known are {', '.join(PROFILES)}")
        self._appliance = Appliance(
            PROFILES[release],
            list(keys) if keys is not None else [Key("root", "1-" + "s" * 64)],
            mail=mail,
            scram_iterations=scram_iterations,
            rate_limit=rate_limit,
            clock=clock,
        )
        self.certificate = certificate or default_certificate()
        self._host = host
        self._port = port
        self._insecure_port = insecure_port
        self._insecure_is_local = insecure_is_local
        self._unix_path = unix_path
        self._unix_user = unix_user
        self._servers: list[Server] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # What it is and what has happened to it

    @property
    def release(self) -> str:
        """The release that is simulated."""
        return self._appliance.profile.release

    @property
    def url(self) -> str:
        """The `wss://` URL, without a path."""
        return f"wss://{self._authority(self._port)}"

    @property
    def insecure_url(self) -> str | None:
        """The `ws://` URL, without a path; None without an insecure port."""
        return None if self._insecure_port is None else f"ws://{self._authority(self._insecure_port)}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in lower-case hex."""
        return self.certificate.fingerprint

    @property
    def keys(self) -> list[Key]:
        """The API keys, with their present state."""
        return self._appliance.keys

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """What `alert.list` would answer now."""
        return self._appliance.listed_alerts()

    @property
    def mails(self) -> list[dict[str, Any]]:
        """The messages that `mail.send` has taken."""
        return self._appliance.mails

    @property
    def calls(self) -> list[tuple[str, list[Any]]]:
        """Methods and parameters in order of arrival; the secrets of logins are replaced by `***`."""
        return self._appliance.calls

    @property
    def faults(self) -> Faults:
        """What goes wrong; may be changed at any time."""
        return self._appliance.faults

    @property
    def apps(self) -> list[App]:
        """The installed apps; may be changed at any time."""
        return self._appliance.apps

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._appliance.sessions)

    async def changed(self, predicate: Callable[[Simulator], object], timeout: float = 5) -> None:  # noqa: ASYNC109
        """Wait until a predicate of this simulator holds; raise TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            while not predicate(self):
                await self._appliance.next_change()

    # Starting and stopping

    async def start(self) -> None:
        """Start to listen; a port once taken is taken again. Raises OSError, and listens nowhere, if one is in use."""
        try:
            self._port = await self._listen(self._port, encrypted=True)
            if self._insecure_port is not None:
                self._insecure_port = await self._listen(self._insecure_port, encrypted=False)
            if self._unix_path is not None:
                await self._listen_unix(self._unix_path)
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop to listen, close all connections with 1001 and drop all jobs; alerts and keys stay."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.close(code=1001)
        for server in servers:
            await server.wait_closed()
        await self._appliance.jobs.drop_all()

    async def disconnect_all(self, code: int | None = 1012) -> None:
        """End all connections: closed with a code, or dropped without a close frame if it is None."""
        ending = set(self._appliance.sessions)
        for session in ending:
            session.disconnect(code)
        while ending & self._appliance.sessions:  # clients may be back at once
            await self._appliance.next_change()

    async def reboot(self, lose_alerts: bool) -> None:
        """Reboot in no time: connections and jobs are gone, and the alerts too if they had not been saved.

        Alerts that were saved are not announced again.
        """
        await self._appliance.jobs.drop_all()
        await self.disconnect_all(None)
        if lose_alerts:
            self._appliance.alerts.forget()
        self._appliance.alerts.settle()
        self._appliance.touch()

    # What a user does

    def dismiss(self, uuid: str) -> None:
        """Dismiss an alert in the UI."""
        self._appliance.announce_alert(self._appliance.alerts.dismiss(uuid))

    def set_policy(self, klass: str, policy: str) -> None:
        """Set the policy of an alert class: IMMEDIATELY, HOURLY, DAILY or NEVER."""
        alerts = self._appliance.alerts
        alerts.configure({**alerts.settings, klass: {**alerts.settings.get(klass, {}), "policy": policy}})
        self._appliance.touch()

    def set_administrator_email(self, address: str | None) -> None:
        """Give the local administrator an e-mail address, or none."""
        self._appliance.administrator_email = address

    def install_app(self, name: str, *services: str) -> App:
        """Install an app with one container a service, and start it."""
        app = App(name, [Container(service) for service in services or (name,)])
        self.apps.append(app)
        return app

    def redeploy(self, app: App) -> None:
        """Deploy an app anew: its containers get new ids and empty logs, and who follows them is told so."""
        old, app.containers = app.containers, [Container(c.service_name, c.image) for c in app.containers]
        for container in old:
            self._appliance.end_following(container, call_error(f"Container {container.id!r} is gone"))

    def app_writes(self, container: Container, line: str | bytes, moment: datetime | None = None) -> None:
        """Let a container write a line, at an aware moment (now); bytes that are not UTF-8 end who follows."""
        self._appliance.app_writes(container, line, moment or datetime.now(UTC))

    # Sockets

    def _authority(self, port: int) -> str:
        return f"[{self._host}]:{port}" if ":" in self._host else f"{self._host}:{port}"

    async def _listen(self, port: int, *, encrypted: bool) -> int:
        """Listen on a port and return its number, which differs for port 0."""

        async def handler(connection: ServerConnection) -> None:
            await self._session(connection, encrypted=encrypted).run()

        def process_request(connection: ServerConnection, request: Request) -> Response | None:
            return self._http(connection, request, encrypted=encrypted)

        class Connection(_Connection):
            idle_timeout = staticmethod(lambda: self.faults.idle_timeout)

        server = await serve(
            handler,
            self._host,
            port,
            ssl=self.certificate.server_context() if encrypted else None,
            process_request=process_request,
            create_connection=Connection,
            server_header="nginx",
            **_SERVER_OPTIONS,
        )
        self._servers.append(server)
        taken: int = server.sockets[0].getsockname()[1]
        return taken

    async def _listen_unix(self, path: Path) -> None:
        """Listen at the middleware's own socket: no nginx in between, and the peer's process tells its user."""

        async def handler(connection: ServerConnection) -> None:
            origin = Origin(address="", secure=True, certificate_hash=None)
            session = Session(self._appliance, connection, origin, newest_route=True)
            session.let_in(next((key for key in self.keys if key.username == self._unix_user), None))
            await session.run()

        self._servers.append(await unix_serve(handler, str(path), **_SERVER_OPTIONS))

    def _session(self, connection: ServerConnection, *, encrypted: bool) -> Session:
        profile = self._appliance.profile
        is_local = not encrypted and self._insecure_is_local
        address = connection.remote_address[0] if encrypted or is_local else _INSECURE_ADDRESS
        origin = Origin(
            address=address,
            secure=is_local or (encrypted and not (profile.ipv6_is_insecure and ":" in address)),
            certificate_hash=self.certificate.binding if encrypted else None,
        )
        path = connection.request.path if connection.request else ""
        newest = path in ("/api/current", f"/api/{profile.api_versions[-1]}")
        return Session(self._appliance, connection, origin, newest_route=newest)

    def _http(self, connection: ServerConnection, request: Request, *, encrypted: bool) -> Response | None:
        """Answer what is no WebSocket handshake for the API; None lets the handshake go on."""
        faults, profile = self.faults, self._appliance.profile
        if faults.http_status is not None:
            return connection.respond(faults.http_status, "")
        if faults.redirect and not encrypted:
            response = connection.respond(HTTPStatus.TEMPORARY_REDIRECT, "")
            response.headers["Location"] = f"https://{self._authority(self._port)}{request.path}"
            return response
        if request.path == "/api/versions":
            return _json(connection, list(profile.api_versions))
        if request.path in {f"/api/{version}" for version in ("current", *profile.api_versions)}:
            return None
        return connection.respond(HTTPStatus.NOT_FOUND, "404: Not Found")


def _json(connection: ServerConnection, value: Any) -> Response:
    response = connection.respond(HTTPStatus.OK, json.dumps(value))
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json; charset=utf-8"
    return response
