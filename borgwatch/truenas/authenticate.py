"""Who we are to TrueNAS: the ways to log in on an open connection, from the safest to the plainest.

A Unix socket knows its user by the process; SCRAM proves the key without sending it (26 and later); else the plain key
goes, and only where `ApiKey` lets it. `authenticate` chooses; a `User` leaves.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from borgwatch.truenas.address import Address
from borgwatch.truenas.alerts import ClassChoice
from borgwatch.truenas.connection import Connection, Trust
from borgwatch.truenas.credentials import ApiKey
from borgwatch.truenas.errors import (
    NOT_AUTHENTICATED,
    CallFailed,
    InsecureTransport,
    LoginRefused,
    Redirected,
    Verdict,
    said,
)
from borgwatch.truenas.scram import ScramError

__all__ = ["Login", "User", "authenticate", "refuse_25_04_0"]

DEFAULT_USERNAME = "root"
_RUN_STATE = "unexpected authenticator run state"  # 25.04.1 to 25.10: key unknown to this user, revoked or deleted
_SINCE_25_04_2 = "may_create_auth_token"  # 25.04.2 to 25.10 stumble over `auth.mechanism_choices` before a login
_REFUSALS = {
    "AUTH_ERR": "the API key or its user is wrong, or the key was revoked or deleted",
    "EXPIRED": "the API key has expired or was revoked (TrueNAS revokes a key that came in over ws:// at once)",
    "DENIED": "the key's user may not use the API",
    "OTP_REQUIRED": "the key's user needs a one-time password, which API keys cannot give",
}
_MOST_URLS = 4


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in where, and which alert classes are used.

    `username` None means: `root`, and if that is refused, the owner that TrueNAS finds. `key` None is for a Unix
    socket, over which TrueNAS knows the user by the process.
    """

    address: Address
    key: ApiKey | None
    trust: Trust
    username: str | None = None
    classes: ClassChoice = field(default_factory=ClassChoice)


@dataclass(frozen=True, slots=True)
class User:
    """Whom TrueNAS takes us for, and what it lets us do."""

    name: str
    roles: frozenset[str]


async def authenticate(connection: Connection, login: Login, *, may_scram: bool) -> User:
    """Log in; `may_scram` says that the release is new enough to ask for SCRAM. Raises `TrueNASError`."""
    if connection.link.unix:
        if (user := await _known_by_process(connection)) is not None:
            return user
    elif may_scram and login.key is not None and "SCRAM" in await _mechanisms(connection):
        return await _log_in_with_key(connection, login, login.key, scram=True)
    if login.key is None:
        raise LoginRefused(
            "TrueNAS' Unix socket lets this process in without a key only as root: run as root, or give a key"
            " (NOTIFY_TRUENAS_API_KEY)"
        )
    return await _log_in_with_key(connection, login, login.key, scram=False)


async def _known_by_process(connection: Connection) -> User | None:
    """Ask who we are already: over a Unix socket TrueNAS logs root in by itself, and some others (25.04 to 27)."""
    try:
        return _who(await connection.call("auth.me"), "?")
    except CallFailed as error:
        if error.errno != NOT_AUTHENTICATED:
            raise
        return None


async def refuse_25_04_0(connection: Connection) -> None:
    """Keep the key from 25.04.0 over IPv6, where it would be revoked even over TLS (mended in 25.04.1).

    Before a login only this tells it from later ones that answer the options with null: since 25.04.2 the call breaks.
    """
    try:
        await connection.call("auth.mechanism_choices")
    except CallFailed as error:
        if _SINCE_25_04_2 in error.reason:
            return
    raise InsecureTransport(
        "TrueNAS 25.04.0 takes a connection over IPv6 for an unencrypted one and would revoke the API key at once, so"
        " it was not sent. Give its IPv4 address, or update TrueNAS"
    )


async def _mechanisms(connection: Connection) -> list[str]:
    """List the ways to log in; 25.10 cannot say before the login (it fails on a missing user), and knows no SCRAM.

    A server that is only too busy to say is not taken for one without SCRAM.
    """
    try:
        answer = await connection.call("auth.mechanism_choices")
    except CallFailed as error:
        if error.verdict is Verdict.RETRY_LATER:
            raise
        return []
    return answer if isinstance(answer, list) else []


async def _log_in_with_key(connection: Connection, login: Login, key: ApiKey, *, scram: bool) -> User:
    """Log in by SCRAM where TrueNAS takes it, else with the plain key.

    Once SCRAM was offered, the plain key goes only to a server that was checked: whoever sits in between could have
    refused SCRAM to get at it.
    """
    first = login.username or DEFAULT_USERNAME
    is_known = login.trust.is_checked and connection.link.keeps_secrets
    try:
        if scram:
            return await _log_in_by_scram(connection, key, first, may_unbind=is_known)
        return await _log_in_as(connection, key, first)
    except LoginRefused as refusal:
        if login.username is not None or not refusal.may_be_anothers:
            raise
        if scram and not is_known:
            raise LoginRefused(
                f"{refusal}; if the key is not root's, name its user in NOTIFY_TRUENAS_USERNAME"
            ) from None
        found = await _log_in_as_owner(connection, key)
        if found is None:
            raise refusal from None
        return found


async def _log_in_as(connection: Connection, key: ApiKey, username: str) -> User:
    try:
        answer = await connection.call("auth.login_ex", key.login(username, connection.link))
    except CallFailed as error:
        if _RUN_STATE in error.reason:
            refused = f"login as {username} refused: {_REFUSALS['AUTH_ERR']}"
            raise LoginRefused(refused, may_be_anothers=True) from None
        raise
    if isinstance(answer, dict) and answer.get("response_type") == "SUCCESS":
        return _who(answer.get("user_info"), username)
    raise _refusal(answer, username)


def _refusal(answer: Any, username: str) -> LoginRefused:
    """Say why a login was not let in."""
    answer = answer if isinstance(answer, dict) else {}
    kind = answer.get("response_type")
    if kind == "REDIRECT":
        urls = answer.get("urls")
        return Redirected(tuple(map(str, urls[:_MOST_URLS])) if isinstance(urls, list) else ())
    return LoginRefused(
        f"login as {username} refused: {_REFUSALS.get(str(kind), f'TrueNAS answers {said(kind, 100)}')}",
        may_be_anothers=kind in ("AUTH_ERR", "EXPIRED"),
    )


async def _log_in_by_scram(connection: Connection, key: ApiKey, username: str, *, may_unbind: bool) -> User:
    """Log in with a proof that is bound to the certificate, so that nobody in between can pass it on.

    Who does not know that certificate refuses it: 26.0.0-BETA.1 and BETA.2, which bind nothing, and a TrueNAS behind a
    proxy that speaks TLS itself. There, if the certificate is one that is trusted, an unbound proof may follow.
    """
    end_point = connection.certificate.end_point if connection.certificate is not None else b""
    try:
        return await _prove(connection, key, username, end_point)
    except LoginRefused as refusal:
        if not (end_point and may_unbind and refusal.may_be_anothers):
            raise
    return await _prove(connection, key, username, b"")


async def _prove(connection: Connection, key: ApiKey, username: str, end_point: bytes) -> User:
    """Prove the key without sending it, and have TrueNAS prove that it knows it (26.0.0-BETA.1 and later)."""
    client = key.scram(username, end_point)
    try:
        first = await _scram_step(connection, "CLIENT_FIRST_MESSAGE", client.first(), username)
        final = await asyncio.to_thread(client.final, str(first.get("rfc_str")))
        answer = await _scram_step(connection, "CLIENT_FINAL_MESSAGE", final, username)
        client.verify(str(answer.get("rfc_str")))
    except ScramError as error:
        raise LoginRefused(f"login as {username} broken off: {error}; somebody may be in between") from None
    return _who(answer.get("user_info"), username)


async def _scram_step(connection: Connection, kind: str, message: str, username: str) -> dict[str, Any]:
    params = {"mechanism": "SCRAM", "scram_type": kind, "rfc_str": message}
    answer = await connection.call("auth.login_ex", params)
    if isinstance(answer, dict) and answer.get("response_type") == "SCRAM_RESPONSE":
        return answer
    raise _refusal(answer, username)


async def _log_in_as_owner(connection: Connection, key: ApiKey) -> User | None:
    """Let TrueNAS find the user by the number of the key; None if it does not let the key in either."""
    try:
        if await connection.call("auth.login_with_api_key", key.login_without_name(connection.link)) is not True:
            return None
        return _who(await connection.call("auth.me"), "?")
    except CallFailed as error:
        if error.verdict is Verdict.RETRY_LATER:
            raise
        return None


def _who(user: Any, username: str) -> User:
    """Read name and roles of a user: `{"pw_name": …, "privilege": {"roles": {"$set": […]}}}`."""
    user = user if isinstance(user, dict) else {}
    privilege = user.get("privilege") if isinstance(user.get("privilege"), dict) else {}
    listed = privilege.get("roles")
    names = listed.get("$set") if isinstance(listed, dict) else listed
    roles = frozenset(map(str, names)) if isinstance(names, list) else frozenset()
    return User(said(user.get("pw_name") or username, 100), roles)
