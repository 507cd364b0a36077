"""The server: ports, certificates, HTTP, restarts, frames and events on the wire."""

from __future__ import annotations

import asyncio
import json
import ssl
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from borgwatch.truenas.simulator import PROFILES, Simulator, make_certificate
from borgwatch.truenas.simulator.frames import BadFrame, parse_request

SCRUB = ("ScrubNotStarted", {"pool": "borgwatch:r", "text": "repository locked"})


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """`--unix-socket` may name the wrong path."""
    path = tmp_path / "thesis.txt"
    path.write_text("years of work")
    nas = Simulator(unix_path=path)
    with pytest.raises(OSError, match="already in use"):
        await nas.start()
    await nas.stop()

    assert path.read_text() == "years of work"


async def test_a_restart_takes_the_same_ports_and_keeps_the_alerts(open_client: Any) -> None:
    nas = Simulator(insecure_port=0)
    await nas.start()
    urls = nas.url, nas.insecure_url
    async with open_client(nas, key=nas.keys[0]) as client:
        await client.call("alert.oneshot_create", *SCRUB)
        await nas.stop()
        assert await client.until_closed() == 1001
    with pytest.raises(OSError, match="Connect call failed"):
        async with open_client(nas):
            pass

    await nas.start()

    try:
        assert (nas.url, nas.insecure_url) == urls
        async with open_client(nas, key=nas.keys[0]) as client:
            assert len(await client.call("alert.list")) == 1
    finally:
        await nas.stop()


@pytest.mark.parametrize("lose", [True, False])
async def test_a_reboot_ends_connections_and_jobs_and_may_lose_alerts(lose: bool, open_client: Any) -> None:
    async with Simulator() as nas:
        async with open_client(nas, key=nas.keys[0], new_jobs=False) as client:
            await client.call("core.bulk", "alert.oneshot_create", [list(SCRUB)])
            await nas.changed(lambda nas: nas.alerts)

            await nas.reboot(lose_alerts=lose)

            assert await client.until_closed() == 1006
        async with open_client(nas, key=nas.keys[0]) as client:
            assert await client.call("core.get_jobs") == []
            assert len(await client.call("alert.list")) == (0 if lose else 1)


async def test_connections_can_be_closed_or_dropped(open_client: Any) -> None:
    async with Simulator() as nas:
        for code, seen in ((1012, 1012), (None, 1006)):
            async with open_client(nas) as client:
                assert nas.connections == 1
                await nas.disconnect_all(code)
                assert nas.connections == 0
                assert await client.until_closed() == seen


async def test_a_port_in_use_is_said_and_the_other_is_given_back() -> None:
    async with Simulator(insecure_port=0) as taken:
        assert taken.insecure_url is not None
        nas = Simulator(insecure_port=int(taken.insecure_url.rpartition(":")[2]))
        with pytest.raises(OSError, match="address already in use"):
            await nas.start()

        with pytest.raises(OSError, match="Connect call failed"):
            await connect(f"{nas.url}/api/current", ssl=ssl.create_default_context(), proxy=None)


async def test_waiting_for_a_change_that_does_not_come_times_out() -> None:
    async with Simulator() as nas:
        with pytest.raises(TimeoutError):
            await nas.changed(lambda nas: nas.alerts, timeout=0.01)


def test_an_unknown_release_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Unknown release '24.10'; known are 25.04.0, "):
        Simulator("24.10")


@pytest.mark.parametrize("release", PROFILES)
async def test_versions_are_listed_over_http(release: str) -> None:
    async with Simulator(release, insecure_port=0) as nas:
        assert nas.insecure_url is not None
        url = nas.insecure_url.replace("ws://", "http://") + "/api/versions"

        versions = await asyncio.to_thread(_get_json, url)

        assert versions == list(PROFILES[release].api_versions)


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1.0", "/api/v2.0/alert/list", "/websocket"])
async def test_an_unknown_path_is_not_found(path: str, open_client: Any) -> None:
    async with Simulator() as nas:
        with pytest.raises(InvalidStatus) as caught:
            async with open_client(nas, path=path):
                pass
        assert caught.value.response.status_code == 404


async def test_an_older_route_cannot_create_alerts(open_client: Any, rpc_error: Any) -> None:
    async with Simulator("25.10.6") as nas:
        async with open_client(nas, key=nas.keys[0], path="/api/v25.10.0") as client:
            with pytest.raises(rpc_error, match="Method 'oneshot_create' not found in 'alert'") as caught:
                await client.call("alert.oneshot_create", *SCRUB)
            assert caught.value.number == 201
        async with open_client(nas, key=nas.keys[0], path="/api/v25.10.5") as client:
            assert await client.call("alert.oneshot_create", *SCRUB) is None


async def test_the_default_certificate_verifies_as_localhost() -> None:
    async with Simulator() as nas:
        context = ssl.create_default_context(cadata=nas.certificate.pem.decode())
        context.verify_flags |= ssl.VERIFY_X509_STRICT

        async with connect(
            f"{nas.url}/api/current", ssl=context, server_hostname="localhost", proxy=None
        ) as connection:
            tls = connection.transport.get_extra_info("ssl_object")
            assert tls.getpeercert(binary_form=True) == nas.certificate.der

    assert timedelta(days=390) < nas.certificate.not_after - datetime.now(UTC) <= timedelta(days=397)


async def test_an_expired_certificate_for_other_names_can_be_served() -> None:
    certificate = make_certificate(days_left=-1, names=("nas.example", "127.0.0.1"))
    context = ssl.create_default_context(cadata=certificate.pem.decode())

    async with Simulator(certificate=certificate) as nas:
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
            await connect(f"{nas.url}/api/current", ssl=context, proxy=None)

    assert nas.fingerprint == certificate.fingerprint


async def test_a_notification_is_done_but_not_answered(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        message = {"jsonrpc": "2.0", "method": "mail.send", "params": [{"subject": "s", "text": "t"}]}
        await client.socket.send(json.dumps(message))
        await nas.changed(lambda nas: nas.mails)

        assert await client.call("core.ping") == "pong"
        assert client.events == []


async def test_an_ended_subscription_gives_no_events(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        ended = await client.call("core.subscribe", "alert.list")
        await client.call("core.unsubscribe", ended)
        await client.call("alert.oneshot_create", *SCRUB)
        nas.dismiss(nas.alerts[0]["uuid"])

        await client.call("core.ping")

        assert client.events == []


async def test_the_services_and_version_are_told(open_client: Any) -> None:
    async with Simulator("25.04.2.6") as nas, open_client(nas, key=nas.keys[0]) as client:
        assert nas.release == "25.04.2.6"
        assert await client.call("system.version") == "TrueNAS-25.04.2.6"
        (service,) = await client.call("alertservice.query", [["name", "=", "E-Mail"]])
        assert (service["level"], service["enabled"]) == ("WARNING", True)
        assert await client.call("mail.local_administrator_email") == "admin@truenas.example"


members = st.sampled_from(["jsonrpc", "id", "method", "params"])
values = st.none() | st.booleans() | st.integers() | st.text() | st.just("2.0")
messages = st.recursive(values, lambda inner: st.lists(inner) | st.dictionaries(members, inner)).map(json.dumps)


@settings(deadline=None)
@given(st.text() | messages)
def test_any_text_is_a_request_or_a_bad_frame(text: str) -> None:
    assert refusal(text) in {None, -32700, -32600}


def refusal(text: str) -> object:
    """Return the code that a text is refused with; None for a request."""
    try:
        parse_request(text)
    except BadFrame as bad:
        return bad.error["code"]
    return None


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ("1", "Invalid message format"),
        ('{"id": true}', "'id' member must be of type string or number"),
        ('{"id": 1}', "'jsonrpc' member must be '2.0'"),
        ('{"id": 1, "jsonrpc": "2.0"}', "'method' member must be of type string"),
        ('{"id": 1, "jsonrpc": "2.0", "method": "m", "params": {}}', "'params' member must be of type array"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong_with_it(message: str, complaint: str) -> None:
    with pytest.raises(BadFrame) as caught:
        parse_request(message)
    assert caught.value.error == {"code": -32600, "message": complaint}


def _get_json(url: str) -> Any:
    with urllib.request.urlopen(url) as response:  # noqa: S310 - a loopback URL made here
        return json.load(response)
