"""What a rule file holds once it has been read: values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from borgwatch.matching.conditions import Condition
from borgwatch.matching.templates import Template
from borgwatch.model import FieldValue, Level, Outcome, Phase
from borgwatch.policy.deadman import Expectation

__all__ = ["Pack", "Rule", "Sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """Real lines that stand beside a rule, and what must come of them.

    `hits` says whether the rule must speak for one of the lines or must keep silent. `event` holds what the last
    event of these lines must be like (only the keys given are compared); empty where only the hit is asked.
    `place` is the sample's `file:line:column`; `source` and `job` say where the lines come from.
    """

    lines: tuple[str, ...]
    place: str
    hits: bool = True
    event: Mapping[str, FieldValue] = field(default_factory=dict)
    source: str = "sample"
    job: str = "sample"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `id` is `<pack>.<id in its file>`; `place` its `file:line:column`.

    `phase` EVENT comes with `event`, the name of the finished event (a template); the other phases speak of a run.
    `cooldown` and `fold` say how its repetitions are told (see `borgwatch.policy.folding`).
    """

    id: str
    place: str
    when: Condition
    phase: Phase
    operation: str | None = None
    outcome: Outcome | None = None
    event: Template | None = None
    level: Level | None = None
    title: Template | None = None
    message: Template | None = None
    next_step: Template | None = None
    captured: Mapping[str, Template] = field(default_factory=dict)
    weight: int = 0
    cooldown: timedelta | None = None
    fold: timedelta | None = None
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class Pack:
    """What one file holds: its rules in their order, the ids that it switches off (with their places), what it expects.

    `disabled` holds ids of rules of the same pack name in files that were loaded before.
    """

    name: str
    place: str
    rules: tuple[Rule, ...]
    disabled: Mapping[str, str] = field(default_factory=dict)
    expectations: tuple[Expectation, ...] = ()
    shipped: bool = False
