"""What only the running service knows: what it counted, how far it has read, how it stands with TrueNAS. Values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from borgwatch.policy.deadman import Expectation
from borgwatch.service.heartbeat import Health, TrueNASState

__all__ = ["Live", "SourceState"]


@dataclass(frozen=True, slots=True)
class SourceState:
    """A log that is followed: its job, and what is known to be written but not yet read.

    `unread` is in bytes; `behind` is when the oldest of them can have been written, None if all was read.
    """

    source: str
    job: str
    unread: int = 0
    behind: datetime | None = None


@dataclass(frozen=True, slots=True)
class Live:
    """A moment of the running service. `events` and `deliveries` are counted since `started`."""

    version: str
    started: datetime
    health: Health
    truenas: TrueNASState
    sources: tuple[SourceState, ...] = ()
    events: Mapping[str, int] = field(default_factory=dict)
    deliveries: Mapping[str, int] = field(default_factory=dict)
    rules: int = 0
    own_rules: tuple[str, ...] = ()
    expect: tuple[Expectation, ...] = ()
