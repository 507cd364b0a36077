"""Our alerts as TrueNAS has them: which class, which arguments, which key, which text. Pure.

TrueNAS has no class for messages of others, so four of its one-shot classes are borrowed. They take free text, are
there from 25.04.0 to 26, keep no id of a real object, and are told apart from TrueNAS' own by the key.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from borgwatch.matching.templates import one_line
from borgwatch.model import Alert, Level
from borgwatch.redact import redact

__all__ = ["CLASSES", "AlertClass", "Bell", "ClassChoice", "Listed", "alert_text_for"]

MAX_TEXT = 500
"""How much of a text the interface shows well; the hard limit is that of a frame."""


@dataclass(frozen=True, slots=True)
class AlertClass:
    """How one borrowed class works.

    `arguments` are built by naming where key and text go. A `quoted` class stores its key as JSON text; an
    `erased_by_dismiss` one is gone when it is dismissed, the others are only hidden and must be deleted.
    """

    name: str
    key_field: str
    text_field: str
    fixed: Mapping[str, str]
    quoted: bool
    erased_by_dismiss: bool

    def arguments(self, key: str, text: str) -> dict[str, str]:
        """The arguments of `alert.oneshot_create`; the key must be text, a number would break `alert.list`."""
        return {self.key_field: key, self.text_field: text, **self.fixed}

    def stored_key(self, key: str) -> str:
        """The key as `alert.list` shows it and `alert.oneshot_delete` takes it."""
        return json.dumps(key) if self.quoted else key

    def listed_text(self, arguments: Any) -> str | None:
        """Our text in an entry of `alert.list`; None where there is none."""
        if not self.quoted:
            return arguments if isinstance(arguments, str) else None
        text = arguments.get(self.text_field) if isinstance(arguments, dict) else None
        return text if isinstance(text, str) else None


CLASSES: Mapping[str, AlertClass] = {
    "CloudBackupTaskFailed": AlertClass(
        "CloudBackupTaskFailed", "id", "name", {}, quoted=True, erased_by_dismiss=False
    ),
    "RsyncFailed": AlertClass(
        "RsyncFailed", "id", "path", {"direction": "Borg backup"}, quoted=True, erased_by_dismiss=True
    ),
    "RsyncSuccess": AlertClass(
        "RsyncSuccess", "id", "path", {"direction": "Borg backup"}, quoted=True, erased_by_dismiss=True
    ),
    "ScrubNotStarted": AlertClass("ScrubNotStarted", "pool", "text", {}, quoted=False, erased_by_dismiss=True),
}
"""The classes that work on 25.04.0 to 26.0.0-BETA.3. Levels: ERROR, CRITICAL, INFO, WARNING."""


@dataclass(frozen=True, slots=True)
class ClassChoice:
    """Which class stands for what: names out of `CLASSES`. TrueNAS shows and sends each at the level of its own."""

    failure: str = "CloudBackupTaskFailed"
    warning: str = "ScrubNotStarted"
    success: str = "RsyncSuccess"

    def class_for(self, alert: Alert) -> AlertClass:
        """Choose by level: ERROR and above is a failure, WARNING a warning, anything below a success."""
        if alert.level >= Level.ERROR:
            return CLASSES[self.failure]
        return CLASSES[self.warning if alert.level >= Level.WARNING else self.success]

    @property
    def names(self) -> frozenset[str]:
        """The classes that are used."""
        return frozenset((self.failure, self.warning, self.success))


def alert_text_for(alert: Alert) -> str:
    """The text as it is sent: one line, secrets masked, cut, and escaped, for TrueNAS mails it as HTML."""
    return html.escape(one_line(redact(alert.text), MAX_TEXT), quote=False)


@dataclass(frozen=True, slots=True)
class Listed:
    """One of our alerts in `alert.list`."""

    uuid: str
    alert_class: AlertClass
    text: str | None
    dismissed: bool


class Bell:
    """What `alert.list` showed, by class and key; whatever in it is not as expected is passed over."""

    def __init__(self, entries: Any) -> None:
        self._listed: dict[tuple[str, str], list[Listed]] = {}
        for entry in entries if isinstance(entries, list) else ():
            alert_class = CLASSES.get(str(entry.get("klass"))) if isinstance(entry, dict) else None
            if alert_class is None or not isinstance(key := entry.get("key"), str):
                continue
            text = alert_class.listed_text(entry.get("args"))
            listed = Listed(str(entry.get("uuid")), alert_class, text, entry.get("dismissed") is True)
            self._listed.setdefault((alert_class.name, key), []).append(listed)

    def under(self, key: str) -> list[Listed]:
        """The alerts that carry our key, of whatever class."""
        names = ((name, alert_class.stored_key(key)) for name, alert_class in CLASSES.items())
        return [listed for name in names for listed in self._listed.get(name, ())]
