"""Other ways to TrueNAS: its Unix socket, the active node of a pair, a host without TLS, a host with IPv6 alone."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from borgwatch.truenas.connection import Trust
from borgwatch.truenas.delivery import Delivered, deliver
from borgwatch.truenas.errors import InsecureTransport, LoginRefused, NotTrusted, Redirected, Unreachable, Verdict
from borgwatch.truenas.session import Login, open_session
from borgwatch.truenas.simulator import PROFILES, Key, Simulator, make_certificate
from tests.truenas.world import (
    NEW,
    RELEASES,
    SECRET,
    Pins,
    Told,
    alert,
    connection_at,
    login_at,
    methods,
    now,
    raw_server,
    session_at,
    simulator,
)


def _by_socket(path: Path, **login: Any) -> Login:
    return login_at(f"unix://{path}", **login)


# The Unix socket


@pytest.mark.parametrize("release", RELEASES)
async def test_over_the_unix_socket_root_needs_no_key(release: str, tmp_path: Path, sent: list[str]) -> None:
    path = tmp_path / "middlewared.sock"
    async with simulator(release, unix_path=path) as nas:
        session = await open_session(replace(_by_socket(path), key=None), now, on_pin=Told())
        try:
            assert isinstance(await deliver(session, alert()), Delivered)
        finally:
            await session.connection.close()

        assert session.username == "root"
        assert not {"auth.login_ex", "auth.login_with_api_key"} & set(methods(nas))
        assert SECRET[2:] not in "".join(sent)


@pytest.mark.parametrize("release", PROFILES)
async def test_another_user_gives_a_key_there_which_is_not_revoked(release: str, tmp_path: Path) -> None:
    """SCRAM cannot be spoken on the socket, and the plain key is safe there."""
    path = tmp_path / "middlewared.sock"
    keys = [Key("borgwatch", SECRET)]
    async with simulator(release, keys=keys, unix_path=path, unix_user=None) as nas:
        session = await open_session(_by_socket(path, username="borgwatch"), now, on_pin=Told())
        await session.connection.close()

        assert session.username == "borgwatch"
        assert not nas.keys[0].revoked


async def test_another_user_without_a_key_is_told_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "middlewared.sock"
    async with simulator(NEW, unix_path=path, unix_user=None):
        with pytest.raises(LoginRefused, match=r"run as root, or give a key \(NOTIFY_TRUENAS_API_KEY\)"):
            await open_session(replace(_by_socket(path), key=None), now, on_pin=Told())


async def test_a_socket_that_is_not_there_says_what_to_mount(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"No such file .*is its directory mounted") as caught:
        await open_session(_by_socket(tmp_path / "none.sock"), now, on_pin=Told())

    assert caught.value.verdict is Verdict.RETRY_NOW


# The active node of a pair


async def test_the_standby_node_leads_to_the_active_one() -> None:
    async with Simulator(NEW) as active, Simulator(NEW) as standby:
        standby.faults.ha_redirect = ["https://", f"{active.url.replace('wss', 'https')}/ui/"]
        async with session_at(standby.url) as session:
            assert isinstance(await deliver(session, alert()), Delivered)

        assert len(active.alerts) == 1
        assert standby.alerts == []
        assert standby.connections == 0


async def test_the_active_node_is_only_spoken_to_over_tls(sent: list[str]) -> None:
    """Whatever the standby node says: a key that went to a plain port would be revoked."""
    async with Simulator(NEW, insecure_port=0) as active, Simulator(NEW) as standby:
        assert active.insecure_url
        standby.faults.ha_redirect = [active.insecure_url]
        with pytest.raises(Redirected, match="standby node") as caught:
            await open_session(login_at(standby.url), now, on_pin=Told())

        assert caught.value.verdict is Verdict.RETRY_NOW
        assert not active.keys[0].revoked
        assert methods(active) == []
        assert "".join(sent).count(SECRET) == 1, "the one to the standby node"


async def test_no_server_leads_the_key_to_a_unix_socket(tmp_path: Path, sent: list[str]) -> None:
    """A Unix socket counts as safe because the user named it; one that a server names is anybody's."""
    path = tmp_path / "anybody.sock"
    async with Simulator(NEW, unix_path=path, unix_user=None) as anybody, Simulator(NEW) as standby:
        standby.faults.ha_redirect = [f"unix://{path}"]
        with pytest.raises(Redirected):
            await open_session(login_at(standby.url), now, on_pin=Told())

        assert methods(anybody) == []
        assert "".join(sent).count(SECRET) == 1, "the one to the standby node"


@pytest.mark.parametrize("trust", ["fingerprint", "pin", "none"])
async def test_a_node_with_another_certificate_is_not_the_other_half_of_the_pair(trust: str) -> None:
    """Nobody vouches for the addresses that a login is redirected to."""
    other = make_certificate(names=("localhost",))
    async with Simulator(NEW, certificate=other) as elsewhere, Simulator(NEW) as standby:
        standby.faults.ha_redirect = [elsewhere.url]
        given = {
            "fingerprint": Trust(verify=False, fingerprint=standby.fingerprint),
            "pin": Trust(verify=False, pins=Pins()),
            "none": Trust(verify=False),
        }[trust]
        with pytest.raises(Redirected):
            await open_session(login_at(standby.url, trust=given), now, on_pin=Told())

        assert methods(elsewhere) == []


@pytest.mark.parametrize("urls", [["ftp://x"], ["x" * 5000], [None, 7], ["wss://127.0.0.1:1"], ["unix:///x"]], ids=str)
async def test_addresses_that_lead_nowhere_are_told(urls: list[Any]) -> None:
    async with Simulator(NEW) as standby:
        standby.faults.ha_redirect = urls
        with pytest.raises(Redirected) as caught:
            await open_session(login_at(standby.url), now, on_pin=Told())

    assert len(str(caught.value)) < 1000


async def test_two_nodes_that_lead_to_each_other_are_not_followed_in_circles() -> None:
    async with Simulator(NEW) as one, Simulator(NEW) as two:
        one.faults.ha_redirect, two.faults.ha_redirect = [two.url], [one.url]
        with pytest.raises(Redirected):
            await open_session(login_at(one.url), now, on_pin=Told())

        assert methods(one).count("auth.login_ex") == methods(two).count("auth.login_ex") == 1


# A host without TLS


async def _hang_up(_: Any, writer: Any) -> None:
    writer.transport.abort()


def _plain(nas: Simulator, *, allow: bool) -> Login:
    assert nas.insecure_url
    return login_at(nas.insecure_url.replace("127.0.0.1", "nas.test"), trust=Trust(allow_plain=allow))


@pytest.mark.usefixtures("resolved")
async def test_a_host_without_tls_takes_a_proof_of_the_key_where_that_is_allowed(sent: list[str]) -> None:
    async with simulator("26.0.0-BETA.3", insecure_port=0) as nas:
        session = await open_session(_plain(nas, allow=True), now, on_pin=Told())
        await session.connection.close()

        assert not nas.keys[0].revoked
    assert SECRET[2:] not in "".join(sent)


@pytest.mark.usefixtures("resolved")
async def test_it_is_not_spoken_to_in_the_clear_unless_that_is_allowed(sent: list[str]) -> None:
    async with simulator("26.0.0-BETA.3", insecure_port=0) as nas:
        with pytest.raises(Unreachable):
            await open_session(_plain(nas, allow=False), now, on_pin=Told())

    assert sent == []


@pytest.mark.usefixtures("resolved")
@pytest.mark.parametrize("release", [release for release in PROFILES if not PROFILES[release].scram])
async def test_even_where_it_is_allowed_the_plain_key_stays_here(release: str, sent: list[str]) -> None:
    async with simulator(release, insecure_port=0) as nas:
        with pytest.raises(InsecureTransport, match="would revoke the API key"):
            await open_session(_plain(nas, allow=True), now, on_pin=Told())

        assert not nas.keys[0].revoked
    assert SECRET[2:] not in "".join(sent)


@pytest.mark.usefixtures("resolved")
async def test_a_certificate_that_is_not_trusted_is_no_reason_to_go_without() -> None:
    async with simulator("26.0.0-BETA.3") as nas:
        login = login_at(nas.url.replace("wss", "ws").replace("127.0.0.1", "nas.test"), trust=Trust(allow_plain=True))
        with pytest.raises(NotTrusted):
            await open_session(login, now, on_pin=Told())

        assert methods(nas) == []


# IPv6


async def test_a_host_that_has_only_an_ipv6_address_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """IPv4 comes first, for on 25.04.0 IPv6 costs the key; but where there is none, it is no reason to fail."""
    asked: list[int] = []
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, family: int = 0, *rest: Any, **more: Any) -> Any:
        if host != "nas6.test":
            return real(host, port, family, *rest, **more)
        asked.append(family)
        if family == socket.AF_INET:
            raise socket.gaierror(socket.EAI_NODATA, "No address associated with hostname")
        return real("::1", port, family, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with simulator(NEW, host="::1") as nas:
        url = nas.url.replace("[::1]", "nas6.test")
        async with connection_at(url) as connection:
            assert connection.link.peer == "::1"

    assert asked == [socket.AF_INET, socket.AF_INET6]


async def test_what_hangs_up_without_tls_is_told_as_such() -> None:
    async with raw_server(_hang_up) as port:
        with pytest.raises(Unreachable, match="does not speak TLS"):
            await open_session(login_at(f"wss://127.0.0.1:{port}"), now, on_pin=Told())
