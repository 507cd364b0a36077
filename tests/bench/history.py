"""A year of ten daily jobs, and how long the commands take that look back: `python -m tests.bench.history`.

The journal is written as the service writes it: 7,300 runs (a backup and a prune of each job each night) with their
events, a million judged lines counted, hits of rules, unclaimed lines, some failures, warnings and missed runs. Then
`status`, `review` and `history` run as whole commands, each a few times; the best time is told.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from borgwatch.journal.notes import DeliveryState, ServiceState
from borgwatch.journal.store import Change, Journal
from borgwatch.matching.suspicious import RuleHits, Unclaimed
from borgwatch.model import Alert, Event, FieldValue, Outcome
from borgwatch.policy.alerts import EventFilter, alert_for
from borgwatch.policy.deadman import Expectation, missed
from borgwatch.policy.jobs import JobState, learn
from borgwatch.runs.events import event_of_run
from borgwatch.runs.run import Evidence, Run

__all__ = ["main", "make_year"]

JOBS = tuple(f"host-{number}" for number in range(10))
DAYS = 365
LINES = 137  # of each run: a million in a year
_WITHIN = Expectation("*", "backup", timedelta(hours=26))
_LOCKED = "Failed to create/acquire the lock /mnt/backup/repo/lock.exclusive (timeout)."


def make_year(directory: Path, end: datetime, days: int = DAYS) -> int:
    """Write the journal of the days before `end`; returns how many runs it holds."""
    count = 0
    states: dict[tuple[str, str], JobState] = {}
    with closing(Journal.open(directory, exclusive=True)) as journal:
        journal._database.execute("PRAGMA synchronous = OFF")
        for day in range(days):
            for run in _night(day, end - timedelta(days=days - day)):
                _commit(journal, run, states)
                count += 1
        for job in JOBS[:3]:
            late = missed(states[job, "backup"], _WITHIN, end + timedelta(days=2))
            if late is not None and job == JOBS[2]:
                journal.commit(Change(events=[late[1]], jobs=[late[0]]))
        journal.set_note(ServiceState("1.0.0", end - timedelta(days=days), end))
        journal.set_note(DeliveryState("alert", end - timedelta(days=days), release="25.10.6"))
    return count


def _night(day: int, night: datetime) -> Iterator[Run]:
    for number, job in enumerate(JOBS):
        began = night + timedelta(minutes=30 * number)
        for operation in ("backup", "prune"):
            telling = _telling(day, number, operation)
            took = timedelta(seconds=600 + 17 * number + day % 60)
            size = 500_000_000_000 + day * 1_000_000_000
            fields: dict[str, FieldValue] = {
                "archive": f"{job}-{night:%Y-%m-%dT%H:%M:%S}", "files": 1_250_000 + day, "original_size": size,
                "compressed_size": size // 2, "deduplicated_size": 2_000_000_000 + day * 1_000_000, "rc": 0,
            }  # fmt: skip
            yield Run(
                id=f"{day:04x}{number:02x}{operation}", job=job, source=f"/watch/{job}/backup.log", operation=operation,
                started=began, read=began + took, seen=began + took, starts=(f"borg.{operation}-start",),
                telling=telling, closing=Evidence(Outcome.SUCCESS, "borg.rc", "terminating with success status, rc 0"),
                outcome=telling.outcome if telling else Outcome.SUCCESS, closed=True,
                fields=fields if operation == "backup" else {"rc": 0},
            )  # fmt: skip
            began += took


def _telling(day: int, number: int, operation: str) -> Evidence | None:
    if operation == "backup" and (day + number) % 50 == 0:
        return Evidence(Outcome.FAILURE, "borg.lock-timeout", _LOCKED, "Does another Borg run?", 10)
    if operation == "backup" and (day + number) % 20 == 0:
        return Evidence(Outcome.WARNING, "borg.file-changed", f"/srv/data/{day}.db: file changed while we backed it up")
    return None


def _commit(journal: Journal, run: Run, states: dict[tuple[str, str], JobState]) -> None:
    found = event_of_run(run)
    assert found is not None
    place = run.job, run.operation or ""
    states[place], event = learn(states.get(place) or JobState(*place), found, run.ended)
    journal.commit(
        Change(
            runs=[run], events=[event], jobs=[states[place]], alerts=_alerts(journal, event), lines=LINES,
            hits={rule: RuleHits(3, run.ended) for rule in ("borg.rc", "borg.stats", run.starts[0])},
            unclaimed=[Unclaimed(run.job, "ERROR: disk # is hot", 1, run.ended, run.ended, "ERROR: disk 3 is hot", "x")]
            if event.outcome == Outcome.FAILURE else [],
        )
    )  # fmt: skip
    if pending := journal.pending():
        journal.mark_delivered(pending)


def _alerts(journal: Journal, event: Event) -> list[Alert]:
    alert = alert_for(event, journal.alerts().get((event.job, event.operation)), EventFilter(), "main")
    return [alert] if alert is not None else []


def _time(directory: Path, *arguments: str) -> float:
    environment = {
        "PATH": os.environ["PATH"], "BORGWATCH_STATE": str(directory), "BORGWATCH_CONFIG": "",
        "BORGWATCH_EXPECT": "26h", "BORGWATCH_RULES": str(directory / "rules"),
    }  # fmt: skip
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "borgwatch", *arguments], env=environment, check=False, capture_output=True
        )
        best = min(best, time.perf_counter() - began)
        assert done.returncode in (0, 1), done.stderr
    return best


def main() -> None:
    """Write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=DAYS)
    days = parser.parse_args().days
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        runs = make_year(directory, datetime.now(UTC), days)
        size = (directory / "journal.sqlite3").stat().st_size
        sys.stdout.write(f"{runs} runs, {runs * LINES} lines counted, journal {size / 1e6:.1f} MB\n")
        for command in (["--version"], ["status"], ["review"], ["history", "--since", "400d", "--limit", "100"]):
            sys.stdout.write(f"borgwatch {' '.join(command)}: {_time(directory, *command):.3f} s\n")


if __name__ == "__main__":
    main()
