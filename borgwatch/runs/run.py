"""What is known of a run: its evidence, and how evidence and closing line make an outcome. Values, pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from borgwatch.model import FieldValue, Level, Outcome, Phase, Signal

__all__ = ["ON_PURPOSE", "RANK", "Evidence", "Run", "Stream", "depth_of", "evidence_of", "resolve", "with_signal"]

MAYBE = "maybe"
"""What a rule says of `DRY_RUN` where a real run may write the line as well."""
OTHER = "other"
"""The operation of runs that nobody asks after."""

ON_PURPOSE = 50
"""The weight from which a line that says "skipped" explains what goes wrong after it (a stop on purpose)."""

ITEM, LISTED, STAGE, DRY_RUN, LIKELY = "_item", "_listed", "_stage", "_dry_run", "_likely"
EARLY, LAST_WORD, WHOLE = "_early", "_last_word", "_whole"
"""What a rule may capture for the run itself: a name in a listing in text, a directory that a listing closed, how far
Borg is, that nothing is really done (or `MAYBE`), the operation where no line names one; that a line comes before a
command is done, that it is the last word of a command but for a closing line (`COMPLETE` or `FAILED`; any other word
takes that back), that it speaks of the whole script."""
COMPLETE, FAILED = "complete", "failed"
COMPACTING, MAYBE_COMPACTING, FINISHED = "compacting", "maybe compacting", "finished"
"""Stages: segments are being compacted (in text, only a listing that broke off makes sure that it is not the backup
that compacts); everything has been read, or the listing has closed its uppermost directory."""
LABEL = "label"
"""The field in which a wrapper names the repository of a run."""
RECAP, ACTION = "recap", "action"
"""Stages: a wrapper repeats what was said before; it begins something new."""

RANK = {
    None: -1,
    Outcome.SUCCESS: 0,
    Outcome.SKIPPED: 1,
    Outcome.WARNING: 2,
    Outcome.STALLED: 3,
    Outcome.FAILURE: 4,
}
"""Outcomes from good to bad; None is a run of which nothing is known."""

_NO_FIELDS: Mapping[str, FieldValue] = {}
"""What most runs show: one for all, for there may be thousands. Nothing changes it, or any mapping of a run."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The line that tells most about how a run went; `weight` above 0 makes it firm (see `resolve`)."""

    outcome: Outcome
    rule: str
    message: str
    next_step: str = ""
    weight: int = 0
    level: Level | None = None
    title: str = ""

    @property
    def strength(self) -> tuple[int, int]:
        """What evidence is compared by: the worse outcome, then the weight."""
        return len(RANK) if self.is_on_purpose else RANK[self.outcome], self.weight

    @property
    def is_on_purpose(self) -> bool:
        """Whether somebody says that it was stopped on purpose."""
        return self.outcome is Outcome.SKIPPED and self.weight >= ON_PURPOSE


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `outcome` is None while it is open, and after it ended if nothing told how it went.

    `started` is the time of the first line that had one, or when the first line was read where none had;
    `seen` is the time of the last line that had one, `read` when the last line was read; `starts` are the rules of
    its start lines; `closed` says that a closing line ended it (rather than silence or what came next); `past` that
    its last line was there before borgwatch was. `top` is the depth of the uppermost directory that a listing has
    closed, `stage` what the last line that showed one said of how far Borg is, `item` the name in the last line if that
    was one of a listing in text; `dry_run` says that Borg only tells what it would do,
    `likely` what the operation is if no line names it, `last_word` that nothing but a closing line can follow.
    """

    id: str
    job: str
    source: str
    operation: str | None
    started: datetime
    read: datetime
    seen: datetime | None = None
    starts: tuple[str, ...] = ()
    telling: Evidence | None = None
    closing: Evidence | None = None
    warnings: int = 0
    errors: int = 0
    outcome: Outcome | None = None
    closed: bool = False
    past: bool = False
    fields: Mapping[str, FieldValue] = field(default_factory=lambda: _NO_FIELDS)
    top: int | None = None
    stage: str = ""
    item: str = ""
    dry_run: bool = False
    likely: str = ""
    last_word: str = ""

    @property
    def broke_off(self) -> bool:
        """Whether a listing shows that Borg had not come to the end of what it was to read."""
        return self.top is not None and self.stage != FINISHED

    @property
    def ended(self) -> datetime:
        """The best known time of the last line that bore on the run."""
        return self.seen or self.read


@dataclass(frozen=True, slots=True)
class Stream:
    """What is known of one stream: the open run, the ended ones of this session, and its habits.

    `closes` holds the operations that ended with a closing line the last time: where one is missing, that tells.
    `quiet` holds those whose last run began and left no closing line: where that is the habit, it tells nothing.
    `recap` is when a wrapper began to repeat what was said before.
    `held` is a signal right behind a name in a listing, with what came after it: it may be a part of that name.
    """

    default_operation: str = "backup"
    open: Run | None = None
    done: tuple[Run, ...] = ()
    closes: frozenset[str] = frozenset()
    quiet: frozenset[str] = frozenset()
    held: tuple[Signal, ...] = ()
    recap: datetime | None = None

    def last_done(self, operation: str | None) -> Run | None:
        """The run of `operation` that ended last in this session; of any operation where it is None."""
        return next((run for run in reversed(self.done) if operation in (None, run.operation)), None)

    def operation_of(self, run: Run) -> str:
        """What a run that ends counts for, whether or not its lines named its command; a dry run counts for nothing."""
        return OTHER if run.dry_run else run.operation or run.likely or self.default_operation


def resolve(operation: str | None, evidence: Evidence | None, closing: Outcome | None) -> Outcome | None:
    """Weigh what was found against what the closing line says.

    Who says that it was skipped on purpose is believed. Firm evidence (weight above 0) wins over a milder closing
    line; one case apart: a check that found damage and still ends with success has repaired it, which is a warning.
    Soft evidence (any WARNING or ERROR line) yields to the closing line, but an error before "success" leaves a
    warning.
    """
    found = evidence.outcome if evidence else None
    firm = evidence is not None and evidence.weight > 0
    if closing is Outcome.SKIPPED or (evidence is not None and evidence.is_on_purpose):
        return Outcome.SKIPPED
    if closing is None or found is None or RANK[found] <= RANK[closing]:
        return found if closing is None else closing
    if closing is Outcome.SUCCESS and found is Outcome.FAILURE and (not firm or operation == "verify"):
        return Outcome.WARNING
    return found if firm else closing


def with_signal(run: Run, signal: Signal) -> Run:
    """Add what a signal tells to a run; a weight below 0 takes back what was told before (a retry begins)."""
    if signal.weight < 0:
        run = replace(run, telling=None, warnings=0, errors=0, starts=(), last_word="")
    evidence = evidence_of(signal) if signal.phase is not Phase.END else None
    telling = run.telling
    if evidence is not None and (telling is None or evidence.strength > telling.strength):
        telling = evidence
    starts = run.starts
    if signal.phase is Phase.START and signal.rule not in starts:
        starts = (*starts, signal.rule)
    top, stage = _how_far(run, signal)
    operation = run.operation or signal.operation
    if operation is None and top is not None and stage == COMPACTING:
        operation = "backup"  # what was listed before something else began to compact
    shown = {name: value for name, value in signal.captured.items() if not name.startswith("_")}
    item = signal.captured.get(ITEM) or signal.captured.get(LISTED) or ""
    return Run(  # written out, for it is made for each line that is judged
        id=run.id,
        job=run.job,
        source=run.source,
        operation=operation,
        started=signal.time if run.seen is None and signal.time is not None else run.started,
        read=signal.read_at,
        seen=signal.time or run.seen,
        starts=starts,
        telling=telling,
        closing=run.closing,
        warnings=run.warnings + (evidence is not None and evidence.outcome is Outcome.WARNING),
        errors=run.errors + (evidence is not None and evidence.outcome is Outcome.FAILURE),
        outcome=run.outcome,
        closed=run.closed,
        past=signal.past,
        fields={**run.fields, **shown} if shown else run.fields,
        top=top,
        stage=stage,
        dry_run=_is_dry(run, signal),
        last_word=str(signal.captured.get(LAST_WORD) or run.last_word),
        likely=str(signal.captured.get(LIKELY) or run.likely),
        item=str(item),
    )


def _is_dry(run: Run, signal: Signal) -> bool:
    """Follow whether anything is really done: what a real run lists, or says last, takes a mere suspicion back."""
    said = signal.captured.get(DRY_RUN)
    if signal.operation == "backup" and signal.captured.get(LAST_WORD) == COMPLETE:
        return False  # only what was saved has statistics
    if said == MAYBE:
        return run.dry_run or not (run.starts or run.item or run.top is not None)
    return bool(said) or (run.dry_run and not (ITEM in signal.captured or LISTED in signal.captured))


def _how_far(run: Run, signal: Signal) -> tuple[int | None, str]:
    """Follow a listing: Borg lists a directory after all that is in it, so the uppermost one comes last."""
    if isinstance(stage := signal.captured.get(STAGE), str):
        if stage != MAYBE_COMPACTING:
            return run.top, stage
        is_new = run.top is None and run.operation is None
        return run.top, COMPACTING if run.broke_off or is_new else run.stage
    listed = signal.captured.get(LISTED)
    if not isinstance(listed, str):
        return run.top, run.stage if signal.outcome is not None or signal.phase is not Phase.DETAIL else ""
    depth = depth_of(listed)
    if run.top is not None and depth > run.top:
        return run.top, ""
    return depth, FINISHED


def depth_of(directory: str) -> int:
    """Say how deep a directory lies."""
    return directory.rstrip("/").count("/")


def evidence_of(signal: Signal) -> Evidence | None:
    """Read a signal as evidence; None if it says nothing of the outcome."""
    if signal.outcome is None:
        return None
    return Evidence(
        signal.outcome, signal.rule, signal.message, signal.next_step, signal.weight, signal.level, signal.title
    )
