"""One connection: what a user is told when none comes about, and what a broken or hostile server can do."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import secrets
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from borgwatch.truenas.connection import CLOSE_TIMEOUT, open_connection
from borgwatch.truenas.errors import ConnectionLost, NoAnswer, TrueNASError, Unreachable, Verdict
from borgwatch.truenas.simulator import Simulator
from tests.truenas.conftest import Shorten
from tests.truenas.world import (
    NEW,
    SECRET,
    Stub,
    Told,
    connection_at,
    login_at,
    now,
    raw_server,
    session_at,
    session_with,
)


async def _fails(url: str) -> TrueNASError:
    """Try to connect, which must fail with one line for the user."""
    login = login_at(url)
    with pytest.raises(TrueNASError) as caught:
        await open_connection(login.address, login.trust, now, on_pin=Told())
    message = str(caught.value)
    assert message.isprintable()
    assert 20 < len(message) < 500
    assert SECRET[2:] not in message
    return caught.value


def _local(port: int) -> str:
    return f"wss://127.0.0.1:{port}"


# No connection: what the user is told


async def test_connection_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

        error = await _fails(_local(port))

    assert f"127.0.0.1:{port}: connection refused" in str(error)
    assert "web interface on this port?" in str(error)
    assert error.verdict is Verdict.RETRY_NOW


async def test_a_name_that_cannot_be_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    error = await _fails("wss://truenass.lan")

    assert "could not resolve the name truenass.lan" in str(error)
    assert "spelt right" in str(error)


@pytest.mark.parametrize(
    ("number", "says"), [(113, "is TrueNAS on?"), (101, "network cannot be reached"), (105, "No buffer space")]
)
async def test_errors_of_the_network(number: int, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(*_: Any, **__: Any) -> None:
        raise OSError(number, "No buffer space available")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connect, raising=False)

    assert says in str(await _fails("wss://10.9.9.9"))


@pytest.mark.parametrize(
    ("status", "says", "verdict"),
    [
        (502, "starting or stopping", Verdict.RETRY_NOW),
        (503, "starting or stopping", Verdict.RETRY_NOW),
        (504, "starting or stopping", Verdict.RETRY_NOW),
        (404, "TrueNAS 25.04 or later", Verdict.USER),
        (403, "TrueNAS 25.04 or later", Verdict.USER),
        (200, "TrueNAS 25.04 or later", Verdict.USER),
        (307, "redirects elsewhere", Verdict.USER),
    ],
)
async def test_an_http_answer_is_named(status: int, says: str, verdict: Verdict) -> None:
    def answer(_: Request) -> Response:
        return Response(status, "", Headers({"Content-Length": "0", "Location": "wss://elsewhere.test/"}))

    async with Stub(http=answer) as stub:
        error = await _fails(stub.url)

    assert f"HTTP {status}" in str(error)
    assert says in str(error)
    assert error.verdict is verdict


async def test_a_restart_of_the_middleware_is_waited_out() -> None:
    async with Simulator() as nas:
        nas.faults.http_status = 502
        assert (await _fails(nas.url)).verdict is Verdict.RETRY_NOW
        nas.faults.http_status = None
        async with session_with(nas) as session:
            assert session.is_full_admin


async def _http_400(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def _hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(100)


async def _hang_up_at_once(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    pass


async def _silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        pass


@pytest.mark.parametrize("handle", [_http_400, _hang_up, _hang_up_at_once])
async def test_no_tls_on_the_port(handle: Any) -> None:
    async with raw_server(handle) as port:
        error = await _fails(_local(port))

    assert "does not speak TLS there" in str(error)
    assert "HTTPS port of TrueNAS" in str(error)
    assert "never sent unencrypted" in str(error)
    assert "()" not in str(error)


async def _smtp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.lan ESMTP \x1b[2J\r\n")
    await writer.drain()
    await reader.read(100)


async def _wrong_upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching\r\nUpgrade: \xff" + b"h2c" * 2000 + b"\r\nConnection: Upgrade\r\n\r\n")
    await writer.drain()


async def _no_accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    await writer.drain()


async def _endless_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching\r\nX: ")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


@pytest.mark.parametrize("handle", [_smtp, _wrong_upgrade, _no_accept, _endless_header, _hang_up])
async def test_tls_but_no_websocket_behind_it(handle: Any) -> None:
    async with raw_server(handle, tls=True) as port:
        error = await _fails(_local(port))

    assert "is not the API of TrueNAS" in str(error)
    assert "web interface's port?" in str(error)
    assert "speak TLS" not in str(error)


async def _slow_drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching\r\n")
    while True:
        writer.write(b"X: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(("handle", "tls"), [(_silence, False), (_silence, True), (_slow_drip, True)])
async def test_a_server_that_does_not_answer_in_time(
    handle: Any, *, tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("borgwatch.truenas.connection.OPEN_TIMEOUT", 0.3)
    async with raw_server(handle, tls=tls) as port:
        error = await _fails(_local(port))

    assert "does not answer" in str(error)
    assert "firewall" in str(error)
    assert error.verdict is Verdict.RETRY_NOW


async def test_an_unusable_answer_on_this_machine_is_not_blamed_on_tls() -> None:
    """There plain text is tried in the end, and the message is about that."""
    async with raw_server(_smtp) as port:
        error = await _fails(f"ws://127.0.0.1:{port}")

    assert "is not the API of TrueNAS" in str(error)


# Calls on an open connection


async def test_answers_find_their_calls_in_any_order() -> None:
    held: list[tuple[ServerConnection, dict[str, Any]]] = []

    async def hold(stub: Stub, connection: ServerConnection, call: dict[str, Any]) -> None:
        held.append((connection, call))
        if len(held) == 5:
            for other, earlier in reversed(held):
                await stub.reply(other, earlier, earlier["params"])

    async with Stub({"echo": hold}) as stub, connection_at(stub.url) as connection:
        answers = await asyncio.gather(*(connection.call("echo", number) for number in range(5)))

    assert answers == [[number] for number in range(5)]


async def test_no_more_calls_are_under_way_than_truenas_takes() -> None:
    """It refuses the 21st of a connection; the rest waits for its turn here."""
    async with Simulator(NEW) as nas, session_with(nas) as session:
        nas.faults.process_alerts_delay = 0.02
        given = [("ScrubNotStarted", {"pool": f"borgwatch:x:{number}", "text": "t"}) for number in range(40)]

        await asyncio.gather(*(session.connection.call("alert.oneshot_create", *params) for params in given))

        assert len(nas.alerts) == 40


async def test_an_answer_that_comes_too_late_is_nobodys() -> None:
    late: list[dict[str, Any]] = []

    async def answer_the_one_before(stub: Stub, connection: ServerConnection, call: dict[str, Any]) -> None:
        late.append(call)
        if len(late) > 1:
            await stub.reply(connection, late[-2], "old")
            await stub.reply(connection, call, "new")
            await stub.reply(connection, call, "again")

    async with Stub({"echo": answer_the_one_before}) as stub, connection_at(stub.url) as connection:
        with pytest.raises(NoAnswer):
            await connection.call("echo", timeout=0.1)

        assert await connection.call("echo") == "new"
        assert await connection.call("system.version") == "25.10.6"


@pytest.mark.parametrize("number", ["1", 1.0, True, None, 999, [], {}], ids=repr)
async def test_an_answer_with_a_wrong_number_is_not_taken(number: Any) -> None:
    async def answer(_: Stub, connection: ServerConnection, __: dict[str, Any]) -> None:
        await connection.send(json.dumps({"jsonrpc": "2.0", "id": number, "result": "wrong"}))

    async with Stub({"echo": answer}) as stub, connection_at(stub.url) as connection:
        with pytest.raises(NoAnswer):
            await connection.call("echo", timeout=0.1)


FRAMES: list[Any] = [
    "", "{", "null", "[]", "5", "[" * 100_000, b"\x00\xff", b"{}", '{"id": null, "error": {"code": -32700}}',
    '{"id": 1e999}', '{"id": ' + "9" * 5000 + "}", '{"method": "collection_update"}', '{"method": null, "result": 1}',
    '{"method": "notify_unsubscribed", "params": 5, "id": 1}', "\ud7ff\U0010ffff",
]  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: repr(frame[:30]))
async def test_a_frame_that_makes_no_sense_is_passed_over(frame: Any) -> None:
    async def answer(stub: Stub, connection: ServerConnection, call: dict[str, Any]) -> None:
        await connection.send(frame)
        await stub.reply(connection, call, "pong")

    async with Stub({"core.ping": answer}) as stub, connection_at(stub.url) as connection:
        assert await connection.call("core.ping") == "pong"
        assert await connection.call("core.ping") == "pong"


async def test_a_text_frame_that_is_no_text_ends_the_connection() -> None:
    async def answer(_: Stub, connection: ServerConnection, __: dict[str, Any]) -> None:
        await connection.send(b"\xff\xfe", text=True)

    async with Stub({"core.ping": answer}) as stub, connection_at(stub.url) as connection:
        with pytest.raises(ConnectionLost):
            await connection.call("core.ping")


async def test_a_flood_of_notices_does_not_keep_a_call_from_ending() -> None:
    async def flood(_: Stub, connection: ServerConnection, __: dict[str, Any]) -> None:
        while True:
            for _notice in range(50):
                await connection.send('{"method": "collection_update", "params": {}}')
            await asyncio.sleep(0)  # the server shares the loop with the client

    async with Stub({"core.ping": flood}) as stub, connection_at(stub.url) as connection:
        with pytest.raises(NoAnswer):
            await connection.call("core.ping", timeout=0.3)


async def test_a_frame_that_drips_without_end_does_not_keep_a_call_from_ending() -> None:
    async def drip() -> AsyncIterator[str]:
        while True:
            yield " " * 100
            await asyncio.sleep(0.01)

    async def answer(_: Stub, connection: ServerConnection, __: dict[str, Any]) -> None:
        await connection.send(drip())

    async with Stub({"core.ping": answer}) as stub, connection_at(stub.url) as connection:
        with pytest.raises(NoAnswer):
            await connection.call("core.ping", timeout=0.3)


async def test_a_certificate_that_cannot_be_read_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_: bytes) -> None:
        raise ValueError("error parsing asn1 value")

    monkeypatch.setattr("borgwatch.truenas.connection.Certificate.from_der", unreadable)
    async with Stub() as stub:
        assert "cannot be read" in str(await _fails(stub.url))
        assert stub.calls == []


async def test_nothing_is_compressed() -> None:
    """Sizes would tell what an alert's text has in common with the key; and nothing small unpacks to something huge."""
    asked: list[Request] = []
    async with Stub(http=asked.append) as stub, connection_at(stub.url):
        assert [request.headers.get("Sec-WebSocket-Extensions") for request in asked] == [None]


async def test_all_calls_under_way_end_with_the_connection() -> None:
    async with Simulator(NEW) as nas, session_with(nas) as session:
        nas.faults.never_answer.add("alert.list")
        calls = [asyncio.create_task(session.call("alert.list")) for _ in range(5)]
        await nas.changed(lambda nas: len(nas.calls) >= 8)

        await nas.disconnect_all(1012)

        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(error, ConnectionLost) for error in ended)
        assert "1012" in str(ended[0])
        with pytest.raises(ConnectionLost):
            await session.call("alert.list")
        assert "1012" in await session.connection.wait_closed()


async def test_closing_ends_the_calls_under_way_and_may_be_done_again() -> None:
    async with Simulator(NEW) as nas, session_with(nas) as session:
        nas.faults.never_answer.add("alert.list")
        call = asyncio.create_task(session.call("alert.list"))
        await nas.changed(lambda nas: nas.calls[-1][0] == "alert.list")

        await asyncio.gather(session.connection.close(), session.connection.close())
        await session.connection.close()

        with pytest.raises(ConnectionLost):
            await call
        await nas.changed(lambda nas: nas.connections == 0)


async def test_a_cancelled_call_leaves_the_connection_usable() -> None:
    async with Simulator(NEW) as nas, session_with(nas) as session:
        nas.faults.never_answer.add("alert.list")
        call = asyncio.create_task(session.call("alert.list"))
        await nas.changed(lambda nas: nas.calls[-1][0] == "alert.list")
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

        assert await session.call("core.ping") == "pong"
        assert session.connection._answers == {}


async def test_a_call_that_truenas_would_cut_the_connection_for_is_an_error_of_ours() -> None:
    async with Stub() as stub, connection_at(stub.url) as connection:
        with pytest.raises(Unreachable, match="TrueNAS takes 65536") as caught:
            await connection.call("alert.oneshot_create", "x" * 70_000)

        assert caught.value.verdict is Verdict.UNSUPPORTED
        assert await connection.call("system.version") == "25.10.6"


async def _stop_reading(_: Stub, connection: ServerConnection, __: dict[str, Any]) -> None:
    connection.transport.pause_reading()


async def test_a_server_that_went_silent_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A TrueNAS that lost its power closes nothing."""
    monkeypatch.setattr("borgwatch.truenas.connection.PING_INTERVAL", 0.1)
    monkeypatch.setattr("borgwatch.truenas.connection.CLOSE_TIMEOUT", 0.1)
    async with Stub({"freeze": _stop_reading}) as stub, connection_at(stub.url) as connection:
        with pytest.raises(ConnectionLost):
            await connection.call("freeze", timeout=5)

        await asyncio.wait_for(connection.wait_closed(), 1)


async def test_a_server_that_does_not_close_delays_the_end_for_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container has ten seconds to stop."""
    monkeypatch.setattr("borgwatch.truenas.connection.CLOSE_TIMEOUT", 0.2)
    async with Stub({"freeze": _stop_reading}) as stub, connection_at(stub.url) as connection:
        with pytest.raises(NoAnswer):
            await connection.call("freeze", timeout=0.1)
        began = time.monotonic()
        await connection.close()
        took = time.monotonic() - began

    assert took < 3 * 0.2 + 0.3
    assert 3 * CLOSE_TIMEOUT < 10


async def test_a_call_after_the_end_is_not_heard_of_again(caplog: pytest.LogCaptureFixture) -> None:
    """A server that closes right behind an answer: asyncio would complain of an error that nobody fetched."""

    async def answer_and_close(stub: Stub, connection: ServerConnection, call: dict[str, Any]) -> None:
        await stub.reply(connection, call, "25.10.6")
        await connection.close(1011)

    async with Stub({"last": answer_and_close}) as stub, connection_at(stub.url) as connection:
        await connection.call("last")
        with pytest.raises(ConnectionLost):
            await connection.call("one more")
    gc.collect()

    assert "never retrieved" not in caplog.text


async def test_a_call_that_cannot_be_sent_leaves_nothing_behind(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that reads no more, then is gone: every call ends with its own error, and none is heard of again."""
    monkeypatch.setattr("borgwatch.truenas.connection.IN_FLIGHT", 1000)
    async with Stub({"freeze": _stop_reading}) as stub, connection_at(stub.url) as connection:
        with pytest.raises(NoAnswer):
            await connection.call("freeze", timeout=0.05)
        calls = [asyncio.create_task(connection.call("fill", secrets.token_hex(30_000))) for _ in range(400)]
        async with asyncio.timeout(5):
            while connection._socket.transport.get_write_buffer_size() == 0:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)

        connection._socket.transport.abort()

        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(error) for error in ended} == {ConnectionLost}
        assert connection._answers == {}
    calls.clear()
    ended.clear()
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("stage", ["tcp", "tls", "http", "login"])
async def test_a_cancelled_attempt_leaves_no_socket_and_no_task(stage: str) -> None:
    """ResourceWarnings are errors here."""
    arrived = asyncio.Event()

    async def arrive(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        arrived.set()
        await _silence(reader, _)

    async def freeze(*_: Any) -> None:
        arrived.set()

    before = asyncio.all_tasks()
    async with raw_server(arrive, tls=stage == "http") as port, Stub({"auth.login_ex": freeze}) as stub:

        async def open_one() -> None:
            async with session_at(stub.url if stage == "login" else _local(port)):
                raise AssertionError("nobody answers")

        attempt = asyncio.create_task(open_one())
        if stage == "tcp":
            await asyncio.sleep(0)
        else:
            await arrived.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    assert asyncio.all_tasks() == before


async def test_a_session_that_ends_leaves_no_task(call_timeout: Shorten) -> None:
    call_timeout(2)
    before = asyncio.all_tasks()
    async with Stub() as stub, session_at(stub.url):
        pass
    for _ in range(5):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
