"""`borgwatch explain`: how one line was decoded, which rules were asked, why they did not match, what followed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from borgwatch.cli.judging import judge_options, sound_matcher
from borgwatch.cli.output import event_json, print_json
from borgwatch.config import load
from borgwatch.decode import decode
from borgwatch.errors import ConfigError, SourceError
from borgwatch.judge import Judge, SourceRole
from borgwatch.matching.explain import NearMiss, Trace, first_failure, near_misses, trace
from borgwatch.matching.rules import Rule
from borgwatch.matching.templates import one_line
from borgwatch.model import Event, FieldValue, Line, Position, Record, Signal
from borgwatch.policy.alerts import EventFilter
from borgwatch.redact import redact
from borgwatch.runs.machine import Limits
from borgwatch.runs.run import Run, Stream
from borgwatch.sources.oldlogs import STDIN, job_name, numbered_lines
from borgwatch.yamltree import nearest

__all__ = ["command"]

_ARGUMENT = "line"
_WIDTH = 400


@dataclass(frozen=True, slots=True)
class _Explanation:
    """All that is known of one line."""

    line: Line
    number: int
    record: Record
    signal: Signal | None
    rule: Rule | None
    asked: int
    conditions: Trace | None
    captures: Mapping[str, str]
    near: tuple[NearMiss, ...]
    before: Run | None
    after: Run | None
    events: tuple[Event, ...]
    at_the_end: tuple[Event, ...]
    wanted: EventFilter = field(default_factory=EventFilter)


@click.command("explain")
@click.argument("text", required=False, metavar="[LINE]")
@click.option("--file", "name", help="The log in which the line stands (- for standard input).")
@click.option("--line", "number", type=click.IntRange(1), help="The number of the line in --file; by default the last.")
@click.option("--rule", "rule_id", help="Show the conditions of this rule (pack.id), near or not.")
@judge_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    text: str | None,
    name: str | None,
    number: int | None,
    rule_id: str | None,
    job: str | None,
    operation: str,
    rule_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Explain what borgwatch makes of one LINE (- for the last line of standard input).

    With --file and --line, the lines before it are judged first: the run that they began is the context. A line that
    Docker wrote in several pieces is found by the number of each.
    """
    if (text is None) == (name is None):
        raise click.UsageError("name a LINE, or --file and --line")
    if number is not None and name is None:
        raise click.UsageError("--line belongs to --file")
    if text == STDIN:
        text, name = None, STDIN
    matcher = sound_matcher(rule_dirs)
    if rule_id is not None and rule_id not in (ids := {rule.id for rule in matcher.rules}):
        raise click.UsageError(f"there is no rule {rule_id!r}{nearest(rule_id, ids)}")
    role = SourceRole(job or (job_name(name) if name else "job"), operation)
    judge = Judge(matcher, Limits(), lambda _: role)
    found = _explain(judge, _lines(text, name), number, rule_id, name or _ARGUMENT)
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found)


def _lines(text: str | None, name: str | None) -> Iterator[tuple[int, Line]]:
    if name is not None:
        return numbered_lines(name)
    data = os.fsencode(text or "")
    return iter([(1, Line(_ARGUMENT, data, Position(0, 0, len(data) + 1), datetime.now(UTC)))])


def _explain(
    judge: Judge, lines: Iterator[tuple[int, Line]], number: int | None, rule_id: str | None, name: str
) -> _Explanation:
    """Judge the lines up to the one that is asked for."""
    streams: dict[str, Stream] = {}
    before: Run | None = None
    line: Line | None = None
    events: tuple[Event, ...] = ()
    count = 0
    try:
        for count, line in lines:
            before = _open_run(streams)
            judged = judge.lines(streams, (line,))
            streams.update(judged.streams)
            events = judged.events
            if number is not None and count >= number:
                break
    except SourceError as error:
        raise ConfigError(str(error)) from None
    if line is None or (number is not None and count < number):
        raise ConfigError(f"{name} has {count} lines" if count else f"{name} is empty")
    record = decode(line, judge.role_of(line.source).job)
    signal = judge.matcher.match(record, line)
    rules = judge.matcher.rules
    speaker = next((rule for rule in rules if signal is not None and rule.id == signal.rule), None)
    shown = next((rule for rule in rules if rule.id == rule_id), speaker)
    asked = rules.index(speaker) + 1 if speaker else len(rules)
    captures: dict[str, str] = {}
    if shown is not None and not shown.when.holds(record, captures):
        captures = {}
    return _Explanation(
        line=line,
        number=count,
        record=record,
        signal=signal,
        rule=shown,
        asked=asked,
        conditions=trace(shown.when, record) if shown else None,
        captures=captures,
        near=tuple(near_misses(rules[: asked - 1] if speaker else rules, record)) if rule_id is None else (),
        before=before,
        after=_open_run(streams),
        events=events,
        at_the_end=judge.finish(streams).events,
        wanted=load(os.environ).events,
    )


def _open_run(streams: dict[str, Stream]) -> Run | None:
    return next((stream.open for stream in streams.values()), None)


# -- as JSON --------------------------------------------------------------------------------------------------------


def _as_json(found: _Explanation) -> dict[str, Any]:
    record, signal = found.record, found.signal
    return {
        "source": found.line.source,
        "line": found.number,
        "raw": _plain(found.line.data.decode("utf-8", "replace")),
        "record": {
            "format": "json" if record.fields else "text",
            "text": redact(record.text),
            "level": record.level.name if record.level is not None else None,
            "logger": record.logger,
            "job": record.job,
            "time": record.time.isoformat() if record.time else None,
            "fields": _redacted(record.fields),
        },
        "asked": found.asked,
        "rule": signal.rule if signal else None,
        "conditions": _trace_json(found.conditions) if found.conditions else None,
        "captures": _redacted(found.captures),
        "near": [
            {"rule": miss.rule.id, "failed": _failed(miss.trace), "conditions": _trace_json(miss.trace)}
            for miss in found.near
        ],
        "signal": _signal_json(signal) if signal else None,
        "run": {"before": _run_json(found.before), "after": _run_json(found.after)},
        "events": [_event_json(event, found.wanted) for event in found.events],
        "at_the_end": [_event_json(event, found.wanted) for event in found.at_the_end],
    }


def _redacted(fields: Mapping[str, FieldValue] | Mapping[str, str]) -> dict[str, FieldValue]:
    return {name: redact(value) if isinstance(value, str) else value for name, value in fields.items()}


def _trace_json(node: Trace) -> dict[str, Any]:
    if node.parts:
        return {"says": node.says, "holds": node.holds, "parts": [_trace_json(part) for part in node.parts]}
    found = redact(node.found) if isinstance(node.found, str) else node.found
    return {"says": node.says, "holds": node.holds, "found": found}


def _failed(node: Trace) -> str:
    failed = first_failure(node)
    return failed.says if failed else ""


def _signal_json(signal: Signal) -> dict[str, Any]:
    return {
        "phase": signal.phase.value,
        "event": signal.event,
        "operation": signal.operation,
        "outcome": signal.outcome,
        "weight": signal.weight,
        "level": signal.level.name if signal.level is not None else None,
        "title": redact(signal.title),
        "message": redact(signal.message),
        "next_step": redact(signal.next_step),
        "captured": _redacted(signal.captured),
    }


def _run_json(run: Run | None) -> dict[str, Any] | None:
    if run is None:
        return None
    telling = run.telling
    return {
        "id": run.id,
        "operation": run.operation,
        "started": run.started.isoformat(),
        "outcome_so_far": telling.outcome if telling else None,
        "rule": telling.rule if telling else None,
        "message": redact(telling.message) if telling else None,
        "fields": _redacted(run.fields),
    }


def _event_json(event: Event, wanted: EventFilter) -> dict[str, Any]:
    return {**event_json(event), "notified": wanted.wants(event.name)}


# -- for people -----------------------------------------------------------------------------------------------------


def _print(found: _Explanation) -> None:
    _print_record(found)
    _print_rules(found)
    if found.signal is not None:
        _print_signal(found.signal)
    _print_run("run before", found.before)
    _print_run("run after", found.after)
    for title, events in (("event", found.events), ("at the end", found.at_the_end)):
        for event in events:
            _print_event(title, event, found.wanted)
    if not found.events and not found.at_the_end:
        _say("event", "none")


def _print_record(found: _Explanation) -> None:
    record = found.record
    place = f"{found.line.source}:{found.number}" if found.line.source != _ARGUMENT else "the line"
    _say("line", f"{place}: {_plain(found.line.data.decode('utf-8', 'replace'))}")
    _say("decoded", "as JSON" if record.fields else "as text")
    level = record.level.name if record.level is not None else None
    built_in = {"text": record.text, "level": level, "logger": record.logger, "time": record.time}
    for name, value in {**record.fields, **built_in}.items():
        if value not in ("", None):
            _say("", f"{name}: {value}")


def _print_rules(found: _Explanation) -> None:
    if found.signal is None:
        _say("rules", f"{found.asked} asked, none spoke")
    else:
        _say("rules", f"{found.signal.rule} spoke, {found.asked - 1} were asked before it")
    if found.rule is not None and found.conditions is not None:
        _say("", f"{found.rule.id} ({found.rule.place})")
        _print_trace(found.conditions, 1)
    for name, value in found.captures.items():
        _say("", f"  {name} = {value}")
    for miss in found.near:
        _say("near", f"{miss.rule.id} ({miss.rule.place}) failed at {_failed(miss.trace)}")
        _print_trace(miss.trace, 1)


def _print_signal(signal: Signal) -> None:
    run = " ".join(filter(None, ("run", signal.phase.value, signal.operation, signal.outcome)))
    _say("says", f"emit {signal.event}" if signal.event else run)
    details = {"title": signal.title, "message": signal.message, "next": signal.next_step, **signal.captured}
    if signal.weight:
        details["weight"] = signal.weight
    for name, value in details.items():
        if value not in ("", None):
            _say("", f"{name}: {value}")


def _print_run(title: str, run: Run | None) -> None:
    if run is None:
        return
    so_far = f", so far {run.telling.outcome} by {run.telling.rule}" if run.telling else ""
    began = run.started.astimezone().isoformat(timespec="seconds")
    _say(title, f"{run.operation or 'of a command that is not known yet'}, began {began}{so_far}")


def _print_event(title: str, event: Event, wanted: EventFilter) -> None:
    told = "would be notified" if wanted.wants(event.name) else "would not be notified (NOTIFY_EVENTS)"
    said = " | ".join(filter(None, (event.title, event.message)))
    _say(title, f"{event.level.name} {event.name} {event.job}: {said}: {told}")


def _print_trace(node: Trace, depth: int) -> None:
    found = ""
    if not node.parts and not node.holds:
        found = "  (not there)" if node.found is None else f"  (it is {_plain(repr(node.found), 80)})"
    _say("", f"{'  ' * depth}{'yes' if node.holds else 'NO '} {node.says}{found}")
    for part in node.parts:
        _print_trace(part, depth + 1)


def _say(title: str, what: str) -> None:
    indent = len(what) - len(what.lstrip(" "))
    click.echo(f"{title:11}{' ' * indent}{_plain(what)}".rstrip())


def _plain(text: str, limit: int = _WIDTH) -> str:
    """Make text fit for a terminal, wherever it comes from."""
    return one_line(redact(text), limit)
