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
either      more words of a wrapper about a failure that was told            IGNORE it
no          any other detail                                                 OPEN a run
no          an end of an operation whose closing line was seen already       IGNORE it
no          any other end                                                    OPEN a run and CLOSE it
yes         the start line that began the open run, again                    CUT the run off, OPEN one
yes         another start line of the open run                               ADD to it
yes         the same start line for the next repository                      end the run (NEXT), OPEN one
yes         a start of something else                                        end the run (NEXT), OPEN one
yes         a detail of the open run                                         ADD to it
yes         a detail of another operation, or of the next command            end the run (NEXT), OPEN one
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

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from borgwatch.model import Outcome, Phase, Signal
from borgwatch.runs.effects import EFFECTS, Action, end, learn_quiet
from borgwatch.runs.kinds import ALL, Kind, is_compatible, is_next_action, kind_of
from borgwatch.runs.run import ACTION, COMPACTING, FINISHED, ITEM, LISTED, RECAP, STAGE, Run, Stream, resolve

__all__ = ["ACTIONS", "ALL", "RESTART", "Action", "Kind", "Limits", "advance", "finish", "patience", "settle"]

RESTART = "container.startup"
"""The finished event that ends whatever ran before."""

_RECAP = timedelta(minutes=1)
"""How long a wrapper repeats itself at most."""
_MAX_HELD = 16
"""How many signals are held back while one of them is doubtful."""


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
    (True, Kind.START_NEXT): Action.NEXT_OPEN,
    (True, Kind.DETAIL): Action.ADD,
    (True, Kind.DETAIL_KNOWN): Action.IGNORE,
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
            return EFFECTS[Action.ADD](stream, signal) if _tells_more(stream.open, signal) else (stream, ())
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
    stream, more = EFFECTS[ACTIONS[stream.open is not None, kind]](stream, signal)
    return stream, ended + more


def _is_repeated(since: datetime, signal: Signal) -> bool:
    """Say whether a wrapper still repeats itself: it does until it sums up, begins something new, or falls silent."""
    is_end = signal.phase is Phase.EVENT or (signal.phase is Phase.END and signal.operation == ALL)
    return not is_end and signal.captured.get(STAGE) != ACTION and signal.read_at - since < _RECAP


def _tells_more(failed: Run | None, signal: Signal) -> bool:
    """Say whether a wrapper that repeats itself adds to the failure of the open run; it may speak of an earlier one."""
    if failed is None or failed.telling is None or failed.telling.outcome is not Outcome.FAILURE:
        return False
    return signal.phase is Phase.DETAIL and is_compatible(failed, signal)


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
    operation = stream.operation_of(run)
    if outcome is None:
        began = bool(run.starts) or run.operation == "backup"
        is_done = run.stage == FINISHED and operation not in stream.closes
        if not began or is_done:
            return replace(stream, open=None), ()
        outcome = Outcome.STALLED
        if not run.broke_off:
            if operation in stream.quiet:
                return replace(stream, open=None), ()
            stream = learn_quiet(stream, operation)
    return end(stream, replace(run, operation=operation, outcome=outcome))


def _patience(run: Run, limits: Limits) -> timedelta:
    if run.telling is None:
        goes_on = run.stage != FINISHED and (run.starts or run.operation == "backup")
        return limits.stalled if goes_on else limits.settle_warning
    goes_on = run.telling.outcome is Outcome.WARNING or run.operation == "verify"  # a check reads on after damage
    return limits.settle_warning if goes_on else limits.settle


def _forget_old_session(stream: Stream, signal: Signal, limits: Limits) -> Stream:
    """A session ends with a long silence while no run is open, or when something starts that it had already ended.

    The end of a run that was called stalled is awaited however long it takes. A wrapper that goes on to the next
    repository starts the same again: what waits for its summary still does.
    """
    last = stream.last_done(None)
    if last is None:
        return stream
    run = stream.open
    joins = run is not None and run.operation == signal.operation and signal.rule not in run.starts
    before = stream.last_done(signal.operation) if signal.phase is Phase.START and not joins else None
    if before is not None and not is_next_action(before, signal):
        return replace(stream, done=())
    if run is not None:
        return stream
    if signal.time is not None and last.seen is not None:
        silence = signal.time - last.seen
    else:
        silence = signal.read_at - last.read
    is_awaited = last.outcome is Outcome.STALLED and signal.phase is Phase.END
    return replace(stream, done=()) if silence > limits.session and not is_awaited else stream


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
