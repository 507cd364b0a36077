"""Read a directory of logs once, as the service does: `python -m tests.bench.reader WATCH STATE [RULES]`.

The parts are the real ones: files, filter, rules, runs, journal on disk. It prints what it took; a number brings the
rules to that many.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from borgwatch.journal.store import Journal
from borgwatch.judge import Judge
from borgwatch.matching.load import load_rules, parse_pack
from borgwatch.matching.matcher import Matcher
from borgwatch.matching.rules import Rule
from borgwatch.pipeline import Pipeline, Plan
from borgwatch.policy.alerts import EventFilter
from borgwatch.runs.machine import Limits
from borgwatch.service.roles import Roles
from borgwatch.sources.tail import Tree

__all__ = ["read", "rules_to"]

_FOR_THE_LOG = (
    "borg.file-not-read",
    "borg.file-status",
    "borg.archive-progress",
    "borg.source-warning",
    "borg.any-warning",
)
_OWN = """
schema: 1
pack: own
rules:
  - id: own
    match:
      text|re: '^application NUMBER: backup (of|to) (?P<what>.+) failed'
    emit: backup.failure
    title: '{what} failed'
"""


def _now() -> datetime:
    return datetime.now(UTC)


def rules_to(count: int | None) -> Sequence[Rule]:
    """Take so many rules: those for the lines of the log and others of the shipped ones, or all and a user's own."""
    rules = load_rules().rules
    if count is None:
        return rules
    if count <= len(rules):
        needed = {rule.id for rule in rules if rule.id in _FOR_THE_LOG}
        others = [rule.id for rule in rules if rule.id not in needed][: count - len(needed)]
        return tuple(rule for rule in rules if rule.id in needed.union(others))
    own = []
    for number in range(count - len(rules)):
        pack, _ = parse_pack(_OWN.replace("NUMBER", f"{number:04d}"), "own.yaml")
        if pack is not None:
            own += [replace(rule, id=f"own.{number}") for rule in pack.rules]
    return (*own, *rules)


def read(watch: Path, state: Path, rules: Sequence[Rule]) -> dict[str, float]:
    """Read all that is there and return the figures."""
    journal = Journal.open(state)
    tree = Tree({"watch": watch}, now=_now, monotonic=time.monotonic)
    judge = Judge(Matcher(rules), Limits(), Roles((watch,), ()))
    pipeline = Pipeline({"watch": tree}, judge, Plan(EventFilter(("*.failure",))), journal, _now)
    lines, events, more = 0, 0, True
    steps: list[float] = []
    wall, cpu = time.perf_counter(), time.process_time()
    while more:
        begun = time.process_time()
        step = pipeline.step()
        steps.append(time.process_time() - begun)
        lines, events, more = lines + step.lines, events + len(step.events), step.more
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    journal.close()
    figures = {"first_step": steps[0], "median_step": median(steps), "longest_later_step": max(steps[1:], default=0.0)}
    return {"lines": lines, "events": events, "wall": wall, "cpu": cpu, **figures}


if __name__ == "__main__":
    wanted = int(sys.argv[3]) if len(sys.argv) > 3 else None
    print(json.dumps(read(Path(sys.argv[1]), Path(sys.argv[2]), rules_to(wanted))))
