"""API keys and what their users may do.

A key carries exactly the privileges of its user. FULL_ADMIN may do everything, and it alone may call private methods:
no smaller role grants them, on any release.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Key", "allowed", "expand_roles", "load_keys"]

_READ_ROLES = frozenset({"ALERT_LIST_READ", "ALERT_READ", "APPS_READ", "SYSTEM_GENERAL_READ"})
_INCLUDED = {
    "FULL_ADMIN": _READ_ROLES | {"ALERT_LIST_WRITE", "ALERT_WRITE", "APPS_WRITE", "MAIL_WRITE", "READONLY_ADMIN"},
    "READONLY_ADMIN": _READ_ROLES,
    "ALERT_LIST_WRITE": frozenset({"ALERT_LIST_READ"}),
    "ALERT_WRITE": frozenset({"ALERT_LIST_READ", "ALERT_LIST_WRITE", "ALERT_READ"}),
    "APPS_WRITE": frozenset({"APPS_READ"}),
}
_ROLES_BY_NAME = {"alerts": ("ALERT_WRITE",), "readonly": ("READONLY_ADMIN",)}


@dataclass(slots=True)
class Key:
    """An API key `<id>-<secret>`, its user and the user's roles; `revoked` is set when TrueNAS destroys the key."""

    username: str
    key: str
    roles: tuple[str, ...] = ("FULL_ADMIN",)
    expired: bool = False
    revoked: bool = False

    @property
    def id(self) -> str:
        """The digits before the first hyphen."""
        return self.key.partition("-")[0]

    @property
    def secret(self) -> str:
        """What comes after the first hyphen; the password of SCRAM."""
        return self.key.partition("-")[2]


def expand_roles(roles: tuple[str, ...]) -> frozenset[str]:
    """Return the roles with those that they include."""
    return frozenset(roles).union(*(_INCLUDED.get(role, frozenset()) for role in roles))


def allowed(roles: tuple[str, ...], needed: frozenset[str] | None) -> bool:
    """Say whether roles suffice for a method: any of those needed; an empty set needs none; None is private."""
    held = expand_roles(roles)
    return "FULL_ADMIN" in held or (needed is not None and (not needed or bool(held & needed)))


def load_keys(path: str | Path) -> list[Key]:
    """Read keys from a JSON file: an object of name to `{username, key, roles?, expired?}`, or one with it as `keys`.

    Without `roles`, the name `readonly` means READONLY_ADMIN, `alerts` a privilege with ALERT_WRITE, any other
    FULL_ADMIN; the name `expired` means just that. Raises ValueError where the file is no such thing.
    """
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError(f"{path}: expected a JSON object of keys by name")  # noqa: TRY004 - one error for a bad file
    entries: dict[str, Any] = data.get("keys", data)
    try:
        return [_read_key(name, entry) for name, entry in entries.items()]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: each key needs `username` and `key` ({error!r})") from None


def _read_key(name: str, entry: dict[str, Any]) -> Key:
    return Key(
        entry["username"],
        entry["key"],
        tuple(entry.get("roles", _ROLES_BY_NAME.get(name, ("FULL_ADMIN",)))),
        expired=entry.get("expired", name == "expired"),
    )
