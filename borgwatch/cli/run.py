"""`borgwatch run`: the service."""

from __future__ import annotations

import asyncio
import os

import click

from borgwatch import __version__
from borgwatch.config import Settings, load, state_is_watched
from borgwatch.errors import ConfigError
from borgwatch.heartbeat import Heart, heartbeat_path
from borgwatch.journal import Journal
from borgwatch.logs import configure, get_logger, span_text
from borgwatch.report import LogReport
from borgwatch.rights import needless_rights
from borgwatch.service import Service

__all__ = ["command"]


@click.command("run")
def command() -> None:
    """Watch the logs and deliver alerts until stopped (SIGTERM); SIGHUP reads the rule files again."""
    settings = load(os.environ)
    configure(settings.log_format)
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    log = get_logger()
    log.info("borgwatch.start", version=__version__, uid=os.getuid(), state=str(settings.state))
    for problem in settings.problems:
        log.error("config.problem", error=problem)
    if wrong := state_is_watched(settings):
        raise ConfigError(wrong)
    report = LogReport()
    journal = Journal.open(settings.state, exclusive=True)
    try:
        if journal.recovered:
            log.error("journal.recovered", error=journal.recovered)
        heart = Heart(heartbeat_path(settings.run, settings.state), settings.poll)
        service = Service(settings, journal, report, heart=heart)
        for problem in service.rules.problems:
            log.error("rules.rejected", error=problem)
        _introduce(settings)
        with service.signals():
            await service.run(
                on_ready=lambda: _say_ready(settings, service), on_caught_up=lambda: _say_deadman(settings, service)
            )
    finally:
        journal.close()
    log.info("borgwatch.stop")


def _introduce(settings: Settings) -> None:
    log = get_logger()
    truenas = settings.truenas
    if not truenas.enabled:
        log.warning("truenas.off", note="NOTIFY_TRUENAS_ENABLED is not true: watching and logging only")
    elif truenas.address is None or truenas.key is None:
        log.error("truenas.unusable", error="address or API key is missing or wrong: nothing can be delivered")
    else:
        if truenas.address.was_plain:
            log.warning(
                "truenas.upgraded", url=truenas.address.url(tls=True),
                note="ws:// and http:// would cost you the API key: going over TLS instead",
            )  # fmt: skip
        if truenas.verification == "false":
            log.warning("truenas.unverified", note="the certificate is not checked: anybody in between gets the key")


def _say_ready(settings: Settings, service: Service) -> None:
    log = get_logger()
    log.info(
        "ready",
        watch=",".join(map(str, settings.watch)),
        packs=",".join(pack.name for pack in service.rules.packs),
        rules=len(service.rules.rules),
        notify=",".join(settings.events.patterns),
        expect=span_text(settings.expect) if settings.expect else "off",
        jobs=len({job for job, _ in service.pipeline.jobs}),
    )
    for right in needless_rights(settings.watch, settings.truenas.key_file):
        log.warning("rights.needless", note=right)


def _say_deadman(settings: Settings, service: Service) -> None:
    log = get_logger()
    for (job, operation), state in sorted(service.pipeline.jobs.items()):
        if settings.expect is not None and operation == "backup" and state.last_success is not None:
            last, due = state.last_success, state.last_success + settings.expect
            log.info("deadman.armed", job=job, last_success=last.isoformat(), due=due.isoformat())
