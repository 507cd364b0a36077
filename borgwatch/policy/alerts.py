"""Which events a user hears of, and what TrueNAS is to show for each job. Pure.

Events come in with the alert that stands for their job and operation; the alert as it is to be now leaves.
There is one alert for each job and operation: trouble raises it, more of the same refreshes it, success clears it.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b

from borgwatch.model import Alert, Event, Outcome
from borgwatch.policy.jobs import TROUBLE, JobState

__all__ = [
    "DEFAULT_EVENTS",
    "EventFilter",
    "alert_for",
    "alert_key",
    "alert_text",
    "taken_back",
    "unknown_patterns",
]

DEFAULT_EVENTS = ("*.failure", "*.error", "*.missed", "*.stalled")
"""What a user hears of who chose nothing."""

_MAX_KEY = 200
_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9._ @+-]")
_PHRASES: Mapping[str, str] = {
    Outcome.SUCCESS: "succeeded",
    Outcome.WARNING: "finished with warnings",
    Outcome.FAILURE: "failed",
    Outcome.SKIPPED: "was skipped",
    Outcome.STALLED: "stalled",
    Outcome.MISSED: "did not run",
    Outcome.RECOVERED: "works again",
}


@dataclass(frozen=True, slots=True)
class EventFilter:
    """The names of `NOTIFY_EVENTS`; `*` stands for any letters, so `backup.*` and `*.failure` work."""

    patterns: tuple[str, ...] = DEFAULT_EVENTS

    def wants(self, name: str) -> bool:
        """Say whether the user asked to hear of events of this name."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.patterns)


def alert_key(instance: str, job: str, operation: str) -> str:
    """Name the alert of a job and operation: `borgwatch:<instance>:<job>[:<operation>]`, ASCII, at most 200 long.

    Where a name had to be changed to fit, a digest keeps the keys of different jobs apart.
    """
    parts = ["borgwatch", instance, job]
    if operation != "backup":
        parts.append(operation)
    plain = [_NOT_IN_KEYS.sub("_", part) for part in parts]
    key = ":".join(plain)
    if plain == parts and len(key) <= _MAX_KEY:
        return key
    digest = blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{key[: _MAX_KEY - len(digest) - 1]}~{digest}"


def alert_for(event: Event, current: Alert | None, wanted: EventFilter, instance: str) -> Alert | None:
    """Decide what TrueNAS is to show after `event`; None where it need not change.

    `current` is the alert that stands for the same job and operation, if there ever was one. A success that the
    user asked to hear of is raised in its turn, anew each time; otherwise success takes away what was raised, and the
    first one also what may stand there from before the journal was begun. A warning leaves a
    failure standing unless the user hears of warnings too: only success proves that all is well.
    """
    wants = wanted.wants(event.name)
    is_raised = current is not None and current.raised
    clears = event.outcome == Outcome.SUCCESS and (is_raised or current is None)
    if not wants and not clears:
        return None
    return Alert(
        key=alert_key(instance, event.job, event.operation),
        job=event.job,
        operation=event.operation,
        outcome=event.outcome,
        level=event.level,
        text=alert_text(event),
        raised=wants,
        renotify=(wants or is_raised) and not (current is not None and is_raised and _is_repetition(event, current)),
        event_id=event.id,
        time=event.time,
    )


def taken_back(alert: Alert | None, state: JobState, now: datetime) -> Alert | None:
    """Clear the alert of a run that did not come and is not waited for any more; None where it need not change.

    Where the last run failed, the alert stands for that as well, and stays until a success.
    """
    if alert is None or not alert.raised or alert.outcome != Outcome.MISSED or state.last_outcome in TROUBLE:
        return None
    text = f"Borg {alert.operation} of {alert.job} is not overdue any more{_stamp(now)}: something else is expected now"
    return replace(alert, text=text, raised=False, renotify=True, event_id="", time=now)


def _is_repetition(event: Event, current: Alert) -> bool:
    """Trouble that goes on is told once; news are a reminder, and each success that somebody asked to hear of."""
    is_news = event.outcome in (Outcome.SUCCESS, Outcome.RECOVERED) or bool(event.fields.get("reminder"))
    return current.outcome == event.outcome and not is_news


def alert_text(event: Event) -> str:
    """Say an event in one line whose first sentence carries the message; not yet escaped for anything.

    The time makes the texts of different events different: what is read back is then proof of this very one.
    """
    phrase = _PHRASES.get(event.outcome)
    head = f"Borg {event.operation} of {event.job} {phrase}" if phrase else f"{event.title} ({event.job})"
    head += _stamp(event.time)
    body = event.message.strip().rstrip(".")
    step = str(event.fields.get("next_step") or "").strip()
    return ". ".join(part for part in (f"{head}: {body}" if body else head, _streak(event), step) if part)


def _stamp(time: datetime) -> str:
    return time.astimezone().strftime(" (%Y-%m-%d %H:%M:%S)")


def _streak(event: Event) -> str:
    """Say how often it has failed in a row."""
    count, since = event.fields.get("failures"), str(event.fields.get("failing_since"))
    if event.outcome not in (Outcome.FAILURE, Outcome.STALLED) or not isinstance(count, int):
        return ""
    return f"It has failed {count} times since {datetime.fromisoformat(since).astimezone():%Y-%m-%d %H:%M}"


def unknown_patterns(patterns: Iterable[str], known: Iterable[str]) -> list[str]:
    """List the patterns of a filter that no known event can ever match."""
    known = tuple(known)
    return [pattern for pattern in patterns if not any(fnmatch.fnmatchcase(name, pattern) for name in known)]
