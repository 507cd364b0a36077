"""A session: a connection whose options are set, that is logged in, and that knows what it may do.

The order is that of TrueNAS' own client: options first (they belong to the connection and need no login), then the
login, then what the key may do. A `Session` knows how jobs answer on this release (`waits_for_jobs`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from borgwatch.truenas.address import parse_address
from borgwatch.truenas.alerts import CLASSES, ClassChoice
from borgwatch.truenas.authenticate import Login, authenticate, refuse_25_04_0
from borgwatch.truenas.connection import Connection, open_connection
from borgwatch.truenas.errors import CallFailed, NoAnswer, Redirected, TrueNASError, job_failed, said
from borgwatch.truenas.ladder import FULL_ADMIN, Ladder, ladder_for
from borgwatch.truenas.trust import Certificate, PinVerdict

__all__ = ["Login", "Session", "follow_redirect", "known_classes", "log_in", "open_session"]

JOB_TIMEOUT = 300.0  # alerts are made behind the lock of a check that runs every minute and may take minutes
_JOB_POLL = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
_OPTIONS = {"legacy_jobs": False, "private_methods": True, "py_exceptions": False}
_JOB_STATES = ("SUCCESS", "FAILED", "ABORTED")


@dataclass(slots=True)
class Session:
    """A connection that is logged in. `ladder` says how people can be told; delivery lowers it where it learns more."""

    connection: Connection
    waits_for_jobs: bool
    username: str
    roles: frozenset[str]
    classes: ClassChoice = field(default_factory=ClassChoice)
    release: str = "unknown"
    ladder: Ladder = field(default_factory=Ladder)
    _bulk: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def is_full_admin(self) -> bool:
        """Whether the key's user may do everything."""
        return FULL_ADMIN in self.roles

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
    """Connect, set the options, log in and look at the rights; raises `TrueNASError`.

    The standby node of a pair names the active one, which is then tried.
    """
    connection = await open_connection(login.address, login.trust, now, on_pin=on_pin)
    try:
        return await log_in(connection, login)
    except Redirected as redirected:
        await connection.close()
        return await follow_redirect(redirected, connection, login, now, on_pin=on_pin)
    except BaseException:
        await connection.close()
        raise


async def follow_redirect(
    redirected: Redirected,
    connection: Connection,
    login: Login,
    now: Callable[[], datetime],
    *,
    on_pin: Callable[[PinVerdict, Certificate], None],
) -> Session:
    """Open a session with the active node of a pair, over TLS alone; raises `Redirected` if none of its URLs will do.

    Nobody vouches for the URLs. So the active node must pass the same authorities, or show the very certificate of the
    node that named it: the two share their configuration.
    """
    trust = login.trust
    if not trust.verify:
        if connection.certificate is None:
            raise redirected
        trust = replace(trust, fingerprint=connection.certificate.fingerprint, pins=None)
    for url in redirected.urls:
        try:
            address = replace(parse_address(url), was_plain=False)
            if address.unix:
                continue  # a file of this host, which some server chose: neither TLS nor a certificate there
            active = await open_connection(address, trust, now, on_pin=on_pin)
        except (ValueError, TrueNASError):
            continue
        try:
            return await log_in(active, login)
        except BaseException:
            await active.close()
            raise
    raise redirected


async def log_in(connection: Connection, login: Login) -> Session:
    """Set the options, log in and look at the rights; raises `TrueNASError`, and leaves the connection open then."""
    options = await connection.call("core.set_options", _OPTIONS)
    if options is None and ":" in connection.link.peer:
        await refuse_25_04_0(connection)
    waits = isinstance(options, dict) and options.get("legacy_jobs") is False
    user = await authenticate(connection, login, may_scram=waits)
    session = Session(connection, waits, user.name, user.roles, login.classes)
    with contextlib.suppress(CallFailed):  # only for people to read, and to foresee that 27 takes no alerts
        session.release = said(await connection.call("system.version"), 100).removeprefix("TrueNAS-")
    missing = login.classes.names - await known_classes(session) if session.is_full_admin else ()
    session.ladder = ladder_for(user.roles, session.release, missing, mail_has_role=waits)
    return session


async def known_classes(session: Session) -> frozenset[str]:
    """List the alert classes of the release; all of ours if it does not say."""
    try:
        categories = await session.call("alert.list_categories")
    except CallFailed:
        return frozenset(CLASSES)
    entries = [
        entry
        for category in (categories if isinstance(categories, list) else ())
        if isinstance(category, dict) and isinstance(category.get("classes"), list)
        for entry in category["classes"]
        if isinstance(entry, dict)
    ]
    return frozenset(str(entry.get("id")) for entry in entries) or frozenset(CLASSES)
