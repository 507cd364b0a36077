r"""Which lines of a listing may name a directory that lies higher than those before. Pure.

Borg lists a directory after all that is in it, so nearly all directories lie as deep as one before them, or deeper: of
these, a run learns nothing. What a rule for directories needs comes in (`needs`); an expression leaves that finds all
lines with it, but for those that surely name a directory of at least some depth: written as Borg writes it, with the
name up to the end of the line. (A name has at most 255 bytes, so the first seven are never cut off.)
"""

from __future__ import annotations

import re

from borgwatch.matching.conditions import AllOf, FieldTest
from borgwatch.matching.needs import mentions
from borgwatch.matching.patterns import Pattern
from borgwatch.matching.rules import Rule
from borgwatch.runs.run import LISTED

__all__ = ["DEEPEST", "higher_than"]

DEEPEST = 7
"""Of directories that lie deeper, all are looked at."""

_JSON_BETWEEN = '", "path": "'
_TEXT = re.compile(r"\^\w \(\?P<path>\(\[\^ \]\*/\|/\)\.\*\)\$")
_ODD = r"\"\\=\r"  # may end the name, spell a character, or belong to what is masked as a secret
_MASKED = r"'[^/\n]*:"  # as may this: what is masked may hold slashes, and lies higher without them


def higher_than(rule: Rule, need: str, depth: int | None) -> str:
    """Say what finds the directories of a rule above a depth; all of them where it is None."""
    template = rule.captured.get(LISTED)
    if depth is None or not 0 < depth <= DEEPEST or template is None or template.source != "{path}":
        return need
    name = rf"[^/{_ODD}\n]*(?:/+[^/{_ODD}\n]+){{0,{depth - 1}}}/*[{_ODD}\n]"
    if _is_text(rule):
        odd = rf"[^{_ODD}\n]*(?:[\"\\=]|{_MASKED}|\r[^\n])"
        return f"{need}(?:{name}|{odd})"
    if mentions(rule.when, ("path",)):
        odd = rf"[^{_ODD}\n]*(?:[\\=\r\n]|{_MASKED}|\"(?:[^}}]|}}(?:[^\r\n]|\r[^\n])))"
        return f"{need}(?:{_unlike(_JSON_BETWEEN)}|{_JSON_BETWEEN}(?:{name}|{odd}))"
    return need


def _is_text(rule: Rule) -> bool:
    """Tell a rule for which the line is a letter, a space, and the name."""
    parts = rule.when.parts if isinstance(rule.when, AllOf) else (rule.when,)
    patterns = [part for part in parts if isinstance(part, FieldTest) and part.field == "text"]
    return len(patterns) == 1 and all(
        isinstance(one, Pattern) and _TEXT.fullmatch(one.source) for one in patterns[0].values
    )


def _unlike(text: str) -> str:
    """Write what finds anything but `text`."""
    found = ""
    for char in reversed(text):
        found = f"(?:[^{char}]|{char}{found})" if found else f"[^{char}]"
    return found
