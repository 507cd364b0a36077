"""One job in two files: a script whose standard output and standard error go to files of their own. Pure.

Each file has a stream of its own, for nobody knows in which order their lines were written. What must not be told twice
is the run that both tell of: `told_elsewhere` says whether the other file has told it, or is about to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import PurePath

from borgwatch.model import Outcome
from borgwatch.runs.run import RANK, Run, Stream

__all__ = ["pair_of", "told_elsewhere"]

_WORD = re.compile(r"[._-]")
_STREAM_WORDS = frozenset({"out", "err", "stdout", "stderr", "output", "error", "errors", "log", "txt", "json"})
_A_MOMENT = timedelta(minutes=1)
_MAX_CACHED = 4096


@lru_cache(maxsize=_MAX_CACHED)
def pair_of(source: str) -> str:
    """Name the pair that a file belongs to: its path without the words that tell standard output from error.

    >>> pair_of("/watch/nas/backup.out") == pair_of("/watch/nas/backup-stderr.log")
    True
    """
    path = PurePath(source)
    words = [word for word in _WORD.split(path.name) if word.lower() not in _STREAM_WORDS]
    return str(path.parent / "-".join(words)) if words else f"{path.parent}/"


def told_elsewhere(run: Run, streams: Mapping[str, Stream]) -> bool:
    """Say whether the other file of a pair tells of a run that has just ended; `streams` is by source.

    A worse outcome is always told, and one that is known always takes the place of "stalled".
    """
    pair = pair_of(run.source)
    return any(
        _tells(other, run)
        for source, stream in streams.items()
        if source != run.source and pair_of(source) == pair
        for other in (*stream.done, *([stream.open] if stream.open is not None else []))
    )


def _tells(other: Run, run: Run) -> bool:
    if other.job != run.job or other.operation != run.operation or not _overlap(other, run):
        return False
    if run.outcome is Outcome.STALLED:
        return other.outcome is not Outcome.STALLED
    known = other.outcome not in (None, Outcome.STALLED)
    return known and RANK[other.outcome] >= RANK[run.outcome]


def _overlap(one: Run, other: Run) -> bool:
    return one.started <= other.ended + _A_MOMENT and other.started <= one.ended + _A_MOMENT
