"""The history: one row a run, and one for each run that did not come. Pure.

What the journal knows comes in; `History` leaves, whose fields are the documented JSON of `borgwatch history`
(docs/review.md). Texts are as the journal has them: who shows them makes them harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from borgwatch.journal.notes import Recorded, Standing
from borgwatch.model import Event, Outcome
from borgwatch.runs.events import event_of_run, number_of, whole_of
from borgwatch.runs.run import Run

__all__ = ["VERSION", "History", "Row", "history", "row_of_run"]

VERSION = 1
"""The version of the JSON: fields may be added within it, none changes or goes."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the history. `kind` is `run`, `missed` (it did not run) or `event` (told by a rule without a run).

    `alert` says what became of the alert: `none`, `waiting`, `raised`, `cleared` (both read back), `mailed`, `quiet`
    (it stood already, nobody was mailed anew), `overtaken` (a newer one took its place before it was delivered).
    """

    kind: str
    time: datetime
    job: str
    operation: str
    outcome: str
    started: datetime | None = None
    duration: float | None = None
    archive: str | None = None
    files: int | None = None
    original_size: int | None = None
    deduplicated_size: int | None = None
    rc: int | None = None
    warnings: int = 0
    errors: int = 0
    rule: str = ""
    message: str = ""
    alert: str = "none"
    run: str = ""
    past: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """The rows, oldest first; `more` says that older ones were left out."""

    rows: tuple[Row, ...]
    more: bool = False
    version: int = VERSION


def history(
    runs: Iterable[Run], events: Iterable[Recorded], standings: Iterable[Standing], limit: int | None = None
) -> History:
    """Make the rows of runs, and of the events that tell of none (missed runs above all)."""
    current = {standing.alert.event_id for standing in standings}
    known = list(events)
    became = {(found.event.id, found.event.time): _alert_word(found, current) for found in known}
    rows = [row_of_run(run, became) for run in runs]
    rows += [_row_of_event(found.event, _alert_word(found, current)) for found in known if not found.event.run]
    rows.sort(key=lambda row: (row.time, row.job, row.operation))
    return History(tuple(rows[-limit:] if limit else rows), more=limit is not None and len(rows) > limit)


def _alert_word(found: Recorded, current: Iterable[str]) -> str:
    if found.delivery == "waiting" and found.event.id not in current:
        return "overtaken"
    return found.delivery or "none"


def row_of_run(run: Run, became: Mapping[tuple[str, datetime], str]) -> Row:
    """Make the row of a run; `became` says what became of alerts, by id and time of their event."""
    event = event_of_run(run)
    if event is None:  # housekeeping that nobody is told of
        return Row("run", run.ended, run.job, run.operation or "", run.outcome or "", run.started, run=run.id)
    fields = event.fields
    return Row(
        "run", event.time, event.job, event.operation, event.outcome, run.started,
        duration=number_of(fields.get("duration")),
        archive=str(fields["archive"]) if fields.get("archive") else None,
        files=whole_of(fields.get("files")),
        original_size=whole_of(fields.get("original_size")),
        deduplicated_size=whole_of(fields.get("deduplicated_size")),
        rc=whole_of(fields.get("rc")),
        warnings=run.warnings, errors=run.errors, rule=event.rule, message=event.message,
        alert=became.get((event.id, event.time), "none"), run=run.id, past=run.past,
    )  # fmt: skip


def _row_of_event(event: Event, alert: str) -> Row:
    kind = "missed" if event.outcome == Outcome.MISSED else "event"
    return Row(
        kind, event.time, event.job, event.operation, event.outcome, rule=event.rule, message=event.message,
        alert=alert, past=event.past,
    )  # fmt: skip
