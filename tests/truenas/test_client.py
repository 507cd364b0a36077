"""A session that is kept up: over restarts, refusals and servers that never hold."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from borgwatch.truenas import client as client_module
from borgwatch.truenas.client import RETRY_LATER, Client, back_off
from borgwatch.truenas.connection import Trust
from borgwatch.truenas.errors import LoginRefused, NotTrusted, Unreachable
from borgwatch.truenas.ladder import Rung
from borgwatch.truenas.session import Session
from borgwatch.truenas.simulator import PROFILES, Simulator, make_certificate
from borgwatch.truenas.trust import PinVerdict
from tests.truenas.world import NEW, Pins, Stub, Witness, login_at, methods, now, simulator


@asynccontextmanager
async def _kept_up(url: str, **login: Any) -> AsyncIterator[tuple[Client, Witness]]:
    """Run a client against a server; whatever it raises fails the test."""
    witness = Witness()
    client = Client(login_at(url, **login), witness, now)
    task = asyncio.create_task(client.run())
    try:
        yield client, witness
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


# Delays


def test_back_off_doubles_from_one_second_to_a_minute() -> None:
    longest = itertools.islice(back_off(lambda: 1.0), 9)
    shortest = itertools.islice(back_off(lambda: 0.0), 9)

    assert list(longest) == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert list(shortest) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_back_off_is_jittered() -> None:
    """Many that lost the same TrueNAS do not come back at the same moment."""
    assert len({next(back_off()) for _ in range(50)}) > 40


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of clients, which last no time then."""
    taken: list[float] = []

    async def pause(_: Client, seconds: float) -> None:
        taken.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(Client, "_pause", pause)
    return taken


async def test_failures_that_may_pass_back_off(pauses: list[float]) -> None:
    async with Simulator() as nas:
        nas.faults.http_status = 502
        async with _kept_up(nas.url) as (_, witness):
            await witness.until(lambda witness: len(witness.failures) == 8)

    assert all(isinstance(error, Unreachable) for error, _ in witness.failures)
    told = [delay for _, delay in witness.failures]
    assert told[:8] == pauses[:8]
    for delay, longest in zip(told, [1, 2, 4, 8, 16, 32, 60, 60], strict=False):
        assert longest / 2 <= delay <= longest


async def _answer_and_close(stub: Stub, connection: ServerConnection, call: dict[str, Any]) -> None:
    await stub.reply(connection, call, "25.10.6")
    await connection.close(1011)


async def test_sessions_that_never_hold_back_off_too(pauses: list[float]) -> None:
    """Each login is audited, and more than 20 a minute lock us out."""
    async with Stub({"alert.list_categories": _answer_and_close}) as stub, _kept_up(stub.url) as (_, witness):
        await witness.until(lambda witness: len(witness.losses) == 8)

    assert witness.failures == []
    assert pauses[0] <= 1
    assert sum(pauses[:7]) >= 61


async def test_a_session_that_held_is_replaced_soon(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "STEADY", 0.0)
    async with Stub({"alert.list_categories": _answer_and_close}) as stub, _kept_up(stub.url) as (_, witness):
        await witness.until(lambda witness: len(witness.losses) == 8)

    assert all(delay <= 1 for delay in pauses)


# Kept up


@pytest.mark.parametrize("release", PROFILES)
@pytest.mark.usefixtures("at_once")
async def test_a_session_is_made_anew_after_every_loss(release: str) -> None:
    async with simulator(release, rate_limit=None) as nas, _kept_up(nas.url) as (client, witness):
        await client.session()
        for number, code in enumerate([1012, 1001, 1006, None], start=1):
            await nas.disconnect_all(code if code != 1006 else None)
            await witness.until(lambda witness: len(witness.losses) == number)  # noqa: B023 - awaited at once
            await witness.until(lambda witness: len(witness.readies) == number + 1)  # noqa: B023
            assert client.session_now is witness.readies[-1]
            assert await client.session_now.call("core.ping") == "pong"
        await nas.reboot(lose_alerts=False)
        await witness.until(lambda witness: len(witness.readies) == 6)

        assert nas.connections == 1
        assert methods(nas).count("core.set_options") == 6
    assert witness.failures == []


@pytest.mark.usefixtures("at_once")
async def test_a_truenas_that_is_away_is_waited_for() -> None:
    nas = Simulator()
    await nas.start()
    url = nas.url
    async with _kept_up(url) as (client, witness):
        await client.session()
        await nas.stop()
        await witness.until(lambda witness: witness.failures)
        assert client.session_now is None
        await nas.start()
        try:
            assert await (await client.session()).call("core.ping") == "pong"
        finally:
            await nas.stop()
    assert all(isinstance(error, Unreachable) for error, _ in witness.failures)


async def test_a_refused_login_waits_long_and_hurry_cuts_it_short() -> None:
    async with Simulator(NEW) as nas:
        nas.keys[0].expired = True
        async with _kept_up(nas.url) as (client, witness):
            await witness.until(lambda witness: len(witness.failures) == 1)
            error, delay = witness.failures[0]
            assert isinstance(error, LoginRefused)
            assert delay == RETRY_LATER == 900
            assert client.trouble == "LoginRefused"
            client.hurry()
            await witness.until(lambda witness: len(witness.failures) == 2)
            nas.keys[0].expired = False
            client.hurry()
            await client.session()
            assert client.trouble == ""


@pytest.mark.usefixtures("at_once")
async def test_hurry_sees_rights_that_were_given_since_the_login() -> None:
    """Rights are read at login alone: whoever has just given them should not have to wait a quarter of an hour."""
    async with Simulator(NEW, rate_limit=None) as nas:
        nas.keys[0].roles = ("READONLY_ADMIN",)
        async with _kept_up(nas.url) as (client, witness):
            assert (await client.session()).ladder.rung is Rung.NONE
            nas.keys[0].roles = ("FULL_ADMIN",)
            client.hurry()
            await witness.until(lambda witness: len(witness.readies) == 2)

            assert (await client.session()).ladder.rung is Rung.ALERT
            client.hurry()
            assert client.session_now is witness.readies[1], "a session that can do everything is left alone"


async def test_an_address_that_truenas_does_not_let_in_waits_long_and_is_told_the_remedy() -> None:
    async def shut_out(_: Stub, connection: ServerConnection, __: dict[str, Any]) -> None:
        await connection.close(1008, "You are not allowed to access this resource")

    async with Stub({"core.set_options": shut_out}) as stub, _kept_up(stub.url) as (_, witness):
        await witness.until(lambda witness: witness.failures)

    [(error, delay)] = witness.failures
    assert "add it to the allowed IP addresses" in str(error)
    assert delay == RETRY_LATER


async def test_an_untrusted_certificate_waits_long() -> None:
    async with Simulator(NEW) as nas, _kept_up(nas.url, trust=Trust()) as (_, witness):
        await witness.until(lambda witness: witness.failures)

    [(error, delay)] = witness.failures
    assert isinstance(error, NotTrusted)
    assert delay == RETRY_LATER


async def test_a_limited_rate_waits_long() -> None:
    async with Simulator(NEW) as nas:
        nas.faults.rate_limited, nas.faults.rate_limit_pause = True, 0.0
        async with _kept_up(nas.url) as (_, witness):
            await witness.until(lambda witness: witness.failures)

    assert [delay for _, delay in witness.failures] == [RETRY_LATER]


@pytest.mark.usefixtures("at_once")
async def test_pins_are_told() -> None:
    pins = Pins()
    async with Simulator(certificate=make_certificate(days_left=3)) as nas:
        port = int(nas.url.rpartition(":")[2])
        async with _kept_up(nas.url, trust=Trust(verify=False, pins=pins)) as (client, witness):
            await client.session()
            await nas.stop()
            nas.certificate = make_certificate()
            await nas.start()
            await witness.until(lambda witness: len(witness.pins) == 2)

    assert port == int(nas.url.rpartition(":")[2])
    assert witness.pins == [PinVerdict.FIRST, PinVerdict.RENEWED]


# Given up, waited for, ended


@pytest.mark.usefixtures("at_once")
async def test_a_dropped_session_is_replaced() -> None:
    async with Simulator(NEW, rate_limit=None) as nas, _kept_up(nas.url) as (client, witness):
        first = await client.session()
        await asyncio.gather(client.drop(), client.drop())
        await witness.until(lambda witness: len(witness.readies) == 2)

        assert client.session_now is not first
        assert nas.connections == 1


async def test_dropping_without_a_session_does_nothing() -> None:
    client = Client(login_at("wss://nas.test"), Witness(), now)

    await client.drop()
    client.hurry()


async def test_all_who_wait_get_the_session() -> None:
    async with Simulator(NEW) as nas:
        nas.faults.http_status = 502
        async with _kept_up(nas.url) as (client, witness):
            waiting = [asyncio.create_task(client.session()) for _ in range(3)]
            await witness.until(lambda witness: witness.failures)
            nas.faults.http_status = None
            client.hurry()
            sessions = await asyncio.gather(*waiting)

    assert sessions == [witness.readies[0]] * 3


async def test_ending_closes_the_connection() -> None:
    async with Simulator(NEW) as nas:
        async with _kept_up(nas.url) as (client, _):
            await client.session()
            assert nas.connections == 1
        await nas.changed(lambda nas: nas.connections == 0)
        assert client.session_now is None


@pytest.mark.parametrize("method", ["core.set_options", "auth.login_ex", "system.version"])
async def test_ending_in_the_middle_of_a_login_closes_the_connection(method: str) -> None:
    async with Simulator(NEW) as nas:
        nas.faults.never_answer.add(method)
        async with _kept_up(nas.url):
            await nas.changed(lambda nas: nas.calls and nas.calls[-1][0] == method)
        await nas.changed(lambda nas: nas.connections == 0)


async def test_a_witness_that_fails_leaves_no_dead_session_behind() -> None:
    """Else who delivers would go on trying with a connection that is closed."""

    class Broken(Witness):
        def ready(self, session: Session) -> None:
            raise RuntimeError(f"no room for {session.username}")

    async with Simulator(NEW) as nas:
        client = Client(login_at(nas.url), Broken(), now)
        with pytest.raises(RuntimeError, match="no room for root"):
            await client.run()

        assert client.session_now is None
        await nas.changed(lambda nas: nas.connections == 0)


GARBAGE: list[Any] = [None, True, 0, -1, 1.5, "", "x" * 1000, [], [[]], {}, {"$set": []}, {"response_type": {}}]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: str(garbage)[:20])
@pytest.mark.usefixtures("at_once")
async def test_no_answer_of_a_server_brings_the_client_down(garbage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever each method answers, the client goes on."""
    monkeypatch.setattr(client_module, "RETRY_LATER", 0.01)
    for method in ("core.set_options", "auth.login_ex", "auth.login_with_api_key", "auth.me", "system.version"):
        answers = {"auth.login_ex": {"response_type": "AUTH_ERR"}, "auth.login_with_api_key": True, method: garbage}
        async with Stub(answers) as stub, _kept_up(stub.url) as (_, witness):
            await witness.until(lambda witness: witness.readies or witness.failures)
