"""Regular expressions that cannot stall the watcher.

All patterns run on RE2, whose time is linear in the length of the text whatever the pattern, and whose memory is
bounded. What RE2 does not know (look-around, back-references) is refused when the rule is loaded.

Linear is not yet fast: where RE2 has to give up its automaton, each byte of the text costs as many steps as the
program of the pattern has instructions. So the product of the two is bounded. A pattern of more than `MAX_STEPS` is
refused when the rule is loaded; of a very long text, a pattern sees as much as its program allows (`reach`), all of
it for nearly every pattern. docs/decisions.md has the measurements.
"""

from __future__ import annotations

import re

import re2

__all__ = ["MAX_SOURCE", "MAX_STEPS", "Pattern", "PatternError", "literal"]

MAX_STEPS = 1500
"""Steps that a character may cost at worst: the instructions of the program; `x{100}` counts a hundred times."""
_MAX_COST = 3 << 20
"""Steps that one search may cost at worst: about 40 ms."""
_GROUPS_OF_A_STEP = 4
"""So many groups make a step twice as dear."""
_NAMED = re.compile(r"(?<!\\)\(\?P?<(\w+)>")
MAX_SOURCE = 10_000
"""Characters of a pattern as it is written."""
_MAX_MEMORY = 8 << 20


def _options(*, capture: bool) -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    options.never_capture = not capture
    return options


_CAPTURE = _options(capture=True)
_FIND = _options(capture=False)


def literal(text: str) -> str:
    """Write a pattern that matches `text` as it stands."""
    return str(re2.escape(text))


class PatternError(ValueError):
    """A pattern that RE2 does not accept, or that is too large; the message says why."""


class Pattern:
    """One compiled pattern, searched for anywhere in the text unless it says `^` or `$`.

    `steps` is what a character may cost, `reach` how many characters of a text it looks at. Groups cost much, so
    whether the text matches is asked without them; only then the named ones are looked for.
    """

    __slots__ = ("_capture", "_find", "groups", "reach", "source", "steps")

    def __init__(self, source: str) -> None:
        self.source = source
        if len(source) > MAX_SOURCE:
            raise PatternError(f"it is longer than {MAX_SOURCE} characters")
        capturing = _compile(source, _CAPTURE)
        names = _NAMED.findall(source)
        if len(names) > len(set(names)):
            raise PatternError("a group of the same name stands twice, and only the first would be taken")
        self.groups: tuple[str, ...] = tuple(capturing.groupindex)
        self._capture = capturing if self.groups else None
        self._find = _compile(source, _FIND)
        size = max(capturing.programsize, capturing.reverseprogramsize, 1)
        steps = size * (_GROUPS_OF_A_STEP + (capturing.groups if self.groups else 0)) // _GROUPS_OF_A_STEP
        if steps > MAX_STEPS:
            raise PatternError(
                f"it is too large: {steps} steps, and {MAX_STEPS} are allowed; x{{500}} counts 500 times"
            )
        self.steps = steps
        self.reach = _MAX_COST // steps

    def search(self, text: str) -> dict[str, str] | None:
        """Return the named groups that took part in the first match, or None where there is none."""
        data, end = text.encode("utf-8", "replace"), None  # the library is several times as fast with bytes
        if len(text) > self.reach:  # beyond its reach the text goes on, so `$` does not hold there
            end = len(text[: self.reach].encode("utf-8", "replace"))
        if self._find.search(data, 0, end) is None:
            return None
        if self._capture is None:
            return {}
        found = self._capture.search(data, 0, end)
        groups = found.groupdict().items() if found else ()
        return {name: value.decode("utf-8", "replace") for name, value in groups if value is not None}

    def __repr__(self) -> str:
        return f"Pattern({self.source!r})"


def _compile(source: str, options: re2.Options) -> re2._Regexp:
    try:
        return re2.compile(source, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "not a valid pattern"
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        hint = "; look-around and back-references are not available" if "invalid perl operator" in text else ""
        raise PatternError(f"{text}{hint}") from None
    except UnicodeEncodeError:
        raise PatternError("it holds half of a surrogate pair, which no text does") from None
