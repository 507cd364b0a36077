"""What commands share: a journal that may be missing, lines of JSON, errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from borgwatch.errors import JournalError
from borgwatch.journal.store import Journal
from borgwatch.matching.templates import one_line
from borgwatch.model import Event
from borgwatch.redact import redact
from borgwatch.settings import Settings

__all__ = ["event_json", "journal_or_memory", "print_json", "say_error"]


def journal_or_memory(settings: Settings) -> tuple[Journal, bool]:
    """Open the journal beside a running service, or one that forgets; says whether it remembers."""
    if settings.state.is_dir():
        try:
            return Journal.open(settings.state), True
        except JournalError:
            pass
    return Journal(":memory:"), False


def event_json(event: Event) -> dict[str, Any]:
    """The documented shape of an event: its keys are stable."""
    return {
        "event": event.name,
        "level": event.level.name,
        "job": event.job,
        "title": redact(event.title),
        "message": redact(event.message),
        "time": event.time.astimezone().isoformat(),
        "rule": event.rule,
        "source": event.source,
        "run": event.run,
        "id": event.id,
        "fields": {name: redact(v) if isinstance(v, str) else v for name, v in event.fields.items()},
    }


def print_json(value: Mapping[str, Any]) -> None:
    r"""Print one object on one line; what could move a cursor or turn the text stands as `\u` and its number."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    click.echo("".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text))


def say_error(text: str) -> None:
    """Print one line to standard error."""
    click.echo(f"borgwatch: {one_line(redact(text))}", err=True)
