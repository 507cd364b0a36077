"""`borgwatch notify`: one notification, and the proof; takes the arguments of docker-borg-client's notify.sh."""

from __future__ import annotations

import asyncio
import re
import time

import click

from borgwatch.cli.output import journal_or_memory, print_json, say_error
from borgwatch.cli.views import sound_settings
from borgwatch.errors import ConfigError
from borgwatch.model import Alert, Level
from borgwatch.policy.alerts import alert_key
from borgwatch.service.login import login_for, now
from borgwatch.settings import Settings, Verify
from borgwatch.truenas.delivery import Delivered, Mailed, deliver
from borgwatch.truenas.errors import TrueNASError, Verdict
from borgwatch.truenas.session import Login, Session, open_session
from borgwatch.truenas.trust import Certificate, PinVerdict

__all__ = ["command"]

_EVENT = re.compile(r"[a-z][a-z_-]*\.[a-z][a-z_-]*\Z")
_ATTEMPTS = 2
_PAUSE = 1.0


@click.command("notify")
@click.argument("event")
@click.argument("level", type=str.upper)
@click.argument("title")
@click.argument("message", default="")
@click.option("--job", default="borg", show_default=True, help="The job that it is about; one alert stands per job.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(event: str, level: str, title: str, message: str, job: str, as_json: bool) -> int:
    """Send one notification to TrueNAS and wait until it was read back from its list of alerts.

    EVENT is a name such as backup.failure, LEVEL one of INFO, NOTICE, WARNING, ERROR, CRITICAL.
    Exits 0 only if the alert was read back, if TrueNAS took a mail where it takes no alerts, or if the settings say
    that it is not to be sent.
    """
    if not _EVENT.match(event):
        raise click.BadParameter(f"{event!r} is not an event name such as backup.failure", param_hint="EVENT")
    if level not in Level.__members__:
        raise click.BadParameter(f"{level!r} is none of {', '.join(Level.__members__)}", param_hint="LEVEL")
    settings = sound_settings()
    if reason := _not_to_be_sent(settings, event):
        _result(as_json, delivered=False, sent=False, reason=reason)
        return 0
    journal, remembers = journal_or_memory(settings)
    try:
        if not remembers and settings.truenas.verification is Verify.PIN:
            say_error(f"{settings.state} cannot be used: the certificate is trusted anew each time")
        login = login_for(settings.truenas, journal)
        if login is None:
            raise ConfigError("NOTIFY_TRUENAS_API_URL and NOTIFY_TRUENAS_API_KEY are needed")
        return asyncio.run(_notify(login, _alert(settings, event, Level[level], title, message, job), as_json))
    finally:
        journal.close()


def _not_to_be_sent(settings: Settings, event: str) -> str:
    if not settings.truenas.enabled:
        return "NOTIFY_TRUENAS_ENABLED is not true"
    if settings.events_chosen and not settings.events.wants(event):
        return f"{event} is not in NOTIFY_EVENTS"
    return ""


def _alert(settings: Settings, event: str, level: Level, title: str, message: str, job: str) -> Alert:
    operation, _, outcome = event.partition(".")
    moment = now()
    stamp = moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return Alert(
        key=alert_key(settings.instance, job, operation),
        job=job,
        operation=operation,
        outcome=outcome,
        level=level,
        text=f"{title}: {message} ({stamp})" if message else f"{title} ({stamp})",
        raised=True,
        event_id="notify",
        time=moment,
    )


async def _notify(login: Login, alert: Alert, as_json: bool) -> int:
    began = time.monotonic()
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            session, proof = await _attempt(login, alert)
        except TrueNASError as error:
            if error.verdict is Verdict.RETRY_NOW and attempt < _ATTEMPTS:
                say_error(f"not delivered yet ({type(error).__name__}): {error}; looking again")
                await asyncio.sleep(_PAUSE)
                continue
            _result(as_json, delivered=False, sent=True, reason=str(error), kind=type(error).__name__)
            return 1
        took = time.monotonic() - began
        if isinstance(proof, Mailed):
            _result(as_json, delivered=False, sent=True, mailed=True, key=alert.key, reason=proof.why)
            return 0
        _result(
            as_json, delivered=True, sent=True, key=alert.key, alert_class=proof.alert_class, took=round(took, 3),
            release=session.release, user=session.username,
        )  # fmt: skip
        return 0
    return 1


async def _attempt(login: Login, alert: Alert) -> tuple[Session, Delivered | Mailed]:
    session = await open_session(login, now, on_pin=_say_pin)
    try:
        return session, await deliver(session, alert)
    finally:
        await session.connection.close()


def _say_pin(_: PinVerdict, certificate: Certificate) -> None:
    say_error(f"certificate trusted from now on: sha256 {certificate.fingerprint}")


def _result(as_json: bool, *, delivered: bool, sent: bool, **fields: object) -> None:
    if as_json:
        print_json({"delivered": delivered, **fields})
    elif delivered:
        click.echo(
            f"delivered: read back from alert.list as {fields['alert_class']} {fields['key']}"
            f" (TrueNAS {fields['release']}, user {fields['user']}, {fields['took']} s)"
        )
    elif fields.get("mailed"):
        click.echo(
            f"mailed: TrueNAS took a mail; whether it arrived cannot be read back. No alert, for {fields['reason']}"
        )
    elif sent:
        say_error(f"not delivered ({fields['kind']}): {fields['reason']}")
    else:
        click.echo(f"not sent: {fields['reason']}")
