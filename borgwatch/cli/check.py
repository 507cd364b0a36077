"""`borgwatch check`: is everything set up so that an alert would arrive? Step by step, with what to do."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import click

from borgwatch.cli.output import journal_or_memory, print_json
from borgwatch.config import Settings, Verify, load, state_is_watched
from borgwatch.errors import BorgwatchError, ConfigError, JournalError, SourceError
from borgwatch.journal import Journal
from borgwatch.judge import Judge
from borgwatch.login import login_for, now
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.matching.templates import one_line
from borgwatch.model import Alert, Level, Line, Position
from borgwatch.policy import alert_key
from borgwatch.redact import redact
from borgwatch.roles import Roles, picks_in
from borgwatch.runs import Limits
from borgwatch.samples import run_samples
from borgwatch.sources.choice import PATTERNS
from borgwatch.sources.disk import explain
from borgwatch.sources.docker import Containers
from borgwatch.truenas.alerts import CLASSES
from borgwatch.truenas.connection import Connection, open_connection
from borgwatch.truenas.delivery import deliver
from borgwatch.truenas.errors import CallFailed, TrueNASError, Verdict
from borgwatch.truenas.session import Login, Session, log_in

__all__ = ["command"]

_T = TypeVar("_T")
_LAST_BYTES = 64 << 10
_LAST_LINES = 200
_MANY = 20
_QUICK = 0.05  # seconds: a step that took less needs no time beside it


@dataclass(slots=True)
class _Steps:
    """Prints each step as it is done and remembers the worst of them."""

    as_json: bool
    exit_code: int = 0
    _began: float = field(default_factory=time.monotonic)

    def ok(self, name: str, what: str) -> None:
        self._print("ok", name, what)

    def note(self, name: str, what: str) -> None:
        self._print("note", name, what)

    def wrong(self, name: str, what: str, exit_code: int = 1) -> None:
        self.exit_code = max(self.exit_code, exit_code)
        self._print("WRONG", name, what)

    def _print(self, result: str, name: str, what: str) -> None:
        took, self._began = time.monotonic() - self._began, time.monotonic()
        if self.as_json:
            print_json({"step": name, "result": result.lower(), "what": _plain(what), "seconds": round(took, 3)})
        else:
            span = f"  ({took * 1000:.0f} ms)" if took > _QUICK else ""
            click.echo(f"{result:6} {name:12} {_plain(what)}{span}")

    @contextmanager
    def guarded(self, name: str) -> Iterator[None]:
        try:
            yield
        except BorgwatchError as error:
            self.wrong(name, str(error), error.exit_code)


def _plain(what: str) -> str:
    """Make text fit for a terminal, wherever it comes from."""
    return one_line(redact(what))


@click.command("check")
@click.option("--send", is_flag=True, help="Raise a real alert, read it back, clear it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a step.")
def command(send: bool, as_json: bool) -> int:
    """Look at settings, rules, state, sources and TrueNAS; exits 1 if anything is wrong, 2 for the settings."""
    steps = _Steps(as_json)
    settings = load(os.environ)
    for problem in settings.problems:
        steps.wrong("settings", problem, ConfigError.exit_code)
    if not settings.problems:
        steps.ok("settings", f"sound; notified: {','.join(settings.events.patterns)}")
    matcher = _check_rules(settings, steps)
    _check_state(settings, steps)
    _check_sources(settings, matcher, steps)
    _check_truenas(settings, steps, send=send)
    return steps.exit_code


def _check_rules(settings: Settings, steps: _Steps) -> Matcher:
    rules = load_rules(settings.rules)
    for problem in rules.problems:
        steps.wrong("rules", problem, ConfigError.exit_code)
    failed = [result for result in run_samples(rules.rules) if result.differences]
    for result in failed:
        steps.wrong("rules", f"{result.sample.place}: sample of {result.rule.id}: {'; '.join(result.differences)}")
    if not rules.problems and not failed:
        steps.ok("rules", f"{len(rules.rules)} rules in {len(rules.packs)} packs, all samples as they must be")
    return Matcher(rules.rules)


def _check_state(settings: Settings, steps: _Steps) -> None:
    with steps.guarded("state"):
        if wrong := state_is_watched(settings):
            raise ConfigError(wrong)
        if not settings.state.exists() and os.access(settings.state.parent, os.W_OK):
            steps.note("state", f"{settings.state} is not there yet: `borgwatch run` makes it")
            return
        if not settings.state.is_dir():
            raise JournalError(f"the state directory {settings.state} is not there; set BORGWATCH_STATE")
        if not os.access(settings.state, os.W_OK):
            raise JournalError(f"the state directory {settings.state} is not writable for uid {os.getuid()}")
        Journal.open(settings.state).close()
        steps.ok("state", f"{settings.state} is writable")


def _check_sources(settings: Settings, matcher: Matcher, steps: _Steps) -> None:
    roles = Roles(settings.watch, settings.sources, Containers(picks_in(settings.sources)))
    judge = Judge(matcher, Limits(), roles)
    for directory in settings.watch:
        with steps.guarded("sources"):
            files = _files(directory)
            if not files:
                steps.note("sources", f"{directory} holds no log yet (looked for: {', '.join(PATTERNS)})")
            for path in files[:_MANY]:
                with steps.guarded("sources"):
                    steps.ok("sources", _what_it_says(path, judge))
            if len(files) > _MANY:
                steps.ok("sources", f"and {len(files) - _MANY} more files in {directory}")


def _files(directory: Path) -> list[Path]:
    try:
        list(directory.iterdir())
    except OSError as error:
        raise SourceError(f"{directory}: {explain(str(directory), error)[1]}; is it mounted?") from None
    found = {path for pattern in PATTERNS for path in directory.rglob(pattern) if path.is_file()}
    return sorted(found, key=lambda path: -path.stat().st_mtime)


def _what_it_says(path: Path, judge: Judge) -> str:
    """Say what the last lines of a log would have given."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LAST_BYTES))
            tail = file.read(_LAST_BYTES).splitlines()[-_LAST_LINES:]
    except OSError as error:
        raise SourceError(f"{path}: {explain(str(path), error)[1]}") from None
    lines = (Line(str(path), data, Position(0, 0, number), now()) for number, data in enumerate(tail, 1))
    judged = judge.lines({}, lines)
    events = judged.events + judge.finish(judged.streams).events
    job = judge.role_of(str(path)).job
    last = f"last event {events[-1].name}: {events[-1].message}" if events else "no event in its last lines"
    return f"{path} (job {job}): {last}"


def _check_truenas(settings: Settings, steps: _Steps, *, send: bool) -> None:
    if not settings.truenas.enabled:
        steps.note("truenas", "NOTIFY_TRUENAS_ENABLED is not true: nothing will be sent")
        return
    journal, _ = journal_or_memory(settings)
    try:
        login = login_for(settings.truenas, journal)
        if login is None:
            return  # the settings have said why
        if settings.truenas.verification is Verify.NONE:
            steps.note("tls", "the certificate is not checked (NOTIFY_TRUENAS_VERIFY_SSL=false): better pin it")
        asyncio.run(_walk(settings, login, steps, send=send))
    finally:
        journal.close()


async def _walk(settings: Settings, login: Login, steps: _Steps, *, send: bool) -> None:
    connection = await _step(steps, "connect", open_connection(login.address, login.trust, now, on_pin=lambda *_: None))
    if connection is None:
        return
    try:
        _tell_connection(connection, steps)
        session = await _step(steps, "login", log_in(connection, login))
        if session is None:
            return
        steps.ok("login", f"as {session.username}, TrueNAS {session.release}")
        if session.is_full_admin:
            steps.ok("rights", "full administrator: alerts can be made")
        else:
            steps.wrong("rights", f"{session.username} is no full administrator: TrueNAS lets nobody else make alerts")
        await _step(steps, "classes", _check_classes(session, steps))
        if send:
            await _step(steps, "alert", _round_trip(settings, session, steps))
        else:
            steps.note("alert", "not tried; `borgwatch check --send` raises one, reads it back and clears it")
    finally:
        await connection.close()


async def _step(steps: _Steps, name: str, work: Awaitable[_T]) -> _T | None:
    try:
        return await work
    except TrueNASError as error:
        steps.wrong(name, str(error))
        return None


def _tell_connection(connection: Connection, steps: _Steps) -> None:
    if connection.certificate is None:
        steps.ok("connect", f"{connection.link.peer}, not encrypted: this very machine, which TrueNAS counts as safe")
        return
    certificate = connection.certificate
    steps.ok("connect", f"{connection.link.peer} over TLS")
    steps.ok("tls", f"sha256 {certificate.fingerprint}, valid until {certificate.not_after.date().isoformat()}")


async def _check_classes(session: Session, steps: _Steps) -> None:
    categories = await session.call("alert.list_categories")
    known = {
        entry.get("id")
        for category in (categories if isinstance(categories, list) else ())
        if isinstance(category, dict)
        for entry in category.get("classes", ())
        if isinstance(entry, dict)
    }
    missing = sorted(set(CLASSES) - known)
    if missing:
        what = f"this release lacks the alert classes {', '.join(missing)}"
        raise CallFailed(what, Verdict.UNSUPPORTED, 0, None, what)
    steps.ok("classes", f"{', '.join(sorted(CLASSES))} are there")


async def _round_trip(settings: Settings, session: Session, steps: _Steps) -> None:
    alert = Alert(
        key=alert_key(settings.instance, "borgwatch-check", "backup"),
        job="borgwatch-check",
        operation="backup",
        outcome="warning",
        level=Level.WARNING,
        text="borgwatch check: this alert is a test and goes away by itself",
        raised=True,
        event_id="check",
        time=now(),
    )
    proof = await deliver(session, alert)
    steps.ok("alert", f"raised, and read back from alert.list as {proof.alert_class}")
    await deliver(session, Alert(**{**{name: getattr(alert, name) for name in alert.__slots__}, "raised": False}))
    steps.ok("alert", "cleared, and read back as gone")
