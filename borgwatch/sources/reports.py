"""Understand what a status file says. Pure.

The whole content of a file and its time of change come in; `Report`s leave, one for each thing that it tells of. The
shapes, as scripts and tools write them:

    (nothing)                                    a heartbeat: the time of change says when
    1795410165 nas-2026-11-23                    a time, since the epoch or in ISO 8601, and perhaps an archive
    status=ok                                    lines of `key=value` or `key: value`
    {"status": "ok", "finished_at": "..."}       a JSON object; resticprofile's, with a part for each command
    borg_last_success_timestamp_seconds 1.7e9    a text file for Prometheus

Of two signs the worse one counts. Exit codes are read as Borg's: 1 and 100 to 127 are warnings. What says nothing of an
outcome (`running`, half a file) gives no report.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from borgwatch.model import OPERATIONS, Outcome

__all__ = ["Report", "heartbeat", "reports_in"]

_MAX_REPORTS = 64
_MAX_DETAIL = 1000


@dataclass(frozen=True, slots=True)
class Report:
    """One thing that a status file tells. `time` is None where only the file's time of change says when.

    `stands` says that it holds until something else is said: writing it again is no news.
    """

    operation: str
    outcome: Outcome
    time: datetime | None = None
    detail: str = ""
    stands: bool = False


def heartbeat(operation: str) -> tuple[Report, ...]:
    """Report of a file whose time of change is all that it says."""
    return (Report(operation, Outcome.SUCCESS),)


def reports_in(content: bytes, operation: str) -> tuple[Report, ...]:
    """Read the content of a status file; `operation` is what it is about unless it says so itself."""
    text = content.decode("utf-8", "replace").removeprefix("\ufeff").strip("\0 \t\r\n")
    for read in (_from_json, _from_metrics, _from_pairs, _from_line):
        if reports := read(text, operation):
            return reports[:_MAX_REPORTS]
    return ()


# --- words and numbers ----------------------------------------------------------------------------------------------

_OUTCOMES = {
    Outcome.SUCCESS: "ok okay success successful successfully succeeded true yes done completed complete finished",
    Outcome.WARNING: "warn warning warnings",
    Outcome.FAILURE: "fail failed failure error errors critical fatal false no aborted killed bad",
}
_OUTCOME_OF = {word: outcome for outcome, words in _OUTCOMES.items() for word in words.split()}
_RANK = {Outcome.SUCCESS: 0, Outcome.WARNING: 1, Outcome.FAILURE: 2}

_OPERATION_WORDS = {
    "create": "backup",
    "backup": "backup",
    "prune": "prune",
    "forget": "prune",
    "retention": "prune",
    "compact": "compact",
    "check": "verify",
    "verify": "verify",
    "restore": "restore",
    "extract": "restore",
}
_STATUS_KEYS = ("status", "result", "outcome", "state", "success")
_CODE_KEYS = ("exit_code", "exitcode", "rc", "return_code", "returncode", "exit_status", "code", "exit")
_TIME_KEYS = (
    "finished_at", "finished", "completed_at", "end_time", "ended_at", "end", "last_run", "last_success", "timestamp",
    "time", "date", "updated_at",
)  # fmt: skip
_COUNT_KEYS = ("errors", "failures", "error_count")
_DETAIL_KEYS = ("error", "message", "archive")
_OPERATION_KEYS = ("operation", "command", "action")

_EARLIEST, _LATEST = 1_000_000_000, 7_258_118_400  # 2001 to 2200: other numbers are no times
_MILLISECONDS = 1000
_WARNING_CODES = frozenset({1, *range(100, 128)})  # Borg's, legacy and modern


def _of_code(value: object) -> Outcome | None:
    number = _number(value)
    if number is None:
        return None
    if number == 0:
        return Outcome.SUCCESS
    return Outcome.WARNING if number in _WARNING_CODES else Outcome.FAILURE


def _of_word(value: object) -> Outcome | None:
    if isinstance(value, bool):
        return Outcome.SUCCESS if value else Outcome.FAILURE
    return _OUTCOME_OF.get(value.strip().lower()) if isinstance(value, str) else None


def _of_count(value: object) -> Outcome | None:
    return Outcome.FAILURE if (_number(value) or 0) > 0 else None


def _of_first(words: Sequence[str]) -> Outcome | None:
    return _of_word(words[0].rstrip(":;,.!")) if words else None


def _worst(outcomes: Iterable[Outcome | None]) -> Outcome | None:
    return max((one for one in outcomes if one is not None), key=_RANK.__getitem__, default=None)


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return None


def _time(value: object) -> datetime | None:
    """Read a time: seconds or milliseconds since the epoch, or ISO 8601; without a zone it is this machine's."""
    number = _number(value)
    if number is not None:
        number = number / _MILLISECONDS if number >= _EARLIEST * _MILLISECONDS else number
        return datetime.fromtimestamp(number, UTC) if _EARLIEST <= number < _LATEST else None
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value.strip())
        time = time.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return time if _EARLIEST <= time.timestamp() < _LATEST else None


def _operation(value: object, default: str) -> str:
    word = value.strip().lower() if isinstance(value, str) else ""
    return word if word in OPERATIONS else _OPERATION_WORDS.get(word, default)


# --- the shapes -----------------------------------------------------------------------------------------------------


def _from_values(values: Mapping[str, object], operation: str) -> tuple[Report, ...]:
    """Make a report of named values, however they were written."""
    low = {key.strip().lower().replace("-", "_"): value for key, value in values.items()}

    def first(keys: Iterable[str], read: Any = lambda value: value) -> Any:
        return next((found for key in keys if key in low and (found := read(low[key])) not in (None, "")), None)

    outcome = _worst((first(_STATUS_KEYS, _of_word), first(_CODE_KEYS, _of_code), first(_COUNT_KEYS, _of_count)))
    time = first(_TIME_KEYS, _time)
    says_outcome = any(key in low for key in (*_STATUS_KEYS, *_CODE_KEYS))
    if outcome is None and time is not None and "last_success" in low and not says_outcome:
        outcome = Outcome.SUCCESS
    if outcome is None:
        return ()
    detail = first(_DETAIL_KEYS, lambda value: value.strip() if isinstance(value, str) else None) or ""
    return (Report(_operation(first(_OPERATION_KEYS), operation), outcome, time, detail[:_MAX_DETAIL]),)


def _from_json(text: str, operation: str) -> tuple[Report, ...]:
    if not text.startswith("{"):
        return ()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(found, dict):
        return ()
    profiles = found.get("profiles")
    if isinstance(profiles, dict):  # resticprofile: {"profiles": {"nas": {"backup": {"success": true, "time": ...}}}}
        return tuple(
            report
            for _, commands in sorted(profiles.items())
            if isinstance(commands, dict)
            for command, said in sorted(commands.items())
            if isinstance(said, dict) and command in _OPERATION_WORDS
            for report in _from_values(said, _OPERATION_WORDS[command])
        )
    return _from_values(found, operation)


_PAIR = re.compile(r"(?:export\s+)?([A-Za-z_][\w.-]*)\s*(?:=|:\s)\s*(.*)")


def _from_pairs(text: str, operation: str) -> tuple[Report, ...]:
    pairs = [found for line in text.splitlines() if (found := _PAIR.fullmatch(line.strip()))]
    return _from_values({found[1]: found[2].strip("'\"") for found in pairs}, operation)


def _from_line(text: str, operation: str) -> tuple[Report, ...]:
    """Read one line: a time with what follows it (how it went, an archive), or how it went with what follows that."""
    if "\n" in text:
        return ()
    words = text.split()
    for count in (1, 2):  # ISO 8601 may have a blank between date and time
        time = _time(" ".join(words[:count])) if len(words) >= count else None
        follows = words[count : count + 1]
        if time is not None and not (count == 1 and follows and _time(f"{words[0]} {follows[0]}")):
            outcome = _of_first(follows) or _of_code(follows[0] if follows else 0) or Outcome.SUCCESS
            return (Report(operation, outcome, time, " ".join(words[count:])[:_MAX_DETAIL]),)
    said, rest = _of_first(words), " ".join(words[1:])
    time = _time(rest)
    if said is None or (rest and time is None and not words[0].endswith(":")):
        return ()
    return (Report(operation, said, time, "" if time else rest[:_MAX_DETAIL]),)


_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(\{[^}]*\})?\s+([^\s]+)(?:\s+-?\d+)?")
_SUCCESS_TIME = re.compile(r"last_success|success_(?:time|timestamp)|last_successful")
_RUN_TIME = re.compile(r"(?:last|end|finish|complet|run)\w*(?:time|timestamp|seconds)")
_CODE = re.compile(r"exit_(?:code|status)|return_?code|(?:^|_)rc$")
_FLAG = re.compile(r"(?:^|_)(?:success|successful|ok)$")


def _from_metrics(text: str, operation: str) -> tuple[Report, ...]:
    """Read samples of Prometheus; those with the same labels and the same operation belong together."""
    groups: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for line in text.splitlines():
        found = _SAMPLE.fullmatch(line.strip())
        number = _number(found[3]) if found else None
        if found and number is not None and ("_" in found[1] or found[2]):
            name = found[1].lower()
            about = next((meant for word, meant in _OPERATION_WORDS.items() if f"_{word}_" in f"_{name}_"), operation)
            groups.setdefault((found[2] or "", about), []).append((name, number))
    return tuple(
        report
        for (labels, about), samples in sorted(groups.items())
        for report in _from_samples(samples, about, labels.strip("{}"))
    )


def _from_samples(samples: Iterable[tuple[str, float]], operation: str, labels: str) -> tuple[Report, ...]:
    said: list[Outcome | None] = []
    succeeded = ran = None
    for name, number in samples:
        if _CODE.search(name):
            said.append(_of_code(number))
        elif _FLAG.search(name):
            said.append(Outcome.SUCCESS if number else Outcome.FAILURE)
        elif _SUCCESS_TIME.search(name):
            succeeded = _time(number) or succeeded
        elif _RUN_TIME.search(name):
            ran = _time(number) or ran
    outcome = _worst(said) or (Outcome.SUCCESS if succeeded else None)
    if outcome is None:
        return ()
    time = ran or (succeeded if outcome is Outcome.SUCCESS else None)
    return (Report(operation, outcome, time, labels[:_MAX_DETAIL], stands=time is None),)  # collectors write often
