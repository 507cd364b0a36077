"""The part of `borgwatch check` that walks to TrueNAS: resolve, connect, TLS, login, rights, classes, mail, alert.

Each step says what it found and, where it is wrong, what to do. Only `--send` changes anything in TrueNAS: it raises an
alert and takes it away again (or sends a mail, where there can be no alert).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from borgwatch.cli.output import journal_or_memory
from borgwatch.cli.steps import Steps
from borgwatch.model import Alert, Level
from borgwatch.policy.alerts import alert_key
from borgwatch.service.login import login_for, now
from borgwatch.settings import Settings, SourceSetting, Verify
from borgwatch.truenas.address import Address
from borgwatch.truenas.apps import APPS_RIGHT, find_containers
from borgwatch.truenas.connection import Connection, open_connection
from borgwatch.truenas.delivery import Mailed, deliver
from borgwatch.truenas.errors import CallFailed, Redirected, TrueNASError, Unreachable
from borgwatch.truenas.ladder import MAIL_WRITE, Rung, takes_no_alerts
from borgwatch.truenas.policies import NEVER, policies
from borgwatch.truenas.session import Login, Session, follow_redirect, log_in
from borgwatch.truenas.trust import Certificate, PinVerdict, ends_soon

__all__ = ["check_truenas"]

_LATE = ("HOURLY", "DAILY")


def check_truenas(settings: Settings, steps: Steps, *, send: bool) -> None:
    """Walk the whole way to TrueNAS, as far as it goes."""
    if not settings.truenas.enabled:
        steps.note("truenas", "NOTIFY_TRUENAS_ENABLED is not true: nothing will be sent")
        return
    journal, _ = journal_or_memory(settings)
    try:
        login = login_for(settings.truenas, journal)
        if login is not None:  # otherwise the settings have said why
            asyncio.run(_walk(settings, login, steps, send=send))
    finally:
        journal.close()


async def _walk(settings: Settings, login: Login, steps: Steps, *, send: bool) -> None:
    connection = await _connect(login, steps)
    if connection is None:
        return
    try:
        _tell_connection(settings, connection, steps)
        session = await _log_in(connection, login, steps)
    except TrueNASError as error:
        steps.wrong("login", str(error))
        await connection.close()
        return
    try:
        await _look_around(settings, session, steps, send=send)
    finally:
        await session.connection.close()
        await connection.close()


def _say_pin(steps: Steps) -> Callable[[PinVerdict, Certificate], None]:
    return lambda _, certificate: steps.note(
        "tls", f"trusted from now on, for it was seen first: {certificate.fingerprint}; compare it in the web interface"
    )


async def _connect(login: Login, steps: Steps) -> Connection | None:
    address = login.address
    try:
        if not address.unix:
            steps.ok("resolve", f"{address.host} is {', '.join(await _resolve(address))}")
    except TrueNASError as error:
        steps.wrong("resolve", str(error))
        return None
    try:
        return await open_connection(address, login.trust, now, on_pin=_say_pin(steps))
    except TrueNASError as error:
        steps.wrong("connect", str(error))
        return None


async def _resolve(address: Address) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(address.host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(
            f"could not resolve the name {address.host} ({error.strerror}): is it spelt right, and does the DNS of this"
            " container know it? The address of TrueNAS in numbers works without"
        ) from None
    return sorted({str(where[0]) for *_, where in found}, key=lambda text: (":" in text, text))


def _tell_connection(settings: Settings, connection: Connection, steps: Steps) -> None:
    link, certificate = connection.link, connection.certificate
    if certificate is None:
        steps.ok("connect", f"{link.peer}, {'the socket of TrueNAS itself' if link.unix else 'not encrypted'}")
        if not link.unix:
            steps.note("tls", "nobody speaks TLS there: the key is proved, never sent; texts can be read on the way")
        return
    steps.ok("connect", f"{link.peer} over TLS")
    until = certificate.not_after.date().isoformat()
    steps.ok("tls", f"fingerprint sha256 {certificate.fingerprint}, valid until {until}")
    if settings.truenas.ca_file is not None and settings.truenas.verification is not Verify.FULL:
        said = settings.truenas.verification
        steps.note("tls", f"NOTIFY_TRUENAS_CA_FILE is not looked at beside NOTIFY_TRUENAS_VERIFY_SSL={said}")
    if settings.truenas.verification is Verify.NONE:
        steps.note(
            "tls",
            "the certificate is not checked (NOTIFY_TRUENAS_VERIFY_SSL=false): compare this fingerprint with the one in"
            " the web interface and put it into NOTIFY_TRUENAS_FINGERPRINT, or use NOTIFY_TRUENAS_VERIFY_SSL=pin",
        )
    if ends_soon(certificate, now()):
        steps.note("tls", "it ends soon; TrueNAS renews its own in its last five days")


async def _log_in(connection: Connection, login: Login, steps: Steps) -> Session:
    try:
        session = await log_in(connection, login)
    except Redirected as redirected:
        steps.note("login", f"this is the standby node of a pair; it names {', '.join(redirected.urls) or 'no other'}")
        session = await follow_redirect(redirected, connection, login, now, on_pin=_say_pin(steps))
    steps.ok("login", f"as {session.username}, TrueNAS {session.release}")
    return session


async def _look_around(settings: Settings, session: Session, steps: Steps, *, send: bool) -> None:
    ladder = session.ladder
    _tell_rights(session, steps)
    if ladder.rung is Rung.ALERT:
        await _guarded(steps, "classes", _check_classes(session, steps))
        await _guarded(steps, "services", _check_services(session, steps))
    await _guarded(steps, "mail", _check_mail(session, steps))
    for source in settings.sources:
        if source.kind == "truenas-app":
            await _guarded(steps, "apps", _check_app(session, source, steps))
    _tell_rung(session, steps, send=send)
    if send and ladder.rung is not Rung.NONE:
        await _guarded(steps, "alert", _round_trip(settings, session, steps))
    elif not send:
        steps.note("alert", "not tried; `borgwatch check --send` raises one, reads it back and clears it")


def _tell_rights(session: Session, steps: Steps) -> None:
    if session.is_full_admin:
        steps.ok("rights", "full administrator: the right that alerts need")
    elif session.ladder.rung is Rung.MAIL:
        steps.note("rights", f"{session.username} is no full administrator: mail only, no alert under the bell")
    else:
        steps.wrong(
            "rights",
            f"unauthorized: {session.username} may neither make alerts nor send mail: {_right_to_give(session)}",
        )


def _right_to_give(session: Session) -> str:
    """Name the right that would help: on 27 a full administrator gets no further than who may send mail."""
    if takes_no_alerts(session.release):
        return f"give its group the role {MAIL_WRITE}, for this release takes no alerts from outside"
    return "put its group into the privilege of full administrators (docs/truenas-api-key.md)"


def _tell_rung(session: Session, steps: Steps, *, send: bool) -> None:
    """Say by which way people will hear: a way that was not tried is not called good."""
    ladder = session.ladder
    if ladder.rung is Rung.ALERT:
        steps.ok("delivery", "by alert, read back")
    elif ladder.rung is Rung.MAIL:
        tried = "" if send else "; whether a mail server takes it was not tried (--send does)"
        steps.note("delivery", f"by mail, for {ladder.no_alert}{tried}")
    else:
        steps.wrong("delivery", f"by nothing: {ladder.no_alert}; and {ladder.no_mail}")


async def _guarded(steps: Steps, name: str, work: Any) -> None:
    try:
        await work
    except TrueNASError as error:
        steps.wrong(name, str(error))


async def _check_classes(session: Session, steps: Steps) -> None:
    """Look at the policies of our classes: what a policy hides or holds back never comes, or comes late."""
    names = sorted(session.classes.names)
    policy_of = await policies(session)
    for name in names:
        policy = policy_of.get(name)
        if policy == NEVER:
            steps.wrong(
                "classes",
                f"{name} has the policy NEVER (System > Alert Settings): nothing received, and nothing shown, of it",
            )
        elif policy in _LATE:
            steps.note("classes", f"{name} has the policy {policy}: shown at once, but sent on only then")
    if not any(policy_of.get(name) == NEVER for name in names):
        steps.ok("classes", f"{', '.join(names)} are there")


async def _check_services(session: Session, steps: Steps) -> None:
    """Look who carries alerts on, from what level."""
    services = await session.call("alertservice.query")
    rows = [row for row in (services if isinstance(services, list) else ()) if isinstance(row, dict)]
    enabled = [f"{row.get('name')} (from {row.get('level')})" for row in rows if row.get("enabled")]
    if enabled:
        steps.ok("services", f"alerts are sent on by {', '.join(enabled)}")
    else:
        steps.note("services", "no alert service is enabled: alerts stand under the bell, and nothing is received else")


async def _check_mail(session: Session, steps: Steps) -> None:
    if session.ladder.no_mail:
        steps.note("mail", f"not as a fall-back: {session.ladder.no_mail}")
        return
    try:
        address = await session.call("mail.local_administrator_email")
    except TrueNASError:
        steps.note("mail", "may be sent; whether an administrator has an address cannot be seen with this key")
        return
    if address:
        steps.ok("mail", "an administrator has an e-mail address; whether a mail server is set up shows in use")
    else:
        steps.note("mail", "no administrator has an e-mail address: neither alert services nor borgwatch can mail")


async def _check_app(session: Session, source: SourceSetting, steps: Steps) -> None:
    """Look whether the output of an app could be read."""
    try:
        found = await find_containers(session, source.app, source.service)
    except LookupError as error:
        steps.wrong("apps", str(error))
    except CallFailed as error:
        steps.wrong("apps", f"{error} ({APPS_RIGHT})")
    else:
        steps.ok("apps", f"the output of {source.app} can be read: {', '.join(sorted(found)) or 'no container yet'}")


async def _round_trip(settings: Settings, session: Session, steps: Steps) -> None:
    moment = now()
    alert = Alert(
        key=alert_key(settings.instance, "borgwatch-check", "backup"),
        job="borgwatch-check",
        operation="backup",
        outcome="warning",
        level=Level.WARNING,
        text=f"borgwatch check: this alert is a test and goes away by itself ({moment:%Y-%m-%d %H:%M:%S.%f})",
        raised=True,
        event_id="check",
        time=moment,
    )
    proof = await deliver(session, alert)
    if isinstance(proof, Mailed):
        steps.note("alert", f"TrueNAS took a mail; look whether it arrived. No alert: {proof.why}")
        return
    steps.ok("alert", f"raised, and read back from alert.list as {proof.alert_class}")
    await deliver(session, replace(alert, raised=False, renotify=False))
    steps.ok("alert", "cleared, and read back as gone")
