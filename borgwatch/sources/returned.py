"""Know a file again that is new under its name.

A file that is deleted and one that is moved out of sight look the same: the name is gone. So what was known of it is
kept (`States.lost`), in the journal as well, and asked when a name shows a file that was never seen there: it may be a
directory that comes back, or a log that was moved to another file system. `position.may_be_again` says by what
evidence, and the proof in its position must hold. Then reading goes on where it was.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice

from borgwatch.sources.disk import stamp_at
from borgwatch.sources.position import GRAINS, time_of
from borgwatch.sources.reading import Followed
from borgwatch.sources.states import States, followed_key, is_lost, source_of
from borgwatch.sources.trace import Find, Tracer

__all__ = ["Returned"]

_MOST_TRIED = 100
"""Files that are opened at most to know one again."""


class Returned:
    """Find, for the length of one look, files that were known under another name or went away."""

    def __init__(self, states: States, tracer: Tracer) -> None:
        self._states = states
        self._tracer = tracer
        self._by_inode: list[tuple[int, str]] = []
        self._by_time: list[tuple[int, str]] = []
        for home in (*states, *states.lost):
            position = (states.lost.get(home) or states[home]).position
            time, key = time_of(position), followed_key(home)
            if time is not None and position.offset:
                self._by_inode.append((position.inode, key))
                self._by_time.append((time, key))
        self._by_inode.sort()
        self._by_time.sort()

    def key_of(self, find: Find) -> str | None:
        """Find the key of the file that a new one is; None if it is none of those that are known."""
        for key in self._candidates(find):
            for home in (*self._states.lost.keys_of(key), key):  # in this look, too, files may have been lost
                known = self._states.lost.get(home) or self._states.get(home)
                if known and self._tracer.is_again(find, known.position) and (is_lost(home) or _is_away(known)):
                    return home
        return None

    def _candidates(self, find: Find) -> Iterator[str]:
        """Give the keys of those that have its inode number or its time of change, a few that bear its name first."""
        time = find.stamp.changed_ns
        grain = max(grain for grain in GRAINS if time % grain == 0)
        found = {
            *_between(self._by_inode, find.stamp.inode, find.stamp.inode + 1),
            *_between(self._by_time, time, time + grain),
        }
        name = os.path.basename(find.path)
        return islice(sorted(found, key=lambda key: (os.path.basename(source_of(key)) != name, key)), _MOST_TRIED)


def _between(pairs: list[tuple[int, str]], low: int, high: int) -> Iterator[str]:
    return (key for _, key in pairs[bisect_left(pairs, (low, "")) : bisect_left(pairs, (high, ""))])


def _is_away(known: Followed) -> bool:
    """Tell whether a file is no longer where it was read last."""
    found = stamp_at(known.path)
    return found is None or found.inode != known.position.inode
