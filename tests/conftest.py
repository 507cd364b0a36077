"""What all tests share: an environment without anybody's settings, and a real Borg where one is needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from borgwatch import redact
from tests.leaks import check_files, check_text

_leaks: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let whoever meant it write the snapshots anew (`tests/snapshots.py`)."""
    parser.addoption("--renew-snapshots", action="store_true", help="keep the outputs of now as the snapshots")


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Search all that a test printed or logged for the keys of the tests."""
    for name, text in report.sections:
        try:
            check_text(text, f"what {report.nodeid} printed ({name})")
        except AssertionError as leak:
            _leaks.append(str(leak))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the whole run if anything was found."""
    if _leaks:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was found, where it is seen."""
    for leak in dict.fromkeys(_leaks):
        terminalreporter.write_line(f"LEAK: {leak}", red=True)


@pytest.fixture(autouse=True)
def _no_key_in_what_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Search the journals that a test leaves."""
    directory: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if directory is not None:
        check_files(directory)


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
