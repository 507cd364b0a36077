"""Runs: many lines bear on one backup, one outcome comes of it. Pure.

Signals of one stream (all lines of one source) come in one at a time, together with the `Stream` as it was; the
`Stream` as it is now leaves, with the runs that ended. A stream has at most one run open and remembers the runs
that ended in the same session, that is, in the same go of the script that writes it.

What a signal does depends on whether a run is open and on how the signal relates to it:

==========  ===============================================================  =========================
run open?   signal                                                           what follows
==========  ===============================================================  =========================
no          a start                                                          OPEN a run
no          a detail or an end of the run that was last settled in silence   AMEND that run
no          more words of a wrapper about a failure that was told            IGNORE it
no          any other detail                                                 OPEN a run
no          an end of an operation whose closing line was seen already       IGNORE it
no          any other end                                                    OPEN a run and CLOSE it
yes         the start line that began the open run, again                    CUT the run off, OPEN one
yes         another start line of the open run                               ADD to it
yes         a start of something else                                        end the run (NEXT), OPEN one
yes         a detail of the open run                                         ADD to it
yes         a detail of another operation                                    end the run (NEXT), OPEN one
yes         an end of the open run                                           CLOSE it
yes         an end of another operation that ended in this session           as if no run were open
yes         an end of another operation that did not                         end the run (NEXT), CLOSE one
either      the summary of a whole script (`operation: all`)                 SUM UP all its runs
no          the container was started again                                  IGNORE it
yes         the container was started again                                  BREAK the run off
==========  ===============================================================  =========================

Borg's closing line does not name its command. A closing line with no other evidence counts as the stream's default
operation if it is the first of its session or tells of trouble; otherwise nobody knows what succeeded, and
nothing is claimed.

A run that began and left no closing line is told as stalled, or as broken off, unless that is what its runs always do:
then nobody knows how it went, and nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from borgwatch.kinds import ALL, Kind, is_compatible, kind_of
from borgwatch.model import Outcome, Phase, Signal
from borgwatch.run import (
    ACTION,
    COMPACTING,
    FINISHED,
    ITEM,
    LISTED,
    RANK,
    RECAP,
    STAGE,
    Evidence,
    Run,
    Stream,
    evidence_of,
    resolve,
    with_signal,
)

__all__ = ["ACTIONS", "ALL", "RESTART", "Action", "Kind", "Limits", "advance", "finish", "patience", "settle"]

RESTART = "container.startup"
"""The finished event that ends whatever ran before."""

_RECAP = timedelta(minutes=1)
"""How long a wrapper repeats itself at most."""
_MAX_HELD = 16
"""How many signals are held back while one of them is doubtful."""
_MAX_DONE = 8
"""How many ended runs of one session are remembered."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait in silence for what may still come.

    `settle`: for the closing line after a failure or the statistics; `settle_warning`: after nothing but
    warnings, or after a check found damage, for it reads on; `stalled`: until a run that began is called stalled;
    `session`: until a new session begins.
    """

    settle: timedelta = timedelta(seconds=10)
    settle_warning: timedelta = timedelta(minutes=15)
    stalled: timedelta = timedelta(hours=24)
    session: timedelta = timedelta(minutes=30)


class Action(Enum):
    """What a signal does."""

    OPEN = auto()
    ADD = auto()
    CLOSE = auto()
    OPEN_CLOSE = auto()
    CUT_OPEN = auto()
    NEXT_OPEN = auto()
    NEXT_CLOSE = auto()
    AMEND = auto()
    SUM_UP = auto()
    BREAK_OFF = auto()
    IGNORE = auto()


ACTIONS: Mapping[tuple[bool, Kind], Action] = {
    # (a run is open, kind of signal): action
    (False, Kind.START): Action.OPEN,
    (False, Kind.DETAIL): Action.OPEN,
    (False, Kind.DETAIL_LATE): Action.AMEND,
    (False, Kind.DETAIL_KNOWN): Action.IGNORE,
    (False, Kind.END): Action.OPEN_CLOSE,
    (False, Kind.END_LATE): Action.AMEND,
    (False, Kind.END_KNOWN): Action.IGNORE,
    (False, Kind.SUMMARY): Action.SUM_UP,
    (False, Kind.RESTART): Action.IGNORE,
    (True, Kind.START): Action.NEXT_OPEN,
    (True, Kind.START_AGAIN): Action.CUT_OPEN,
    (True, Kind.START_JOINS): Action.ADD,
    (True, Kind.DETAIL): Action.ADD,
    (True, Kind.DETAIL_OTHER): Action.NEXT_OPEN,
    (True, Kind.END): Action.CLOSE,
    (True, Kind.END_LATE): Action.AMEND,
    (True, Kind.END_KNOWN): Action.IGNORE,
    (True, Kind.END_OTHER): Action.NEXT_CLOSE,
    (True, Kind.SUMMARY): Action.SUM_UP,
    (True, Kind.RESTART): Action.BREAK_OFF,
}
"""The table of the module's docstring."""


# -- one signal -----------------------------------------------------------------------------------------------


def advance(stream: Stream, signal: Signal, limits: Limits) -> tuple[Stream, tuple[Run, ...]]:
    """Take in one signal of a run, or a `RESTART`.

    Returns the stream as it is now and the runs that ended or were amended.
    """
    if stream.held:
        return _with_doubt(stream, signal, limits)
    if _is_doubtful(stream.open, signal):
        return replace(stream, held=(signal,)), ()
    return _take_in(stream, signal, limits)


def _take_in(stream: Stream, signal: Signal, limits: Limits) -> tuple[Stream, tuple[Run, ...]]:
    if stream.recap is not None:
        if _is_repeated(stream.recap, signal):
            tells_more = signal.phase is Phase.DETAIL and stream.open is not None and is_compatible(stream.open, signal)
            return _add(stream, signal) if tells_more else (stream, ())
        stream = replace(stream, recap=None)
    if signal.captured.get(STAGE) == RECAP:
        stream = replace(stream, recap=signal.read_at)
    ended: tuple[Run, ...] = ()
    run = stream.open
    if run is not None and signal.time is not None and run.seen is not None:
        is_awaited = signal.phase is Phase.END and signal.time - run.seen <= limits.session
        if not is_awaited:
            stream, ended = settle(stream, run.seen, signal.time, limits)
    stream = _forget_old_session(stream, signal, limits)
    signal = _name_the_command(stream.open, signal)
    kind = kind_of(stream, signal)
    stream, more = _HANDLERS[ACTIONS[stream.open is not None, kind]](stream, signal)
    return stream, ended + more


def _is_repeated(since: datetime, signal: Signal) -> bool:
    """Say whether a wrapper still repeats itself: it does until it sums up, begins something new, or falls silent."""
    is_end = signal.phase is Phase.EVENT or (signal.phase is Phase.END and signal.operation == ALL)
    return not is_end and signal.captured.get(STAGE) != ACTION and signal.read_at - since < _RECAP


def settle(stream: Stream, quiet_since: datetime, now: datetime, limits: Limits) -> tuple[Stream, tuple[Run, ...]]:
    """End the open run if it has been silent long enough; both times must come from the same clock."""
    run = stream.open
    if stream.held and now - quiet_since >= limits.settle:
        return _believe(stream, limits)
    if run is None or now - quiet_since < _patience(run, limits):
        return stream, ()
    return finish(stream)


def patience(stream: Stream, limits: Limits) -> timedelta | None:
    """Say after how long a silence `settle` has something to do; None where nothing is open."""
    if stream.open is None:
        return None
    longest = _patience(stream.open, limits)
    return min(limits.settle, longest) if stream.held else longest


def finish(stream: Stream) -> tuple[Stream, tuple[Run, ...]]:
    """End the open run as if nothing more were to come: by its evidence, else as stalled if it had really begun.

    One whose listing came to its end fell silent because it was done; what came of it nobody knows.
    """
    if stream.held:
        stream, believed = _believe(stream, Limits())
        stream, more = finish(stream)
        return stream, believed + more
    run = stream.open
    if run is None:
        return stream, ()
    outcome = resolve(run.operation, run.telling, None)
    operation = run.operation or stream.default_operation
    if outcome is None:
        began = bool(run.starts) or run.operation == "backup"
        is_done = run.stage == FINISHED and operation not in stream.closes
        if not began or is_done:
            return replace(stream, open=None), ()
        outcome = Outcome.STALLED
        if not run.broke_off:
            if operation in stream.quiet:
                return replace(stream, open=None), ()
            stream = _learn_quiet(stream, operation)
    return _end(stream, replace(run, operation=operation, outcome=outcome))


def _learn_quiet(stream: Stream, operation: str) -> Stream:
    """Note that a run of this operation left no closing line; where there was one before, twice makes a habit."""
    if operation in stream.closes:
        return replace(stream, closes=stream.closes - {operation})
    return replace(stream, quiet=stream.quiet | {operation})


def _patience(run: Run, limits: Limits) -> timedelta:
    if run.telling is None:
        goes_on = run.stage != FINISHED and (run.starts or run.operation == "backup")
        return limits.stalled if goes_on else limits.settle_warning
    goes_on = run.telling.outcome is Outcome.WARNING or run.operation == "verify"  # a check reads on after damage
    return limits.settle_warning if goes_on else limits.settle


def _forget_old_session(stream: Stream, signal: Signal, limits: Limits) -> Stream:
    """A session ends with a long silence, or when something starts that it had already ended.

    The end of a run that was called stalled is awaited however long it takes.
    """
    last = stream.last_done(None)
    if last is None:
        return stream
    if signal.time is not None and last.seen is not None:
        silence = signal.time - last.seen
    else:
        silence = signal.read_at - last.read
    again = signal.phase is Phase.START and stream.last_done(signal.operation) is not None
    is_awaited = last.outcome is Outcome.STALLED and signal.phase is Phase.END
    return replace(stream, done=()) if again or (silence > limits.session and not is_awaited) else stream


def _name_the_command(run: Run | None, signal: Signal) -> Signal:
    """A success after compaction, in the midst of a backup that had not come to its end, is not the backup's.

    Borg 1.1 compacts within create, but only when everything has been read; later ones have a command for it.
    """
    unnamed = signal.phase is Phase.END and signal.operation is None and signal.outcome is Outcome.SUCCESS
    if unnamed and run is not None and run.operation in (None, "backup") and run.stage == COMPACTING:
        return replace(signal, operation="compact")
    return signal


# -- names that hold a line end -----------------------------------------------------------------------------------
#
# A listing in text writes a name with a line end in it as two lines, and the second can say anything. What says that
# the run ended or failed, right behind a name, is held back until it is known: a directory is listed after all that is
# in it, so if the directory of that name is listed only now, the listing had gone on all the time.


def _is_doubtful(run: Run | None, signal: Signal) -> bool:
    tells = signal.phase is Phase.END or signal.outcome is Outcome.FAILURE
    return run is not None and bool(run.item) and run.stage != FINISHED and tells and signal.time is None


def _with_doubt(stream: Stream, signal: Signal, limits: Limits) -> tuple[Stream, tuple[Run, ...]]:
    """Take in a signal while another is held back."""
    directory, item = signal.captured.get(LISTED), signal.captured.get(ITEM)
    name = stream.open.item if stream.open is not None else ""
    if isinstance(directory, str) and name.startswith(f"{directory.rstrip('/')}/"):
        return _take_all(replace(stream, held=()), (*stream.held[1:], signal), limits)
    if isinstance(item, str) or isinstance(directory, str):
        is_first = len(stream.held) == 1
        keeps = is_first or (signal.outcome is not None and len(stream.held) < _MAX_HELD)
        return (replace(stream, held=(*stream.held, signal)) if keeps else stream), ()
    stream, ended = _believe(stream, limits)
    stream, more = advance(stream, signal, limits)
    return stream, ended + more


def _believe(stream: Stream, limits: Limits) -> tuple[Stream, tuple[Run, ...]]:
    """Take what was held back for what it says."""
    return _take_all(replace(stream, held=()), stream.held, limits)


def _take_all(stream: Stream, signals: tuple[Signal, ...], limits: Limits) -> tuple[Stream, tuple[Run, ...]]:
    ended: tuple[Run, ...] = ()
    for signal in signals:
        stream, more = _take_in(stream, signal, limits)
        ended += more
    return stream, ended


# -- what the actions do --------------------------------------------------------------------------------------

_Result = tuple[Stream, tuple[Run, ...]]


def _there(run: Run | None) -> Run:
    """The run that an action needs: the table names the action only where there is one."""
    if run is None:
        raise LookupError("an action that needs a run was taken without one")
    return run


def _open(stream: Stream, signal: Signal) -> _Result:
    run = Run(
        id=signal.line_id,
        job=signal.job,
        source=signal.source,
        operation=signal.operation,
        started=signal.seen_at,
        read=signal.read_at,
    )
    return replace(stream, open=with_signal(run, signal)), ()


def _add(stream: Stream, signal: Signal) -> _Result:
    return replace(stream, open=with_signal(_there(stream.open), signal)), ()


def _close(stream: Stream, signal: Signal) -> _Result:
    run = with_signal(_there(stream.open), signal)
    if run.operation is None and run.top is not None:
        run = replace(run, operation="backup")  # nothing else lists directories so
    outcome = resolve(run.operation or stream.default_operation, run.telling, signal.outcome)
    if run.operation is None and outcome is Outcome.SUCCESS and stream.last_done(stream.default_operation):
        return replace(stream, open=None), ()  # something succeeded, and nobody knows what
    operation = run.operation or stream.default_operation
    return _end(stream, replace(run, operation=operation, closing=evidence_of(signal), outcome=outcome, closed=True))


def _open_close(stream: Stream, signal: Signal) -> _Result:
    opened, _ = _open(stream, signal)
    return _close(opened, signal)


def _cut_open(stream: Stream, signal: Signal) -> _Result:
    return _end_then(stream, signal, "cut off: the next run began before this one had ended", _open)


def _next_open(stream: Stream, signal: Signal) -> _Result:
    return _end_then(stream, signal, "", _open)


def _next_close(stream: Stream, signal: Signal) -> _Result:
    return _end_then(stream, signal, "", _open_close)


def _break_off(stream: Stream, signal: Signal) -> _Result:
    return _end_then(stream, signal, "cut off: the container was started again before this had ended", _ignore)


def _end_then(stream: Stream, signal: Signal, cut_off: str, follow: Callable[[Stream, Signal], _Result]) -> _Result:
    """End the open run by its evidence, or say why there is none, and go on with `follow`."""
    run = _there(stream.open)
    outcome = resolve(run.operation, run.telling, None)
    missing_close = "ended without its closing line: killed, or the machine went down"
    reason = cut_off or (missing_close if run.operation in stream.closes else "")
    operation = run.operation
    tells = run.broke_off or operation not in stream.quiet
    if outcome is None and operation is not None and reason and tells:
        outcome = Outcome.FAILURE
        run = replace(run, telling=Evidence(Outcome.FAILURE, "runs.interrupted", reason, weight=1))
        stream = _learn_quiet(stream, operation)
    if run.operation is None and outcome is not None:
        run = replace(run, operation=stream.default_operation)
    stream, ended = _end(stream, replace(run, outcome=outcome))
    stream, more = follow(stream, signal)
    return stream, ended + more


def _amend(stream: Stream, signal: Signal) -> _Result:
    """A run that had ended in silence gets what it was waiting for; it is told again only if its outcome changed."""
    run = _there(stream.last_done(signal.operation))
    amended = with_signal(run, signal)
    if signal.phase is Phase.END:
        outcome = resolve(run.operation, amended.telling, signal.outcome)
        amended = replace(amended, closing=evidence_of(signal), closed=True)
    else:
        outcome = resolve(run.operation, amended.telling, None)
    amended = replace(amended, outcome=outcome)
    done = tuple(amended if other is run else other for other in stream.done)
    changed = outcome is not run.outcome
    return _learn_closing(replace(stream, done=done), amended), (amended,) if changed else ()


def _sum_up(stream: Stream, signal: Signal) -> _Result:
    """A script's last line: its success is the success of all that is undecided, its trouble that of the first."""
    if stream.done and stream.open is not None and not (stream.open.operation or stream.open.telling):
        stream = replace(stream, open=None)  # a few words of the script's own
    runs = (*stream.done, stream.open) if stream.open is not None else stream.done
    if not runs:
        return _open_close(replace(stream, open=None), replace(signal, operation=stream.default_operation))
    pending = [run for run in runs if run.outcome in (None, Outcome.STALLED)]
    if signal.outcome is not Outcome.SUCCESS:
        found = [run.outcome or resolve(run.operation, run.telling, None) for run in runs]
        told = any(RANK[outcome] >= RANK[signal.outcome] for outcome in found)
        pending = [] if told else pending[:1] or [runs[0]]
    ended = []
    for run in pending:
        operation = run.operation or stream.default_operation
        outcome = resolve(None, run.telling, signal.outcome)  # damage is damage, whatever a script thinks of it
        ended.append(replace(run, operation=operation, closing=evidence_of(signal), outcome=outcome, closed=True))
    by_id = {run.id: run for run in ended}
    left: tuple[Run, ...] = ()
    if stream.open is not None and stream.open.id not in by_id:
        run = stream.open
        operation, outcome = run.operation or stream.default_operation, resolve(run.operation, run.telling, None)
        stream, left = _end(stream, replace(run, operation=operation, outcome=outcome))
    done = tuple(by_id.pop(run.id, run) for run in stream.done) + tuple(by_id.values())
    quiet = stream.quiet - {run.operation for run in ended if run.operation}
    return replace(stream, open=None, done=done, quiet=quiet), (*left, *ended)


def _ignore(stream: Stream, _: Signal) -> _Result:
    return stream, ()


_HANDLERS: Mapping[Action, Callable[[Stream, Signal], _Result]] = {
    Action.OPEN: _open,
    Action.ADD: _add,
    Action.CLOSE: _close,
    Action.OPEN_CLOSE: _open_close,
    Action.CUT_OPEN: _cut_open,
    Action.NEXT_OPEN: _next_open,
    Action.NEXT_CLOSE: _next_close,
    Action.AMEND: _amend,
    Action.SUM_UP: _sum_up,
    Action.BREAK_OFF: _break_off,
    Action.IGNORE: _ignore,
}


def _end(stream: Stream, run: Run) -> _Result:
    """Put an ended run among those of the session; one whose outcome nobody knows waits there for a summary."""
    stream = _learn_closing(replace(stream, open=None, done=(*stream.done, run)[-_MAX_DONE:]), run)
    return stream, (run,) if run.outcome is not None else ()


def _learn_closing(stream: Stream, run: Run) -> Stream:
    """Note that runs of this operation have a closing line, if this one has."""
    if not run.closed or run.operation is None:
        return stream
    return replace(stream, closes=stream.closes | {run.operation}, quiet=stream.quiet - {run.operation})
