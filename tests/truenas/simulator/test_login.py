"""Logging in: revocation, refusals, SCRAM, roles, limits."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from borgwatch.truenas.simulator import PROFILES, Key, Simulator, load_keys
from borgwatch.truenas.simulator.auth import RateLimiter

RUN_STATE = "AUTH: unexpected authenticator run state. Expected: START"
FAST = 50_000  # iterations; TrueNAS takes ten times as many
SCRAM_RELEASES = [release for release, profile in PROFILES.items() if profile.scram]


@pytest.mark.parametrize("release", PROFILES)
async def test_a_plain_key_over_an_insecure_connection_is_revoked(
    release: str, open_client: Any, rpc_error: type[Exception]
) -> None:
    async with Simulator(release, insecure_port=0) as nas:
        (key,) = nas.keys
        async with open_client(nas, secure=False) as client:
            assert await client.login(key) == {"response_type": "EXPIRED"}
        assert key.revoked

        async with open_client(nas) as client:
            if PROFILES[release].run_state_error:
                with pytest.raises(rpc_error, match=RUN_STATE):
                    await client.login(key)
            else:
                assert await client.login(key) == {"response_type": "AUTH_ERR"}


async def test_an_invalid_key_over_an_insecure_connection_revokes_nothing(open_client: Any) -> None:
    async with Simulator(insecure_port=0) as nas, open_client(nas, secure=False) as client:
        answer = await client.login(Key("root", "1-" + "x" * 64))

        assert answer == {"response_type": "AUTH_ERR"}
        assert not nas.keys[0].revoked


async def test_login_by_key_alone_revokes_too(open_client: Any) -> None:
    async with Simulator(insecure_port=0) as nas, open_client(nas, secure=False) as client:
        assert await client.call("auth.login_with_api_key", nas.keys[0].key) is False
        assert nas.keys[0].revoked


@pytest.mark.parametrize("release", ["25.04.0", "25.04.2.6"])
async def test_an_ipv6_client_loses_its_key_on_25_04_0_even_over_tls(release: str, open_client: Any) -> None:
    async with Simulator(release, host="::1") as nas, open_client(nas) as client:
        await client.login(nas.keys[0])

        assert nas.keys[0].revoked == (release == "25.04.0")


async def test_a_user_without_keys_is_refused_without_the_run_state_error(open_client: Any) -> None:
    async with Simulator("25.10.6") as nas, open_client(nas) as client:
        assert await client.login(Key("nobody", nas.keys[0].key)) == {"response_type": "AUTH_ERR"}


async def test_an_expired_key_is_refused_as_expired(open_client: Any) -> None:
    expired = Key("root", "4-" + "d" * 64, expired=True)
    async with Simulator(keys=[expired]) as nas, open_client(nas) as client:
        assert await client.login(expired) == {"response_type": "EXPIRED"}


class ScramClient:
    """SCRAM-SHA-512 as a client of TrueNAS does it: nonces are bytes."""

    def __init__(self, key: Key, certificate_hash: bytes | None = None) -> None:
        self.key = key
        self.header = "p=tls-server-end-point,," if certificate_hash else "n,,"
        self.binding = self.header.encode() + (certificate_hash or b"")
        self.nonce = secrets.token_bytes(32)
        self.bare = f"n={key.username}:{key.id},r={base64.b64encode(self.nonce).decode()}"

    async def login(self, client: Any) -> dict[str, Any]:
        """Log in and return the last answer."""
        first = await self.send(client, "CLIENT_FIRST_MESSAGE", self.header + self.bare)
        if first["response_type"] != "SCRAM_RESPONSE":
            return first
        final, signature = self.prove(first["rfc_str"])
        last = await self.send(client, "CLIENT_FINAL_MESSAGE", final)
        if last["response_type"] == "SCRAM_RESPONSE":
            assert last["rfc_str"] == f"v={signature}"
        return last

    async def send(self, client: Any, scram_type: str, text: str) -> dict[str, Any]:
        """Send one message of the exchange."""
        login = {"mechanism": "SCRAM", "scram_type": scram_type, "rfc_str": text}
        answer: dict[str, Any] = await client.call("auth.login_ex", login)
        return answer

    def prove(self, server_first: str) -> tuple[str, str]:
        """Return the client's final message, and the signature that the server must give."""
        values = {part[0]: part[2:] for part in server_first.split(",")}
        assert base64.b64decode(values["r"]).startswith(self.nonce)
        salt, rounds = base64.b64decode(values["s"]), int(values["i"])
        salted = hashlib.pbkdf2_hmac("sha512", self.key.secret.encode(), salt, rounds)
        client_key = hmac.digest(salted, b"Client Key", "sha512")
        without_proof = f"c={base64.b64encode(self.binding).decode()},r={values['r']}"
        message = f"{self.bare},{server_first},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha512(client_key).digest(), message, "sha512")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        server_key = hmac.digest(salted, b"Server Key", "sha512")
        expected = base64.b64encode(hmac.digest(server_key, message, "sha512")).decode()
        return f"{without_proof},p={base64.b64encode(proof).decode()}", expected


@pytest.mark.parametrize("release", SCRAM_RELEASES)
@pytest.mark.parametrize("bound", [True, False])
async def test_scram_logs_in_with_and_without_channel_binding(release: str, bound: bool, open_client: Any) -> None:
    async with Simulator(release, scram_iterations=FAST) as nas, open_client(nas) as client:
        (key,) = nas.keys
        certificate_hash = bytes.fromhex(nas.fingerprint) if bound else None

        answer = await ScramClient(key, certificate_hash).login(client)

        assert answer["scram_type"] == "SERVER_FINAL_RESPONSE"
        assert answer["user_info"]["pw_name"] == "root"
        assert (await client.call("auth.me"))["pw_name"] == "root"


async def test_scram_over_an_insecure_connection_logs_in_and_revokes_nothing(open_client: Any) -> None:
    async with (
        Simulator("26.0.0-BETA.3", insecure_port=0, scram_iterations=FAST) as nas,
        open_client(nas, secure=False) as client,
    ):
        answer = await ScramClient(nas.keys[0]).login(client)

        assert answer["response_type"] == "SCRAM_RESPONSE"
        assert not nas.keys[0].revoked


async def test_scram_refuses_a_wrong_proof(open_client: Any, rpc_error: type[Exception]) -> None:
    async with Simulator("26.0.0-BETA.3", scram_iterations=FAST) as nas, open_client(nas) as client:
        answer = await ScramClient(Key("root", "1-" + "x" * 64)).login(client)

        assert answer == {"response_type": "AUTH_ERR"}
        with pytest.raises(rpc_error, match="Not authenticated"):
            await client.call("auth.me")


async def test_scram_refuses_the_binding_to_another_certificate(open_client: Any) -> None:
    async with Simulator("26.0.0-BETA.3", scram_iterations=FAST) as nas, open_client(nas) as client:
        answer = await ScramClient(nas.keys[0], certificate_hash=bytes(32)).login(client)

        assert answer == {"response_type": "AUTH_ERR"}


@pytest.mark.parametrize(
    "client_first",
    ["", "n,,", "y,,n=root:1,r=QQ==", "n,,n=root,r=QQ==", "n,,n=root:1,r=?", "n,,n=root:9,r=QQ==", "n,,r=QQ=="],
)
async def test_scram_refuses_a_bad_first_message(client_first: str, open_client: Any) -> None:
    async with Simulator("26.0.0-BETA.3", scram_iterations=FAST) as nas, open_client(nas) as client:
        scram = ScramClient(nas.keys[0])

        assert await scram.send(client, "CLIENT_FIRST_MESSAGE", client_first) == {"response_type": "AUTH_ERR"}


async def test_scram_refuses_a_final_message_without_a_first(open_client: Any) -> None:
    async with Simulator("26.0.0-BETA.3", scram_iterations=FAST) as nas, open_client(nas) as client:
        scram = ScramClient(nas.keys[0])

        assert await scram.send(client, "CLIENT_FINAL_MESSAGE", "c=biws,r=QQ==,p=QQ==") == {"response_type": "AUTH_ERR"}


async def test_scram_refuses_a_proof_of_the_wrong_length(open_client: Any) -> None:
    async with Simulator("26.0.0-BETA.3", scram_iterations=FAST) as nas, open_client(nas) as client:
        scram = ScramClient(nas.keys[0])
        first = await scram.send(client, "CLIENT_FIRST_MESSAGE", scram.header + scram.bare)
        without_proof, _, proof = scram.prove(first["rfc_str"])[0].rpartition(",p=")
        longer = base64.b64encode(base64.b64decode(proof) + b"!").decode()

        answer = await scram.send(client, "CLIENT_FINAL_MESSAGE", f"{without_proof},p={longer}")

        assert answer == {"response_type": "AUTH_ERR"}


async def test_scram_tells_that_a_key_has_expired(open_client: Any) -> None:
    expired = Key("root", "4-" + "d" * 64, expired=True)
    async with Simulator("26.0.0-BETA.3", keys=[expired], scram_iterations=FAST) as nas, open_client(nas) as client:
        assert await ScramClient(expired).login(client) == {"response_type": "EXPIRED"}


@pytest.mark.parametrize("release", PROFILES)
async def test_there_are_no_passwords(release: str, open_client: Any) -> None:
    async with Simulator(release) as nas, open_client(nas) as client:
        login = {"mechanism": "PASSWORD_PLAIN", "username": "root", "password": "secret"}

        assert await client.call("auth.login_ex", login) == {"response_type": "AUTH_ERR"}


@pytest.mark.parametrize("release", PROFILES)
@pytest.mark.parametrize(
    "login", ["root", {"username": "root"}, {"mechanism": "API_KEY_PLAIN", "username": "root", "api_key": 1}]
)
async def test_a_login_of_the_wrong_shape_is_refused(
    release: str, login: Any, open_client: Any, rpc_error: Any
) -> None:
    async with Simulator(release) as nas, open_client(nas) as client:
        with pytest.raises(rpc_error, match=r"\[EINVAL\] login_data") as caught:
            await client.call("auth.login_ex", login)
        assert caught.value.code == -32602


async def test_a_full_administrator_is_told_so(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas) as client:
        answer = await client.login(nas.keys[0])

        assert "FULL_ADMIN" in answer["user_info"]["privilege"]["roles"]["$set"]


@pytest.mark.parametrize(("release", "allowed"), [("25.04.2.6", False), ("25.10.0", True)])
async def test_a_key_for_mail_only_may_send_mail_from_25_10(
    release: str, allowed: bool, open_client: Any, rpc_error: type[Exception]
) -> None:
    key = Key("mailer", "5-" + "m" * 64, roles=("MAIL_WRITE",))
    async with Simulator(release, keys=[key]) as nas, open_client(nas, key=key) as client:
        message = {"subject": "repo1 failed", "text": "disk full"}
        if allowed:
            assert await client.call("mail.send", message) is True
            assert nas.mails == [message]
        else:
            with pytest.raises(rpc_error, match=r"\[EACCES\] Not authorized"):
                await client.call("mail.send", message)


@pytest.mark.parametrize(("release", "result"), [("25.10.6", True), ("26.0.0-BETA.3", None), ("27-master", None)])
async def test_a_mail_that_went_well_is_answered_as_the_release_does(
    release: str, result: bool | None, open_client: Any
) -> None:
    async with Simulator(release) as nas, open_client(nas, key=nas.keys[0]) as client:
        assert await client.call("mail.send", {"subject": "s", "text": "t"}) is result


async def test_mail_needs_a_server_and_an_address(open_client: Any, rpc_error: type[Exception]) -> None:
    async with Simulator(mail=False) as nas, open_client(nas, key=nas.keys[0]) as client:
        with pytest.raises(rpc_error, match="You must provide an outgoing mailserver"):
            await client.call("mail.send", {"subject": "s", "text": "t"})
        nas.set_administrator_email(None)
        with pytest.raises(rpc_error, match="None of the local administrators has an e-mail address"):
            await client.call("mail.send", {"subject": "s", "text": "t"})
        with pytest.raises(rpc_error, match="Extra inputs are not permitted"):
            await client.call("mail.send", {"subject": "s", "interval": 5})
        assert nas.mails == []


async def test_the_21st_call_without_login_is_rate_limited(open_client: Any, rpc_error: Any) -> None:
    now = 0.0
    async with Simulator(clock=lambda: now) as nas, open_client(nas) as client:
        nas.faults.rate_limit_pause = 0
        for _ in range(20):
            await client.call("core.ping")

        with pytest.raises(rpc_error, match=r"\[EBUSY\] Rate Limit Exceeded") as caught:
            await client.call("core.ping")

        assert caught.value.number == 16
        now = 60.0
        assert await client.call("core.ping") == "pong"


async def test_after_login_calls_are_not_counted(open_client: Any) -> None:
    async with Simulator(rate_limit=1) as nas, open_client(nas) as client:
        assert (await client.login(nas.keys[0]))["response_type"] == "SUCCESS"
        assert [await client.call("core.ping") for _ in range(3)] == ["pong"] * 3


def test_the_rate_limit_counts_for_a_minute_by_method_and_address() -> None:
    now = 0.0
    limiter = RateLimiter(lambda: now, 2)

    assert [limiter.exceeded("a", "x") for _ in range(3)] == [False, False, True]
    assert not limiter.exceeded("b", "x")
    assert not limiter.exceeded("a", "y")
    now = 60.0
    assert not limiter.exceeded("a", "x")


async def test_secrets_are_kept_out_of_the_calls(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        await client.call("auth.login_with_api_key", nas.keys[0].key)

        assert nas.keys[0].key not in json.dumps(nas.calls)
        assert nas.calls[1][0] == "auth.login_ex"


def test_keys_are_read_from_both_shapes_of_file(tmp_path: Path) -> None:
    entries = {
        "readonly": {"username": "svc_ro", "key": "2-b"},
        "alerts": {"username": "svc_alerts", "key": "3-c"},
        "expired": {"username": "root", "key": "4-d"},
        "mailer": {"username": "mailer", "key": "5-e", "roles": ["MAIL_WRITE"], "expired": True},
    }
    inner, outer = tmp_path / "inner.json", tmp_path / "outer.json"
    inner.write_text(json.dumps(entries), encoding="utf-8")
    outer.write_text(json.dumps({"keys": entries, "scenarios": []}), encoding="utf-8")

    assert (
        load_keys(inner)
        == load_keys(str(outer))
        == [
            Key("svc_ro", "2-b", ("READONLY_ADMIN",)),
            Key("svc_alerts", "3-c", ("ALERT_WRITE",)),
            Key("root", "4-d", expired=True),
            Key("mailer", "5-e", ("MAIL_WRITE",), expired=True),
        ]
    )


@pytest.mark.parametrize("text", ["[]", '{"a": 1}', '{"a": {"username": "x"}}', "{"])
def test_a_file_that_holds_no_keys_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ValueError, match=r"."):
        load_keys(path)
