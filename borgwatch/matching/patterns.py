"""Regular expressions that cannot stall the watcher.

All patterns run on RE2, whose time is linear in the length of the text whatever the pattern, and whose memory is
bounded. What RE2 does not know (look-around, back-references) is refused when the rule is loaded.
"""

from __future__ import annotations

import re2

__all__ = ["Pattern", "PatternError"]

_MAX_PROGRAM_BYTES = 8 << 20
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = _MAX_PROGRAM_BYTES


class PatternError(ValueError):
    """A pattern that RE2 does not accept; the message says why."""


class Pattern:
    """One compiled pattern, searched for anywhere in the text unless it says `^` or `$`."""

    __slots__ = ("_compiled", "groups", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        try:
            self._compiled = re2.compile(source, _OPTIONS)
        except re2.error as error:
            reason = error.args[0] if error.args else "not a valid pattern"
            text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
            hint = "; look-around and back-references are not available" if "invalid perl operator" in text else ""
            raise PatternError(f"{text}{hint}") from None
        except UnicodeEncodeError:
            raise PatternError("it holds half of a surrogate pair, which no text does") from None
        self.groups: tuple[str, ...] = tuple(self._compiled.groupindex)

    def search(self, text: str) -> dict[str, str] | None:
        """Return the named groups that took part in the first match, or None where there is none."""
        found = self._compiled.search(text.encode())  # the library is several times as fast with bytes
        if found is None:
            return None
        if not self.groups:
            return {}
        return {
            name: value.decode("utf-8", "replace") for name, value in found.groupdict().items() if value is not None
        }

    def __repr__(self) -> str:
        return f"Pattern({self.source!r})"
