"""What cannot be read at present, and whose silence therefore proves nothing. Pure.

A directory that is away, a log that may not be read, an app of a TrueNAS that does not answer: the success that seems
to be missing may stand there. So the dead-man's switch waits for it, an hour at most (`holds`). Then it speaks, and
says what could not be read (`reason`): what never comes back must not switch it off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from borgwatch.matching.templates import one_line
from borgwatch.policy.jobs import JobState
from borgwatch.redact import redact

__all__ = ["EVERYTHING", "Unread"]

EVERYTHING = ""
"""The name of what may be about any job."""

_PATIENCE = 3600.0
"""Seconds that the switch waits for what cannot be read."""
_ARRIVES = 60.0
"""Seconds that the first lines may take once a source is there again: those of an app come over the network."""


@dataclass(frozen=True, slots=True)
class _Gap:
    """Since when something cannot be read, when it last could not, whose it is, and why."""

    since: float
    last: float
    job: str
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Unread:
    """What cannot be read, by the name of the file, directory or app; times are seconds of a clock that nobody sets."""

    now: float = 0.0
    gaps: Mapping[str, _Gap] = field(default_factory=dict)

    def look(self, wrong: Mapping[str, str], now: float, job_of: Callable[[str], str]) -> Unread:
        """Take in what cannot be read now, and why (`EVERYTHING`: what is yet to be read).

        What was away a moment ago still is: its lines are on their way.
        """
        gaps = {where: gap for where, gap in self.gaps.items() if where and now - gap.last < _ARRIVES}
        for where, what in wrong.items():
            known = self.gaps.get(where)
            gaps[where] = _Gap(known.since if known else now, now, job_of(where) if where else "", where, what)
        return Unread(now, gaps)

    def holds(self, state: JobState) -> bool:
        """Say whether the silence of a job proves nothing yet."""
        return any(self.now - gap.since < _PATIENCE for gap in self._about(state))

    def reason(self, state: JobState) -> str:
        """Say what may hide the success of a job, and why; "" where all can be read."""
        about = (gap for gap in self._about(state) if gap.last == self.now and gap.what)
        return next((one_line(redact(f"{gap.where}: {gap.what}")) for gap in about), "")

    def _about(self, state: JobState) -> Iterator[_Gap]:
        """Choose the gaps around the place where a job was last told of, and those that belong to it by name."""
        places = {EVERYTHING, *_places(state.source)}
        for where, gap in self.gaps.items():
            if where in places or gap.job == state.job or not state.source:
                yield gap


def _places(source: str) -> Iterator[str]:
    """Name a source and all that it lies in."""
    while source:
        yield from (source, f"{source}/")
        source = source.rpartition("/")[0]
