"""What the service does once an hour and once a day: note that it works, forget old history, sum up the day.

`Housekeeping.look` is asked after each step; it does a little and returns. The day is summed up at the first look
after nine in the morning, local time, so that one line in the log is the proof of life.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from borgwatch.journal.notes import DailyMark, Recorded, ServiceState, last_words
from borgwatch.journal.store import Journal
from borgwatch.model import Outcome

__all__ = ["Daily", "Housekeeping", "is_due", "sum_up"]

_HOUR = 9
_SEEN_EACH = timedelta(hours=1)
_BETWEEN = timedelta(seconds=1)
"""Rows are forgotten a few at a time, with pauses in which lines are judged."""
_AGAIN_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Daily:
    """What came since the last summary: runs by outcome, alerts that people were told, lines judged."""

    since: datetime
    runs: int = 0
    ok: int = 0
    warning: int = 0
    failed: int = 0
    skipped: int = 0
    missed: int = 0
    alerts: int = 0
    waiting: int = 0
    lines: int = 0
    unclaimed: int = 0


def is_due(last: datetime, now: datetime) -> bool:
    """Say whether it has struck nine since the last summary; a clock that was set back does not stop it."""
    local = now.astimezone()
    nine = local.replace(hour=_HOUR, minute=0, second=0, microsecond=0)
    if nine > local:
        nine -= timedelta(days=1)
    return last < nine or last > now + timedelta(days=1)


def sum_up(events: Iterable[Recorded], since: datetime) -> Daily:
    """Count the events of a day; what was past when borgwatch came is not of the day."""
    news = [found for found in events if not found.event.past]
    ends = [found.event for found in news if found.event.outcome != Outcome.RECOVERED]  # told beside a success
    outcomes = [event.outcome for event in last_words(ends)]
    count = outcomes.count
    failed = count(Outcome.FAILURE) + count(Outcome.STALLED)
    ended = count(Outcome.SUCCESS), count(Outcome.WARNING), failed, count(Outcome.SKIPPED)
    return Daily(
        since, sum(ended), *ended, missed=count(Outcome.MISSED),
        alerts=sum(found.delivery in ("raised", "mailed") for found in news),
        waiting=sum(found.delivery == "waiting" for found in news),
    )  # fmt: skip


class Housekeeping:
    """Keeps the journal small and the reader informed."""

    def __init__(
        self, journal: Journal, keep: timedelta, keep_size: int, version: str, now: Callable[[], datetime]
    ) -> None:
        self._journal = journal
        self._keep = keep
        self._keep_size = keep_size
        self._now = now
        moment = now()
        self._state = ServiceState(version, moment, moment)
        self._is_noted = False
        self._prune_at = moment

    def look(self) -> Daily | None:
        """Do what is due; returns the summary of a day that is over. Raises `JournalError`."""
        now = self._now()
        if not self._is_noted or abs(now - self._state.looked) >= _SEEN_EACH:
            self._state = replace(self._state, looked=now)
            self._journal.set_note(self._state)
            self._is_noted = True
        if now >= self._prune_at or self._prune_at - now > timedelta(days=1):
            self._prune_at = now + _AGAIN_AFTER  # if this fails: somebody reads, or the disk is full
            more = self._journal.prune(now - self._keep, self._keep_size)
            self._prune_at = now + (_BETWEEN if more else timedelta(days=1))
        return self._daily(now)

    def _daily(self, now: datetime) -> Daily | None:
        mark = self._mark if self._mark is not None else self._journal.note(DailyMark)
        if mark is not None and not is_due(mark.time, now):
            self._mark = mark
            return None
        counters = self._journal.counters()
        lines, unclaimed = counters.get("lines", 0), counters.get("unclaimed", 0)
        self._mark = DailyMark(now, self._journal.last_seq(), lines, unclaimed)
        found = None
        if mark is not None:
            found = replace(
                sum_up(self._journal.events_after(mark.seq), mark.time),
                lines=lines - mark.lines, unclaimed=unclaimed - mark.unclaimed,
            )  # fmt: skip
        self._journal.set_note(self._mark)
        return found

    _mark: DailyMark | None = None

    def stop(self) -> None:
        """Note that the service ends."""
        self._journal.set_note(replace(self._state, looked=self._now(), stopped=self._now()))
