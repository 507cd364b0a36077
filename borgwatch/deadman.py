"""The dead-man's switch: tells when a backup did not run. Pure.

Armed by the first success of a job, fed by nothing but successes (a warning or a prune is none), it trips once
when the time allowed has passed and is reset by the next success.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from borgwatch.events import LEVELS, title_of
from borgwatch.model import Event, Outcome

__all__ = ["JobState", "missed"]


@dataclass(frozen=True, slots=True)
class JobState:
    """The past of one operation of one job, as far as it matters later.

    `missed_since` is the success whose successor was told to be missing: one success trips the switch once.
    """

    job: str
    operation: str
    last_outcome: str = ""
    last_run: datetime | None = None
    last_success: datetime | None = None
    missed_since: datetime | None = None


def missed(state: JobState, within: timedelta, now: datetime) -> Event | None:
    """Tell of a backup that should have succeeded by now; None where there is nothing (new) to tell."""
    if state.operation != "backup" or state.last_success is None or state.missed_since == state.last_success:
        return None
    if now - state.last_success <= within:
        return None
    name = f"backup.{Outcome.MISSED}"
    last = state.last_success.isoformat(timespec="seconds")
    return Event(
        id=f"missed-{state.job}-{last}",
        name=name,
        level=LEVELS[Outcome.MISSED],
        job=state.job,
        title=title_of(name),
        message=f"No backup has succeeded since {last}",
        time=now,
        rule="deadman",
        source="",
        fields={"last_success": last, "next_step": "Does the schedule still run, and is the machine on at that time?"},
    )
