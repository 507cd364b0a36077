"""`borgwatch healthcheck`: what a container's health check calls.

Exits 0 for healthy and for degraded (TrueNAS is away: a restart would not help), 1 for unhealthy. The reason goes to
standard output, where `docker inspect` shows it. It runs once a minute, so it imports little: no journal, no client.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime

import click

from borgwatch.config import load
from borgwatch.errors import SourceError
from borgwatch.service.heartbeat import Beat, Condition, Health, health, heartbeat_path, read_beat, with_state
from borgwatch.settings import Settings

__all__ = ["command"]


@click.command("healthcheck")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> int:
    """Say whether the service here is healthy, degraded or unhealthy, and why; exits 1 if it is unhealthy."""
    verdict, beat = _look(load(os.environ))
    if as_json:
        click.echo(json.dumps({"health": verdict.condition, "reason": verdict.reason, "heartbeat": _fields(beat)}))
    else:
        click.echo(f"{verdict.condition}: {verdict.reason}")
    return 1 if verdict.condition is Condition.UNHEALTHY else 0


def _look(settings: Settings) -> tuple[Health, Beat | None]:
    try:
        beat = read_beat(heartbeat_path(settings.run, settings.state))
    except SourceError as error:
        return Health(Condition.UNHEALTHY, str(error)), None
    return with_state(health(beat, datetime.now(UTC), time.monotonic()), settings.state), beat


def _fields(beat: Beat | None) -> dict[str, object] | None:
    if beat is None:
        return None
    return {
        "time": beat.time.astimezone().isoformat(),
        "last_step": "failed" if beat.wrong else "ok",
        "truenas": beat.truenas.link,
        "truenas_since": beat.truenas_since.astimezone().isoformat(),
        "rung": beat.truenas.rung,
        "queue": beat.queue,
        "unread": list(beat.unread),
        "unread_count": beat.unread_count,
        "rejected": list(beat.rejected),
        "rejected_count": beat.rejected_count,
    }
