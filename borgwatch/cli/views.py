"""What the commands share that look back. They are called by hand and from dashboards, so little is loaded for them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import msgspec

from borgwatch.config import load
from borgwatch.matching.templates import one_line
from borgwatch.redact import redact
from borgwatch.settings import Settings
from borgwatch.spans import parse_span

__all__ = ["now", "print_view", "sound_settings", "span_option"]


def sound_settings() -> Settings:
    """Read the settings; raises `ConfigError` if anything is wrong with them."""
    return load(os.environ).checked()


def now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def print_view(view: object) -> None:
    """Print a view of the journal (a dataclass) as one JSON object; texts are masked and made harmless."""
    click.echo(json.dumps(_harmless(msgspec.to_builtins(view)), ensure_ascii=False))


def _harmless(value: Any) -> Any:
    if isinstance(value, str):
        return one_line(redact(value))
    if isinstance(value, dict):
        return {_harmless(name): _harmless(inner) for name, inner in value.items()}
    return [_harmless(inner) for inner in value] if isinstance(value, list | tuple) else value


def span_option(text: str) -> timedelta:
    """Read an option that is a span such as `30d`."""
    try:
        return parse_span(text)
    except ValueError as error:
        raise click.BadParameter(f"{error} (it is {text!r})") from None
