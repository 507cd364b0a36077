"""How a signal relates to the open run, or to the session where none is: the rows of the table in `runs.py`. Pure."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum, auto

from borgwatch.model import Outcome, Phase, Signal
from borgwatch.runs.run import ACTION, COMPLETE, EARLY, FAILED, LABEL, LIKELY, RANK, STAGE, WHOLE, Run, Stream

__all__ = ["ALL", "Kind", "is_compatible", "is_next_action", "kind_of"]

ALL = "all"
"""The operation that a script's summary line names."""
_SAME_GO = timedelta(hours=6)
"""How far apart two actions of one go of a wrapper may begin; the next go begins later, or names the repositories."""
_OF_BORG = 5
"""The weight from which a line tells of a failure itself; below it, a wrapper may be speaking of what Borg has told."""


class Kind(Enum):
    """How a signal relates to the open run, or to the session where none is open."""

    START = auto()
    START_AGAIN = auto()
    START_JOINS = auto()
    START_NEXT = auto()
    DETAIL = auto()
    DETAIL_LATE = auto()
    DETAIL_KNOWN = auto()
    DETAIL_OTHER = auto()
    END = auto()
    END_LATE = auto()
    END_KNOWN = auto()
    END_OTHER = auto()
    SUMMARY = auto()
    RESTART = auto()


def kind_of(stream: Stream, signal: Signal) -> Kind:
    """Find the row that a signal belongs to."""
    if signal.phase is Phase.EVENT:
        return Kind.RESTART
    if signal.phase is Phase.END and signal.operation == ALL:
        return Kind.SUMMARY
    if signal.phase is Phase.DETAIL:
        return _kind_of_detail(stream, signal)
    return _kind_of_start(stream, signal) if signal.phase is Phase.START else _kind_of_end(stream, signal)


def _kind_of_start(stream: Stream, signal: Signal) -> Kind:
    run = stream.open
    if run is None or run.operation not in (None, signal.operation):
        return Kind.START
    if signal.rule in run.starts:
        return Kind.START_NEXT if is_next_action(run, signal) else Kind.START_AGAIN
    return Kind.START_JOINS if run.starts or run.telling is None else Kind.START


def is_next_action(run: Run, signal: Signal) -> bool:
    """Say whether a wrapper goes on to the next repository: it names another, or none and is in the same go."""
    if signal.captured.get(STAGE) != ACTION:
        return False
    label = signal.captured.get(LABEL)
    if label or run.fields.get(LABEL):
        return label != run.fields.get(LABEL)
    return signal.time is not None and run.seen is not None and signal.time - run.seen <= _SAME_GO


def _kind_of_detail(stream: Stream, signal: Signal) -> Kind:
    run = stream.open
    if WHOLE in signal.captured and any(_says_why(done) for done in stream.done):
        return Kind.DETAIL_KNOWN
    if run is not None:
        return Kind.DETAIL if is_compatible(run, signal) and not _is_over(run, signal) else Kind.DETAIL_OTHER
    last = stream.last_done(None)
    is_trouble = signal.outcome in (Outcome.WARNING, Outcome.FAILURE)
    is_vague = is_trouble and signal.operation is None and signal.weight < _OF_BORG
    if last is not None and last.closed and is_vague and RANK[last.outcome] >= RANK[signal.outcome]:
        return Kind.DETAIL_KNOWN
    late = last is not None and not last.closed and last.outcome is not None and is_compatible(last, signal)
    return Kind.DETAIL_LATE if late and signal.outcome is not None else Kind.DETAIL


def _kind_of_end(stream: Stream, signal: Signal) -> Kind:
    run = stream.open
    if run is not None and is_compatible(run, signal):
        return Kind.END
    last = stream.last_done(signal.operation)
    if last is None:
        return Kind.END if run is None else Kind.END_OTHER
    if not last.closed:
        return Kind.END_LATE
    if signal.operation is None and signal.outcome is not Outcome.SUCCESS:
        return Kind.END  # trouble of a command that nobody named is still trouble
    return Kind.END_KNOWN


def _says_why(done: Run) -> bool:
    """Say whether a run that ended is why a whole script failed: Borg's warnings make scripts fail as well."""
    return done.outcome is Outcome.FAILURE or (done.closed and done.outcome is Outcome.WARNING)


def _is_over(run: Run, signal: Signal) -> bool:
    """Say whether the command of a run has said its last word, so that a detail must be of the next one.

    That is so in a script whose commands leave no closing line.
    """
    if run.last_word == COMPLETE:
        return EARLY in signal.captured
    if run.last_word == FAILED:
        is_early = EARLY in signal.captured and signal.outcome is not Outcome.FAILURE
        names_one = signal.operation is not None or LIKELY in signal.captured
        return is_early or signal.outcome is Outcome.SUCCESS or (run.operation is None and names_one)
    return False


def is_compatible(run: Run, signal: Signal) -> bool:
    """Say whether a signal may be about a run: neither names another operation or repository."""
    label = signal.captured.get(LABEL)
    if label and run.fields.get(LABEL) not in (None, "", label):
        return False
    if LIKELY in signal.captured:
        return run.operation != "backup"
    return signal.operation is None or run.operation in (None, signal.operation)
