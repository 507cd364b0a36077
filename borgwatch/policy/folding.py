"""Repetitions: what `fold` and `cooldown` of a rule do to its events. Pure.

`fold` collects: the first event opens a window, and when it closes, one event with the count leaves. It works on
finished events before anything else sees them. `cooldown` keeps quiet: once an event was told, the same event of the
same job waits, and when the span is over, the newest that waits is told with the count, unless a success has come
in between. It decides about telling only; the events themselves count as always.

What waits is a `Held`; the journal keeps it, so a restart changes nothing. Events, what is held and the time come in;
events and what is held now leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from borgwatch.matching.rules import Rule
from borgwatch.model import Event, Outcome

__all__ = ["Held", "Key", "Passed", "Repetition", "cool", "fold", "repetitions"]

Key = tuple[str, str, str, str]
"""The kind (`fold`, `cooldown`), job, name and rule of events that repeat each other."""

FOLD = "fold"
COOLDOWN = "cooldown"


@dataclass(frozen=True, slots=True)
class Repetition:
    """What a rule says of repetitions."""

    fold: timedelta | None = None
    cooldown: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What waits of one `key`: the newest event, how many there were since when, and until when they wait.

    `told` is when such an event was last told; `first` the id of the first that waits.
    """

    key: Key
    told: datetime | None = None
    event: Event | None = None
    first: str = ""
    since: datetime | None = None
    count: int = 0
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Passed:
    """What leaves: the events that go on, and what is held now (None: nothing any more) where that has changed."""

    events: tuple[Event, ...] = ()
    held: Mapping[Key, Held | None] = field(default_factory=dict)


def repetitions(rules: Iterable[Rule]) -> dict[str, Repetition]:
    """Look up what rules say of repetitions, by their ids; those that say nothing are left out."""
    return {rule.id: Repetition(rule.fold, rule.cooldown) for rule in rules if rule.fold or rule.cooldown}


def fold(events: Iterable[Event], held: Mapping[Key, Held], rules: Mapping[str, Repetition], now: datetime) -> Passed:
    """Collect events of rules that say `fold`; let those leave whose window has closed."""
    state: dict[Key, Held | None] = {}
    out = []
    for event in events:
        span = rules.get(event.rule, Repetition()).fold
        if span is None or event.past or event.run:
            out.append(event)
            continue
        key = (FOLD, event.job, event.name, event.rule)
        begun = state.get(key) or held.get(key) or Held(key)
        state[key] = _add(begun, event, begun.due or now + span)
    for waiting in _all(FOLD, held, state):
        if _is_due(waiting, rules, now):
            out.extend(_counted(waiting))
            state[waiting.key] = None
    return Passed(tuple(out), state)


def cool(events: Iterable[Event], held: Mapping[Key, Held], rules: Mapping[str, Repetition], now: datetime) -> Passed:
    """Leave out what is not to be told (again) yet; let leave what has waited long enough."""
    state: dict[Key, Held | None] = {}
    out = []
    for event in events:
        if event.outcome == Outcome.SUCCESS and not event.past:
            _forget(event, held, state)
        span = rules.get(event.rule, Repetition()).cooldown
        if span is None or event.past:
            out.append(event)
            continue
        key = (COOLDOWN, event.job, event.name, event.rule)
        known = state.get(key) or held.get(key)
        if known is not None and known.told is not None and timedelta() <= now - known.told < span:
            state[key] = _add(known, event, known.told + span)
        else:
            out.append(event)
            state[key] = Held(key, told=now)
    for waiting in _all(COOLDOWN, held, state):
        if _is_due(waiting, rules, now):
            out.extend(_counted(waiting))
            state[waiting.key] = Held(waiting.key, told=now) if waiting.event is not None else None
    return Passed(tuple(out), state)


def _all(kind: str, held: Mapping[Key, Held], state: Mapping[Key, Held | None]) -> list[Held]:
    """List what waits now: what was held, with what has changed since."""
    return [waiting for key, waiting in {**held, **state}.items() if key[0] == kind and waiting is not None]


def _add(waiting: Held, event: Event, due: datetime) -> Held:
    return replace(
        waiting,
        event=event,
        first=waiting.first or event.id,
        since=waiting.since or event.time,
        count=waiting.count + 1,
        due=due,
    )


def _is_due(waiting: Held, rules: Mapping[str, Repetition], now: datetime) -> bool:
    """Say whether the wait is over; also where the clock was set back, or the rule says nothing of it any more."""
    says = rules.get(waiting.key[3], Repetition())
    span = says.fold if waiting.key[0] == FOLD else says.cooldown
    if span is None:
        return True
    due = waiting.due or (waiting.told or now) + span
    return now >= due or due - now > span


def _counted(waiting: Held) -> Iterable[Event]:
    """Make one event of those that wait: the newest, with the count, and the id of the first."""
    event = waiting.event
    if event is None or waiting.since is None:
        return
    if waiting.count > 1:
        since = waiting.since.isoformat(timespec="seconds")
        fields = {**event.fields, "count": waiting.count, "first": since}
        message = f"{event.message} ({waiting.count} times since {since})".lstrip()
        event = replace(event, message=message, fields=fields)
    yield replace(event, id=waiting.first)


def _forget(success: Event, held: Mapping[Key, Held], state: dict[Key, Held | None]) -> None:
    """A success takes away what waits of its operation; what was told is remembered."""
    for waiting in _all(COOLDOWN, held, state):
        event = waiting.event
        if event is not None and (event.job, event.operation) == (success.job, success.operation):
            state[waiting.key] = Held(waiting.key, told=waiting.told)
