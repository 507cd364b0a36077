"""Options, login and rights on one connection: what must be done before the first alert.

The order is that of TrueNAS' own client: options first (they belong to the connection and need no login), then the
login, then what the key may do. A `Session` knows how jobs answer on this release (`waits_for_jobs`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from borgwatch.truenas.address import Address
from borgwatch.truenas.connection import Connection, Trust, open_connection
from borgwatch.truenas.credentials import ApiKey
from borgwatch.truenas.errors import CallFailed, InsecureTransport, LoginRefused, NoAnswer, Verdict, job_failed, said
from borgwatch.truenas.scram import ScramError
from borgwatch.truenas.trust import Certificate, PinVerdict

__all__ = ["Login", "Session", "log_in", "open_session"]

DEFAULT_USERNAME = "root"
JOB_TIMEOUT = 300.0  # alerts are made behind the lock of a check that runs every minute and may take minutes
_JOB_POLL = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
_OPTIONS = {"legacy_jobs": False, "private_methods": True, "py_exceptions": False}
_RUN_STATE = "unexpected authenticator run state"  # 25.04.1 to 25.10: key unknown to this user, revoked or deleted
_SINCE_25_04_2 = "may_create_auth_token"  # 25.04.2 to 25.10 stumble over `auth.mechanism_choices` before a login
_REFUSALS = {
    "AUTH_ERR": "the API key or its user is wrong, or the key was revoked or deleted",
    "EXPIRED": "the API key has expired or was revoked (TrueNAS revokes a key that came in over ws:// at once)",
    "DENIED": "the key's user may not use the API",
    "OTP_REQUIRED": "the key's user needs a one-time password, which API keys cannot give",
}
_JOB_STATES = ("SUCCESS", "FAILED", "ABORTED")


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in where. `username` None means: `root`, and if that is refused, the owner that TrueNAS finds."""

    address: Address
    key: ApiKey
    trust: Trust
    username: str | None = None


@dataclass(slots=True)
class Session:
    """A connection that is logged in."""

    connection: Connection
    waits_for_jobs: bool
    username: str
    roles: frozenset[str]
    release: str = "unknown"
    _bulk: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_full_admin(self) -> bool:
        """Whether the key may make alerts: nothing less than FULL_ADMIN may (25.04 to 26)."""
        return "FULL_ADMIN" in self.roles

    async def call(self, method: str, *params: Any) -> Any:
        """Call a method that answers by itself."""
        return await self.connection.call(method, *params)

    async def run_job(self, method: str, *params: Any) -> Any:
        """Call a method that is a job, and wait for the job's own result; a job's number is never taken for it.

        25.10 and later wait by themselves (`legacy_jobs` off). 25.04 answers with a number, and the jobs of alerts
        vanish when they end: there the call is wrapped in `core.bulk`, a job whose outcome can be asked for.
        Raises `CallFailed` if the job failed, `NoAnswer` if its outcome stayed unknown.
        """
        if self.waits_for_jobs:
            result = await self.connection.call(method, *params, timeout=JOB_TIMEOUT)
            if isinstance(result, int) and not isinstance(result, bool):
                raise NoAnswer(f"{method}: TrueNAS answered with the number of a job ({result}), which proves nothing")
            return result
        async with self._bulk:  # more than a few at a time would be merged by TrueNAS, and texts lost
            number = await self.connection.call("core.bulk", method, [list(params)], None)
            return await self._outcome_of_bulk(method, number)

    async def _outcome_of_bulk(self, method: str, number: Any) -> Any:
        if not isinstance(number, int):
            raise NoAnswer(f"{method}: TrueNAS started no job")
        try:
            async with asyncio.timeout(JOB_TIMEOUT):
                return _result_of_bulk(method, await self._ended_job(method, number))
        except TimeoutError:
            raise NoAnswer(f"{method}: job {number} did not end within {JOB_TIMEOUT:g} s") from None

    async def _ended_job(self, method: str, number: int) -> dict[str, Any]:
        pauses = itertools.chain(_JOB_POLL, itertools.repeat(_JOB_POLL[-1]))
        while True:
            jobs = await self.connection.call("core.get_jobs", [["id", "=", number]], {})
            job = jobs[0] if isinstance(jobs, list) and jobs and isinstance(jobs[0], dict) else None
            if job is None:
                raise NoAnswer(f"{method}: job {number} is not there any more, so its outcome is not known")
            if job.get("state") in _JOB_STATES:
                return job
            await asyncio.sleep(next(pauses))


def _result_of_bulk(method: str, job: dict[str, Any]) -> Any:
    if job["state"] != "SUCCESS":
        raise job_failed(method, job.get("error"))
    results = job.get("result")
    inner = results[0] if isinstance(results, list) and results and isinstance(results[0], dict) else None
    if inner is None:
        raise NoAnswer(f"{method}: the job ended without saying how")
    if inner.get("error") is not None:
        raise job_failed(method, inner["error"])
    return inner.get("result")


async def open_session(
    login: Login, now: Callable[[], datetime], *, on_pin: Callable[[PinVerdict, Certificate], None]
) -> Session:
    """Connect, set the options, log in and look at the rights; raises `TrueNASError`."""
    connection = await open_connection(login.address, login.trust, now, on_pin=on_pin)
    try:
        return await log_in(connection, login)
    except BaseException:
        await connection.close()
        raise


async def log_in(connection: Connection, login: Login) -> Session:
    """Set the options, log in and look at the rights; raises `TrueNASError`, and leaves the connection open then."""
    options = await connection.call("core.set_options", _OPTIONS)
    if options is None and ":" in connection.link.peer:
        await _refuse_25_04_0(connection)
    waits = isinstance(options, dict) and options.get("legacy_jobs") is False
    takes_scram = waits and "SCRAM" in await _mechanisms(connection)
    username, roles = await _log_in(connection, login, scram=takes_scram)
    session = Session(connection, waits, username, roles)
    with contextlib.suppress(CallFailed):  # only for people to read
        session.release = said(await connection.call("system.version"), 100).removeprefix("TrueNAS-")
    return session


async def _refuse_25_04_0(connection: Connection) -> None:
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


async def _log_in(connection: Connection, login: Login, *, scram: bool) -> tuple[str, frozenset[str]]:
    """Log in by SCRAM where TrueNAS takes it, else with the plain key.

    Once SCRAM was offered, the plain key goes only to a server that was checked: whoever sits in between could have
    refused SCRAM to get at it.
    """
    log_in_as = _log_in_by_scram if scram else _log_in_as
    first = login.username or DEFAULT_USERNAME
    try:
        return await log_in_as(connection, login.key, first)
    except LoginRefused as refusal:
        if login.username is not None or not refusal.may_be_anothers:
            raise
        if scram and not (login.trust.is_checked and connection.link.keeps_secrets):
            raise LoginRefused(
                f"{refusal}; if the key is not root's, name its user in NOTIFY_TRUENAS_USERNAME"
            ) from None
        found = await _log_in_as_owner(connection, login.key)
        if found is None:
            raise refusal from None
        return found


async def _log_in_as(connection: Connection, key: ApiKey, username: str) -> tuple[str, frozenset[str]]:
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
        return LoginRefused(
            f"this is the standby node of a pair; give the address of the active one: {said(answer.get('urls'))}"
        )
    return LoginRefused(
        f"login as {username} refused: {_REFUSALS.get(str(kind), f'TrueNAS answers {said(kind, 100)}')}",
        may_be_anothers=kind in ("AUTH_ERR", "EXPIRED"),
    )


async def _log_in_by_scram(connection: Connection, key: ApiKey, username: str) -> tuple[str, frozenset[str]]:
    """Prove the key without sending it, and have TrueNAS prove that it knows it (26.0.0-BETA.3 and later)."""
    end_point = connection.certificate.end_point if connection.certificate is not None else b""
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


async def _log_in_as_owner(connection: Connection, key: ApiKey) -> tuple[str, frozenset[str]] | None:
    """Let TrueNAS find the user by the number of the key; None if it does not let the key in either."""
    try:
        if await connection.call("auth.login_with_api_key", key.login_without_name(connection.link)) is not True:
            return None
        return _who(await connection.call("auth.me"), "?")
    except CallFailed as error:
        if error.verdict is Verdict.RETRY_LATER:
            raise
        return None


def _who(user: Any, username: str) -> tuple[str, frozenset[str]]:
    """Read name and roles of a user: `{"pw_name": …, "privilege": {"roles": {"$set": […]}}}`."""
    user = user if isinstance(user, dict) else {}
    privilege = user.get("privilege") if isinstance(user.get("privilege"), dict) else {}
    roles = privilege.get("roles")
    names = roles.get("$set") if isinstance(roles, dict) else roles
    return said(user.get("pw_name") or username, 100), frozenset(map(str, names if isinstance(names, list) else ()))
