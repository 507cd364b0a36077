"""What loggers put before a line of their own: the time, the host and program, the level. Pure.

    [2026-11-23 05:03:10,164] INFO: Creating archive          borgmatic's log file
    [2026-08-17T13:14:29] Creating archive                    borgmatic's container
    2026-11-23 05:03:10,164 - borg.archiver - INFO - Creating archive       Vorta
    Nov 23 05:03:10 nas borgmatic[4711]: INFO Creating archive              syslog, journalctl
    Mon Nov 23 05:03:10 UTC 2026 Creating archive             date in a script
    borg-1  | 2026-11-23T05:03:10.164Z Creating archive       docker compose logs -t
    2026-11-23T05:03:10.164Z stderr F Creating archive        containers of Kubernetes
    <30>1 2026-11-23T05:03:10.164Z nas borg 4711 - - Creating archive       syslog, RFC 5424
    [borg] 05:03:10 Creating archive                          a name in brackets; a clock without a date
    1795410190.164 Creating archive                           seconds since the epoch
    Mon 2026-11-23 05:03:10 UTC nas borg[4711]: Creating archive            journalctl -o short-full
    time="2026-11-23T05:03:10Z" level=info msg="Creating archive" channel=stderr       supercronic, logfmt

What stands behind is read by the same rules whatever stood before it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone

from borgwatch.model import Level

__all__ = ["LEVELS", "Prefix", "split_prefix"]

LEVELS = {
    "INFO": Level.INFO,
    "ANSWER": Level.NOTICE,  # borgmatic's level for what was asked for, such as --stats and --list
    "NOTICE": Level.NOTICE,
    "WARN": Level.WARNING,
    "WARNING": Level.WARNING,
    "ERROR": Level.ERROR,
    "CRITICAL": Level.CRITICAL,
    "FATAL": Level.CRITICAL,
}
"""The levels that loggers write, in capitals; DEBUG is none of ours."""

_MONTH_NAMES = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES.split("|"), 1)}
_MONTH = f"(?P<month>{_MONTH_NAMES})"
_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? "
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?"
_ZONE = r"(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)"
_HALF = "(?: (?P<half>[AP]M))?"
_NAMED_ZONE = rf"(?:{_ZONE}|[A-Z]{{3,5}})"

_END = r"\]?:?(?:[ \t]|$)"
_COMPOSE = re.compile(r"[\w.-]{1,80} {1,40}\| ")
_TIMES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\[?(?P<year>\d{{4}})[-/.](?P<number>\d\d)[-/.](?P<day>\d\d)[T ]{_CLOCK}(?: ?{_ZONE})?{_END}",
        rf"[MTWFS][a-z]{{2}} (?P<year>\d{{4}})-(?P<number>\d\d)-(?P<day>\d\d) {_CLOCK} {_NAMED_ZONE}{_END}",
        rf"\[?{_DAY}{_MONTH} {{1,2}}(?P<day>\d{{1,2}}) {_CLOCK}{_HALF} (?:{_NAMED_ZONE} )?(?P<year>\d{{4}}){_END}",
        rf"\[?{_DAY}(?P<day>\d{{1,2}}) {_MONTH} (?P<year>\d{{4}}) {_CLOCK}{_HALF}(?: {_NAMED_ZONE})?{_END}",
        rf"\[?{_MONTH} {{1,2}}(?P<day>\d{{1,2}}) {_CLOCK}{_END}",
    )
)
_EPOCH = re.compile(rf"\[?(?P<seconds>\d{{10}}(?:\.\d{{1,9}})?){_END}")
# Times that tell no date, or not for sure: they are taken off, and the time of reading counts.
_NO_DATE = re.compile(
    rf"(?:\[?(?:\d\d[-/.]\d\d[-/.]\d{{4}},?[T ])?\d\d:\d\d:\d\d(?:[.,]\d{{1,9}})?(?: [AP]M)?"
    rf"|\[?\d{{8}}[-_T ]\d\d:?\d\d:?\d\d|\[ {{0,9}}\d{{1,9}}\.\d{{3,6}}(?=\])|@[0-9a-f]{{24}}){_END}"
)
# What `date` writes where another language is set: `Di 24. Nov 03:00:00 CET 2026`, `mar. 24 nov. 2026 03:00:00 CET`.
_ANOTHER_LANGUAGE = re.compile(
    r"\[?[^\W\d_]{2,4}\.?,? \d{1,2}\.? [^\W\d_]{3,9}\.?,? (?:\d{4},? )?\d\d:\d\d:\d\d(?:,? [A-Z]{3,5})?(?: \d{4})?"
    rf"{_END}"
)
_IN_BRACKETS = re.compile(r"\[(?P<name>[A-Za-z][\w./@-]{0,79})\]:?[ \t]")
_PYTHON = re.compile(r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL):(?P<logger>[\w.-]{1,80}):")
_LOGFMT = re.compile(
    r'(?:time="?(?P<time>[^" ]{1,40})"? )?level="?(?P<level>\w{1,10})"? msg=(?P<said>"(?:[^"\\]|\\.)*")(?: |$)'
)
_PRIORITY = re.compile(r"<\d{1,3}>(?:1 )?")
# What may stand between a time and the text. `- ` is not taken off where `create --dry-run --list` writes it: before
# the name of a file and nothing else.
_BETWEEN = re.compile(r"(?:stdout|stderr)(?: [FP]|:) |\| |- (?![^ ]*/(?!.*: (?:\[Errno \d|file changed while )))")
# A host is written in small letters, which keeps `Keeping archive: name` a message; `root` is the name of who told
# `logger` none.
_PROGRAM = re.compile(
    r"(?:[\w.-]{1,64} )?(?P<program>[\w./@-]{1,64})\[\d{1,9}\]: |[a-z0-9][\w.-]{0,63} (?P<plain>[\w./@-]{1,64}): "
    r"|[A-Z][\w.-]{0,63} (?P<user>root): "
    r"|[A-Za-z0-9][\w.-]{0,63} (?P<rfc5424>[\w./@-]{1,64}) (?:\d{1,9}|-) [\w.-]{1,32} (?:-|\[[^\]]{0,200}\]) "
)
_LEVEL = "DEBUG|INFO|ANSWER|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL"
_LEVEL_FORMS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"- (?P<logger>[\w.-]{{1,80}}) - (?P<level>{_LEVEL}) - ?",
        # the level is padded, but the indent of a JSON document stays
        rf"(?:- )?\[?(?P<level>{_LEVEL})\]?(?: -|:)?(?: (?= +\")| {{1,8}})",
        rf"\[?(?P<level>{_LEVEL})\]?:?$",
    )
)
_MAX_PREFIXES = 4
_HALF_DAY = 12


@dataclass(frozen=True, slots=True)
class Prefix:
    """What stood before `rest`. `zoned` says that the time was written with its zone; without one it is local."""

    rest: str
    time: datetime | None = None
    zoned: bool = False
    level: Level | None = None
    logger: str = ""


def split_prefix(text: str, before: datetime) -> Prefix | None:
    """Take known prefixes off a line; None where there is none.

    `before` is when the line was read: a time that names no year is the last one before it.
    """
    found = Prefix(text)
    if (outer := _COMPOSE.match(text) or _PRIORITY.match(text)) is not None:
        found = Prefix(text[outer.end() :])
    for _ in range(_MAX_PREFIXES):
        step = _out_of_logfmt(found) or _step(found, before)
        if step is None:
            break
        found = step
    return found if found.rest is not text else None


def _step(found: Prefix, before: datetime) -> Prefix | None:
    """Take one time with what belongs to it off, or a name in brackets."""
    text = found.rest
    first = text[:1]
    if first.isdigit() or first in "[JFMASONDTW":
        for pattern in _TIMES:
            if (match := pattern.match(text)) is not None and (time := _time(match, before)) is not None:
                zoned = bool(match.groupdict().get("zone"))
                return _behind_time(replace(found, rest=text[match.end() :], time=time, zoned=zoned))
    if first.isdigit() or first in "[@":
        if (match := _EPOCH.match(text)) is not None:
            time = datetime.fromtimestamp(float(match["seconds"]), UTC)
            return _behind_time(replace(found, rest=text[match.end() :], time=time, zoned=True))
        if (match := _NO_DATE.match(text)) is not None:
            return _behind_time(replace(found, rest=text[match.end() :]))
    if first not in "-+/{" and (match := _ANOTHER_LANGUAGE.match(text)) is not None:
        return _behind_time(replace(found, rest=text[match.end() :]))
    if first == "[" and (match := _IN_BRACKETS.match(text)) is not None:
        return replace(found, rest=text[match.end() :], level=LEVELS.get(match["name"], found.level))
    if first in "DIWEC" and (match := _PYTHON.match(text)) is not None:
        return replace(found, rest=text[match.end() :], level=LEVELS.get(match["level"]), logger=match["logger"])
    return None


def _out_of_logfmt(found: Prefix) -> Prefix | None:
    """Take the message out of a line of fields; what Go escapes and JSON does not know stays as it is."""
    match = _LOGFMT.match(found.rest)
    if match is None:
        return None
    try:
        said = str(json.loads(match["said"]))
    except ValueError:
        said = match["said"][1:-1]
    level = LEVELS.get(match["level"].upper(), found.level)
    try:
        time = datetime.fromisoformat(match["time"] or "")
    except ValueError:
        return replace(found, rest=said, level=level)
    zoned = time.tzinfo is not None
    return replace(found, rest=said, level=level, time=time if zoned else _local(time), zoned=zoned)


def _behind_time(found: Prefix) -> Prefix:
    """Take off what stands between a time and the text."""
    told = _level(_program(found))
    if told is found and (match := _BETWEEN.match(found.rest)) is not None:
        return replace(found, rest=found.rest[match.end() :])
    return told


def _program(found: Prefix) -> Prefix:
    match = _PROGRAM.match(found.rest)
    if match is None:
        return found
    return replace(found, rest=found.rest[match.end() :], logger=match[match.lastgroup or "program"])


def _level(found: Prefix) -> Prefix:
    for pattern in _LEVEL_FORMS:
        if (match := pattern.match(found.rest)) is not None:
            named = match.groupdict().get("logger") or found.logger
            return replace(found, rest=found.rest[match.end() :], level=LEVELS.get(match["level"]), logger=named)
    return found


def _local(time: datetime) -> datetime | None:
    """Read a time without its zone as local; None for one that no calendar has."""
    try:
        return time.astimezone()
    except (ValueError, OverflowError):
        return None


def _time(match: re.Match[str], before: datetime) -> datetime | None:
    parts = match.groupdict()
    month = int(parts["number"]) if "number" in parts else _MONTHS[parts["month"]]
    hour = int(parts["hour"])
    if parts.get("half"):
        hour = hour % _HALF_DAY + (_HALF_DAY if parts["half"] == "PM" else 0)
    micro = int((parts["fraction"] or "0").ljust(6, "0")[:6])
    zone = _zone(parts.get("zone"))
    year = int(parts["year"]) if parts.get("year") else before.year
    try:
        time = datetime(year, month, int(parts["day"]), hour, int(parts["minute"]), int(parts["second"]), micro, zone)
        if not parts.get("year") and time.astimezone() > before + timedelta(days=1):
            time = time.replace(year=year - 1)
        return time if zone is not None else _local(time)
    except (ValueError, OverflowError):
        return None


def _zone(text: str | None) -> timezone | None:
    if not text:
        return None
    if text in ("Z", "UTC", "GMT"):
        return UTC
    hours, minutes = int(text[1:3]), int(text[-2:])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset) if offset < timedelta(days=1) else None
