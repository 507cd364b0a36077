"""What ended runs and finished signals are called: names, titles, levels and messages of events. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from hashlib import blake2b

from borgwatch.model import OPERATIONS, Event, FieldValue, Level, Outcome, Signal, is_event_name
from borgwatch.runs.run import Evidence, Run

__all__ = [
    "LEVELS",
    "duration_of",
    "event_of_run",
    "event_of_signal",
    "human_bytes",
    "human_seconds",
    "human_span",
    "noun_of",
    "number_of",
    "title_of",
    "whole_of",
]

LEVELS: Mapping[str, Level] = {
    Outcome.STARTED: Level.INFO,
    Outcome.SUCCESS: Level.INFO,
    Outcome.WARNING: Level.WARNING,
    Outcome.FAILURE: Level.CRITICAL,
    Outcome.SKIPPED: Level.WARNING,
    Outcome.STALLED: Level.ERROR,
    Outcome.MISSED: Level.ERROR,
    Outcome.RECOVERED: Level.NOTICE,
    "stale": Level.WARNING,
}
"""The level of an event by its outcome, where no rule says otherwise."""

_NOUNS = {
    "backup": "Backup",
    "prune": "Prune",
    "compact": "Compaction",
    "verify": "Verification",
    "restore": "Restore Drill",
    "delete": "Delete",
    "container": "Backup Container",
}
_VERBS: Mapping[str, str] = {
    Outcome.STARTED: "Started",
    Outcome.SUCCESS: "Successful",
    Outcome.WARNING: "Finished With Warnings",
    Outcome.FAILURE: "Failed",
    Outcome.SKIPPED: "Skipped",
    Outcome.STALLED: "Stalled",
    Outcome.MISSED: "Missed",
    Outcome.RECOVERED: "Recovered",
    "startup": "Started",
    "shutdown": "Stopping",
}
_VAGUE = 5
"""Evidence of less weight says that something broke, but not what."""
_LONGEST = 1e9
"""Seconds that a run may last: 31 years."""
_SILENT = frozenset({("delete", Outcome.SUCCESS), ("delete", Outcome.WARNING)})
"""Outcomes of housekeeping that nobody wants to hear of."""


def title_of(name: str) -> str:
    """Say an event's name in words, as docker-borg-client does: `Borg Backup Failed`."""
    operation, _, outcome = name.partition(".")
    return f"Borg {noun_of(operation)} {_VERBS.get(outcome, outcome.title())}"


def noun_of(operation: str) -> str:
    """Name an operation as a thing: `Backup`, `Restore Drill`."""
    return _NOUNS.get(operation, operation.title())


def event_of_signal(signal: Signal) -> Event:
    """Make the event of a rule that emits one (`signal.event` is set)."""
    name = signal.event or ""
    return Event(
        id=_digest(signal.line_id, name),
        name=name,
        level=signal.level or LEVELS.get(name.partition(".")[2], Level.INFO),
        job=signal.job,
        title=signal.title or title_of(name),
        message=signal.message,
        time=signal.seen_at,
        rule=signal.rule,
        source=signal.source,
        fields=_with_next_step(_sane(signal.captured), signal.next_step),
        past=signal.past,
    )


def event_of_run(run: Run) -> Event | None:
    """Make the event of a run that ended; None for what nobody asks after (a `borg list`, a good `borg delete`)."""
    name = f"{run.operation}.{run.outcome}"
    if run.outcome is None or run.operation not in OPERATIONS or not is_event_name(name):
        return None
    if (run.operation, run.outcome) in _SILENT:
        return None
    told = _most_telling(run)
    fields: dict[str, FieldValue] = dict(run.fields)
    said, of_borg = fields.pop("duration", None), fields.pop("borg_duration", None)
    if (duration := duration_of(said, of_borg, run.ended - run.started)) is not None:
        fields["duration"] = duration
    if run.warnings:
        fields["warnings"] = run.warnings
    if run.errors:
        fields["errors"] = run.errors
    return Event(
        id=_digest(run.id, name),
        name=name,
        level=(told.level if told else None) or LEVELS[run.outcome],
        job=run.job,
        title=(told.title if told else "") or title_of(name),
        message=_message(run, told, fields),
        time=run.ended,
        rule=told.rule if told else "",
        source=run.source,
        run=run.id,
        fields=_with_next_step(fields, told.next_step if told else ""),
        past=run.past,
    )


def duration_of(said: FieldValue, of_borg: FieldValue, elapsed: timedelta) -> FieldValue:
    """Say how long a run took: by Borg's own statement, by what else was said, or by the times of its lines."""
    duration = said if of_borg is None or (span := _seconds(of_borg)) is None else span
    if duration is not None and _is_sane(duration):
        return duration
    seconds = elapsed.total_seconds()
    return round(seconds, 3) if seconds > 0 else None  # lines without a time that were read at once tell nothing of it


def number_of(value: FieldValue) -> float | None:
    """The value as a number, if it is one."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def whole_of(value: FieldValue) -> int | None:
    """The value as a whole number, if it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _sane(fields: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    return {name: value for name, value in fields.items() if name != "duration" or _is_sane(value)}


def _is_sane(duration: FieldValue) -> bool:
    """Tell a duration that no run has: a log may write any number there, and one that is none."""
    return not isinstance(duration, int | float) or 0 <= duration <= _LONGEST


def _seconds(text: FieldValue) -> float | None:
    """Read the `days:hours:minutes:seconds` that rules make of Borg's own statement of a long duration."""
    try:
        days, hours, minutes, seconds = (float(part) for part in str(text).split(":"))
    except ValueError:
        return None
    return round(((days * 24 + hours) * 60 + minutes) * 60 + seconds, 3)


def _most_telling(run: Run) -> Evidence | None:
    """The line that gave the run its outcome; what led to it says more than the closing line, unless all went well."""
    trouble = run.telling is not None and run.telling.outcome is not Outcome.SUCCESS
    return run.telling if trouble or run.closing is None else run.closing


def _message(run: Run, told: Evidence | None, fields: Mapping[str, FieldValue]) -> str:
    if run.outcome is Outcome.SUCCESS:
        return _summary(fields)
    if run.outcome is Outcome.STALLED:
        return f"It began at {run.started.isoformat(timespec='seconds')} and then fell silent"
    message = (told.message if told else "") or _summary(fields)
    is_vague = told is not None and told.weight < _VAGUE
    cause = fields.get("cause") or (fields.get("exception") if is_vague else None)
    return f"{message} ({cause})" if cause and str(cause) not in message else message


def _summary(fields: Mapping[str, FieldValue]) -> str:
    """Say the figures of a run in the words of docker-borg-client: `Archive: …, Duration: …s`."""
    parts = []
    if archive := fields.get("archive"):
        parts.append(f"Archive: {archive}")
    if isinstance(duration := fields.get("duration"), int | float):
        parts.append(f"Duration: {human_seconds(duration)}")
    if isinstance(files := fields.get("files"), int):
        parts.append(f"Files: {files}")
    if isinstance(size := fields.get("original_size"), int):
        parts.append(f"Size: {human_bytes(size)}")
    if isinstance(added := fields.get("deduplicated_size"), int):
        parts.append(f"Added: {human_bytes(added)}")
    return ", ".join(parts)


def human_seconds(seconds: float) -> str:
    """Write a span as people say it: `842s`, `3.2s`, `0.02s`."""
    digits = 0 if seconds >= 10 else 1 if seconds >= 1 else 2  # noqa: PLR2004 - parts matter below ten
    return f"{seconds:.{digits}f}s"


def human_span(span: timedelta) -> str:
    """Write a long span in its two largest units: `3 days 4 hours`, `12 minutes`."""
    left, parts = int(span.total_seconds()), []
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}{'s' if count > 1 else ''}")
    return " ".join(parts[:2]) or "0 seconds"


def human_bytes(size: float) -> str:
    """Write a size with a decimal unit, as Borg does: `2.48 MB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(size) < 1000:  # noqa: PLR2004 - the step between decimal units
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.2f} {unit}"
        size /= 1000
    return f"{size:.2f} PB"


def _with_next_step(fields: Mapping[str, FieldValue], next_step: str) -> Mapping[str, FieldValue]:
    return {**fields, "next_step": next_step} if next_step else fields


def _digest(*parts: str) -> str:
    return blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()
