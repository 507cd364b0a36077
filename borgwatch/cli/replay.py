"""`borgwatch replay`: the same judgement over old logs; nothing is sent, nothing is kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click

from borgwatch.cli.output import event_json, print_json
from borgwatch.errors import ConfigError, RuleError
from borgwatch.judge import Judge, SourceRole
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.matching.templates import one_line
from borgwatch.model import OPERATIONS, Event, Line, Position
from borgwatch.redact import redact
from borgwatch.run import Stream
from borgwatch.runs import Limits
from borgwatch.sources.lines import MAX_LINE

__all__ = ["command"]


@click.command("replay")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--job", help="The job that the logs are of; by default each file's name.")
@click.option(
    "--operation",
    type=click.Choice([*OPERATIONS, "other"]),
    default="backup",
    show_default=True,
    help="What a closing line counts for that names no command.",
)
@click.option("--rules", "rule_dirs", multiple=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object an event.")
def command(
    files: tuple[str, ...], job: str | None, operation: str, rule_dirs: tuple[Path, ...], as_json: bool
) -> None:
    """Judge old logs (- for standard input) and print the events that come of them, one a line."""
    rules = load_rules(rule_dirs)
    if rules.problems:
        raise RuleError(list(rules.problems))
    matcher = Matcher(rules.rules)
    for name in files:
        role = SourceRole(job or (Path(name).stem if name != "-" else "stdin"), operation)
        for event in _events(name, Judge(matcher, Limits(), {name: role}.__getitem__)):
            if as_json:
                print_json(event_json(event))
            else:
                _print(event)


def _events(name: str, judge: Judge) -> Iterator[Event]:
    """Judge one file line by line, so that a file of any size takes little memory."""
    streams: dict[str, Stream] = {}
    try:
        with sys.stdin.buffer if name == "-" else Path(name).open("rb") as file:
            for line in _lines(name, file):
                judged = judge.lines(streams, (line,))
                streams.update(judged.streams)
                yield from judged.events
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
    yield from judge.finish(streams).events


def _lines(name: str, file: BinaryIO) -> Iterator[Line]:
    read_at = _written(name)
    offset = 0
    while data := file.readline(MAX_LINE):
        offset += len(data)
        whole = data.endswith(b"\n")
        yield Line(name, data.rstrip(b"\r\n"), Position(0, 0, offset), read_at)
        while not whole and (rest := file.readline(MAX_LINE)):  # the rest of an over-long line is left out
            offset += len(rest)
            whole = rest.endswith(b"\n")


def _written(name: str) -> datetime:
    """When the file was last written: the best time for lines that have none."""
    if name == "-":
        return datetime.now(UTC)
    return datetime.fromtimestamp(Path(name).stat().st_mtime, UTC)


def _print(event: Event) -> None:
    when = event.time.astimezone().isoformat(timespec="seconds")
    said = " | ".join(filter(None, (event.title, event.message)))
    click.echo(one_line(redact(f"{when} {event.level.name} {event.name} {event.job}: {said}")))
