"""Alerts raised, read back, cleared. What is not in `alert.list` as we sent it has not been delivered.

`show_all` makes TrueNAS show what some alerts ask for: it looks once at what is shown, does what is missing, a few
calls at a time, and looks again. Only that second look makes a `Delivered`. It may be called again for the same
alerts at any time: what is shown already is left alone, so a crash between delivery and its record shows nothing
twice.

An alert class that its policy hides (`NEVER`) is not in the list, yet its alerts stand again when the policy is
another: there what was raised is deleted by its key, unseen.

Where this TrueNAS or this key takes no alerts, they go `down_the_ladder` and become mails. Those are never left alone:
whoever carries many writes each down before the next. `deliver_all` does both for a few.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from borgwatch.model import Alert
from borgwatch.truenas.alerts import CLASSES, AlertClass, Bell, ClassChoice, Listed, alert_text_for
from borgwatch.truenas.errors import (
    INVALID_PARAMS,
    CallFailed,
    ConnectionLost,
    NoAnswer,
    NotShown,
    TrueNASError,
    Verdict,
)
from borgwatch.truenas.ladder import Rung
from borgwatch.truenas.mail import Mailed, send_mail
from borgwatch.truenas.policies import NEVER, policies
from borgwatch.truenas.session import Session

__all__ = [
    "Delivered",
    "Found",
    "Mailed",
    "Todo",
    "deliver",
    "deliver_all",
    "down_the_ladder",
    "look_again",
    "show_all",
    "todo",
]

AT_ONCE = 8
"""Calls under way at a time: TrueNAS runs ten of a connection and refuses the twenty-first."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Proof: what `alert.list` showed after we had done our part. `uuid` is "" where nothing is to be shown."""

    raised: bool
    alert_class: str = ""
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class Todo:
    """What is missing between what TrueNAS shows and what an alert asks for."""

    remove: tuple[Listed, ...] = ()
    create: bool = False


def todo(alert: Alert, shown: Sequence[Listed], classes: ClassChoice) -> Todo:
    """Decide what to do, given what is shown under the alert's key.

    An alert of another class goes. One of the right class stays where it says the right thing; it is refreshed where
    it says something else, unless people are to be told anew or have dismissed it: then it goes first, for a second
    creation of the same key tells nobody and leaves a hidden alert hidden.
    """
    if not alert.raised:
        return Todo(remove=tuple(shown))
    wanted, text = classes.class_for(alert), alert_text_for(alert)
    remove = [listed for listed in shown if listed.alert_class is not wanted]
    standing = [listed for listed in shown if listed.alert_class is wanted]
    if any(listed.text == text and not listed.dismissed for listed in standing):
        return Todo(tuple(remove))
    remove += [listed for listed in standing if alert.renotify or listed.dismissed]
    return Todo(tuple(remove), create=True)


@dataclass(frozen=True, slots=True)
class Found:
    """What became of alerts: `shown` still (uuid to key), `dismissed` by a user (keys), or `lost`.

    Lost is what is gone although nobody can have taken it away. Only of a class that a dismissal hides but does not
    erase can that be said: of the others, the user may have dismissed them, and that is to be respected.
    """

    shown: Mapping[str, str] = field(default_factory=dict)
    dismissed: frozenset[str] = frozenset()
    lost: tuple[Alert, ...] = ()


async def deliver(session: Session, alert: Alert) -> Delivered | Mailed:
    """Make TrueNAS show `alert`, or no longer show it; raises `TrueNASError` while that is not proven."""
    (result,) = await deliver_all(session, [alert])
    if isinstance(result, TrueNASError):
        raise result
    return result


async def deliver_all(session: Session, alerts: Sequence[Alert]) -> list[Delivered | Mailed | TrueNASError]:
    """Make TrueNAS show what `alerts` (of different keys) ask for, or mail it; returns what became of each."""
    shown = await show_all(session, alerts)
    return [await down_the_ladder(session, alert, result) for alert, result in zip(alerts, shown, strict=True)]


async def show_all(session: Session, alerts: Sequence[Alert]) -> list[Delivered | TrueNASError]:
    """Make TrueNAS show what `alerts` (of different keys) ask for; returns the proof of each, or why there is none."""
    try:
        before = await _listed(session)
        hidden = await _maybe_hidden(session)
    except TrueNASError as error:
        return [error for _ in alerts]
    errors = await _attempt_all(session, alerts, before, hidden)
    try:
        after = await _listed(session)
    except TrueNASError as error:
        return [earlier or error for earlier in errors]
    return [error or _proof(alert, after, session.classes) for alert, error in zip(alerts, errors, strict=True)]


async def down_the_ladder(
    session: Session, alert: Alert, result: Delivered | TrueNASError
) -> Delivered | Mailed | TrueNASError:
    """Mail what can not be shown, and the end of what was mailed; `result` is what `show_all` made of the alert."""
    if isinstance(result, NotShown) and result.verdict is Verdict.RETRY_LATER and alert.raised:
        result = await _with_policy(session, alert, result)
    why = session.ladder.no_alert if _is_no_way(result) else ""
    if isinstance(result, NotShown) and result.verdict is Verdict.USER:
        why = str(result)
    is_end_of_mailed = isinstance(result, Delivered) and not alert.raised and session.ladder.rung is Rung.MAIL
    if is_end_of_mailed:
        why = session.ladder.no_alert
    if not why:
        return result
    if session.ladder.no_mail:
        return result if isinstance(result, Delivered | NotShown) else _hopeless(session)
    try:
        return await send_mail(session, alert, why)
    except CallFailed as error:
        return CallFailed(
            f"no alert: {why}; and no mail: {error}", error.verdict, error.code, error.errno, error.reason
        )
    except TrueNASError as error:
        return error


def _is_no_way(result: Delivered | TrueNASError) -> bool:
    return isinstance(result, CallFailed) and result.verdict in (Verdict.USER, Verdict.UNSUPPORTED)


def _hopeless(session: Session) -> CallFailed:
    ladder = session.ladder
    return CallFailed(f"{ladder.no_alert}; and {ladder.no_mail}", Verdict.USER, -32001, None, "")


async def _hidden(session: Session) -> list[AlertClass]:
    """List the classes whose alerts are not in `alert.list`; none where this key could not have raised them."""
    if session.ladder.rung is not Rung.ALERT:
        return []
    policy_of = await policies(session)
    return [alert_class for name, alert_class in CLASSES.items() if policy_of.get(name) == NEVER]


async def _maybe_hidden(session: Session) -> Collection[AlertClass]:
    """List the classes whose alerts may be there unseen: any of them, where TrueNAS does not say."""
    try:
        return await _hidden(session)
    except CallFailed:
        return CLASSES.values()


async def _with_policy(session: Session, alert: Alert, error: NotShown) -> TrueNASError:
    """Look whether a policy hides the class of an alert that is not shown: then no other try will show it.

    It is taken back, so that it does not stand there for good once the policy is another one.
    """
    wanted = session.classes.class_for(alert)
    try:
        is_hidden = wanted in await _hidden(session)
    except CallFailed:
        is_hidden = False  # nobody says so
    except TrueNASError as failed:
        return failed
    if not is_hidden:
        return error
    try:
        await _delete(session, wanted, alert.key)
    except TrueNASError as failed:
        return failed
    return NotShown(
        f"the alert class {wanted.name} has the policy NEVER in TrueNAS (System > Alert Settings), which hides its"
        " alerts everywhere; choose another policy, or another class (NOTIFY_TRUENAS_CLASSES)",
        Verdict.USER,
    )


async def look_again(session: Session, alerts: Sequence[Alert]) -> Found:
    """Look what became of alerts that were shown in an earlier session."""
    if session.ladder.rung is not Rung.ALERT:
        return Found()
    bell, classes = await _listed(session), session.classes
    under = [(alert, listed) for alert in alerts for listed in bell.under(alert.key)]
    return Found(
        shown={listed.uuid: alert.key for alert, listed in under if not listed.dismissed},
        dismissed=frozenset(alert.key for alert, listed in under if listed.dismissed),
        lost=tuple(a for a in alerts if not classes.class_for(a).erased_by_dismiss and not bell.under(a.key)),
    )


async def _attempt_all(
    session: Session, alerts: Sequence[Alert], before: Bell, hidden: Collection[AlertClass]
) -> list[TrueNASError | None]:
    """Bring all about, a few at a time; once the connection fails one of them, the rest is not tried."""
    slots = asyncio.Semaphore(AT_ONCE)
    broken: list[TrueNASError] = []

    async def attempt(alert: Alert) -> TrueNASError | None:
        async with slots:
            if broken:
                return broken[0]
            try:
                await _bring_about(session, alert, todo(alert, before.under(alert.key), session.classes), hidden)
            except TrueNASError as error:
                if isinstance(error, ConnectionLost | NoAnswer):
                    broken.append(error)
                return error
        return None

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attempt(alert)) for alert in alerts]
    return [task.result() for task in tasks]


async def _listed(session: Session) -> Bell:
    entries = await session.call("alert.list")
    if not isinstance(entries, list):
        raise NoAnswer("alert.list: TrueNAS answered with something that is no list of alerts, which proves nothing")
    return Bell(entries)


async def _bring_about(session: Session, alert: Alert, work: Todo, hidden: Collection[AlertClass]) -> None:
    """Remove, and wait for it: a removal that is still under way would swallow the notification of what follows."""
    if work.create and session.ladder.no_alert:
        raise CallFailed(session.ladder.no_alert, Verdict.UNSUPPORTED, 0, None, "")
    for listed in work.remove:
        if listed.alert_class.erased_by_dismiss:
            await session.call("alert.dismiss", listed.uuid)
        else:
            await _delete(session, listed.alert_class, alert.key)
    for alert_class in hidden:  # whether there is anything cannot be seen; what is not there is no failure
        if not (alert.raised and alert_class is session.classes.class_for(alert)):
            await _delete(session, alert_class, alert.key)
    if work.create:
        await _create(session, alert)


async def _delete(session: Session, alert_class: AlertClass, key: str) -> None:
    await session.run_job("alert.oneshot_delete", alert_class.name, alert_class.stored_key(key))


async def _create(session: Session, alert: Alert) -> None:
    """Raise an alert; where TrueNAS says that it takes none at all, the ladder loses this rung for the session."""
    wanted = session.classes.class_for(alert)
    try:
        await session.run_job("alert.oneshot_create", wanted.name, wanted.arguments(alert.key, alert_text_for(alert)))
    except CallFailed as error:
        if not _is_no_way(error):
            raise
        if error.code == INVALID_PARAMS or "alert class" in error.reason:  # the other classes may well be taken
            raise NotShown(f"{error}; choose another alert class (NOTIFY_TRUENAS_CLASSES)", Verdict.USER) from None
        session.ladder = session.ladder.without_alert(str(error))
        raise


def _proof(alert: Alert, bell: Bell, classes: ClassChoice) -> Delivered | NotShown:
    """Look for the alert in what TrueNAS lists."""
    shown = bell.under(alert.key)
    if not alert.raised:
        if shown:
            return NotShown(f"TrueNAS still shows the alert {alert.key} ({shown[0].alert_class.name}): it did not go")
        return Delivered(False)
    wanted, text = classes.class_for(alert), alert_text_for(alert)
    for listed in shown:
        if listed.alert_class is not wanted:
            return NotShown(
                f"TrueNAS still shows an older alert {alert.key} ({listed.alert_class.name}) beside the new"
            )
    for listed in shown:
        if listed.text == text and not listed.dismissed:
            return Delivered(True, wanted.name, listed.uuid)
    return NotShown(
        f"TrueNAS accepted the alert {alert.key}, yet does not list it; is the policy of the alert class"
        f" {wanted.name} set to NEVER, or was it dismissed at this moment?"
    )
