"""`borgwatch history`: what ran, how it ended, what did not run."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta

import click

from borgwatch.cli.tables import line, table
from borgwatch.cli.views import now, print_view, sound_settings, span_option
from borgwatch.journal.lookback import Lookback
from borgwatch.views.formats import seconds, size, stamp, zone
from borgwatch.views.history import History, Row, history
from borgwatch.yamltree import nearest

__all__ = ["command"]

_LIMIT = click.IntRange(1, 1_000_000)
_BEGINNING = datetime(1970, 1, 2).astimezone()


@click.command("history")
@click.option("--job", help="Only this job.")
@click.option(
    "--since", type=span_option, metavar="SPAN", default="30d", show_default=True, help="How far back: 12h, 90d."
)
@click.option("--limit", type=_LIMIT, metavar="N", default=100, show_default=True, help="At most so many, the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (docs/review.md).")
def command(job: str | None, since: timedelta, limit: int, as_json: bool) -> None:
    """List the runs, oldest first, and those that did not come; also beside a running service."""
    begin = max(now() - since, _BEGINNING)
    with closing(Lookback.open(sound_settings().state)) as past:
        found = history(past.runs(begin, job, limit + 1), past.events_since(begin, job), past.standings(), limit)
        names = sorted({name for name, _ in past.jobs()})
    if as_json:
        print_view(found)
    elif found.rows:
        _show(found)
    elif job is None or job in names:
        line(f"nothing has run since {stamp(begin)} ({zone()}): --since looks further back")
    else:
        others = f"; the jobs are {', '.join(names)}" if names else "; no job has run yet"
        line(f"nothing is known of a job {job!r}{nearest(job, names)}{others}")


def _show(found: History) -> None:
    columns = ("job", "operation", "outcome", "duration", "size", "added", "rc", "alert", "message")
    table((f"when ({zone()})", *columns), (_cells(row) for row in found.rows))
    if found.more:
        line("older rows were left out: --limit shows more")


def _cells(row: Row) -> tuple[object, ...]:
    return (
        stamp(row.time), row.job, row.operation, row.outcome, seconds(row.duration), size(row.original_size),
        size(row.deduplicated_size), "-" if row.rc is None else row.rc, row.alert,
        "" if row.outcome == "success" else row.message,
    )  # fmt: skip
