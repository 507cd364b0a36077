"""Which rules a line could match, told by one search over its bytes, so that only these are asked. Pure.

With it, a line costs about the same however many rules there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import re2

from borgwatch.matching.needs import ODD, anywhere, latin_1, need_of
from borgwatch.matching.rules import Rule

__all__ = ["Shortlist"]


class Shortlist:
    """The rules, in the order in which they are asked, and a search for what each of them needs."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._always: tuple[int, ...] = ()
        self._search = self._compile()

    def _compile(self) -> Any:
        needs = [need_of(rule.when) for rule in self._rules]
        self._always = tuple(at for at, need in enumerate(needs) if need is None)
        search = re2.Set.SearchSet(latin_1())
        try:
            for need in needs:
                search.Add(_either(need or ()))
            search.Add(_either(ODD))
            search.Add(b"")  # matches every line: where it does not, the search has run out of memory
            search.Compile()
        except re2.error:
            return None  # too many rules for one search
        return search

    def of(self, data: bytes) -> Sequence[Rule]:
        """List the rules that could match the line `data`, in their order."""
        found = set(self._search.Match(data) or ()) if self._search else set()
        count = len(self._rules)
        if count + 1 not in found or count in found:
            return self._rules
        found.remove(count + 1)
        found.update(self._always)
        return [self._rules[at] for at in sorted(found)]


def _either(need: Sequence[str]) -> bytes:
    """Write a need as one expression; one that nothing meets matches no line."""
    return "|".join(f"(?:{anywhere(one)})" for one in need).encode("latin-1") if need else rb"[^\x00-\xff]"
