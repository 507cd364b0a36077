r"""What the bytes of a line must contain for a condition to hold. Pure.

A condition comes in; regular expressions over bytes leave, at least one of which is found in every line of which the
condition holds (a `Need`). None says that nothing can be claimed: any line may do.

A line is not yet decoded here, so a need has to hold for every way to write it. Text begins a line, or stands behind
a quote, a carriage return, or a byte order mark. JSON may write letters as `\u0041`, and what ignores case finds a
Kelvin sign for a `k`: such lines are rare, and `ODD` finds them all, whatever is looked for. Quotes may have
backslashes before them, for Docker puts JSON lines into JSON strings. What loggers put before a line ends with a space.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import re2

from borgwatch.decode.json_lines import LEVELS, LOGGER_KEYS
from borgwatch.matching.conditions import BUILT_IN_FIELDS, AllOf, AnyOf, Condition, FieldTest
from borgwatch.matching.literals import PLAIN, Run, pieces, required_runs
from borgwatch.matching.patterns import Pattern
from borgwatch.model import Level, Record

__all__ = ["ODD", "TYPICAL", "Need", "compiled", "latin_1", "mentions", "need_of"]

Need = tuple[str, ...] | None

TYPICAL = tuple(
    line.encode()
    for line in (
        '{"type": "file_status", "status": "A", "path": "/mnt/tank/photos/2024/IMG_0001.jpg"}',
        '{"type": "file_status", "status": "U", "path": "/mnt/tank/src/module.py"}',
        '{"original_size": 1, "nfiles": 1, "path": "mnt/a", "time": 1, "type": "archive_progress", "finished": false}',
        '{"nfiles": 1, "files_stats": {"A": 1}, "path": "mnt/a", "time": 1.5, "type": "archive_progress"}',
        '{"message": "Reading config", "msgid": "cache.begin_transaction", "type": "progress_message", "time": 1.5}',
        '{"message": "10.0% /mnt/a", "current": 2, "total": 9, "msgid": "extract", "type": "progress_percent"}',
        "A /mnt/tank/data/photos/2024/IMG_0001.jpg",
        "U mnt/tank/data/report.pdf",
        "65.42 MB O 65.42 MB C 65.42 MB D 10 N mnt/tank/big/disk.img",
    )
)
"""What most lines of a backup's log are like. Of several marks of a rule, that counts which the fewest of them bear."""

# Letters outside ASCII that turn into ASCII ones where case is ignored. Not ß: `pieces` sees to it.
_FOLDING = "\u0130\u0149\u017f\u01f0\u1e96\u1e97\u1e98\u1e99\u1e9a\u212a\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06"


def _bytes_of(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def _spellings(char: str) -> str:
    """A character in UTF-8 and as an escape of JSON."""
    return rf"{_bytes_of(char)}|\\u(?i:{ord(char):04x})"


ODD = (
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",  # taken out of text, so that what stood apart is joined; so are ANSI sequences
    r"\\u00[0-7]|\\[bf]",  # ASCII characters that JSON need not escape, and control characters within Docker's JSON
    *map(_spellings, _FOLDING),
)
"""What makes a line one to look at, because what it says may be written in an uncommon way."""

# How what a logger puts before a text ends.
_BEFORE = (
    r"(?:[\]:|\-\d ]|[A-Z]{3,8}|[AP]M|\dZ|std(?:out|err) [FP]|@[0-9a-f]{24})(?: |\t|\\t)"
    r"|[\w.\-]:"  # `INFO:name:`, without a count: counted repetitions make the search slow by orders of magnitude
)
_START = rf"(?m:^|[\r\"]|{_BEFORE}|\\r|\xef\xbb\xbf|\\ufeff)"  # where a text may begin
_IS = r"\\*\"?[ \t]*[:=][ \t]*\\*\"?"  # between a key and its value
_LOGGER = rf"(?:(?:{'|'.join(LOGGER_KEYS)}){_IS}|{_START}|[\w.\-] |[A-Z]{{4}}:)"
"""Where the name of a logger may begin: it may stand before a text, without a key, behind a host or a level."""
_HEAD = re.compile("|".join([re.escape(_LOGGER), re.escape(_START), rf"\(\?:[^()]*\){re.escape(_IS)}"]))
_LEAST = 3  # known characters in a row that tell anything
_LEAST_FIRST = 2  # where the text begins with them
_MAX_MEMORY = 32 << 20


def latin_1() -> Any:
    """Make the options of a search over bytes."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    return options


def compiled(expressions: Iterable[str]) -> Any:
    """Compile an alternation over bytes; raises `re2.error` where it is too large."""
    return re2.compile(_alternation(expressions).encode("latin-1"), latin_1())


def anywhere(expression: str) -> str:
    """Ask less: for what is found anywhere, and not only where a text begins."""
    return expression.removeprefix(_START) if len(expression) > len(_START) + 8 else expression


def _alternation(expressions: Iterable[str]) -> str:
    """Write an alternation; what many begin with is written once, for each is followed through all of the block."""
    tails: dict[str, list[str]] = {}
    for one in expressions:
        head = found[0] if (found := _HEAD.match(one)) else ""
        tails.setdefault(head, []).append(one[len(head) :])
    return "|".join(f"{head}(?:{'|'.join(f'(?:{one})' for one in rest)})" for head, rest in tails.items())


def need_of(condition: Condition) -> Need:
    """Say what a line must contain for `condition` to hold."""
    if isinstance(condition, AllOf):
        return _best(map(need_of, condition.parts))
    if isinstance(condition, AnyOf):
        return _any(map(need_of, condition.parts))
    if isinstance(condition, FieldTest):
        return _need_of_test(condition)
    return None


def mentions(condition: object, fields: Iterable[str]) -> bool:
    """Say whether a condition asks for one of these fields; of one that is not known, it may."""
    if isinstance(condition, AllOf | AnyOf):
        return any(mentions(part, fields) for part in condition.parts)
    if isinstance(condition, FieldTest):
        return condition.field in fields
    part = getattr(condition, "part", None)
    return part is None or mentions(part, fields)


# --- choosing -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _borne_by(expression: str) -> frozenset[int]:
    pattern = compiled([expression])
    return frozenset(at for at, line in enumerate(TYPICAL) if pattern.search(line))


def _best(needs: Iterable[Need]) -> Need:
    """Of several needs that all must be met, pick the one that tells most."""

    def telling(need: tuple[str, ...]) -> tuple[int, int]:
        borne = frozenset[int]().union(*map(_borne_by, need))
        return len(borne), -min(map(len, need), default=0)

    return min((need for need in needs if need is not None), key=telling, default=None)


def _any(needs: Iterable[Need]) -> Need:
    union: list[str] = []
    for need in needs:
        if need is None:
            return None
        union += need
    return tuple(dict.fromkeys(union))


def _choose(start: str, found: Iterable[tuple[Run, ...] | None]) -> tuple[Run, ...] | None:
    """Pick the most telling runs of a pattern."""
    known = {_expressions(start, runs): runs for runs in found if runs is not None}
    best = _best(known)
    return None if best is None else known[best]


def _expressions(start: str, runs: Iterable[Run]) -> Need:
    """Write runs as expressions; None where one of them is too short to tell anything."""
    expressions = []
    for run in runs:
        if run.first and len(run.characters) >= _LEAST_FIRST:
            expressions.append(start + run.expression)
        elif run.weight >= _LEAST:
            expressions.append(run.expression)
        else:
            return None
    return tuple(expressions)


# --- one field ------------------------------------------------------------------------------------------------------

_OF_TEXT = ("is", "in", "startswith", "endswith", "contains", "re")
_BARE = Record(text="", source="", job="")


def _need_of_test(test: FieldTest) -> Need:
    if test.field == "level":
        return _need_of_level(test)
    if test.field in BUILT_IN_FIELDS and test.field not in ("text", "logger"):
        return None  # it does not come from the line
    if test.holds(_BARE, {}):
        return None  # it holds of a line that has nothing of the kind
    is_of_text = test.comparison in _OF_TEXT
    if test.field == "text" and is_of_text:
        return _any(_need_of_value(test, want, _START, is_text=True) for want in test.values)
    if test.field == "text":
        return None
    if test.field == "logger":
        return _any(_need_of_value(test, want, _LOGGER, is_text=True) for want in test.values) if is_of_text else None
    if not (end := _plain_end(test.field.rpartition(".")[2])):
        return None
    start = f"(?:{''.join(run.expression for run in end)}){_IS}"
    if not is_of_text:
        return (start,)
    return _any(_best([_need_of_value(test, want, start, is_text=False), (start,)]) for want in test.values)


def _need_of_level(test: FieldTest) -> Need:
    """A level is told by the names of the levels that will do, wherever they stand."""
    levels = [level for level in (None, *Level) if test.holds(Record(text="", source="", job="", level=level), {})]
    if None in levels:
        return None
    names = [name for name, level in LEVELS.items() if level in levels]
    dotless = "|".join([_spellings("\u0131"), "[Ii]"])
    return tuple(f"(?i:{name})".replace("I", f"(?:{dotless})") for name in names)


def _plain_end(key: str) -> tuple[Run, ...]:
    runs = pieces(key, fold=False)
    return (Run(runs[-1].characters),) if runs and key[-1] in PLAIN else ()


def _need_of_value(test: FieldTest, want: str | Pattern, start: str, *, is_text: bool) -> Need:
    """One value of a test: `start` is what stands before the beginning of the field's text."""
    options: list[Need] = []
    if isinstance(want, Pattern):
        runs = required_runs(want.source, lambda found: _choose(start, _usable(found, is_text=is_text)))
        return None if runs is None else _expressions(start, runs)
    begins = test.comparison in ("is", "in", "startswith")
    for run in pieces(want, fold=not test.cased):
        is_number = _is_number(want) if test.comparison in ("is", "in") else run.may_be_number
        if is_number and not is_text:
            continue
        if run.first and begins:
            options.append((start + run.expression + _end_of(test, run, want),))
        else:
            options.append(_expressions(start, [Run(run.characters, first=False, fold=run.fold)]))
    return _best(options)


def _usable(found: Iterable[tuple[Run, ...] | None], *, is_text: bool) -> Iterable[tuple[Run, ...] | None]:
    """Leave out what a number could hold, unless the field is text."""
    for runs in found:
        yield None if runs is None or (not is_text and any(run.may_be_number for run in runs)) else runs


def _is_number(want: str) -> bool:
    try:
        float(want)
    except ValueError:
        return False
    return True


def _end_of(test: FieldTest, run: Run, want: str) -> str:
    """A value that is compared whole ends behind its last character."""
    is_whole = test.comparison != "startswith" and len(run.characters) == len(want)
    return r"\b" if is_whole and all(char.isalnum() for char in run.characters[-1]) else ""
