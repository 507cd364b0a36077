"""What a signal does to the runs of its stream: one function for each action of the table in `runs.py`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum, auto

from borgwatch.model import Outcome, Phase, Signal
from borgwatch.runs.run import RANK, Evidence, Run, Stream, evidence_of, resolve, with_signal

__all__ = ["EFFECTS", "Action", "end", "learn_quiet"]


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


_Result = tuple[Stream, tuple[Run, ...]]
_MAX_DONE = 32
"""How many ended runs of one session are remembered."""


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
    run = with_signal(_there(stream.open), signal)
    return Stream(  # written out, for it is made for each line that is judged
        stream.default_operation, run, stream.done, stream.closes, stream.quiet, stream.held, stream.recap
    ), ()


def _close(stream: Stream, signal: Signal) -> _Result:
    run = with_signal(_there(stream.open), signal)
    if run.operation is None and run.top is not None:
        run = replace(run, operation="backup")  # nothing else lists directories so
    outcome = resolve(stream.operation_of(run), run.telling, signal.outcome)
    if not (run.operation or run.likely) and outcome is Outcome.SUCCESS and stream.last_done(stream.default_operation):
        return replace(stream, open=None), ()  # something succeeded, and nobody knows what
    operation = stream.operation_of(run)
    return end(stream, replace(run, operation=operation, closing=evidence_of(signal), outcome=outcome, closed=True))


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
        stream = learn_quiet(stream, operation)
    if outcome is not None:
        run = replace(run, operation=stream.operation_of(run))
    stream, ended = end(stream, replace(run, outcome=outcome))
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
        operation = stream.operation_of(run)
        outcome = resolve(None, run.telling, signal.outcome)  # damage is damage, whatever a script thinks of it
        ended.append(
            replace(run, operation=operation, closing=evidence_of(signal), outcome=outcome, closed=True, item="")
        )
    by_id = {run.id: run for run in ended}
    left: tuple[Run, ...] = ()
    if stream.open is not None and stream.open.id not in by_id:
        run = stream.open
        operation, outcome = stream.operation_of(run), resolve(run.operation, run.telling, None)
        stream, left = end(stream, replace(run, operation=operation, outcome=outcome))
    done = tuple(by_id.pop(run.id, run) for run in stream.done) + tuple(by_id.values())
    quiet = stream.quiet - {run.operation for run in ended if run.operation}
    return replace(stream, open=None, done=done, quiet=quiet), (*left, *ended)


def _ignore(stream: Stream, _: Signal) -> _Result:
    return stream, ()


EFFECTS: Mapping[Action, Callable[[Stream, Signal], _Result]] = {
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
"""What each action does: the stream as it is then, and the runs that ended or were amended."""


def end(stream: Stream, run: Run) -> _Result:
    """Put an ended run among those of the session; one whose outcome nobody knows waits there for a summary."""
    run = replace(run, item="")  # which name was the last means nothing once the listing is over
    stream = _learn_closing(replace(stream, open=None, done=(*stream.done, run)[-_MAX_DONE:]), run)
    return stream, (run,) if run.outcome is not None else ()


def _learn_closing(stream: Stream, run: Run) -> Stream:
    """Note that runs of this operation have a closing line, if this one has."""
    if not run.closed or run.operation is None:
        return stream
    return replace(stream, closes=stream.closes | {run.operation}, quiet=stream.quiet - {run.operation})


def learn_quiet(stream: Stream, operation: str) -> Stream:
    """Note that a run of this operation left no closing line; where there was one before, twice makes a habit."""
    if operation in stream.closes:
        return replace(stream, closes=stream.closes - {operation})
    return replace(stream, quiet=stream.quiet | {operation})
