"""`borgwatch run`: the service."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from pathlib import Path

import click

from borgwatch import __version__
from borgwatch.config import load
from borgwatch.errors import ConfigError
from borgwatch.journal.store import Journal
from borgwatch.logs import Size, catch_strays, configure, get_logger
from borgwatch.matching.vocabulary import NEVER
from borgwatch.model import Position
from borgwatch.policy.deadman import Expectation, expected
from borgwatch.service.heartbeat import Heart, heartbeat_path
from borgwatch.service.process import Service
from borgwatch.service.report import LogReport
from borgwatch.service.rights import needless_rights
from borgwatch.service.rulebook import Rulebook
from borgwatch.settings import Settings, state_is_watched
from borgwatch.spans import write_span
from borgwatch.views.formats import zone

__all__ = ["command"]

_MANY = 20
"""So many logs are named at the start; a watched directory may hold thousands."""


@click.command("run")
def command() -> None:
    """Watch the logs and deliver alerts until stopped (SIGTERM); SIGHUP reads the rule files again."""
    settings = load(os.environ)
    configure(settings.log_format)
    catch_strays()
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    log = get_logger()
    rulebook = Rulebook(settings.rules)
    rules = rulebook.rules
    log.info(
        "borgwatch.start", version=__version__, packs=",".join(pack.name for pack in rules.packs),
        rules=len(rules.rules), uid=os.getuid(), tz=zone(),
        state=str(settings.state),
    )  # fmt: skip
    for problem in settings.problems:
        log.error("config.problem", error=problem)
    if wrong := state_is_watched(settings):
        raise ConfigError(wrong)
    report = LogReport()
    journal = Journal.open(settings.state, exclusive=True)
    try:
        if journal.recovered:
            log.error("journal.recovered", error=journal.recovered)
        positions = journal.positions()
        heart = Heart(heartbeat_path(settings.run, settings.state), settings.poll)
        service = Service(settings, journal, report, rulebook=rulebook, heart=heart)
        report.rejected(rulebook.rejected)
        _introduce(settings)
        with service.signals():
            await service.run(
                on_ready=lambda: _say_ready(settings, service, positions), on_caught_up=lambda: _say_deadman(service)
            )
    finally:
        journal.close()
    log.info("borgwatch.stop")


def _introduce(settings: Settings) -> None:
    log = get_logger()
    truenas = settings.truenas
    if not truenas.enabled:
        log.warning("truenas.off", note="NOTIFY_TRUENAS_ENABLED is not true: watching and logging only")
    elif truenas.address is None or (truenas.key is None and not truenas.address.unix):
        log.error("truenas.unusable", error="address or API key is missing or wrong: nothing can be delivered")
    else:
        if truenas.address.was_plain:
            log.warning(
                "truenas.upgraded", url=truenas.address.url(tls=True),
                note="ws:// and http:// would cost you the API key: going over TLS instead",
            )  # fmt: skip
        if truenas.ca_file is not None and truenas.verification != "true":
            log.warning(
                "truenas.ca_file", file=str(truenas.ca_file),
                note=f"not looked at beside NOTIFY_TRUENAS_VERIFY_SSL={truenas.verification}: take one of the two out",
            )  # fmt: skip
        if truenas.verification == "false":
            log.warning("truenas.unverified", note="the certificate is not checked: anybody in between gets the key")


def _say_ready(settings: Settings, service: Service, positions: dict[str, Position]) -> None:
    log = get_logger()
    expect = service.pipeline.plan.expect
    sources = service.sources()
    for source, path in sorted(sources.items())[:_MANY]:
        _say_source(service, source, path, positions.get(source))
    positions.clear()  # there may be thousands, and the service has its own
    if len(sources) > _MANY:
        log.info("source.more", count=len(sources) - _MANY)
    log.info(
        "ready",
        sources=len(sources),
        jobs=len({job for job, _ in service.pipeline.jobs}),
        watch=",".join(map(str, settings.watch)),
        poll=write_span(settings.poll),
        notify=",".join(settings.events.patterns),
        expect=",".join(f"{row.job}:{row.operation}:{_within(row)}" for row in expect) or "off",
    )
    for right in needless_rights(settings.watch, settings.truenas.key_file):
        log.warning("rights.needless", note=right)


def _say_source(service: Service, source: str, path: str, position: Position | None) -> None:
    """Tell of a log that is followed: where reading goes on, and how many bytes were written in the meantime."""
    try:
        size = Path(path).stat().st_size
    except OSError:
        return  # gone again; if it is missed, the next look says so
    unread = size - position.offset if position is not None and position.offset <= size else size
    resume = "begin" if position is None or position.offset > size else "position"
    job = service.pipeline.judge.role_of(source).job
    get_logger().info("source.open", job=job, path=path, resume=resume, unread=Size(unread))


def _say_deadman(service: Service) -> None:
    log = get_logger()
    for (job, operation), state in sorted(service.pipeline.jobs.items()):
        row = expected(service.pipeline.plan.expect, job, operation)
        due = row.due(state.last_success) if row is not None else None
        if row is not None and due is not None and state.last_success is not None:
            log.info(
                "deadman.armed", job=job, operation=operation, within=_within(row),
                last_success=_local(state.last_success), due=_local(due),
            )  # fmt: skip


def _within(row: Expectation) -> str:
    return write_span(row.within) if row.within is not None else NEVER


def _local(time: datetime) -> str:
    return time.astimezone().isoformat(timespec="seconds")
