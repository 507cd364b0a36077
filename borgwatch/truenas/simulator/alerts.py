"""Alert classes and the list of alerts under the bell. Pure: no socket, no clock.

An alert is told apart by class and key. How the key is made of the arguments, what dismissing does and how the text is
formatted is a matter of the class. The classes here are alike on every release, but for the two that only 25.04 has.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .failures import call_error, python_error
from .frames import date
from .profiles import Profile

__all__ = ["CLASSES", "LEVELS", "POLICIES", "AlertClass", "AlertList", "Announcement"]

LEVELS = ("INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")
POLICIES = ("IMMEDIATELY", "HOURLY", "DAILY", "NEVER")
_CATEGORIES = {"HARDWARE": "Hardware", "SYSTEM": "System", "TASKS": "Tasks"}

_NODE = "Controller A"  # the name of the only node on systems without high availability


@dataclass(frozen=True, slots=True)
class AlertClass:
    """One kind of alert: how it looks, how it is keyed, and what dismissing does."""

    id: str
    title: str
    level: str
    text: str
    category: str = "TASKS"
    one_shot: bool = True
    """Made by `oneshot_create`; the others come from the system's own checks."""
    deleted_on_dismiss: bool = True
    """Dismissing deletes; otherwise it only hides, and the same key created again stays hidden."""
    split: Callable[[dict[str, Any]], tuple[Any, str]] = lambda args: (args, json.dumps(args["id"]))
    """From the arguments of the call to the arguments stored and the key."""

    def format(self, args: Any) -> str:
        """Return the text that people read; arguments that do not fit leave the bare template."""
        try:
            return str(self.text % args)
        except (KeyError, TypeError, ValueError):
            return self.text


def _text_by_pool(args: dict[str, Any]) -> tuple[Any, str]:
    return args["text"], args["pool"]


CLASSES = {
    alert_class.id: alert_class
    for alert_class in (
        AlertClass("ScrubNotStarted", "Scrub Failed to Start", "WARNING", "%s.", split=_text_by_pool),
        AlertClass("RsyncFailed", "Rsync Task Failed", "CRITICAL", 'Rsync "%(direction)s" task for "%(path)s" failed.'),
        AlertClass(
            "RsyncSuccess", "Rsync Task Succeeded", "INFO", 'Rsync "%(direction)s" task for "%(path)s" succeeded.'
        ),
        AlertClass(
            "CloudBackupTaskFailed",
            "Cloud Backup Task Failed",
            "ERROR",
            'Cloud backup task "%(name)s" failed.',
            deleted_on_dismiss=False,
        ),
        AlertClass(
            "CloudSyncTaskFailed",
            "Cloud Sync Task Failed",
            "ERROR",
            'Cloud sync task "%(name)s" failed.',
            deleted_on_dismiss=False,
        ),
        AlertClass(
            "ScrubFinished",
            "Scrub Finished",
            "INFO",
            'Scrub of pool "%s" finished.',
            split=lambda args: (args, json.dumps(args)),
        ),
        AlertClass(
            "SMART",
            "S.M.A.R.T. Error",
            "CRITICAL",
            "%(message)s.",
            category="HARDWARE",
            split=lambda args: (args, json.dumps(args["device"])),
        ),
        AlertClass(
            "ApiKeyRevoked",
            "API Key Revoked",
            "WARNING",
            "%(key_name)s: API key has been revoked and must either be renewed or deleted.",
            category="SYSTEM",
            one_shot=False,
        ),
        AlertClass("Test", "Test alert", "CRITICAL", "Test alert", category="SYSTEM", one_shot=False),
    )
}
_ONLY_25_04 = {"SMART", "ScrubFinished"}


@dataclass(slots=True)
class Alert:
    """One alert as it is stored."""

    uuid: str
    alert_class: AlertClass
    key: str
    args: Any
    created: datetime
    last_occurrence: datetime
    dismissed: bool = False


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event for those who watch the list: `added`, `changed` or `removed`."""

    change: str
    uuid: str
    fields: dict[str, Any] | None


class AlertList:
    """The alerts of one system, with the users' settings for each class."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._classes = {name: c for name, c in CLASSES.items() if profile.smart_classes or name not in _ONLY_25_04}
        self._alerts: list[Alert] = []
        self._announced: set[str] = set()
        self.settings: dict[str, dict[str, Any]] = {}

    def create(self, klass: str, args: Any, now: datetime) -> None:
        """Raise an alert, or bring the one with the same class and key up to date.

        The same key again keeps uuid, datetime and `dismissed`, and is not announced: on every release.
        """
        alert_class = self._one_shot_class(klass)
        try:
            stored, key = alert_class.split(args)
        except (KeyError, TypeError) as error:
            raise python_error(error) from None
        for alert in self._alerts:
            if (alert.alert_class, alert.key) == (alert_class, key):
                alert.args, alert.last_occurrence = stored, now
                return
        self._alerts.append(Alert(str(uuid.uuid4()), alert_class, key, stored, now, now))

    def delete(self, classes: str | list[str], query: Any) -> None:
        """Delete by class and key; a key that is not there is no failure.

        Keys of most classes are JSON, so a query that lacks its quotes deletes nothing: on every release.
        """
        names = [classes] if isinstance(classes, str) else classes
        wanted = {self._one_shot_class(name).id for name in names}
        self._alerts = [a for a in self._alerts if a.alert_class.id not in wanted or a.key != query]

    def dismiss(self, alert_uuid: str) -> Announcement | None:
        """Dismiss as a user does; an unknown uuid is ignored."""
        alert = self._find(alert_uuid)
        if alert is None:
            return None
        if alert.alert_class.deleted_on_dismiss:
            self._alerts.remove(alert)
            self._announced.discard(alert.uuid)
            return Announcement("removed", alert.uuid, None)
        return self._hide(alert, hidden=True)

    def restore(self, alert_uuid: str) -> Announcement | None:
        """Show a hidden alert again; an unknown uuid is ignored."""
        alert = self._find(alert_uuid)
        return self._hide(alert, hidden=False) if alert else None

    def announce(self) -> list[Announcement]:
        """Return what has come and gone since the last time, as `alert.send_alerts` tells the subscribers."""
        present = {alert.uuid for alert in self._alerts}
        gone = [Announcement("removed", old, None) for old in sorted(self._announced - present)]
        new = [Announcement("added", a.uuid, self.entry(a)) for a in self._alerts if a.uuid not in self._announced]
        self._announced = present
        return gone + new

    def forget(self) -> None:
        """Lose all alerts, as after a crash before they were saved."""
        self._alerts.clear()

    def settle(self) -> None:
        """Take the alerts as announced: those loaded at boot are not sent again."""
        self._announced = {alert.uuid for alert in self._alerts}

    def entries(self) -> list[dict[str, Any]]:
        """Return the list as `alert.list` answers it: worst first, without the classes whose policy is NEVER."""
        shown = [alert for alert in self._alerts if self._setting(alert.alert_class, "policy") != "NEVER"]
        shown.sort(key=lambda a: (-LEVELS.index(self._level(a.alert_class)), a.alert_class.title, a.created))
        return [self.entry(alert) for alert in shown]

    def entry(self, alert: Alert) -> dict[str, Any]:
        """Return one alert as it is listed; the same fields on every release."""
        alert_class = alert.alert_class
        return {
            "uuid": alert.uuid,
            "id": alert.uuid,
            "source": "",
            "klass": alert_class.id,
            "args": alert.args,
            "node": _NODE,
            "key": alert.key,
            "datetime": date(alert.created),
            "last_occurrence": date(alert.last_occurrence),
            "dismissed": alert.dismissed,
            "mail": None,
            "text": alert_class.text,
            "level": self._level(alert_class),
            "formatted": alert_class.format(alert.args),
            "one_shot": alert_class.one_shot and alert_class.deleted_on_dismiss,
        }

    def categories(self) -> list[dict[str, Any]]:
        """Return the classes by category, as `alert.list_categories` answers them."""
        return [
            {"id": category, "title": title, "classes": classes}
            for category, title in _CATEGORIES.items()
            if (classes := self._classes_of(category))
        ]

    def configure(self, settings: dict[str, dict[str, Any]]) -> None:
        """Set level and policy of classes, as `alertclasses.update` does: the whole setting is replaced."""
        for name, setting in settings.items():
            if name not in self._classes:
                raise call_error(f"Invalid alert class: {name!r}")
            if setting.get("policy", "IMMEDIATELY") not in POLICIES or setting.get("level", "INFO") not in LEVELS:
                raise call_error(f"Invalid setting for alert class {name!r}: {setting!r}")
        self.settings = settings

    def _one_shot_class(self, klass: str) -> AlertClass:
        alert_class = self._classes.get(klass)
        if alert_class is None:
            raise call_error(f"Invalid alert class: {klass!r}")
        if not alert_class.one_shot:
            raise call_error(f"Alert class {klass!r} is not a one-shot alert class")
        return alert_class

    def _classes_of(self, category: str) -> list[dict[str, Any]]:
        edition = {"product_types": ["COMMUNITY_EDITION", "ENTERPRISE"]}
        more = edition if self._profile.product_types_in_categories else {}
        classes = [c for c in self._classes.values() if c.category == category]
        return [
            {"id": c.id, "title": c.title, "level": c.level, "proactive_support": False, **more}
            for c in sorted(classes, key=lambda c: c.title)
        ]

    def _find(self, alert_uuid: str) -> Alert | None:
        return next((alert for alert in self._alerts if alert.uuid == alert_uuid), None)

    def _hide(self, alert: Alert, *, hidden: bool) -> Announcement:
        alert.dismissed = hidden
        return Announcement("changed", alert.uuid, self.entry(alert))

    def _level(self, alert_class: AlertClass) -> str:
        return str(self._setting(alert_class, "level") or alert_class.level)

    def _setting(self, alert_class: AlertClass, name: str) -> Any:
        return self.settings.get(alert_class.id, {}).get(name)
