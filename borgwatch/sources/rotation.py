"""Know a rotated file by its name.

A live name and another name of its directory come in; a `Generation` leaves if the other is the live name with what
rotation adds to it. Generations of one family can be put in order:

    backup.log.2, backup.log.1, backup.log.0, backup.log.old    by count: the higher, the older
    backup.log-20261123, backup.log.2026-11-23_02-10            by date or time: the later, the younger

Compressed generations (`.gz` and its like) have their place in the order, but do not hold lines as they are.

A name with the date before its ending, backup-20261123.log, proves nothing: scripts write a file of such a name for
each run, beside one without. It may be a rotation (logrotate's `extension`); only the content tells.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["Generation", "generation", "is_compressed", "live_names", "may_be_copy"]

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z")
_COUNT = re.compile(r"\.(?P<count>\d{1,4})")
_DATE = re.compile(r"[-._]\d{4}[-._]?\d\d[-._]?\d\d(?:[-._T:]?\d+)*Z?|[-._]\d{8,}")
_KEPT = re.compile(r"\.(?:old|bak|prev)|~")
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Generation:
    """Which rotated file of a live one it is; a higher `rank` is a younger file of the same `family`."""

    family: Literal["count", "date"]
    rank: tuple[int, ...]
    compressed: bool = False


def generation(live: str, name: str) -> Generation | None:
    """Say which generation of the file `live` the file `name` is, if it is one."""
    if not name.startswith(live) or name == live:
        return None
    plain, compressed = _uncompressed(name)
    suffix = plain[len(live) :]
    if found := _COUNT.fullmatch(suffix):
        return Generation("count", (-int(found["count"]),), compressed)
    if _DATE.fullmatch(suffix):
        # All digits in one row: dates sort alike with and without separators.
        return Generation("date", (int("".join(_DIGITS.findall(suffix)).ljust(20, "0")),), compressed)
    if _KEPT.fullmatch(suffix):
        return Generation("count", (-1,), compressed)
    return None


def may_be_copy(live: str, name: str) -> bool:
    """Tell whether a name is the live one with a count or a date before its ending."""
    stem, ending = os.path.splitext(live)
    plain, _ = _uncompressed(name)
    if not ending or not plain.endswith(ending) or not plain.startswith(stem):
        return False
    added = plain[len(stem) : len(plain) - len(ending)]
    return bool(_COUNT.fullmatch(added) or _DATE.fullmatch(added))


def live_names(name: str) -> tuple[str, ...]:
    """Name the files of which `name` could be a generation: a `name` whose live file exists is not one of its own."""
    plain, _ = _uncompressed(name)
    cuts = {found.start() for pattern in (_COUNT, _DATE, _KEPT) for found in pattern.finditer(plain)}
    return tuple(plain[:cut] for cut in sorted(cuts) if cut and generation(plain[:cut], name))


def is_compressed(name: str) -> bool:
    """Tell whether the name says that its content is compressed."""
    return name.endswith(_COMPRESSED)


def _uncompressed(name: str) -> tuple[str, bool]:
    for ending in _COMPRESSED:
        if name.endswith(ending):
            return name.removesuffix(ending), True
    return name, False
