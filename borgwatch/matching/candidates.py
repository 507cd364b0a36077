"""Find the lines of a block that any rule could possibly match, without looking at the others one by one. Pure.

A block of whole lines comes in; the places where lines to be judged begin leave (`Candidates.starts`). All other lines
change nothing: judged or not, the same events come of them.

Most lines of a backup's log are noise of two kinds. Lines that no rule can match are told by what they lack: every rule
that could match them needs certain bytes (`needs`), and one search over the block looks for all of these at once.

The others are a murmur: rules match them, but all they say is that a backup is going on (`file_status`, progress), and
how far its listing is. Of these, a few are picked (`selection`).

Rules whose need is not known make every line a candidate: `starts` is None then.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import re2

from borgwatch.decode import decode
from borgwatch.matching.listings import DEEPEST, higher_than
from borgwatch.matching.matcher import Matcher, captured_by
from borgwatch.matching.needs import ODD, TYPICAL, Need, compiled, mentions, need_of
from borgwatch.matching.rules import Rule
from borgwatch.matching.selection import Passing, Searches, Selection, Voice
from borgwatch.matching.suspicious import SUSPICIOUS_BYTES
from borgwatch.model import Line, Outcome, Phase, Position
from borgwatch.runs.run import DRY_RUN, ITEM, LISTED, STAGE, depth_of

__all__ = ["SUSPICIOUS", "Candidates"]

_WORD_BEGINS = r"(?:\b|\\[bfnrt])"  # a word may also begin behind what JSON writes for a control character
SUSPICIOUS = tuple(
    f"(?i:{_WORD_BEGINS if text.startswith(b'rc') else ''}{re2.escape(text.decode())})" for text in SUSPICIOUS_BYTES
)
"""Lines that are wanted though no rule may claim them: they are counted and kept for review."""

_MURMUR_OF = (None, "backup")
"""The operations of which a murmur may tell. One alone, and none: then it does not matter how their lines mix."""
_OF_A_LISTING = (ITEM, LISTED, STAGE, DRY_RUN)
"""What a rule may capture that murmur takes back, or goes on from."""
_TIME = r"(?:time|timestamp|ts)\\*\"|\d\d:\d\d:\d\d"
_MAX_SEARCHES = 16
_LISTED = tuple(
    b'{"type": "file_status", "status": "d", "path": "/mnt/tank/%s"}' % name for name in (b"home/anna/2024/07", b"home")
)
_NOWHERE = Position(0, 0, 0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Candidates:
    """What is wanted of a log, by the rules that are loaded: those of `matcher`.

    `extra` are regular expressions over bytes of what is wanted beside; `patience` is the shortest silence that may end
    a run. Once more than `most` lines were found in a block, nothing is searched for behind them.
    """

    def __init__(
        self, matcher: Matcher, *, extra: Iterable[str] = SUSPICIOUS, patience: timedelta, most: int = sys.maxsize
    ) -> None:
        self._patience = patience
        self._most = most
        self._all = matcher
        known = [(rule, need_of(rule.when)) for rule in matcher.rules]
        self._murmur = tuple(rule for rule, need in known if _is_murmur(rule, need))
        self._matcher = Matcher(self._murmur)
        rest = [need for rule, need in known if rule not in self._murmur]
        self.everything = any(need is None for need in rest)
        self.wanted: tuple[str, ...] = ()
        """The regular expressions over bytes that a line must meet, unless it is murmur."""
        if not self.everything:
            self.wanted = tuple(dict.fromkeys([*(one for need in rest for one in need or ()), *extra, *ODD]))
            try:
                self._searches = self._compile()
            except re2.error:
                self.everything = True  # too many rules for one search
            else:
                self._warm_up()

    def _compile(self) -> Searches:
        needs = [(rule, one) for rule in self._murmur for one in need_of(rule.when) or ()]
        murmur = [one for _, one in needs]
        telling = [one for rule, one in needs if rule.operation is not None and not rule.captured]
        unsure = [one for rule, one in needs if ITEM not in rule.captured]
        directories = [(rule, one) for rule, one in needs if LISTED in rule.captured]

        @lru_cache(maxsize=_MAX_SEARCHES)
        def higher(depth: int | None) -> Any:
            return _compiled(higher_than(rule, one, depth) for rule, one in directories)

        @lru_cache(maxsize=_MAX_SEARCHES)
        def until(tells: bool, timed: bool, depth: int | None) -> Any:
            above = [higher_than(rule, one, depth) for rule, one in directories]
            more = [*([] if tells else telling), *([] if timed else [_TIME]), *above]
            return compiled([*self.wanted, *more])

        until(True, True, DEEPEST)
        return Searches(
            wanted=compiled(self.wanted),
            murmur=_compiled(murmur),
            timed=compiled([_TIME]),
            either=compiled([*self.wanted, *murmur]),
            unsure=compiled([*self.wanted, *unsure, _TIME]),
            until=until,
            directories=higher,
        )

    def _warm_up(self) -> None:
        """Search what logs are like, so that it is not the first step that makes the searches."""
        block = b"".join(line + b"\n" for line in 2 * (*TYPICAL, *_LISTED))
        self.starts(block, 0, len(block))

    def starts(self, block: bytes, start: int, end: int) -> list[int] | None:
        """Say where lines to be judged begin in the whole lines `block[start:end]`; None where all are to be."""
        if self.everything:
            return None
        selection = Selection(self._searches, self._speaks, self._passes, self._patience, block)
        return selection.select(start, end, self._most)

    def _speaks(self, data: bytes) -> Voice | None:
        """Decode a line that only murmur can match, and say what is heard of it."""
        line = Line("", data, _NOWHERE, _EPOCH)
        record = decode(line, "")
        if (found := self._matcher.first(record)) is None:
            return None
        if not found[0].captured:
            return Voice(found[0].operation is not None, record.time, None, is_plain=True)
        captured = captured_by(*found, record)
        listed, item = captured.get(LISTED), captured.get(ITEM)
        depth = depth_of(listed) if isinstance(listed, str) else None
        is_plain = depth is None and not isinstance(item, str)
        return Voice(found[0].operation is not None, record.time, depth, is_plain)

    def _passes(self, data: bytes) -> Passing | None:
        """Decode a line of interest; None if it may change what goes on, where a backup does."""
        known = self._all.foresee(data)
        if known is None or not (known.rule is None or _is_harmless(known.rule)):
            return None
        return Passing(known.record.time)


def _is_murmur(rule: Rule, need: Need) -> bool:
    """Tell a rule that only says, of typical lines, that a backup is going on."""
    says_little = rule.phase is Phase.DETAIL and rule.outcome is None and rule.weight == 0
    if need is None or not says_little or rule.operation not in _MURMUR_OF or mentions(rule.when, ("job", "source")):
        return False
    if rule.captured:
        return rule.captured.keys() <= {ITEM, LISTED}
    pattern = _compiled(need)
    return pattern is not None and any(pattern.search(line) for line in TYPICAL)


def _is_harmless(rule: Rule) -> bool:
    """Tell a rule that adds a warning, or nothing, to the backup that goes on."""
    is_detail = rule.phase is Phase.DETAIL and rule.operation in _MURMUR_OF and rule.weight >= 0
    return is_detail and rule.outcome in (None, Outcome.WARNING) and rule.captured.keys().isdisjoint(_OF_A_LISTING)


def _compiled(expressions: Iterable[str]) -> Any:
    """Compile an alternation; None where it is empty."""
    found = list(expressions)
    return compiled(found) if found else None
