"""The ways in which people can be told, best first: the rungs of the ladder, and which of them hold. Pure.

    alert   under the bell of TrueNAS, read back from its list: the only one that is proof
    mail    `mail.send`: TrueNAS' mail server took it; whether it arrived cannot be read back
    none    neither: a loud line in the log, and the alert waits

What a session finds out of its key and its release comes in; a `Ladder` leaves.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

__all__ = ["FULL_ADMIN", "MAIL_WRITE", "Ladder", "Rung", "ladder_for", "takes_no_alerts"]

FULL_ADMIN = "FULL_ADMIN"
MAIL_WRITE = "MAIL_WRITE"
_LAST_WITH_ALERTS = 26


class Rung(StrEnum):
    """One way of telling people."""

    ALERT = "alert"
    MAIL = "mail"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Ladder:
    """Why there can be no alert and no mail; empty where there can."""

    no_alert: str = ""
    no_mail: str = ""

    @property
    def rung(self) -> Rung:
        """The best rung that holds."""
        if not self.no_alert:
            return Rung.ALERT
        return Rung.NONE if self.no_mail else Rung.MAIL

    def without_alert(self, why: str) -> Ladder:
        """The ladder after the rung of alerts turned out to be broken."""
        return replace(self, no_alert=why)


def ladder_for(
    roles: Collection[str], release: str, missing_classes: Collection[str] = (), *, mail_has_role: bool
) -> Ladder:
    """Say which rungs hold for a user with `roles` on `release` (`25.10.6`), which lacks some alert classes.

    Nothing less than FULL_ADMIN may make alerts (25.04 to 26); 27 lets nobody make them from outside. Mail needs
    FULL_ADMIN on 25.04; later MAIL_WRITE is enough (`mail_has_role`).
    """
    return Ladder(_no_alert(roles, release, missing_classes), _no_mail(roles, mail_has_role=mail_has_role))


def takes_no_alerts(release: str) -> bool:
    """Say whether a release (`27.0.0-MASTER`) is one that lets nobody make alerts from outside."""
    major = release.partition(".")[0]
    return major.isdecimal() and int(major) > _LAST_WITH_ALERTS


def _no_alert(roles: Collection[str], release: str, missing_classes: Collection[str]) -> str:
    if takes_no_alerts(release):
        return f"TrueNAS {release.partition('.')[0]} takes no alerts from outside any more"
    if FULL_ADMIN not in roles:
        return "the API key's user is no full administrator, and TrueNAS lets nobody else make alerts"
    if missing_classes:
        return f"this TrueNAS has no alert class {', '.join(sorted(missing_classes))} (NOTIFY_TRUENAS_CLASSES)"
    return ""


def _no_mail(roles: Collection[str], *, mail_has_role: bool) -> str:
    if FULL_ADMIN in roles or (mail_has_role and MAIL_WRITE in roles):
        return ""
    return f"the API key's user may not send mail ({MAIL_WRITE if mail_has_role else FULL_ADMIN})"
