"""The expressions of the filter, as other tools take them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

__all__ = ["for_grep"]

_TOKEN = re.compile(r"\\x([0-9a-f]{2})|\\(.)|\((?:\?(\w*):)?|(\[)|(.)", re.DOTALL)
_SPECIAL = ".[]()*+?{}|^$\\"
_SPELLED = {"r": "\r", "t": "\t"}


def for_grep(expressions: Iterable[str]) -> bytes:
    """Write RE2 expressions as a file of patterns for `grep -E -f`, over bytes."""
    return b"".join(_extended(one).encode("latin-1") + b"\n" for one in expressions)


def _extended(expression: str) -> str:
    """Write one as a POSIX extended expression, which has no flags: letters of any case become classes."""
    parts: list[str] = []
    folds = [False]
    at = 0
    while at < len(expression):
        found = _TOKEN.match(expression, at)
        if found is None:
            raise ValueError(expression)
        at = found.end()
        code, escaped, flags, begins_class, other = found.groups()
        if begins_class:
            end = expression.index("]", at)
            parts.append(_class(expression[at:end]))
            at = end + 1
        elif code:
            parts.append(_literal(chr(int(code, 16)), fold=folds[-1]))
        elif escaped == "b":
            parts.append(r"\b")
        elif escaped:
            parts.append(_literal(_SPELLED.get(escaped, escaped), fold=folds[-1]))
        elif found[0].startswith("("):
            folds.append(folds[-1] or "i" in (flags or ""))
            parts.append("(")
        elif other == ")":
            folds.pop()
            parts.append(")")
        else:
            parts.append(other if other in _SPECIAL else _literal(other, fold=folds[-1]))
    return "".join(parts)


def _literal(char: str, *, fold: bool) -> str:
    if fold and char.isascii() and char.isalpha():
        return f"[{char.lower()}{char.upper()}]"
    return f"\\{char}" if char in _SPECIAL else char


def _class(inside: str) -> str:
    """Write a class: NUL, which grep cannot take, is left out; `]` stands first and `-` last."""
    members = sorted(set(_members(inside)) - {"\0"})
    order = [*("]" * ("]" in members)), *(char for char in members if char not in "]^-"), *("^" * ("^" in members))]
    return f"[{''.join(order)}{'-' * ('-' in members)}]"


def _members(inside: str) -> Iterator[str]:
    chars = [_char(found) for found in re.finditer(r"\\x([0-9a-f]{2})|\\(.)|(.)", inside, re.DOTALL)]
    at = 0
    while at < len(chars):
        if at + 2 < len(chars) and chars[at + 1] == "-":
            yield from map(chr, range(ord(chars[at]), ord(chars[at + 2]) + 1))
            at += 3
        else:
            yield chars[at]
            at += 1


def _char(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    return _SPELLED.get(found[2], found[2]) if found[2] else found[3]
