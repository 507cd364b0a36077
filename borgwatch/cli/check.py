"""`borgwatch check`: is everything set up so that an alert would arrive? Step by step, with what to do."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from borgwatch.cli.check_truenas import check_truenas
from borgwatch.cli.steps import Steps
from borgwatch.config import load
from borgwatch.errors import ConfigError, JournalError, SourceError
from borgwatch.journal.store import Journal
from borgwatch.judge import Judge
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.matching.remarks import remarks
from borgwatch.model import Line, Position
from borgwatch.runs.machine import Limits
from borgwatch.samples import run_samples
from borgwatch.service.login import now
from borgwatch.service.rights import needless_rights
from borgwatch.service.roles import Roles, picks_in, wishes_in
from borgwatch.settings import Settings, state_is_watched
from borgwatch.sources.choice import PATTERNS
from borgwatch.sources.disk import explain
from borgwatch.sources.docker import Containers, is_json_log
from borgwatch.sources.envelope import unwrap
from borgwatch.sources.lines import MAX_LINE
from borgwatch.sources.tail import Tree

__all__ = ["command"]

_LAST_BYTES = 64 << 10
_LAST_LINES = 200
_MANY = 20


@click.command("check")
@click.option("--send", is_flag=True, help="Raise a real alert, read it back, clear it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a step.")
def command(send: bool, as_json: bool) -> int:
    """Look at settings, rules, state, sources and TrueNAS; exits 1 if anything is wrong, 2 for the settings."""
    steps = Steps(as_json)
    settings = load(os.environ)
    for problem in settings.problems:
        steps.wrong("settings", problem, ConfigError.exit_code)
    if not settings.problems:
        steps.ok("settings", f"sound; notified: {','.join(settings.events.patterns)}")
    matcher = _check_rules(settings, steps)
    _check_state(settings, steps)
    _check_sources(settings, matcher, steps)
    _check_rights(settings, steps)
    check_truenas(settings, steps, send=send)
    return steps.exit_code


def _check_rules(settings: Settings, steps: Steps) -> Matcher:
    rules = load_rules(settings.rules)
    for problem in rules.problems:
        steps.wrong("rules", problem, ConfigError.exit_code)
    failed = [result for result in run_samples(rules.rules) if result.differences]
    for result in failed:
        steps.wrong("rules", f"{result.sample.place}: sample of {result.rule.id}: {'; '.join(result.differences)}")
    for remark in remarks(rules):
        steps.note("rules", f"{remark.place}: {remark.rule}: {remark.what}")
    if not rules.problems and not failed:
        steps.ok("rules", f"{len(rules.rules)} rules in {len(rules.packs)} packs, all samples as they must be")
    return Matcher(rules.rules)


def _check_state(settings: Settings, steps: Steps) -> None:
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


def _check_sources(settings: Settings, matcher: Matcher, steps: Steps) -> None:
    containers = Containers(picks_in(settings.sources))
    judge = Judge(matcher, Limits(), Roles(settings.watch, settings.sources, containers))
    for directory in settings.watch:
        with steps.guarded("sources"):
            files = _files(directory, settings, containers, steps)
            if not files:
                steps.note("sources", f"{directory} holds no log yet (looked for: {', '.join(PATTERNS)})")
            for path in files[:_MANY]:
                with steps.guarded("sources"):
                    steps.ok("sources", _what_it_says(path, judge))
            if len(files) > _MANY:
                steps.ok("sources", f"and {len(files) - _MANY} more files in {directory}")


def _check_rights(settings: Settings, steps: Steps) -> None:
    found = needless_rights(settings.watch, settings.truenas.key_file)
    for right in found:
        steps.note("access", right)
    if not found:
        steps.ok("access", "no more than needed: nothing that is watched can be written, no key of a backup read")


def _files(directory: Path, settings: Settings, containers: Containers, steps: Steps) -> list[Path]:
    """Find what `run` would read, by what `run` finds it with; those that changed last come first."""
    try:
        list(directory.iterdir())
    except OSError as error:
        raise SourceError(f"{directory}: {explain(str(directory), error)[1]}; is it mounted?") from None
    wishes = wishes_in(settings.sources)
    tree = Tree({str(directory): directory}, now=now, monotonic=time.monotonic, wishes=wishes, containers=containers)
    found = [Path(path) for path in tree.scan().values()]
    for problem in tree.problems():
        steps.wrong("sources", f"{problem.where}: {problem.what}")
    return sorted(found, key=_age)


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0  # gone again; reading it will say so


def _what_it_says(path: Path, judge: Judge) -> str:
    """Say what the last lines of a log would have given."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LAST_BYTES))
            tail = file.read(_LAST_BYTES).splitlines()[-_LAST_LINES:]
    except OSError as error:
        raise SourceError(f"{path}: {explain(str(path), error)[1]}") from None
    lines = [Line(str(path), data, Position(0, 0, number), now()) for number, data in enumerate(tail, 1)]
    if is_json_log(str(path)):
        lines, _ = unwrap(lines, b"", MAX_LINE)
    judged = judge.lines({}, lines)
    events = judged.events + judge.finish(judged.streams).events
    job = judge.role_of(str(path)).job
    last = f"last event {events[-1].name}: {events[-1].message}" if events else "no event in its last lines"
    return f"{path} (job {job}): {last}"
