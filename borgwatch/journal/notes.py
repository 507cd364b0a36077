"""What the journal keeps beside the values of the pipeline: how delivery stands, when the service last worked, marks.

`DeliveryState`, `ServiceState`, `RuleExpectations`, `RejectedRules`, `ReviewMark` and `DailyMark` are single values:
each is kept under the name of its type, the newest in place of the one before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from borgwatch.model import Alert, Event
from borgwatch.policy.deadman import Expectation

__all__ = [
    "OFF",
    "DailyMark",
    "DeliveryState",
    "Recorded",
    "RejectedRules",
    "ReviewMark",
    "RuleExpectations",
    "ServiceState",
    "Standing",
    "last_words",
]

OFF = "off"


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """By which way people are told (`alert`, `mail`, `none`, `off`), since when, and why by no better one.

    `lost` says since when there is no session with TrueNAS, if there is none; the rung is that of the last one.
    """

    rung: str
    since: datetime
    lost: datetime | None = None
    reason: str = ""
    release: str = ""
    user: str = ""

    @property
    def is_off(self) -> bool:
        """Whether nobody is to be told of anything."""
        return self.rung == OFF


@dataclass(frozen=True, slots=True)
class ServiceState:
    """When the service was begun, when it last worked (noted each hour), and when it was stopped, if it is."""

    version: str
    started: datetime
    looked: datetime
    stopped: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReviewMark:
    """How far a person has reviewed: when, the newest event there was, and how many unclaimed lines."""

    time: datetime
    seq: int
    unclaimed: int = 0


@dataclass(frozen=True, slots=True)
class DailyMark:
    """How far the last daily summary went: when, the newest event, and the sums that had been counted."""

    time: datetime
    seq: int
    lines: int = 0
    unclaimed: int = 0


@dataclass(frozen=True, slots=True)
class RuleExpectations:
    """What the rule files in force expect to happen how often: who looks back need not read and compile them."""

    rows: tuple[Expectation, ...] = ()


@dataclass(frozen=True, slots=True)
class RejectedRules:
    """That rule files are wrong and not in force: since when, how many faults they have, the first of them.

    With `count` 0 all that there is is in force.
    """

    since: datetime
    count: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its number in the journal and what became of its alert (see `borgwatch.journal.schema`)."""

    seq: int
    event: Event
    delivery: str


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest alert of an operation of a job. `done`: read back, or (not `shown`) mailed instead."""

    alert: Alert
    done: bool
    shown: bool


def last_words(events: Iterable[Event]) -> list[Event]:
    """Keep of each run what was told of it last: one that stalled and ended well after all is one run, and no two."""
    return list({(event.job, event.run or event.id, event.run or event.time): event for event in events}.values())
