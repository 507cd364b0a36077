"""No setting, name, redirect, proxy or failure brings the key onto an unencrypted connection to another host.

A plain key that arrives at the simulator's insecure port is revoked, as TrueNAS does; so a key that still works, and a
list of calls without a login, are the proof.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import traceback
from base64 import b64encode
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from borgwatch.truenas.connection import open_connection
from borgwatch.truenas.errors import InsecureTransport, NotTrusted, TrueNASError, Unreachable, Verdict
from borgwatch.truenas.scram import ScramClient
from borgwatch.truenas.session import log_in, open_session
from borgwatch.truenas.simulator import PROFILES, Simulator
from tests.truenas.conftest import Shorten
from tests.truenas.world import (
    SCRAM_STEPS,
    SECRET,
    Stub,
    Told,
    connection_at,
    login_at,
    methods,
    now,
    raw_server,
    scram_stub,
    session_at,
    session_with,
    simulator,
)


def _port(url: str | None) -> int:
    return int(str(url).rpartition(":")[2])


def _unharmed(nas: Simulator) -> bool:
    """Whether no login arrived, not even a question that asks for more than its ways, and the key still works."""
    about_logins = {method for method in methods(nas) if method.startswith("auth.")}
    return about_logins <= {"auth.mechanism_choices"} and not nas.keys[0].revoked


@pytest.mark.parametrize("scheme", ["ws", "http"])
async def test_a_plain_url_of_another_host_goes_over_tls_only(scheme: str, resolved: list[Any]) -> None:
    """Where only plain text is spoken the attempt ends, and not one call arrives."""
    async with Simulator(insecure_port=0) as nas:
        login = login_at(f"{scheme}://nas.test:{_port(nas.insecure_url)}/api/v2.0")

        with pytest.raises(Unreachable, match="does not speak TLS") as caught:
            await open_session(login, now, on_pin=Told())

        assert "never" in str(caught.value)
        assert resolved
        assert nas.calls == []
        assert _unharmed(nas)


@pytest.mark.parametrize("scheme", ["ws", "http"])
async def test_a_plain_url_of_another_host_works_where_tls_is_spoken(scheme: str, resolved: list[Any]) -> None:
    async with Simulator() as nas, session_at(f"{scheme}://nas.test:{_port(nas.url)}") as session:
        assert session.is_full_admin
        assert session.connection.link.encrypted
        assert resolved


async def test_the_peer_of_the_socket_decides_and_not_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` may be anywhere: /etc/hosts and name servers have their say."""
    async with Simulator(insecure_port=0) as nas:
        monkeypatch.setattr(ClientConnection, "remote_address", ("192.168.1.5", 80))

        with pytest.raises(InsecureTransport, match=r"192\.168\.1\.5"):
            await open_session(login_at(f"ws://localhost:{_port(nas.insecure_url)}"), now, on_pin=Told())

        assert _unharmed(nas)
        await nas.changed(lambda nas: nas.connections == 0)


async def test_an_unknown_peer_counts_as_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Simulator(insecure_port=0) as nas:
        monkeypatch.setattr(ClientConnection, "remote_address", None)

        with pytest.raises(InsecureTransport):
            await open_session(login_at(f"ws://127.0.0.1:{_port(nas.insecure_url)}"), now, on_pin=Told())

        assert _unharmed(nas)


async def test_not_even_on_this_machine_a_plain_key_goes_unencrypted() -> None:
    """A tunnel or a published port looks like loopback from here, and is another host to TrueNAS: it would revoke."""
    async with Simulator(insecure_port=0) as nas:
        with pytest.raises(InsecureTransport, match="was not sent"):
            await open_session(login_at(f"ws://127.0.0.1:{_port(nas.insecure_url)}"), now, on_pin=Told())

        assert _unharmed(nas)


async def test_on_this_machine_a_login_that_does_not_send_the_key_goes_unencrypted() -> None:
    async with Simulator("26.0.0-BETA.3", insecure_port=0, scram_iterations=50_000) as nas:
        async with session_at(f"ws://127.0.0.1:{_port(nas.insecure_url)}") as session:
            assert session.is_full_admin

        assert not nas.keys[0].revoked
        assert SECRET[2:] not in str(nas.calls)


async def test_on_this_machine_an_untrusted_certificate_is_no_reason_for_plain_text() -> None:
    async with Simulator() as nas:
        login = login_at(f"ws://127.0.0.1:{_port(nas.url)}", trust=login_at(nas.url).trust.__class__())

        with pytest.raises(NotTrusted):
            await open_session(login, now, on_pin=Told())

        assert nas.calls == []


async def test_a_wss_url_never_becomes_plain_even_on_this_machine() -> None:
    async with Simulator(insecure_port=0) as nas:
        with pytest.raises(Unreachable, match="does not speak TLS"):
            await open_session(login_at(f"wss://127.0.0.1:{_port(nas.insecure_url)}"), now, on_pin=Told())

        assert nas.calls == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_plain_text_is_not_followed(status: int) -> None:
    async with Simulator(insecure_port=0) as nas:

        def redirect(_: Request) -> Response:
            return Response(status, "", Headers({"Location": f"{nas.insecure_url}/api/current", "Content-Length": "0"}))

        async with Stub(http=redirect) as stub:
            with pytest.raises(Unreachable, match=rf"redirects elsewhere \(HTTP {status}\)") as caught:
                await open_session(login_at(stub.url), now, on_pin=Told())

        assert caught.value.verdict is Verdict.USER
        assert nas.calls == []


async def test_a_redirect_to_another_tls_server_is_not_followed_either() -> None:
    """Where the key goes is the user's choice alone."""
    async with Stub() as other:

        def redirect(_: Request) -> Response:
            return Response(307, "", Headers({"Location": f"{other.url}/api/current", "Content-Length": "0"}))

        async with Stub(http=redirect) as stub:
            with pytest.raises(Unreachable, match="redirects"):
                await open_session(login_at(stub.url), now, on_pin=Told())

        assert other.connections == 0


async def test_the_redirect_of_the_http_port_is_said() -> None:
    """With `ui_httpsredirect` TrueNAS' port 80 answers 307."""
    async with Simulator(insecure_port=0) as nas:
        nas.faults.redirect = True

        with pytest.raises(Unreachable, match=r"redirects elsewhere .*use wss://") as caught:
            await open_session(login_at(f"ws://127.0.0.1:{_port(nas.insecure_url)}"), now, on_pin=Told())

        assert caught.value.verdict is Verdict.USER
        assert nas.calls == []


async def test_path_and_query_of_the_user_never_reach_the_server() -> None:
    async with Stub() as stub:
        async with session_at(f"{stub.url}/websocket?token=abc#x"):
            pass

        assert stub.paths == ["/api/current"]


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would see where the key goes, and a wrong one would end all delivery."""
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1000))

    async with raw_server(proxy) as port, Stub() as stub:
        for name in ("http", "https", "ws", "wss", "all", "socks"):
            for spelling in (f"{name}_proxy", f"{name}_proxy".upper()):
                monkeypatch.setenv(spelling, f"http://127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)

        async with session_at(stub.url) as session:
            assert session.is_full_admin

    assert asked == []


async def test_names_are_resolved_to_ipv4_only(resolved: list[Any]) -> None:
    """On 25.04.0 a client with an IPv6 address counts as insecure even over TLS, and loses its key."""
    async with Simulator("25.04.0") as nas, session_at(f"wss://nas.test:{_port(nas.url)}"):
        assert set(resolved) == {socket.AF_INET}


async def test_25_04_0_is_not_given_a_key_over_ipv6() -> None:
    """An address may be one of IPv6; this release would revoke the key even over TLS."""
    async with Simulator("25.04.0", host="::1") as nas:
        with pytest.raises(InsecureTransport, match=r"25\.04\.0 .*IPv4"):
            await open_session(login_at(nas.url), now, on_pin=Told())

        assert not any("login" in method for method in methods(nas))
        assert not nas.keys[0].revoked


async def test_25_04_0_is_not_given_a_key_over_ipv6_even_if_it_will_not_say_what_it_is() -> None:
    async with Simulator("25.04.0", host="::1") as nas:
        nas.faults.rate_limited, nas.faults.rate_limit_pause = True, 0.0
        with pytest.raises(InsecureTransport):
            await open_session(login_at(nas.url), now, on_pin=Told())


@pytest.mark.parametrize("release", [release for release in PROFILES if release != "25.04.0"])
async def test_other_releases_are_logged_in_to_over_ipv6(release: str) -> None:
    async with simulator(release, host="::1") as nas, session_with(nas) as session:
        assert session.is_full_admin


@pytest.mark.parametrize("host", ["nas.test", "127.0.0.1"])
async def test_a_key_is_not_sent_before_the_certificate_is_judged(host: str, resolved: list[Any]) -> None:
    """The same for a name, an address, a wrong fingerprint and an unknown authority."""
    del resolved
    async with Simulator() as nas:
        trust = login_at(nas.url).trust
        for bad in (trust.__class__(), trust.__class__(verify=False, fingerprint="0" * 64)):
            with pytest.raises(NotTrusted):
                await open_session(login_at(f"wss://{host}:{_port(nas.url)}", trust=bad), now, on_pin=Told())

        assert nas.calls == []


# What is left behind by a login that failed


def _locals_of(error: BaseException) -> str:
    """What a traceback with local variables prints: every frame of the error and of all that it came from."""
    printed = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return printed + "".join(_locals_of(origin) for origin in (error.__cause__, error.__context__) if origin)


def _refuse(nas: Simulator) -> None:
    nas.keys[0].revoked = True


def _expire(nas: Simulator) -> None:
    nas.keys[0].expired = True


def _error(nas: Simulator) -> None:
    data = {"error": 22, "reason": "something is wrong"}
    nas.faults.error["auth.login_ex"] = {"code": -32001, "message": "Method call error", "data": data}


def _drop(nas: Simulator) -> None:
    nas.faults.close_before["auth.login_ex"] = None


def _close_at_owner(nas: Simulator) -> None:
    nas.keys[0].username = "somebody"
    nas.faults.close_after["auth.login_with_api_key"] = 1011


def _stay_silent(nas: Simulator) -> None:
    nas.faults.never_answer.add("auth.login_ex")


@pytest.mark.parametrize("fault", [_refuse, _expire, _error, _drop, _close_at_owner, _stay_silent])
@pytest.mark.parametrize("release", ["25.04.2.6", "26.0.0-BETA.3"])
async def test_no_traceback_of_a_failed_login_shows_the_key(fault: Any, release: str, call_timeout: Shorten) -> None:
    """Not even one with the local variables of each frame."""
    call_timeout(0.3)
    async with simulator(release) as nas:
        fault(nas)

        with pytest.raises(TrueNASError) as caught:
            await open_session(login_at(nas.url), now, on_pin=Told())

        printed = _locals_of(caught.value)
        assert "_log_in_as" in printed or "_log_in_by_scram" in printed
        assert SECRET[2:] not in printed
        assert SECRET[2:] not in str(caught.value)


async def _lie(_: ServerConnection, __: dict[str, Any], honest: dict[str, Any]) -> Any:
    return {**honest, "rfc_str": f"v={b64encode(bytes(64)).decode()}"}


async def _ask_for_much(_: ServerConnection, __: dict[str, Any], honest: dict[str, Any]) -> Any:
    return {**honest, "rfc_str": honest["rfc_str"] + "000"}


async def _send_half_a_letter(_: ServerConnection, __: dict[str, Any], honest: dict[str, Any]) -> Any:
    return {**honest, "rfc_str": honest["rfc_str"] + ",x=\ud800"}


async def _deny(*_: Any) -> Any:
    return {"response_type": "AUTH_ERR"}


async def _hang_up(connection: ServerConnection, *_: Any) -> Any:
    connection.transport.abort()
    return ...


async def _say_nothing(*_: Any) -> Any:
    return ...


_FIRST, _FINAL = SCRAM_STEPS[1:]


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        (_FIRST, _ask_for_much), (_FIRST, _send_half_a_letter), (_FIRST, _deny), (_FIRST, _hang_up),
        (_FIRST, _say_nothing), (_FINAL, _lie), (_FINAL, _deny), (_FINAL, _hang_up), (_FINAL, _say_nothing),
    ],
)  # fmt: skip
async def test_no_traceback_of_a_failed_scram_login_shows_the_key(step: str, fault: Any, call_timeout: Shorten) -> None:
    """Neither the key nor what is made of it, which would be as good."""
    call_timeout(0.3)
    async with scram_stub(step, fault) as stub:
        with pytest.raises(TrueNASError) as caught:
            await open_session(login_at(stub.url, username="root"), now, on_pin=Told())

    printed = _locals_of(caught.value)
    assert "_log_in_by_scram" in printed
    assert SECRET[2:] not in printed
    assert not [name for name in ("salted", "client_key", "_password", "password") if f"    {name} = b" in printed]


def test_no_traceback_of_a_lack_of_random_numbers_shows_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nonce is drawn while the secret is at hand."""

    def fail(_: int) -> bytes:
        raise OSError(38, "no random numbers")

    monkeypatch.setitem(ScramClient.__init__.__kwdefaults__ or {}, "random", fail)
    key = login_at("wss://nas.test").key
    assert key is not None
    with pytest.raises(OSError, match="random") as caught:
        key.scram("root", b"")

    printed = _locals_of(caught.value)
    assert "end_point" in printed
    assert SECRET[2:] not in printed


async def test_no_log_of_the_websocket_shows_the_key_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    """The library logs the beginning and the end of frames; a key at the end of one would be in it."""
    caplog.set_level(logging.DEBUG)
    async with simulator("26.0.0-BETA.3") as nas:
        nas.keys[0].username = "somebody"
        caplog.clear()
        async with session_with(nas):
            pass

        assert "auth.login_with_api_key" in methods(nas)
        ours = [record.getMessage() for record in caplog.records if record.name != "websockets.server"]
        assert not [line for line in ours if "ssss" in line]


async def test_a_login_over_a_link_that_turned_out_insecure_is_refused_before_the_key_goes_out() -> None:
    async with Simulator() as nas, connection_at(nas.url) as connection:
        connection.link = connection.link.__class__(encrypted=False, peer="10.0.0.1")

        with pytest.raises(InsecureTransport):
            await log_in(connection, login_at(nas.url))

        assert _unharmed(nas)


async def test_a_tls_server_with_no_common_version_is_not_asked_in_plain_text(resolved: list[Any]) -> None:
    """A failed handshake of any kind ends the attempt."""
    connections = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        assert (await reader.read(3))[:1] == b"\x16"  # a TLS handshake, not "GET"
        writer.write(b"\x15\x03\x01\x00\x02\x02\x46")  # alert: protocol version
        await writer.drain()

    async with raw_server(hang_up) as port:
        login = login_at(f"ws://nas.test:{port}")
        with pytest.raises(Unreachable, match="TLS"):
            await open_connection(login.address, login.trust, now, on_pin=Told())

    assert connections == 1
    assert resolved
