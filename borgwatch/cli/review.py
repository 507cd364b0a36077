"""`borgwatch review`: what a person should look at who sits down once a week."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta

import click

from borgwatch.cli.status import read_status, say_delivery, say_rejected
from borgwatch.cli.tables import heading, line, table, verbatim
from borgwatch.cli.views import print_view, sound_settings, span_option
from borgwatch.journal.lookback import Lookback, mark_reviewed
from borgwatch.journal.notes import ReviewMark
from borgwatch.matching.load import load_rules
from borgwatch.settings import Settings
from borgwatch.views.formats import safe, seconds, size, stamp, zone
from borgwatch.views.review import USUAL, Group, Line, Outlier, Review, review
from borgwatch.views.status import JobStatus

__all__ = ["command", "proposal"]

_MANY = 20
_MOST_COMPARED = 200
"""Of each job: an hourly one has 168 runs a week."""
_FEW = 3


@click.command("review")
@click.option("--ack", is_flag=True, help="Note that all this has been seen: the next review begins here.")
@click.option(
    "--since", type=span_option, metavar="SPAN", help="Look so far back, such as 7d, instead of to the last --ack."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (docs/review.md).")
def command(ack: bool, since: timedelta | None, as_json: bool) -> int:
    """Say what is broken now, what happened since the last review, and what stands out.

    Exits 1 if a job, the delivery or a rule file is broken. Also beside a running service.
    """
    settings = sound_settings()
    if ack and since is not None:
        raise click.UsageError("--ack notes that all since the last review was seen: it does not go with --since")
    with closing(Lookback.open(settings.state)) as past:
        found, mark = _read(past, settings, since)
    if as_json:
        print_view(found)
    else:
        _show(found)
    if ack:
        mark_reviewed(settings.state, mark)
    return 0 if found.is_well else 1


def _read(past: Lookback, settings: Settings, span: timedelta | None) -> tuple[Review, ReviewMark]:
    """Read what came since the last review, or within a span; and up to where this review goes."""
    now_status = read_status(past, settings)
    mark = past.note(ReviewMark)
    since: datetime | None = mark.time if mark is not None else None
    if span is not None:
        since = now_status.time - span
        events = past.events_since(since)
        unclaimed = [line for line in past.unclaimed() if line.last > since]
    else:
        known = mark or ReviewMark(now_status.time, 0)
        events, unclaimed = past.events_after(known.seq), past.unclaimed(known.unclaimed)
    new = Counter((found.event.job, found.event.operation) for found in events if found.event.run)
    recent = {place: past.outlines_of(*place, min(new[place], _MOST_COMPARED) + 2 * USUAL) for place in past.jobs()}
    found = review(now_status, since, events, recent, unclaimed, _own_rules(settings), past.rule_hits())
    return found, ReviewMark(now_status.time, past.last_seq(), past.counters().get("unclaimed", 0))


def _own_rules(settings: Settings) -> list[str]:
    """List the user's rules; without any, the shipped ones need not be read."""
    if not any(directory.is_dir() and any(directory.iterdir()) for directory in settings.rules):
        return []
    return [rule.id for pack in load_rules(settings.rules).packs if not pack.shipped for rule in pack.rules]


def _show(found: Review) -> None:
    since = stamp(found.since) if found.since else "the beginning"
    line(f"Review since {since}, times in {zone()}", style="bold")
    _show_broken(found)
    if found.happened:
        heading("What happened")
        rows = ((item.job, item.operation, _outcomes(item.outcomes), stamp(item.last)) for item in found.happened)
        table(("job", "operation", "outcomes", "last"), rows)
    _show_groups("Failures and missing runs", found.troubles)
    _show_groups("Warnings", found.warnings)
    _show_unclaimed(found.unclaimed)
    if found.outliers:
        heading(f"Unlike the {USUAL} runs before")
        table(("when", "job", "operation", "what", "value", "usual"), map(_outlier, found.outliers[-_MANY:]))
        _say_left_out(len(found.outliers))
    if found.dead_rules:
        heading("Rules of yours that do not speak (any more)")
        for rule in found.dead_rules:
            line(rule, before="  ")
    if found.status.rejected_rules is not None:
        heading("Rule files that are wrong and not in force")
        line(say_rejected(found.status.rejected_rules), before="  ")
    heading("Delivery")
    line(say_delivery(found.status.delivery), before="  ")
    if found.mailed:
        line(f"{found.mailed} could only be mailed: nobody can tell whether they arrived", before="  ")
    for trouble in found.delivery:
        line(trouble, before="  ")
    click.echo()
    line(found.verdict)


def _show_broken(found: Review) -> None:
    if found.broken:
        heading("Broken now")
        columns = ("state", "job", "operation", "since", "failed", "last success", "alert", "message")
        table(columns, map(_broken, found.broken))


def _broken(job: JobStatus) -> tuple[object, ...]:
    is_late = job.state == "overdue"
    since = job.due if is_late else job.failing_since
    message = "it did not run, or did not succeed" if is_late else job.message
    return (
        job.state, job.job, job.operation, stamp(since), job.failures, stamp(job.last_success), job.alert, message
    )  # fmt: skip


def _outcomes(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items(), key=lambda item: -item[1]))


def _show_groups(title: str, groups: tuple[Group, ...]) -> None:
    if groups:
        heading(title)
        rows = ((group.count, stamp(group.first), stamp(group.last), _jobs(group.jobs), group.message)
                for group in groups[:_MANY])  # fmt: skip
        table(("count", "first", "last", "of", "message"), rows)
        _say_left_out(len(groups))


def _jobs(jobs: tuple[str, ...]) -> str:
    more = f" and {len(jobs) - _FEW} more" if len(jobs) > _FEW else ""
    return ", ".join(jobs[:_FEW]) + more


def _show_unclaimed(lines: tuple[Line, ...]) -> None:
    if not lines:
        return
    heading("Lines that look like trouble and that no rule knows")
    table(
        ("count", "first", "last", "job", "line"),
        ((found.count, stamp(found.first), stamp(found.last), found.job, found.sample) for found in lines[:_MANY]),
    )
    _say_left_out(len(lines))
    line("To see what borgwatch makes of one:")
    verbatim(f"borgwatch explain -- {shlex.quote(safe(lines[0].sample))}", before="  ")
    if match := next((safe(found.match) for found in lines if found.match), ""):
        line("To teach it, put a file such as own.yaml into BORGWATCH_RULES (README, Rules of your own):")
        for text in proposal(match):
            verbatim(text.lstrip(), before="  " + " " * (len(text) - len(text.lstrip())))


def proposal(match: str) -> tuple[str, ...]:
    """Write a rule file for lines that hold `match`: a beginning, for only a person knows what they mean."""
    quoted = match.replace("'", "''")
    rule = f"{{id: my-rule, match: {{text|contains: '{quoted}'}}, emit: backup.failure}}"
    return "schema: 1", "pack: own", "rules:", f"  - {rule}"


def _outlier(found: Outlier) -> tuple[object, ...]:
    write = seconds if found.what == "duration" else size
    what = found.what.replace("_", " ")
    return stamp(found.time), found.job, found.operation, what, write(found.value), write(found.usual)


def _say_left_out(count: int) -> None:
    if count > _MANY:
        line(f"and {count - _MANY} more: --json shows all")
