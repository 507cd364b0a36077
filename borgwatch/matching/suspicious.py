"""Lines that look like trouble although no rule claimed them: they are counted and kept for review. Pure.

An outcome that nobody recognised must not pass for success. A line is suspicious if its level says ERROR or more, if
it opens with a word such as `ERROR:` or with a few words and "failed", if it holds a traceback, or if it names an exit
code other than 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from borgwatch.matching.templates import one_line
from borgwatch.model import Level, Line, Record
from borgwatch.redact import MASK, redact

__all__ = ["SUSPICIOUS_BYTES", "RuleHits", "Unclaimed", "is_suspicious", "merged", "telling_part", "unclaimed"]

SUSPICIOUS_BYTES = (
    b"error", b"critical", b"fatal", b"traceback (most recent call last)",
    b"rc ", b"rc=", b"rc:", b'rc"', b"exit code", b"exit_code", b"exit status", b"exitcode", b"exited with",
    b"return code", b"returncode", b"return_code", b"returned ", b"failed", b"failure", b"panic",
)  # fmt: skip
"""Every suspicious line holds at least one of these, compared without regard to case.

Who leaves lines out before they are decoded must not leave these out.
"""

_MAX_TEXT = 300
_TRACEBACK = "Traceback (most recent call last)"
# The word stands at the start, or behind times, brackets and at most one name such as `backup.sh:`; anywhere else it
# may be part of a path.
_WORD = re.compile(
    r"(?:[\[(<]?[\d:.,TZ+/-]{4,40}[\])>]?\s{1,8}){0,3}"
    r"(?:(?:[\w.-]{1,64} )?[\w./@-]{1,64}\[\d{1,9}\]: ?|[\w./@-]{1,64}: ?)?"
    r"(?:[\[(<]?(?:ERROR|CRITICAL|FATAL)[\])>]?(?:[\s:,]|$)|(?i:error|fatal(?: error)?): )"
)
_OPENS_WITH = re.compile(
    r"\W{1,4}(?:ERROR|CRITICAL|FATAL|(?i:error|fatal):)(?:\W|$)"
    r"|\W{0,4}(?:(?!(?:0|no) )[\w.'/-]{1,64} ){0,4}(?i:failed|failure)(?![\w.])"
    r"|(?i:panic: |thread '[^']{0,64}' panicked )"
)
_LOGFMT = re.compile(r"\blevel=\"?(?:error|fatal|critical)\b")
_CODE = re.compile(
    r"(?i)\b(?:rc|exit[ _]?code|exit status|exited with(?: code| status)?|return(?:ed|[ _]?code))"
    r"[ =:]{1,3}[1-9]\d{0,2}\b"
)
_CODE_AND_BEFORE = re.compile(rf"[^\d#*]{{0,100}}{_CODE.pattern.removeprefix('(?i)')}", re.IGNORECASE)
_CODE_FIELDS = frozenset({"rc", "exit_code", "exitcode", "return_code", "returncode"})
_DIGITS = re.compile(r"\d+")
_VARIES = re.compile(rf"(?:\d| {{2,}}|{re.escape(MASK)}|#)+")
_LEAST_TELLING = 8
"""A shorter text stands in too many lines that mean no harm."""


@dataclass(frozen=True, slots=True)
class RuleHits:
    """How often a rule spoke, and when it last did."""

    count: int
    last: datetime


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """Suspicious lines of one job that differ only in their numbers: how many, since when, and the newest of them.

    `text` is what they have in common, word for word; `#` stands for numbers, secrets, and spaces that were drawn
    together. Both texts are one line, cut and masked.
    """

    job: str
    text: str
    count: int
    first: datetime
    last: datetime
    sample: str
    source: str


def is_suspicious(record: Record) -> bool:
    """Say whether a record that no rule claimed deserves a look."""
    text = record.text
    if record.level is not None and record.level >= Level.ERROR and (text.strip() or record.fields):
        return True
    if _TRACEBACK in text or _WORD.match(text) or _OPENS_WITH.match(text):
        return True
    if _CODE.search(text) or _LOGFMT.search(text):
        return True
    return any(_is_code(record.fields.get(name)) for name in _CODE_FIELDS & record.fields.keys())


def _is_code(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value != 0


def unclaimed(record: Record, line: Line) -> Unclaimed:
    """Keep what a person needs to judge a suspicious line."""
    text = record.text or line.data[:_MAX_TEXT].decode("utf-8", "replace")
    masked = redact(text[: 4 * _MAX_TEXT]).strip()
    common = _VARIES.sub("#", "".join(char if char.isprintable() else "#" for char in masked[:_MAX_TEXT]))
    sample = one_line(masked, _MAX_TEXT)
    time = record.time if record.time is not None and record.time <= line.read_at else line.read_at
    return Unclaimed(record.job, common, 1, time, time, sample, record.source)


def telling_part(line: Unclaimed) -> str:
    """Choose what a rule for such lines could look for; "" where nothing in them is telling enough.

    It stands in each of them as it is. An exit code belongs to it: without its number, a good end would match as well.
    """
    if "{" in line.sample:  # perhaps an object without a text: rules for those ask for fields
        return ""
    if code := _CODE_AND_BEFORE.search(line.sample):
        part = code[0].strip()
        return part if len(part) >= _LEAST_TELLING and _DIGITS.sub("#", part) in line.text else ""
    part = max((piece.strip() for piece in line.text.split("#")), key=len)
    return part if len(part) >= _LEAST_TELLING else ""


def merged(known: Unclaimed | None, more: Unclaimed) -> Unclaimed:
    """Add newer lines of the same job and text to those that are known."""
    if known is None:
        return more
    first, last = min(known.first, more.first), max(known.last, more.last)
    return Unclaimed(more.job, more.text, known.count + more.count, first, last, more.sample, more.source)
