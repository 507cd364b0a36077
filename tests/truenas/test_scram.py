"""SCRAM: the messages alone, the login with them, and that the key stays at home while it goes on."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from borgwatch.truenas.connection import Trust
from borgwatch.truenas.credentials import Link
from borgwatch.truenas.errors import (
    CallFailed,
    ConnectionLost,
    InsecureTransport,
    LoginRefused,
    NoAnswer,
    TrueNASError,
    Verdict,
)
from borgwatch.truenas.scram import ScramClient, ScramError
from borgwatch.truenas.session import log_in, open_session
from borgwatch.truenas.simulator import PROFILES, Key, Simulator, default_certificate, make_certificate
from borgwatch.truenas.simulator.certificates import Certificate
from borgwatch.truenas.simulator.scram import Exchange, ScramRefused, Verifier
from tests.truenas.conftest import Shorten
from tests.truenas.world import (
    FAST,
    NEW,
    SCRAM_STEPS,
    SECRET,
    Pins,
    Stub,
    Told,
    connection_at,
    login_at,
    methods,
    now,
    scram_stub,
    session_at,
    session_with,
    simulator,
)

RELEASES = [release for release, profile in PROFILES.items() if profile.scram]
BETA = "26.0.0-BETA.3"
PASSWORD = "p" * 64
OUR_NONCE, THEIR_NONCE, SALT = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 80))
BINDING = hashlib.sha256(b"a certificate").digest()
UNCHECKED = Trust(verify=False)
AT_HOME = Trust(verify=False, fingerprint=default_certificate().fingerprint)


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _client(name: str = "root:7", binding: bytes = b"") -> ScramClient:
    return ScramClient(name, PASSWORD, binding, random=lambda size: OUR_NONCE[:size])


def _server_first(
    nonce: bytes | str = OUR_NONCE + THEIR_NONCE, salt: bytes | str = SALT, count: object = FAST, more: str = ""
) -> str:
    nonce = nonce if isinstance(nonce, str) else _text(nonce)
    salt = salt if isinstance(salt, str) else _text(salt)
    return f"r={nonce},s={salt},i={count}{more}"


# The messages


@pytest.mark.parametrize(
    ("name", "in_message"), [("root:7", "root:7"), ("a=b,c:7", "a=3Db=2Cc:7"), ("=2C,:7", "=3D2C=2C:7"), ("ä:7", "ä:7")]
)
@pytest.mark.parametrize(("binding", "header"), [(b"", "n,,"), (BINDING, "p=tls-server-end-point,,")])
def test_the_messages_are_those_of_rfc_5802_with_nonces_of_bytes(
    name: str, in_message: str, binding: bytes, header: str
) -> None:
    """Worked out here step by step: section 3 of the RFC, with SHA-512."""
    client = _client(name, binding)
    bare = f"n={in_message},r={_text(OUR_NONCE)}"
    server_first = _server_first(count=60_000)
    without_proof = f"c={_text(header.encode() + binding)},r={_text(OUR_NONCE + THEIR_NONCE)}"
    message = f"{bare},{server_first},{without_proof}".encode()
    salted = hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), SALT, 60_000)
    client_key = hmac.new(salted, b"Client Key", hashlib.sha512).digest()
    signature = hmac.new(hashlib.sha512(client_key).digest(), message, hashlib.sha512).digest()
    proof = (int.from_bytes(client_key, "big") ^ int.from_bytes(signature, "big")).to_bytes(64, "big")
    server_key = hmac.new(salted, b"Server Key", hashlib.sha512).digest()
    server_signature = hmac.new(server_key, message, hashlib.sha512).digest()

    assert client.first() == f"{header}{bare}"
    assert client.final(server_first) == f"{without_proof},p={_text(proof)}"
    client.verify(f"v={_text(server_signature)}")


@pytest.mark.parametrize("size", range(1, 5))
def test_the_nonces_are_joined_as_bytes_and_not_as_text(size: int) -> None:
    """Else the "=" at the end of the first would stand in the middle."""
    joined = OUR_NONCE + THEIR_NONCE[:size]

    assert f",r={_text(joined)},p=" in _client().final(_server_first(joined))
    with pytest.raises(ScramError, match="base64"):
        _client().final(_server_first(_text(OUR_NONCE) + _text(THEIR_NONCE[:size])))


def test_each_login_has_a_nonce_of_its_own() -> None:
    nonces = {ScramClient("root:7", PASSWORD).first().partition(",r=")[2] for _ in range(10)}

    assert len(nonces) == 10
    assert {len(b64decode(nonce)) for nonce in nonces} == {32}


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    """What the simulated server keeps of the password."""
    return Verifier.derive(PASSWORD, FAST)


@pytest.mark.parametrize("binding", [b"", BINDING])
def test_client_and_simulated_server_prove_themselves_to_each_other(binding: bytes, verifier: Verifier) -> None:
    client = ScramClient("root:7", PASSWORD, binding)
    exchange = Exchange(client.first(), verifier, BINDING)

    client.verify(exchange.finish(client.final(exchange.server_first)))


def test_a_wrong_password_proves_nothing(verifier: Verifier) -> None:
    client = ScramClient("root:7", "q" * 64)
    exchange = Exchange(client.first(), verifier, None)

    with pytest.raises(ScramRefused, match="Wrong proof"):
        exchange.finish(client.final(exchange.server_first))


def test_a_login_bound_to_another_certificate_proves_nothing(verifier: Verifier) -> None:
    client = ScramClient("root:7", PASSWORD, hashlib.sha256(b"another").digest())
    exchange = Exchange(client.first(), verifier, BINDING)

    with pytest.raises(ScramRefused):
        exchange.finish(client.final(exchange.server_first))


def test_a_server_without_the_key_proves_nothing(verifier: Verifier) -> None:
    """It knows what clients prove themselves with, yet not what servers do."""
    client = ScramClient("root:7", PASSWORD)
    stolen = Verifier(verifier.salt, verifier.iterations, verifier.stored_key, server_key=bytes(64))
    exchange = Exchange(client.first(), stolen, None)
    final = exchange.finish(client.final(exchange.server_first))

    with pytest.raises(ScramError, match="could not prove"):
        client.verify(final)


@pytest.mark.parametrize(
    ("server_first", "says"),
    [
        (_server_first(nonce=OUR_NONCE), "nonce"),
        (_server_first(nonce=OUR_NONCE[:-1]), "nonce"),
        (_server_first(nonce=THEIR_NONCE + OUR_NONCE), "nonce"),
        (_server_first(nonce=OUR_NONCE[:-1] + b"x" + THEIR_NONCE), "nonce"),
        (_server_first(nonce=""), "nonce"),
        (_server_first().partition(",")[2], "nonce"),
        ("", "nonce"), ("None", "nonce"), ("e=invalid-proof", "nonce"), (",,,", "nonce"), ("r", "nonce"),
        (_server_first(nonce="?" * 44), "base64"),
        (_server_first(nonce="ä" * 44), "base64"),
        (_server_first(nonce=_text(OUR_NONCE + THEIR_NONCE)[:-1]), "base64"),
        (_server_first(nonce="\n" + _text(OUR_NONCE + THEIR_NONCE)), "base64"),
        (_server_first(salt="QQ"), "base64"),
        (_server_first(salt="\ud800"), "base64"),
        (_server_first(salt=""), "salt"),
        (_server_first().replace(",s=", ",S="), "salt"),
        (_server_first(count=0), "'0' iterations"),
        (_server_first(count=1), "'1' iterations"),
        (_server_first(count=4096), "iterations"),
        (_server_first(count=49_999), "iterations"),
        (_server_first(count=5_000_001), "iterations"),
        (_server_first(count=-50_000), "iterations"),
        (_server_first(count="50_000"), "iterations"),
        (_server_first(count=" 50000"), "iterations"),
        (_server_first(count="50000.0"), "iterations"),
        (_server_first(count="5e4"), "iterations"),
        (_server_first(count="\u0665\u0660\u0660\u0660\u0660"), "iterations"),
        (_server_first(count="5²000"), "iterations"),
        (_server_first(count=""), "iterations"),
        (_server_first().rpartition(",")[0], "iterations"),
        (_server_first(count="9" * 5000), "iterations"),  # Python refuses to read more than 4300 digits
        (_server_first(count="0" * 5000 + "50000"), "iterations"),
        (_server_first(more=",x=\ud800"), "Unicode"),
    ],
    ids=lambda value: ascii(value)[-30:],
)  # fmt: skip
def test_a_server_that_must_not_be_answered(server_first: str, says: str) -> None:
    with pytest.raises(ScramError, match=says) as caught:
        _client().final(server_first)

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 100
    assert PASSWORD not in str(caught.value)


def test_a_name_that_is_not_unicode_is_no_reason_to_fall_over() -> None:
    """So come bytes of the environment that are not UTF-8."""
    with pytest.raises(ScramError):
        _client("b\udcffrg:7").final(_server_first())


@pytest.mark.parametrize("count", [50_000, 5_000_000])
def test_the_least_and_the_most_iterations_are_done(count: int) -> None:
    with mock.patch.object(hashlib, "pbkdf2_hmac", return_value=bytes(64)) as derive:
        assert _client().final(_server_first(count=count)).startswith("c=biws,r=")

    derive.assert_called_once_with("sha512", PASSWORD.encode(), SALT, count)


@pytest.mark.parametrize(
    "server_final",
    [
        "",
        "v=",
        "v",
        "e=invalid-proof",
        f"v={_text(bytes(64))}",
        f"v={_text(bytes(63))}",
        "v=?",
        "v=ä",
        "v=\ud800",
        "\0",
    ],
    ids=ascii,
)
def test_a_server_that_does_not_prove_itself_is_refused(server_final: str) -> None:
    client = _client()
    client.final(_server_first())

    with pytest.raises(ScramError):
        client.verify(server_final)


@pytest.mark.parametrize("server_final", ["", "v=", f"v={_text(bytes(64))}"])
def test_nothing_is_proof_before_the_client_has_proved_itself(server_final: str) -> None:
    with pytest.raises(ScramError):
        _client().verify(server_final)


def test_each_bit_of_the_servers_signature_counts(verifier: Verifier) -> None:
    client = ScramClient("root:7", PASSWORD)
    exchange = Exchange(client.first(), verifier, None)
    signature = b64decode(exchange.finish(client.final(exchange.server_first))[2:])

    for place in range(64):
        changed = bytes(byte ^ (number == place) for number, byte in enumerate(signature))
        with pytest.raises(ScramError):
            client.verify(f"v={_text(changed)}")
    for other in (signature[:-1], signature + b"\0"):
        with pytest.raises(ScramError):
            client.verify(f"v={_text(other)}")


COUNTS = st.integers() | st.sampled_from([49_999, FAST, 5_000_000, 5_000_001]) | st.from_regex(r"\d{1,9}")
SURROGATES = st.text(st.characters(exclude_categories=()))
ANY_TEXT = SURROGATES | st.lists(
    st.builds("{}{}{}".format, st.sampled_from("rsivem"), st.sampled_from(["=", ""]), SURROGATES)
).map(",".join)
NEARLY = st.builds(
    _server_first,
    nonce=st.just(OUR_NONCE + THEIR_NONCE) | st.binary().map(OUR_NONCE.__add__) | st.binary() | SURROGATES,
    salt=st.binary() | SURROGATES,
    count=COUNTS | SURROGATES,
    more=st.just("") | SURROGATES.map(",x=".__add__),
)


@given(server_first=ANY_TEXT | NEARLY, server_final=ANY_TEXT | st.binary().map(_text).map("v=".__add__))
def test_whatever_a_server_says_is_answered_or_refused(server_first: str, server_final: str) -> None:
    client = _client()
    with mock.patch.object(hashlib, "pbkdf2_hmac", return_value=bytes(64)) as derive:
        try:
            final = client.final(server_first)
        except ScramError:
            derive.assert_not_called()
        else:
            [(_, _, salt, count)] = [call.args for call in derive.mock_calls]
            assert final.startswith(f"c=biws,r={_text(OUR_NONCE)[:42]}")
            assert salt
            assert 50_000 <= count <= 5_000_000
    with pytest.raises(ScramError):
        client.verify(server_final)


# The login


def _mechanisms(nas: Simulator) -> set[str]:
    """The ways in which logins were tried; a plain key without a name is `by key`."""
    return {
        "by key" if method == "auth.login_with_api_key" else params[0]["mechanism"]
        for method, params in nas.calls
        if method.startswith("auth.login")
    }


def _kept(nas: Simulator, sent: list[str]) -> bool:
    """Whether the plain key was in no call and in no frame, and still works."""
    assert sent
    return _mechanisms(nas) <= {"SCRAM"} and not any(SECRET[2:] in frame for frame in sent) and not nas.keys[0].revoked


async def _refused(url: str, **login: Any) -> TrueNASError:
    with pytest.raises(TrueNASError) as caught:
        await open_session(login_at(url, **login), now, on_pin=Told())
    assert str(caught.value).isprintable()
    assert SECRET[2:] not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("username", [None, "borg"])
@pytest.mark.parametrize("trust", [AT_HOME, UNCHECKED], ids=["checked", "unchecked"])
async def test_a_key_is_let_in_without_being_sent(
    release: str, username: str | None, trust: Trust, sent: list[str]
) -> None:
    async with simulator(release, keys=[Key(username or "root", SECRET)]) as nas:
        async with session_with(nas, username=username, trust=trust) as session:
            assert session.username == (username or "root")
            assert session.is_full_admin
            assert session.waits_for_jobs

        assert [params[0] for method, params in nas.calls if method == "auth.login_ex"] == [
            {"mechanism": "SCRAM", "scram_type": kind, "rfc_str": "***"} for kind in SCRAM_STEPS[1:]
        ]
        assert _kept(nas, sent)


@pytest.mark.parametrize("release", [release for release in PROFILES if release not in RELEASES])
async def test_releases_without_scram_are_given_the_plain_key(release: str) -> None:
    async with Simulator(release) as nas, session_with(nas):
        assert _mechanisms(nas) == {"API_KEY_PLAIN"}


async def test_over_tls_a_login_is_bound_to_the_certificate(sent: list[str]) -> None:
    async with simulator(BETA) as nas, session_with(nas):
        assert "p=tls-server-end-point,,n=root:1,r=" in sent[2]
        binding = _text(b"p=tls-server-end-point,," + nas.certificate.binding)
        assert f"c={binding}," in sent[3]


async def test_over_plain_text_a_login_is_bound_to_nothing_and_harms_no_key(sent: list[str]) -> None:
    """A plain key would be revoked there at once."""
    async with simulator(BETA, insecure_port=0) as nas, connection_at(str(nas.insecure_url)) as connection:
        connection.link = Link(encrypted=False, peer="192.168.1.5")
        session = await log_in(connection, login_at(nas.url))

        assert session.is_full_admin
        assert '"n,,n=root:1,r=' in sent[2]
        assert _kept(nas, sent)
        assert await session.call("core.ping") == "pong"


async def test_a_plain_url_of_this_machine_harms_no_key_either(sent: list[str]) -> None:
    async with simulator(BETA, insecure_port=0) as nas, session_at(str(nas.insecure_url)) as session:
        assert session.is_full_admin
        assert not session.connection.link.encrypted
        assert _kept(nas, sent)


@pytest.mark.parametrize("username", [None, "root"])
async def test_over_plain_text_no_plain_key_follows_a_refusal(username: str | None, sent: list[str]) -> None:
    async with (
        simulator(BETA, insecure_port=0, keys=[Key("borg", SECRET)]) as nas,
        connection_at(str(nas.insecure_url)) as connection,
    ):
        connection.link = Link(encrypted=False, peer="192.168.1.5")
        with pytest.raises(LoginRefused, match="login as root refused"):
            await log_in(connection, login_at(nas.url, username=username))

        assert _kept(nas, sent)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("trust", [AT_HOME, UNCHECKED], ids=["checked", "unchecked"])
@pytest.mark.parametrize("key", ["1-" + "z" * 64, "9" + SECRET[1:]], ids=["secret", "number"])
async def test_a_wrong_key_is_refused(release: str, trust: Trust, key: str, sent: list[str]) -> None:
    async with simulator(release) as nas:
        error = await _refused(nas.url, key=key, username="root", trust=trust)

        assert isinstance(error, LoginRefused)
        assert "the API key or its user is wrong" in str(error)
        assert _mechanisms(nas) == {"SCRAM"}
        assert not any(key[2:] in frame for frame in sent)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("state", ["revoked", "expired"])
async def test_a_key_that_is_no_longer_good_is_refused(release: str, state: str, sent: list[str]) -> None:
    async with simulator(release) as nas:
        setattr(nas.keys[0], state, True)
        error = await _refused(nas.url, username="root")

        assert isinstance(error, LoginRefused)
        assert state in str(error)
        assert _mechanisms(nas) == {"SCRAM"}
        assert not any(SECRET[2:] in frame for frame in sent)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("trust", [AT_HOME, Trust(verify=False, pins=Pins())], ids=["fingerprint", "pin"])
async def test_the_owner_of_a_key_is_sought_behind_a_certificate_that_was_checked(release: str, trust: Trust) -> None:
    async with simulator(release, keys=[Key("borg", SECRET)]) as nas:
        async with session_with(nas, trust=trust) as session:
            assert session.username == "borg"

        assert _mechanisms(nas) == {"SCRAM", "by key"}


@pytest.mark.parametrize("release", RELEASES)
async def test_the_owner_of_a_key_is_not_sought_behind_a_certificate_that_was_not(
    release: str, sent: list[str]
) -> None:
    """Whoever is in between may refuse SCRAM to get at the plain key."""
    async with simulator(release, keys=[Key("borg", SECRET)]) as nas:
        error = await _refused(nas.url, trust=UNCHECKED)
        assert isinstance(error, LoginRefused)
        assert "name its user in NOTIFY_TRUENAS_USERNAME" in str(error)
        assert _kept(nas, sent)

        async with session_with(nas, trust=UNCHECKED, username="borg") as session:
            assert session.username == "borg"
        assert _kept(nas, sent)


# Somebody in between


@asynccontextmanager
async def _relay(nas: Simulator, certificate: Certificate) -> AsyncIterator[str]:
    """Pass every frame on to a simulator and back, behind a certificate of one's own; gives the URL."""
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE

    async def pump(source: Any, sink: Any) -> None:
        try:
            async for frame in source:
                await sink.send(frame)
        except ConnectionClosed:
            pass
        await sink.close()

    async def pass_on(client: ServerConnection) -> None:
        async with connect(f"{nas.url}/api/current", ssl=careless, proxy=None) as onward:
            await asyncio.gather(pump(client, onward), pump(onward, client))

    async with serve(pass_on, "127.0.0.1", 0, ssl=certificate.server_context(), close_timeout=0.2) as server:
        yield f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("username", [None, "root"])
async def test_a_relay_with_a_certificate_of_its_own_gets_neither_key_nor_session(
    release: str, username: str | None, sent: list[str]
) -> None:
    async with simulator(release) as nas, _relay(nas, make_certificate()) as url:
        error = await _refused(url, trust=UNCHECKED, username=username)

        assert isinstance(error, LoginRefused)
        assert methods(nas) == ["core.set_options", "auth.mechanism_choices", "auth.login_ex", "auth.login_ex"]
        assert _kept(nas, sent)


@pytest.mark.parametrize("release", RELEASES)
async def test_behind_a_proxy_whose_certificate_is_trusted_the_proof_is_bound_to_nothing(
    release: str, sent: list[str]
) -> None:
    """TrueNAS does not know the certificate of the proxy, and refuses what is bound to it, as do BETA.1 and BETA.2."""
    proxy = make_certificate()
    trust = Trust(verify=False, fingerprint=proxy.fingerprint)
    async with simulator(release) as nas, _relay(nas, proxy) as url:
        async with session_at(url, trust=trust, username="root") as session:
            assert session.is_full_admin
        assert _kept(nas, sent)


async def test_it_is_the_binding_that_keeps_a_relay_out() -> None:
    """With TrueNAS' own certificate, or without the binding, it passes a session on."""
    async with simulator(BETA) as nas:
        async with (
            _relay(nas, default_certificate()) as url,
            session_at(url, trust=UNCHECKED) as session,
        ):
            assert session.is_full_admin
        async with (
            _relay(nas, make_certificate()) as url,
            connection_at(url, trust=UNCHECKED) as connection,
        ):
            connection.certificate = None
            assert (await log_in(connection, login_at(url, trust=UNCHECKED))).is_full_admin


@pytest.mark.parametrize(
    "choices",
    [["API_KEY_PLAIN", "PASSWORD_PLAIN"], [], None, "SCRAM", {"SCRAM": 1}, [["SCRAM"]], [None, {}], 5],
    ids=str,
)
async def test_a_server_that_hides_scram_is_like_one_without(choices: Any) -> None:
    """It gets the plain key as 25.10 does: over TLS, from a client that trusts its certificate."""
    async with Stub({"auth.mechanism_choices": choices}) as stub:
        async with session_at(stub.url):
            assert stub.calls[:3] == ["core.set_options", "auth.mechanism_choices", "auth.login_ex"]
        assert '"mechanism": "API_KEY_PLAIN"' in stub.frames[2]


async def test_a_server_that_hides_scram_gets_no_plain_key_over_plain_text(sent: list[str]) -> None:
    async with simulator(BETA, insecure_port=0) as nas, connection_at(str(nas.insecure_url)) as connection:
        connection.link = Link(encrypted=False, peer="192.168.1.5")
        nas.faults.error["auth.mechanism_choices"] = {"code": -32601, "message": "Method does not exist"}
        with pytest.raises(InsecureTransport):
            await log_in(connection, login_at(nas.url))

        assert methods(nas) == ["core.set_options", "auth.mechanism_choices"]
        assert _kept(nas, sent)


async def test_a_server_too_busy_to_name_scram_is_not_one_without_it(sent: list[str]) -> None:
    """Each call has a limit of its own: the login would be let through, with the plain key."""
    async with simulator(BETA) as nas:
        data = {"error": 16, "reason": "[EBUSY] Rate Limit Exceeded"}
        nas.faults.error_once["auth.mechanism_choices"] = {"code": -32001, "message": "Error", "data": data}
        error = await _refused(nas.url)

        assert error.verdict is Verdict.RETRY_LATER
        assert methods(nas) == ["core.set_options", "auth.mechanism_choices"]
        assert _kept(nas, sent)


# Faults at every step


async def _close(connection: ServerConnection, *_: Any) -> Any:
    await connection.close(1011)
    return ...


async def _drop(connection: ServerConnection, *_: Any) -> Any:
    connection.transport.abort()
    return ...


async def _stay_silent(*_: Any) -> Any:
    return ...


async def _answer_rubbish(connection: ServerConnection, *_: Any) -> Any:
    await connection.send("{this is not JSON")
    return ...


async def _fail(connection: ServerConnection, call: dict[str, Any], _: Any) -> Any:
    error = '{"code": -32001, "message": "Error", "data": {"error": 22, "reason": "wrong"}}'
    await connection.send(f'{{"jsonrpc": "2.0", "id": {call["id"]}, "error": {error}}}')
    return ...


@pytest.mark.parametrize("step", SCRAM_STEPS)
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (_close, ConnectionLost), (_drop, ConnectionLost), (_stay_silent, NoAnswer), (_answer_rubbish, NoAnswer),
        (_fail, CallFailed),
    ],
)  # fmt: skip
async def test_a_fault_at_any_step_ends_the_login(
    step: str, fault: Any, expected: type[TrueNASError], call_timeout: Shorten
) -> None:
    """And the plain key does not follow, but for a server that does not say that it takes SCRAM."""
    call_timeout(1 if expected is not NoAnswer else 0.3)
    async with scram_stub(step, fault) as stub:
        error = await _refused(stub.url)  # without a name, which might be found with the plain key

    if (step, fault) == (SCRAM_STEPS[0], _fail):  # as 25.10 does
        assert isinstance(error, LoginRefused)
        return
    assert type(error) is expected
    assert (
        stub.calls
        == ["core.set_options", "auth.mechanism_choices", "auth.login_ex", "auth.login_ex"][
            : 2 + SCRAM_STEPS.index(step)
        ]
    )
    assert not any(SECRET[2:] in frame for frame in stub.frames)


async def test_rubbish_before_an_answer_is_passed_over() -> None:
    async with simulator(BETA) as nas:
        nas.faults.garbage |= {"auth.mechanism_choices", "auth.login_ex"}
        async with session_with(nas) as session:
            assert session.is_full_admin

        assert _mechanisms(nas) == {"SCRAM"}


ANSWERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "null": lambda _: None,
    "true": lambda _: True,
    "text": lambda _: "SCRAM_RESPONSE",
    "list": lambda _: ["SCRAM_RESPONSE"],
    "empty": lambda _: {},
    "success without a proof": lambda honest: {**honest, "response_type": "SUCCESS"},
    "success for another way": lambda honest: {"response_type": "SUCCESS", "user_info": honest["user_info"]},
    "no message": lambda honest: {name: value for name, value in honest.items() if name != "rfc_str"},
    "message null": lambda honest: {**honest, "rfc_str": None},
    "message number": lambda honest: {**honest, "rfc_str": 5},
    "message list": lambda honest: {**honest, "rfc_str": [honest["rfc_str"]]},
    "message empty": lambda honest: {**honest, "rfc_str": ""},
    "message of an error": lambda honest: {**honest, "rfc_str": "e=other-error"},
    "message not base64": lambda honest: {**honest, "rfc_str": "r=?,s=?,i=50000,v=?"},
    "message of half a letter": lambda honest: {**honest, "rfc_str": "\ud800" + honest["rfc_str"]},
    "message long": lambda honest: {**honest, "rfc_str": "r=" + "9" * 100_000},
    "iterations beyond reading": lambda honest: {**honest, "rfc_str": honest["rfc_str"] + "0" * 5000},
}


@pytest.mark.parametrize("step", SCRAM_STEPS[1:])
@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_of_any_other_shape_is_a_refusal_in_one_line(step: str, name: str) -> None:
    """A server that lets everybody in may be anybody: it must prove itself."""

    async def alter(_: ServerConnection, __: dict[str, Any], honest: dict[str, Any]) -> Any:
        return ANSWERS[name](honest)

    async with scram_stub(step, alter) as stub:
        error = await _refused(stub.url)

    assert isinstance(error, LoginRefused)
    assert len(str(error)) < 500
    assert "auth.login_with_api_key" not in stub.calls
    assert not any(SECRET[2:] in frame for frame in stub.frames)


async def test_a_server_that_cannot_prove_itself_is_named_as_such() -> None:
    async def lie(_: ServerConnection, __: dict[str, Any], honest: dict[str, Any]) -> Any:
        return {**honest, "rfc_str": f"v={_text(bytes(64))}"}

    async with scram_stub(SCRAM_STEPS[2], lie) as stub:
        error = await _refused(stub.url)

    assert error.verdict is Verdict.USER
    assert "could not prove that it knows the API key; somebody may be in between" in str(error)


async def test_the_stub_lets_an_honest_login_in() -> None:
    """Else the tests with its faults would show nothing."""
    async with scram_stub() as stub, session_at(stub.url) as session:
        assert session.is_full_admin


@pytest.mark.parametrize("step", SCRAM_STEPS[1:])
@pytest.mark.parametrize("kind", ["AUTH_ERR", "EXPIRED"])
async def test_a_refusal_draws_the_plain_key_only_behind_a_certificate_that_was_checked(step: str, kind: str) -> None:
    async def refuse(*_: Any) -> Any:
        return {"response_type": kind}

    for trust in (UNCHECKED, AT_HOME):
        async with scram_stub(step, refuse) as stub:
            assert isinstance(await _refused(stub.url, trust=trust), LoginRefused)

        plain = [frame for frame in stub.frames if SECRET[2:] in frame]
        assert len(plain) == trust.is_checked
        assert ("auth.login_with_api_key" in stub.calls) is trust.is_checked


@pytest.mark.parametrize("release", [*RELEASES, NEW])
async def test_the_standby_node_of_a_pair_is_named_before_any_proof(release: str, sent: list[str]) -> None:
    async with simulator(release) as nas:
        nas.faults.ha_redirect = ["https://10.0.0.2"]
        error = await _refused(nas.url)

        assert "https://10.0.0.2" in str(error)
        assert methods(nas).count("auth.login_ex") == 1
        assert any(SECRET[2:] in frame for frame in sent) is (release == NEW)
