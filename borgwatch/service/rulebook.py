"""The rules in force: read at the start, and read again when their files change or somebody asks.

Rule files that are wrong change nothing: what was in force stays, and `rejected` says what is wrong with them until
they are read without a fault. Both are noted in the journal for those who look back.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from borgwatch.errors import JournalError
from borgwatch.journal.notes import RejectedRules, RuleExpectations
from borgwatch.journal.store import Journal
from borgwatch.matching.load import RuleSet, load_rules
from borgwatch.matching.rulefiles import RuleFiles
from borgwatch.matching.templates import one_line
from borgwatch.policy.deadman import Expectation
from borgwatch.redact import redact

__all__ = ["Rulebook"]

_NAMED = 3
"""Faults that are noted for those who look back; the log has them all."""


class Rulebook:
    """What rule files say. `rules` are in force; `rejected` is what the last reading found wrong.

    At the start there is nothing that could stay in force: then the sound files are. A directory that is gone later is
    wrong, and not empty: what its files expect must not be given up because a share is away.
    """

    def __init__(self, directories: Sequence[Path], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._directories = tuple(directories)
        self._files = RuleFiles(directories, monotonic)  # before they are read: what changes meanwhile is seen later
        self._there = {directory for directory in self._directories if directory.is_dir()}
        self.rules: RuleSet = load_rules(directories)
        self.rejected: tuple[str, ...] = _shown(self.rules.problems)

    def changed(self) -> bool:
        """Say whether the files are to be read again, once for each change."""
        return self._files.changed()

    def reload(self) -> bool:
        """Read the files again; returns whether what they say is in force now."""
        self._files.taken()
        there = {directory for directory in self._directories if directory.is_dir()}
        rules = load_rules(self._directories)
        gone = [f"{directory}:1:1: the directory is gone" for directory in sorted(self._there - there)]
        self.rejected = _shown([*gone, *rules.problems])
        if not self.rejected:
            self.rules, self._there = rules, there
        return not self.rejected

    def expectations(self, journal: Journal) -> tuple[Expectation, ...]:
        """What the files expect; if they are wrong at the start, what they expected when they were last sound."""
        with contextlib.suppress(JournalError):  # the first step meets it as well, and says so
            if self.rules.problems and (known := journal.note(RuleExpectations)) is not None:
                return known.rows
        return self.rules.expectations

    def note(self, journal: Journal, now: datetime) -> None:
        """Write down what is expected and what was rejected, since when."""
        with contextlib.suppress(JournalError):  # the next step meets it as well, and says so
            journal.set_note(RuleExpectations(self.expectations(journal)))
            known, count = journal.note(RejectedRules), len(self.rejected)
            since = known.since if known is not None and known.count and count else now
            journal.set_note(RejectedRules(since, count, self.rejected[:_NAMED]))


def _shown(problems: Sequence[str]) -> tuple[str, ...]:
    return tuple(one_line(redact(problem)) for problem in problems)
