"""From settings to a login: what service and commands share when they speak with TrueNAS."""

from __future__ import annotations

from datetime import UTC, datetime

from borgwatch.settings import TrueNASSettings, Verify
from borgwatch.truenas.connection import PinStore, Trust
from borgwatch.truenas.credentials import ApiKey
from borgwatch.truenas.session import Login

__all__ = ["login_for", "now"]


def now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def login_for(truenas: TrueNASSettings, pins: PinStore) -> Login | None:
    """Make a login of the settings; None where they do not say enough."""
    if truenas.address is None or (truenas.key is None and not truenas.address.unix):
        return None
    verification = truenas.verification
    trust = Trust(
        verify=verification is Verify.FULL and truenas.fingerprint is None,
        ca_file=truenas.ca_file,
        server_name=truenas.server_name,
        fingerprint=truenas.fingerprint,
        pins=pins if verification is Verify.PIN else None,
        allow_plain=truenas.allow_plain,
    )
    key = ApiKey(truenas.key) if truenas.key is not None else None
    return Login(truenas.address, key, trust, truenas.username, truenas.classes)
