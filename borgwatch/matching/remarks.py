"""What is sound in rule files and yet most likely not meant, for people who write rules. Pure.

A rule of the user's that speaks for nearly every line leaves nothing for the rules after it, whatever its pattern looks
like: so it is tried on the sample lines of the shipped packs. A rule that was to take the place of a shipped one, but
is misspelt, stands beside it and changes nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from borgwatch.decode import decode
from borgwatch.matching.conditions import AllOf, AnyOf, Condition, FieldTest, Not
from borgwatch.matching.load import RuleSet
from borgwatch.matching.rules import Pack, Rule
from borgwatch.model import Line, Position, Record

__all__ = ["Remark", "remarks"]

_NEARLY_ALL = 0.8
_ALIKE = 0.8
"""How much alike two names must be for one to be taken for the other, misspelt."""
_PLACES = ("job", "source")
_ANY = AllOf(())
_READ_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Remark:
    """One remark on the rule with this id, which stands at `place`."""

    rule: str
    place: str
    what: str


def remarks(rules: RuleSet) -> tuple[Remark, ...]:
    """Look at the user's rules, in the order of files and in files."""
    own = [pack for pack in rules.packs if not pack.shipped and pack.rules]
    return tuple(remark for pack in own for remark in _of_pack(pack, rules)) if own else ()


def _of_pack(pack: Pack, rules: RuleSet) -> Iterator[Remark]:
    shipped = [other for other in rules.packs if other.shipped]
    lines = [record for other in shipped if other.name != pack.name for record in _sample_records(other)]
    for rule in pack.rules:
        if what := _catches_all(rule, lines) or _misspelt(rule, pack, shipped):
            yield Remark(rule.id, rule.place, what)


def _sample_records(pack: Pack) -> Iterator[Record]:
    for text in {text for rule in pack.rules for sample in rule.samples for text in sample.lines}:
        yield decode(Line("", text.encode("utf-8", "surrogateescape"), Position(0, 0, 0), _READ_AT), "")


def _catches_all(rule: Rule, lines: Collection[Record]) -> str:
    when, left_out = _anywhere(rule.when), 0
    for record in lines:
        left_out += not when.holds(record, {})
        if left_out >= (1 - _NEARLY_ALL) * len(lines):
            return ""  # which is soon known of nearly every rule
    found = len(lines) - left_out
    count = f"{found} of the {len(lines)} sample lines of other packs"
    return f"it speaks for {count}: wherever it is asked, hardly a line is left for the rules after it"


def _anywhere(condition: Condition) -> Condition:
    """Leave out what is asked of the job and the source: the question is which of their lines it speaks for."""
    if isinstance(condition, FieldTest):
        return _ANY if condition.field in _PLACES else condition
    if isinstance(condition, Not):
        part = _anywhere(condition.part)
        return _ANY if part == _ANY else Not(part)
    if isinstance(condition, AllOf):
        return AllOf(tuple(map(_anywhere, condition.parts)))
    return AnyOf(tuple(map(_anywhere, condition.parts))) if isinstance(condition, AnyOf) else condition


def _misspelt(rule: Rule, pack: Pack, shipped: Collection[Pack]) -> str:
    """Tell of a rule that has nearly the id of a shipped one; exactly that id takes its place."""
    name = rule.id.removeprefix(f"{pack.name}.")
    for other in shipped:
        ids = [known.id.removeprefix(f"{other.name}.") for known in other.rules]
        if other.name == pack.name and name not in ids:
            if close := difflib.get_close_matches(name, ids, n=1, cutoff=_ALIKE):
                return f"it is a new rule beside the shipped ones of {pack.name} (did you mean {close[0]!r}?)"
        elif other.name != pack.name and name in ids and difflib.get_close_matches(pack.name, [other.name], 1, _ALIKE):
            return f"it is a new rule of the new pack {pack.name!r} (did you mean the shipped pack {other.name!r}?)"
    return ""
