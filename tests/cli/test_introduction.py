"""What `borgwatch run` says of its way to TrueNAS before it goes: whatever there is less safe than it could be."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from borgwatch.cli.run import _introduce
from borgwatch.config import load

PIN = "NOTIFY_TRUENAS_VERIFY_SSL"


@pytest.mark.parametrize(
    ("url", "more", "said"),
    [
        ("wss://nas", {}, []),
        ("wss://nas", {PIN: "pin"}, []),
        ("wss://nas", {PIN: "false"}, ["truenas.unverified"]),
        ("wss://nas", {PIN: "false", "NOTIFY_TRUENAS_FINGERPRINT": "ab" * 32}, []),
        ("ws://nas", {}, ["truenas.upgraded"]),
        ("http://nas/api/v2.0", {PIN: "false"}, ["truenas.upgraded", "truenas.unverified"]),
        ("wss://nas", {PIN: "pin", "NOTIFY_TRUENAS_CA_FILE": "/ca.pem"}, ["truenas.ca_file"]),
        ("wss://nas", {"NOTIFY_TRUENAS_ENABLED": "false"}, ["truenas.off"]),
        ("", {}, ["truenas.unusable"]),
    ],
)
def test_what_is_less_safe_than_it_could_be_is_said_at_each_start(
    url: str, more: dict[str, str], said: list[str]
) -> None:
    truenas = {"NOTIFY_TRUENAS_ENABLED": "true", "NOTIFY_TRUENAS_API_URL": url, "NOTIFY_TRUENAS_API_KEY": "1-abcdef"}
    with capture_logs() as logs:
        _introduce(load({"BORGWATCH_CONFIG": "", **truenas, **more}))
    assert [line["event"] for line in logs] == said
    assert all(line["log_level"] in ("warning", "error") for line in logs)
