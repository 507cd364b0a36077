"""A sign of life for `borgwatch healthcheck`: the service writes it, another process reads and judges it.

The sign is a small file in a directory that need not outlive the process (`BORGWATCH_RUN`, best a tmpfs), named after
the state directory, so that several services on one machine do not write over each other's. Its age is measured by
the clock that runs since the machine was started: a clock that is set leaves it alone.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import msgspec

from borgwatch import __version__
from borgwatch.errors import SourceError
from borgwatch.spans import short_span

__all__ = [
    "Beat",
    "Condition",
    "Health",
    "Heart",
    "Link",
    "TrueNASState",
    "health",
    "heartbeat_path",
    "read_beat",
    "with_state",
]

_EVERY = 10.0  # seconds between two writings when nothing changed
_GRACE = 60.0  # seconds that a step may take: a slow network file system, a long log
_LONGEST = 64 << 10
_NAMED = 3  # sources that cannot be read, and faults of rule files, that are named; the log has them all


class Link(StrEnum):
    """How it stands with TrueNAS."""

    OFF = "off"
    UNUSABLE = "unusable"
    AWAY = "away"
    CONNECTED = "connected"


@dataclass(frozen=True, slots=True)
class TrueNASState:
    """The link, the best way of telling people that it offers (`alert`, `mail` or `none`), and what breaks it.

    `trouble` is a word of the table in `borgwatch.truenas.errors`, not its message: that may name hosts.
    """

    link: Link
    rung: str = "none"
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Beat:
    """One sign of life. `wrong` is why the last step failed (empty: it did not); `poll` and `monotonic` are seconds.

    `unread` names some of the `unread_count` sources and directories that cannot be read, and says why; `rejected` some
    of the `rejected_count` faults of rule files that are not in force.
    """

    time: datetime
    monotonic: float
    poll: float
    wrong: str
    truenas: TrueNASState
    truenas_since: datetime
    queue: int
    unread: tuple[str, ...] = ()
    unread_count: int = 0
    rejected: tuple[str, ...] = ()
    rejected_count: int = 0


class Condition(StrEnum):
    """What a container's engine is told: only `unhealthy` may make it restart borgwatch."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Health:
    """The verdict, and why, in one sentence."""

    condition: Condition
    reason: str


def health(beat: Beat, now: datetime, monotonic: float) -> Health:
    """Judge a sign of life. Pure.

    What a restart may mend is unhealthy: a watcher that is stuck, a journal that cannot be written. TrueNAS being away
    is not: nothing is lost meanwhile, and a restart brings it no nearer. Neither is a source that cannot be read, or a
    rule file that is wrong.
    """
    age = monotonic - beat.monotonic
    if age < 0:
        return Health(Condition.UNHEALTHY, "the last sign of life is from before this machine was started")
    if age > _GRACE + 3 * beat.poll:
        return Health(Condition.UNHEALTHY, f"the watcher is stuck: no sign of life for {_span(age)}")
    if beat.wrong:
        return Health(Condition.UNHEALTHY, beat.wrong)
    delivery = _delivery(beat, now)
    troubles = []
    if beat.unread_count:
        troubles.append(_listed(beat.unread_count, "source", "cannot be read", beat.unread))
    if beat.rejected_count:
        troubles.append(_listed(beat.rejected_count, "fault", "in rule files, which are not in force", beat.rejected))
    if not troubles:
        return delivery
    return Health(Condition.DEGRADED, "; ".join((*troubles, delivery.reason)))


def _listed(count: int, thing: str, what: str, named: Sequence[str]) -> str:
    and_more = ", ..." if count > len(named) else ""
    return f"{count} {thing}{'s' if count != 1 else ''} {what}: {', '.join(named)}{and_more}"


def _delivery(beat: Beat, now: datetime) -> Health:
    link, rung = beat.truenas.link, beat.truenas.rung
    waiting = f"; {beat.queue} alert{'s wait' if beat.queue != 1 else ' waits'}" if beat.queue else ""
    if link is Link.OFF:
        return Health(Condition.HEALTHY, "watching and logging; NOTIFY_TRUENAS_ENABLED is not true")
    if link is Link.UNUSABLE:
        return Health(Condition.DEGRADED, f"address or API key of TrueNAS is missing or wrong{waiting}")
    if link is Link.AWAY:
        since = _span((now - beat.truenas_since).total_seconds())
        trouble = f" ({beat.truenas.trouble})" if beat.truenas.trouble else ""
        return Health(Condition.DEGRADED, f"TrueNAS has been away for {since}{trouble}{waiting}")
    if rung == "none":
        return Health(Condition.DEGRADED, f"the API key may neither make alerts nor send mail{waiting}")
    way = "alerts are read back" if rung == "alert" else "mails in place of alerts"
    return Health(Condition.HEALTHY, f"connected to TrueNAS, {way}{waiting}")


def with_state(verdict: Health, state: Path) -> Health:
    """Add to a verdict what a look at the state directory shows."""
    if verdict.condition is not Condition.UNHEALTHY and not os.access(state, os.W_OK | os.X_OK):
        return Health(Condition.UNHEALTHY, f"the state directory {state} can no longer be written")
    return verdict


def _span(seconds: float) -> str:
    return short_span(timedelta(seconds=max(0, round(seconds))))


def heartbeat_path(directory: Path, state: Path) -> Path:
    """Name the file of the service that keeps its journal in `state`."""
    name = hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:12]
    return directory / f"borgwatch-{name}.heartbeat"


class Heart:
    """Writes a sign of life when something changed, and every ten seconds."""

    def __init__(self, path: Path, poll: timedelta) -> None:
        self._path = path
        self._poll = poll.total_seconds()
        self._last: Beat | None = None

    @property
    def last(self) -> Beat | None:
        """The last sign of life, if there was one."""
        return self._last

    def beat(
        self,
        wrong: str,
        truenas: TrueNASState,
        queue: int,
        now: datetime,
        monotonic: float,
        unread: Sequence[str] = (),
        rejected: Sequence[str] = (),
    ) -> None:
        """Say that a step has ended, and how; raises `OSError` if that cannot be written."""
        last = self._last
        since = last.truenas_since if last is not None and last.truenas.link is truenas.link else now
        beat = Beat(
            now, monotonic, self._poll, wrong, truenas, since, queue,
            tuple(unread[:_NAMED]), len(unread), tuple(rejected[:_NAMED]), len(rejected),
        )  # fmt: skip
        recent = last is not None and monotonic - last.monotonic < _EVERY
        if last is None or not recent or beat != replace(last, time=now, monotonic=monotonic):
            self._write(beat)
            self._last = beat

    def _write(self, beat: Beat) -> None:
        """Put a whole new file in the place of the old one: nobody reads half of it, or follows a link put there."""
        number, name = tempfile.mkstemp(prefix=".borgwatch-", dir=self._path.parent)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(msgspec.json.encode(beat))
            os.replace(name, self._path)  # noqa: PTH105 - as text: `mkstemp` gives text
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def stop(self) -> None:
        """Take the sign of life away: the service has ended."""
        if self._last is not None:
            self._path.unlink(missing_ok=True)


def read_beat(path: Path) -> Beat:
    """Read a sign of life; raises `SourceError` if there is none that can be believed.

    In a directory that all may write to, anybody could put one: only the file of our own user counts (root looks
    at everybody's).
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise SourceError(
            f"no sign of life in {path.parent}: `borgwatch run` is not running here, has not got to its first look yet,"
            " or cannot write there (BORGWATCH_RUN)"
        ) from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from None
    with os.fdopen(number, "rb") as file:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode) or os.geteuid() not in (0, found.st_uid):
            raise SourceError(f"{path} was not written by this user")
        text = file.read(_LONGEST)
    try:
        return msgspec.json.decode(text, type=Beat)
    except msgspec.DecodeError:
        raise SourceError(f"{path} is no sign of life of borgwatch {__version__}") from None
