"""The values that travel through borgwatch, one type per arrow of the way of a line.

    sources → Line → decode → Record → matching → Signal → runs → Event → policy → Alert → delivery

All are frozen. Times are aware `datetime`s, spans are `timedelta`s, sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum, StrEnum

__all__ = [
    "EVENT_NAMES",
    "OPERATIONS",
    "Alert",
    "Event",
    "FieldValue",
    "Level",
    "Line",
    "Outcome",
    "Phase",
    "Position",
    "Record",
    "Signal",
    "is_event_name",
]

FieldValue = str | int | float | bool | None
"""What a field of a record can hold once nested objects have been flattened to dotted names."""

OPERATIONS = ("backup", "prune", "compact", "verify", "restore", "delete", "container")
"""The operations whose outcomes become events, `<operation>.<outcome>`."""


class Level(IntEnum):
    """How much an event matters, as TrueNAS and docker-borg-client name it."""

    INFO = 20
    NOTICE = 25
    WARNING = 30
    ERROR = 40
    CRITICAL = 50


class Outcome(StrEnum):
    """How a run, or the lack of one, is called."""

    STARTED = "started"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    SKIPPED = "skipped"
    STALLED = "stalled"
    MISSED = "missed"
    RECOVERED = "recovered"


class Phase(Enum):
    """Where in a run a signal stands; `EVENT` is a finished event that needs no run."""

    START = "start"
    DETAIL = "detail"
    END = "end"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading goes on: a file's identity, an offset, and the proof that the file is still that file.

    `anchor` proves the content that stands right before `offset`; its layout is the business of
    `borgwatch.sources.position` alone, and it is empty in the position of a `Line`.
    `skipping` says that `offset` stands in the rest of an over-long line. What ends at or before `past_until`
    was there before borgwatch first saw the file. `held` is what stands before `offset` and waits for the rest of its
    line; its layout is the business of `borgwatch.sources.docker`.
    """

    device: int
    inode: int
    offset: int
    anchor: bytes = b""
    skipping: bool = False
    past_until: int = 0
    held: bytes = b""


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was written: `data` has no line end.

    `read_at` is when it was read, or when its file was last changed if that was before: no line is newer than that.
    `written_at` is known where whoever wrote it down says so.
    """

    source: str
    data: bytes
    position: Position
    read_at: datetime
    written_at: datetime | None = None

    @property
    def past(self) -> bool:
        """Whether it was there before borgwatch first saw its file: to learn from, not to alert about."""
        return self.position.offset <= self.position.past_until


@dataclass(frozen=True, slots=True)
class Record:
    """A line that has been understood as far as its format goes.

    `text` is what a person would read (for JSON, its message); `fields` holds everything that the format
    names, nested objects flattened to dotted names. `time` is None where the line carries none; `zoned` is False where
    it was written without its zone and read as local time.
    """

    text: str
    source: str
    job: str
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    level: Level | None = None
    logger: str = ""
    time: datetime | None = None
    zoned: bool = True


@dataclass(frozen=True, slots=True)
class Signal:
    """What a rule says of a line: a place in a run, or a finished event (`phase` EVENT, `event` set).

    `line_id` is a digest of the line and its place: the same line read again gives the same one. `time` is the
    line's own time where it has one, `read_at` when it was read. `message` is what the line tells, already
    rendered; `next_step` what the user may do about it; `captured` goes into the fields of the run or event.
    """

    rule: str
    phase: Phase
    job: str
    source: str
    line_id: str
    read_at: datetime
    time: datetime | None = None
    operation: str | None = None
    outcome: Outcome | None = None
    event: str | None = None
    level: Level | None = None
    title: str = ""
    message: str = ""
    next_step: str = ""
    weight: int = 0
    captured: Mapping[str, FieldValue] = field(default_factory=dict)
    past: bool = False

    @property
    def seen_at(self) -> datetime:
        """The best known time of what the line tells."""
        return self.time or self.read_at


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a user may want to know, such as `backup.failure`.

    `id` is stable: the same lines read again give the same id. `run` is the id of the run it tells of, or "".
    `past` marks what happened before borgwatch was there: it is learnt from, and nobody is told.
    """

    id: str
    name: str
    level: Level
    job: str
    title: str
    message: str
    time: datetime
    rule: str
    source: str
    run: str = ""
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    past: bool = False

    @property
    def operation(self) -> str:
        """The part of the name before the dot."""
        return self.name.partition(".")[0]

    @property
    def outcome(self) -> str:
        """The part of the name after the dot."""
        return self.name.partition(".")[2]


@dataclass(frozen=True, slots=True)
class Alert:
    """The state that TrueNAS is to show for one key: raised with a text, or cleared.

    `event_id` names the event that made it so ("": none, it is not expected any more); a later alert of the same key
    takes its place. `renotify` asks that people are told anew; otherwise an alert that already stands is refreshed in
    silence. Of a cleared one it says that there was something to clear: the bell shows that by itself, a mail has to
    say it.
    """

    key: str
    job: str
    operation: str
    outcome: str
    level: Level
    text: str
    raised: bool
    event_id: str
    time: datetime
    renotify: bool = True


_OTHER_EVENTS = frozenset({"container.startup", "container.shutdown", "lock.stale", "ssh.failure"})
EVENT_NAMES = frozenset(f"{operation}.{outcome}" for operation in OPERATIONS for outcome in Outcome) | _OTHER_EVENTS
"""Every event name that borgwatch and docker-borg-client use."""


def is_event_name(name: str) -> bool:
    """Say whether `name` is one of the known event names."""
    return name in EVENT_NAMES
