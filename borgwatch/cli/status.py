"""`borgwatch status`: how each job stands, in five lines each."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime

import click

from borgwatch.cli.tables import line
from borgwatch.cli.views import now, print_view, sound_settings
from borgwatch.journal.lookback import Lookback
from borgwatch.journal.notes import DeliveryState, RejectedRules, RuleExpectations
from borgwatch.settings import Settings
from borgwatch.views import facts
from borgwatch.views.formats import ago, seconds, stamp, zone
from borgwatch.views.status import JobStatus, Status

__all__ = ["command", "read_status", "say_delivery", "say_rejected"]

_ALERTS = {
    "none": "none",
    "raised": "raised, read back",
    "mailed": "mailed, not read back",
    "waiting": "waiting for delivery",
    "over": "to be cleared, waiting for delivery",
}


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (docs/review.md).")
def command(as_json: bool) -> int:
    """Say how each job stands; exits 1 if one is broken or overdue. Also beside a running service."""
    settings = sound_settings()
    with closing(Lookback.open(settings.state)) as past:
        found = read_status(past, settings)
    if as_json:
        print_view(found)
    else:
        _show(found)
    return 1 if found.broken else 0


def read_status(past: Lookback, settings: Settings) -> Status:
    """Read what `status` needs."""
    by_rules = past.note(RuleExpectations) or RuleExpectations()
    return facts.read_status(past, (*by_rules.rows, *settings.expect), now())


def _show(found: Status) -> None:
    for job in found.jobs:
        _show_job(job, found)
    if not found.jobs:
        line("no job has run yet; `borgwatch check` says which logs there are, and what stands in them")
    line(f"borgwatch: {_say_service(found)}")
    line(f"delivery: {say_delivery(found.delivery)}{'' if found.is_off else _say_queue(found.waiting)}")
    if found.rejected_rules is not None:
        line(f"rules: {say_rejected(found.rejected_rules)}")
    line(f"as of {stamp(found.time)}, times in {zone()}")


def _show_job(job: JobStatus, found: Status) -> None:
    since = f" since {stamp(job.failing_since)}, {job.failures} failed" if job.failing_since and job.failures else ""
    line(f"{job.state}: {job.job} {job.operation}{since}")
    line(_when(job.last_success, found), before="  last success  ")
    took = f", {seconds(job.duration)}" if job.duration is not None else ""
    told = f": {job.message}" if job.message and job.last_outcome != "success" else ""
    line(f"{_when(job.last_run, found)}, {job.last_outcome or 'unknown'}{took}{told}", before="  last run      ")
    line(_when(job.due, found) if job.due else "not awaited (BORGWATCH_EXPECT)", before="  due           ")
    shown = _ALERTS[job.alert if job.alert_raised or job.alert == "none" else "over"]
    key = f": {job.alert_key}" if job.alert != "none" else ""
    by = f" ({_say_rung(found.delivery)})" if found.delivery else ""
    line(f"{shown}{key}{by}", before="  alert         ")


def _say_queue(waiting: int) -> str:
    return f"; {waiting} alert{'' if waiting == 1 else 's'} waiting"


def _say_rung(delivery: DeliveryState) -> str:
    rung = {"off": "delivery is off", "none": "no way to deliver"}.get(delivery.rung, f"delivery by {delivery.rung}")
    return f"{rung} since {stamp(delivery.since)}"


def _when(time: datetime | None, found: Status) -> str:
    return f"{stamp(time)} ({ago(time, found.time)})" if time is not None else "-"


def _say_service(found: Status) -> str:
    service = found.service
    if service is None:
        return "has not run yet"
    if service.stopped is not None:
        return f"stopped since {stamp(service.stopped)}"
    if not found.at_work:
        return f"not at work, last seen at {stamp(service.looked)}"
    return f"at work, version {service.version}, since {stamp(service.started)}"


def say_rejected(rejected: RejectedRules) -> str:
    """Say that rule files are wrong, and name the first fault."""
    faults = "1 fault" if rejected.count == 1 else f"{rejected.count} faults"
    first = f", the first: {rejected.problems[0]}" if rejected.problems else ""
    return f"{faults} in rule files, which are not in force since {stamp(rejected.since)} (borgwatch rules test){first}"


def say_delivery(delivery: DeliveryState | None) -> str:
    """Say by which way people are told, and since when."""
    if delivery is None:
        return "not known yet"
    ways = {
        "alert": f"alerts under the bell of TrueNAS {delivery.release}, read back",
        "mail": f"mails through TrueNAS {delivery.release}, not proven",
        "none": "by no way",
        "off": "off (NOTIFY_TRUENAS_ENABLED is not true)",
    }
    reason = f": {delivery.reason}" if delivery.reason else ""
    is_cut = delivery.lost is not None and delivery.rung in ("alert", "mail")
    session = f"; no session since {stamp(delivery.lost)}" if is_cut else ""
    return f"{ways.get(delivery.rung, delivery.rung)}, since {stamp(delivery.since)}{session}{reason}"
