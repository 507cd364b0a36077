"""Which rule speaks for a record, and what it says.

The first rule that matches speaks for the line; the rules of the user's files are asked before the shipped ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from borgwatch.decode import decode
from borgwatch.matching.conditions import field_value
from borgwatch.matching.needs import mentions
from borgwatch.matching.rules import Rule
from borgwatch.matching.shortlist import Shortlist
from borgwatch.matching.templates import one_line
from borgwatch.model import FieldValue, Line, Phase, Position, Record, Signal, is_event_name
from borgwatch.redact import redact

__all__ = ["Matcher", "Understood", "captured_by", "line_id"]

_CLOCK_SKEW = timedelta(days=1)  # zones and clocks that are a little off
_ZONES = timedelta(hours=15)  # no two zones that people live in are further apart, but for a few islands
_REMEMBERED, _MAX_REMEMBERED = 1024, 2048  # lines, and bytes of each
_NOWHERE = Position(0, 0, 0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_A_MOMENT = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Understood:
    """A line that was decoded and matched before it was known whose it is: the rule that speaks, and its captures."""

    record: Record
    rule: Rule | None
    captures: dict[str, str]


class Matcher:
    """The rules of all packs, in the order in which they are asked."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self.shortlist = Shortlist(self.rules)
        """Says which rules a line could match, by its bytes."""
        self._of_one_source = frozenset(rule.id for rule in rules if mentions(rule.when, ("job", "source")))
        self._understood: dict[bytes, Understood] = {}

    def foresee(self, data: bytes) -> Understood | None:
        """Decode and match a line whoever wrote it; None where it matters who did.

        Of lines that mean the same whenever they are read, the newest are remembered: they are about to be judged.
        """
        rules = self.shortlist.of(data)
        if any(rule.id in self._of_one_source for rule in rules):
            return None
        line = Line("", data, _NOWHERE, _EPOCH)
        record = decode(line, "")
        rule, captures = self.first(record, rules) or (None, {})
        understood = Understood(record, rule, captures)
        if data.startswith(b"{") and b"\r" not in data and len(data) <= _MAX_REMEMBERED:
            if len(self._understood) >= _REMEMBERED:
                self._understood.clear()
            self._understood[data] = understood
        return understood

    def judge(self, line: Line, job: str) -> tuple[Record, Signal | None]:
        """Decode a line of `job`, and find what the rules say of it."""
        known = self._understood.get(line.data) if line.written_at is None else None
        if known is None:
            record = decode(line, job)
            return record, self.match(record, line, self.shortlist.of(line.data))
        record = _of(known.record, line.source, job)
        return record, None if known.rule is None else _signal(known.rule, known.captures, record, line)

    def match(self, record: Record, line: Line, among: Sequence[Rule] | None = None) -> Signal | None:
        """Find the rule that speaks for `record`, which was decoded from `line`; None where none does.

        Only the rules `among` which it must be are asked, where they are known.
        """
        found = self.first(record, among)
        return None if found is None else _signal(*found, record, line)

    def first(self, record: Record, among: Sequence[Rule] | None = None) -> tuple[Rule, dict[str, str]] | None:
        """Find the rule that speaks for `record`, and what its patterns captured."""
        for rule in self.rules if among is None else among:
            captures: dict[str, str] = {}
            if rule.when.holds(record, captures):
                return rule, captures
        return None


def _of(known: Record, source: str, job: str) -> Record:
    """Say whose a record is; written out, for it is made for each line that is judged."""
    return Record(known.text, source, job, known.fields, known.level, known.logger, known.time, known.zoned)


def line_id(line: Line) -> str:
    """Digest a line and its place, 16 hex digits: stable over restarts, rotation and a second reading."""
    place = f"{line.source}\0{line.position.offset}\0".encode("utf-8", "surrogateescape")
    return blake2b(place + line.data, digest_size=8).hexdigest()


def _signal(rule: Rule, captures: dict[str, str], record: Record, line: Line) -> Signal | None:
    fields = _Fields(record, captures)
    event = rule.event.render(fields) if rule.event else None
    if event is not None and not is_event_name(event):
        return None  # the line names an event that does not exist: nobody recognised it
    kept: dict[str, FieldValue] = {name: redact(one_line(text)) for name, text in captures.items()} if event else {}
    kept.update(captured_by(rule, captures, record))
    return Signal(  # nothing that it says may hold a secret: it goes into journal, alert, mail, log and page
        rule=rule.id,
        phase=rule.phase,
        job=record.job,
        source=record.source,
        line_id=line_id(line),
        read_at=line.read_at,
        time=_believable(record, line),
        operation=rule.operation,
        outcome=rule.outcome,
        event=event,
        level=rule.level,
        title=redact(rule.title.render(fields)) if rule.title else "",
        message=redact(rule.message.render(fields)) if rule.message else _default_message(rule, record),
        next_step=redact(rule.next_step.render(fields)) if rule.next_step else "",
        weight=rule.weight,
        captured=kept,
        past=line.past,
    )


@dataclass(frozen=True, slots=True)
class _Fields:
    """What a template may name: what the patterns captured, the built-in fields, those of the line."""

    record: Record
    captures: Mapping[str, str]

    def get(self, name: str) -> FieldValue:
        return self.captures[name] if name in self.captures else field_value(self.record, name)


def captured_by(rule: Rule, captures: Mapping[str, str], record: Record) -> dict[str, FieldValue]:
    """Say what a rule keeps of a record; nothing of it holds a secret."""
    fields = _Fields(record, captures)
    found = {name: template.value(fields) for name, template in rule.captured.items()}
    return {name: redact(it) if isinstance(it, str) else it for name, it in found.items() if it is not None}


def _believable(record: Record, line: Line) -> datetime | None:
    """The line's own time, unless it lies in the future: that would keep the dead-man's switch quiet.

    A time without its zone may be off by as much as zones differ: unless it is older than that, or the line is one
    of the past, the time of reading is the better one.
    """
    time = record.time
    if time is None or time > line.read_at + _CLOCK_SKEW:
        return None
    if record.zoned or time < line.read_at - _ZONES:
        return time
    return time if line.past and time <= line.read_at + _A_MOMENT else None


def _default_message(rule: Rule, record: Record) -> str:
    """Unless the rule says otherwise, the line that tells is the message; a mere start or detail tells nothing."""
    return one_line(redact(record.text)) if rule.outcome is not None or rule.phase is Phase.EVENT else ""
