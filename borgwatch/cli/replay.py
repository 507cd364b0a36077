"""`borgwatch replay`: the same judgement over old logs; nothing is sent, nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from borgwatch.cli.judging import judge_options, sound_matcher
from borgwatch.cli.output import event_json, print_json
from borgwatch.errors import ConfigError, SourceError
from borgwatch.judge import Judge, SourceRole
from borgwatch.matching.templates import one_line
from borgwatch.model import Event
from borgwatch.redact import redact
from borgwatch.runs.machine import Limits
from borgwatch.runs.run import Stream
from borgwatch.sources.oldlogs import expand, job_name, read_lines

__all__ = ["command"]


@click.command("replay")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@judge_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object an event.")
def command(
    files: tuple[str, ...], job: str | None, operation: str, rule_dirs: tuple[Path, ...], as_json: bool
) -> None:
    """Judge old logs and print the events that come of them, one a line.

    FILE can be a glob in quotes, compressed (gz, bz2, xz), written by Docker's json-file driver, or - for standard
    input. Each file is judged by itself.
    """
    matcher = sound_matcher(rule_dirs)
    for name in expand(files):
        role = SourceRole(job or job_name(name), operation)
        for event in _events(name, Judge(matcher, Limits(), {name: role}.__getitem__)):
            if as_json:
                print_json(event_json(event))
            else:
                _print(event)


def _events(name: str, judge: Judge) -> Iterator[Event]:
    """Judge one file line by line, so that a file of any size takes little memory."""
    streams: dict[str, Stream] = {}
    problem: SourceError | None = None
    try:
        for line in read_lines(name):
            judged = judge.lines(streams, (line,))
            streams.update(judged.streams)
            yield from judged.events
    except SourceError as error:
        problem = error  # what came before the damage counts
    yield from judge.finish(streams).events
    if problem is not None:
        raise ConfigError(str(problem))


def _print(event: Event) -> None:
    when = event.time.astimezone().isoformat(timespec="seconds")
    said = " | ".join(filter(None, (event.title, event.message)))
    click.echo(one_line(redact(f"{when} {event.level.name} {event.name} {event.job}: {said}")))
