"""Faults: each does what its docstring says, once or lastingly."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from borgwatch.truenas.simulator import Simulator

SCRUB = ("ScrubNotStarted", {"pool": "borgwatch:r", "text": "repository locked"})


@pytest.mark.parametrize(("code", "seen"), [(1012, 1012), (None, 1006)])
async def test_close_before_ends_the_connection_and_does_nothing(code: int | None, seen: int, open_client: Any) -> None:
    async with Simulator() as nas:
        nas.faults.close_before["alert.oneshot_create"] = code
        async with open_client(nas, key=nas.keys[0]) as client:
            await client.send("alert.oneshot_create", *SCRUB)
            assert await client.until_closed() == seen
        assert nas.alerts == []

        async with open_client(nas, key=nas.keys[0]) as client:
            await client.call("alert.oneshot_create", *SCRUB)
        assert len(nas.alerts) == 1


@pytest.mark.parametrize(("code", "seen"), [(1012, 1012), (None, 1006)])
async def test_close_after_ends_the_connection_when_the_call_is_done(
    code: int | None, seen: int, open_client: Any
) -> None:
    async with Simulator() as nas:
        nas.faults.close_after["alert.oneshot_create"] = code
        async with open_client(nas, key=nas.keys[0]) as client:
            await client.send("alert.oneshot_create", *SCRUB)
            assert await client.until_closed() == seen
        assert len(nas.alerts) == 1
        assert nas.faults.close_after == {}


async def test_http_status_answers_the_handshake(open_client: Any) -> None:
    async with Simulator() as nas:
        nas.faults.http_status = 502

        with pytest.raises(InvalidStatus) as caught:
            async with open_client(nas):
                pass

        assert caught.value.response.status_code == 502


async def test_redirect_leads_from_the_insecure_port_to_https(open_client: Any) -> None:
    async with Simulator(insecure_port=0) as nas:
        nas.faults.redirect = True
        reader, writer = await asyncio.open_connection(*_address(nas.insecure_url))
        writer.write(b"GET /api/current HTTP/1.1\r\nHost: nas\r\n\r\n")

        answer = (await reader.read()).decode()

        writer.close()
        await writer.wait_closed()
        assert answer.startswith("HTTP/1.1 307 ")
        assert f"Location: {nas.url.replace('wss', 'https')}/api/current\r\n" in answer
        async with open_client(nas, key=nas.keys[0]) as client:
            assert await client.call("core.ping") == "pong"


async def test_an_idle_connection_is_dropped_and_pongs_keep_it(open_client: Any) -> None:
    async with Simulator() as nas:
        nas.faults.idle_timeout = 0.2
        async with open_client(nas, key=nas.keys[0]) as client:
            started = asyncio.get_running_loop().time()
            while asyncio.get_running_loop().time() - started < 0.3:
                await (await client.socket.ping())
            assert await client.until_closed() == 1006


async def test_rate_limited_refuses_what_comes_without_login(open_client: Any, rpc_error: type[Exception]) -> None:
    async with Simulator() as nas:
        nas.faults.rate_limited, nas.faults.rate_limit_pause = True, 0
        async with open_client(nas) as client:
            with pytest.raises(rpc_error, match="Rate Limit Exceeded"):
                await client.login(nas.keys[0])
            nas.faults.rate_limited = False
            assert (await client.login(nas.keys[0]))["response_type"] == "SUCCESS"


async def test_a_session_expires_after_some_calls_until_login(open_client: Any, rpc_error: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        nas.faults.session_expires_after = 2
        await client.call("alert.list")
        await client.call("alert.list")

        with pytest.raises(rpc_error, match="Not authenticated") as caught:
            await client.call("alert.list")

        assert caught.value.number == 207
        await client.login(nas.keys[0])
        assert await client.call("alert.list") == []


async def test_the_standby_node_redirects(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas) as client:
        nas.faults.ha_redirect = ["https://192.0.2.1"]

        answer = await client.login(nas.keys[0])

        assert answer == {"response_type": "REDIRECT", "urls": ["https://192.0.2.1"]}


async def test_before_it_is_ready_alerts_are_listed_but_not_announced(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        nas.faults.not_ready = True
        await client.call("core.subscribe", "alert.list")
        await client.call("alert.oneshot_create", *SCRUB)
        assert await client.call("system.ready") is False
        assert await client.call("system.state") == "BOOTING"
        assert len(nas.alerts) == 1
        assert client.events == []

        nas.faults.not_ready = False
        await client.call("alert.oneshot_delete", "ScrubNotStarted", "another")

        await client.event(lambda params: params["msg"] == "added")


async def test_swallowed_creates_report_success(open_client: Any, rpc_error: type[Exception]) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        nas.faults.swallow_creates = True

        assert await client.call("alert.oneshot_create", *SCRUB) is None

        assert nas.alerts == []
        with pytest.raises(rpc_error, match="Invalid alert class"):
            await client.call("alert.oneshot_create", "CustomAlert", {})


async def test_altered_texts_differ_from_those_sent(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        await client.call("alert.oneshot_create", *SCRUB)
        await client.call("alert.oneshot_create", "RsyncFailed", {"id": "k", "direction": "d", "path": "p"})
        nas.faults.alter_text = True

        args = [alert["args"] for alert in await client.call("alert.list")]

        altered = {"id": "k", "direction": "d (altered)", "path": "p (altered)"}
        assert args == [altered, "repository locked (altered)"]


async def test_a_planned_error_answers_instead_of_the_call(open_client: Any, rpc_error: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        nas.faults.error["alert.list"] = {"code": -32000, "message": "too many"}
        nas.faults.error_once["core.ping"] = {"code": -32603, "message": "once"}

        for _ in range(2):
            with pytest.raises(rpc_error, match="too many"):
                await client.call("alert.list")
        with pytest.raises(rpc_error, match="once"):
            await client.call("core.ping")
        assert await client.call("core.ping") == "pong"


async def test_garbage_comes_before_the_answer(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        nas.faults.garbage.add("core.ping")
        number = await client.send("core.ping")

        with pytest.raises(json.JSONDecodeError):
            await client.receive()
        assert (await client.receive())["id"].startswith("unknown-")
        assert await client.answer(number) == "pong"


async def test_a_huge_frame_is_still_an_answer(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        nas.faults.huge_frame = 3 * 2**20
        await client.send("core.ping")

        frame = await client.socket.recv()

        assert len(frame) > 3 * 2**20
        assert json.loads(frame)["result"] == "pong"


def _address(url: str | None) -> tuple[str, int]:
    assert url is not None
    host, _, port = url.removeprefix("ws://").partition(":")
    return host, int(port)
