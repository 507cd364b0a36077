"""An alert raised, read back, cleared. What is not in `alert.list` as we sent it has not been delivered.

`deliver` makes TrueNAS show what an alert asks for, and returns only when that was read back. It may be called
again for the same alert at any time: what is shown already is left alone, so a crash between delivery and its
record shows nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from borgwatch.model import Alert
from borgwatch.truenas.alerts import Listed, alert_class_for, alert_text_for, ours
from borgwatch.truenas.errors import CallFailed, NoAnswer, NotShown, Verdict
from borgwatch.truenas.session import Session

__all__ = ["Delivered", "deliver"]


@dataclass(frozen=True, slots=True)
class Delivered:
    """Proof: what `alert.list` showed after we had done our part. `uuid` is "" where nothing is to be shown."""

    raised: bool
    alert_class: str = ""
    uuid: str = ""


async def deliver(session: Session, alert: Alert) -> Delivered:
    """Make TrueNAS show `alert`, or no longer show it; raises `TrueNASError` while that is not proven."""
    if not alert.raised:
        return await _clear(session, alert)
    if not session.is_full_admin:
        raise CallFailed(
            f"the API key of {session.username} may not make alerts: TrueNAS lets only full administrators do so",
            Verdict.USER, -32001, 13, "",
        )  # fmt: skip
    return await _raise(session, alert)


async def _raise(session: Session, alert: Alert) -> Delivered:
    wanted, text = alert_class_for(alert), alert_text_for(alert)
    standing = None
    for listed in await _listed(session, alert.key):
        if listed.alert_class is not wanted:
            await _remove(session, alert.key, listed)
        else:
            standing = listed
    if standing is not None:
        if standing.text == text and not standing.dismissed:
            return Delivered(True, wanted.name, standing.uuid)
        if alert.renotify or standing.dismissed:
            await _remove(session, alert.key, standing)
    await session.run_job("alert.oneshot_create", wanted.name, wanted.arguments(alert.key, text))
    for listed in await _listed(session, alert.key):
        if listed.alert_class is wanted and listed.text == text and not listed.dismissed:
            return Delivered(True, wanted.name, listed.uuid)
    raise NotShown(
        f"TrueNAS accepted the alert {alert.key}, yet does not list it; is the policy of the alert class"
        f" {wanted.name} set to NEVER, or was it dismissed at this moment?"
    )


async def _clear(session: Session, alert: Alert) -> Delivered:
    for listed in await _listed(session, alert.key):
        await _remove(session, alert.key, listed)
    if left := await _listed(session, alert.key):
        raise NotShown(f"TrueNAS still shows the alert {alert.key} ({left[0].alert_class.name}) after it was removed")
    return Delivered(False)


async def _listed(session: Session, key: str) -> list[Listed]:
    entries = await session.call("alert.list")
    if not isinstance(entries, list):
        raise NoAnswer("alert.list: TrueNAS did not answer with a list, which proves nothing")
    return ours(entries, key)


async def _remove(session: Session, key: str, listed: Listed) -> None:
    """Take one alert away, and wait for it: a removal that is still under way would swallow the next notification."""
    if listed.alert_class.erased_by_dismiss:
        await session.call("alert.dismiss", listed.uuid)
    else:
        await session.run_job("alert.oneshot_delete", listed.alert_class.name, listed.alert_class.stored_key(key))
