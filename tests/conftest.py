"""What all tests share: an environment without anybody's settings, and a real Borg where one is needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
import structlog

from borgwatch import redact


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests say all their settings themselves."""
    for name in list(os.environ):
        if name.startswith(("BORGWATCH_", "NOTIFY_", "BORG_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Whatever a test does to the logging configuration ends with it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _secrets_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that one test registers masks nothing in another."""
    monkeypatch.setattr(redact, "_known", list(redact._known))


@pytest.fixture
def borg() -> str:
    """The path of a real Borg; without one the test is skipped, but in CI it fails."""
    found = shutil.which("borg")
    if found is None and os.environ.get("CI"):
        pytest.fail("CI must have a real Borg")
    if found is None:
        pytest.skip("no borg on the path (Debian: apt install borgbackup)")
    return found
