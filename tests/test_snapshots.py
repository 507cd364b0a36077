"""Each output as a whole, word for word: what users see, what their dashboards read, what the documentation shows."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import click
import pytest

from borgwatch.cli import history, review, status, tables
from borgwatch.journal.lookback import Lookback
from borgwatch.logs import configure
from borgwatch.views.facts import read_facts
from borgwatch.views.metrics import measure
from borgwatch.views.overview import read_overview
from borgwatch.web.exposition import Exposition
from borgwatch.web.page import page
from tests.scenario import EXPECT, LIVE, NOW, make
from tests.snapshots import DIRECTORY, compare
from tests.telling import tell_everything

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = {
    "review": (review.command, []),
    "status": (status.command, []),
    "history": (history.command, ["--since", "4d"]),
}
Check = Callable[[str, str], None]


@pytest.fixture
def check(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Compare with what was kept; the clock on the wall is that of UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    renew = bool(request.config.getoption("--renew-snapshots"))
    return lambda name, text: compare(name, text, renew=renew)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make(tmp_path)
    for module in (history, status):
        monkeypatch.setattr(module, "now", lambda: NOW)
    for name, value in (("STATE", str(tmp_path)), ("RULES", str(tmp_path / "rules")), ("EXPECT", "26h")):
        monkeypatch.setenv(f"BORGWATCH_{name}", value)
    monkeypatch.setenv("BORGWATCH_CONFIG", "")
    return tmp_path


def printed(name: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """What a command prints."""
    command, arguments = COMMANDS[name]
    assert isinstance(command, click.Command)
    command.main([*arguments, *more], prog_name="borgwatch", standalone_mode=False)
    return capsys.readouterr().out


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize("name", COMMANDS)
def test_the_words_of_a_command(name: str, check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    check(f"{name}.txt", printed(name, capsys))


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize("name", COMMANDS)
def test_the_json_of_a_command(name: str, check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    """One object on one line; it is kept with indents, for people compare it."""
    out = printed(name, capsys, "--json")
    assert out.count("\n") == 1
    check(f"{name}.json", json.dumps(json.loads(out), indent=1, ensure_ascii=False) + "\n")


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize(("name", "columns"), [("review", 160), ("status", 160), ("history", 160), ("history", 60)])
def test_the_colours_and_tables_of_a_terminal(
    name: str, columns: int, check: Check, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in (("FORCE_COLOR", "1"), ("TERM", "xterm-256color"), ("COLUMNS", str(columns))):
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(tables, "_is_terminal", lambda: True)
    check(f"{name}-terminal-{columns}.txt", printed(name, capsys))


def test_the_page(state: Path, check: Check) -> None:
    with closing(Lookback.open(state)) as past:
        check("page.html", page(read_overview(past, LIVE, NOW)))


def test_the_metrics(state: Path, check: Check) -> None:
    with closing(Lookback.open(state)) as past:
        samples = measure(read_facts(past, EXPECT, NOW), LIVE)
    fixed = {**samples, "borgwatch_journal_size_bytes": [((), 151_552)]}  # SQLite's releases differ in it
    check("metrics.prom", Exposition(process=False).write(fixed).decode())


@pytest.mark.parametrize("log_format", ["text", "json", "logfmt"])
def test_the_log(log_format: str, check: Check) -> None:
    out = io.StringIO()
    configure(log_format, stream=out)
    tell_everything(NOW - timedelta(hours=1))
    when = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"
    fixed = re.sub(
        rf'^({{"timestamp": "|timestamp=)?{when}', rf"\g<1>{NOW.isoformat()}", out.getvalue(), flags=re.MULTILINE
    )
    check(f"log-{log_format}.txt", fixed)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_documentation_shows_what_is_printed(name: str) -> None:
    """The examples of docs/review.md are the snapshots; put a new one in there when you renew it."""
    assert f"```text\n{(DIRECTORY / f'{name}.txt').read_text()}```\n" in (ROOT / "docs" / "review.md").read_text()
