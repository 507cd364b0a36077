"""Choose the sources that a look looks at. Pure.

The sources that are known come in, and which of them changed; those to be looked at leave. Most files below a backup
log directory are finished for good, one a night, for years. Looking at each of them at every poll would cost more
than all the rest. So:

- what moved in the last look, or was in trouble, is looked at in every look (it is restless);
- a full look takes in the `WARM` sources that changed last, and as many of the others, in turn;
- a quick look, after a notification, adds only what the notification named.

Up to twice `WARM` files, all are looked at in each full look. Of more, old ones are looked at every few polls if
nothing is notified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

__all__ = ["WARM", "Agenda"]

WARM = 256


class Agenda:
    """The order in which sources are looked at."""

    def __init__(self, warm: int = WARM) -> None:
        self._limit = warm
        self._restless: dict[str, None] = {}
        self._warm: dict[str, None] = {}
        self._cold: dict[str, None] = {}

    def set_known(self, sources: Iterable[str], knows: Callable[[str], bool]) -> None:
        """Note that something changed about these sources; those of which nothing is known are forgotten."""
        for source in sources:
            if knows(source):
                self.changed((source,))
            else:
                for row in (self._restless, self._warm, self._cold):
                    row.pop(source, None)

    def changed(self, sources: Iterable[str]) -> None:
        """Note that these changed, the last of them last."""
        for source in sources:
            self._restless[source] = None
            self._warm.pop(source, None)
            self._cold.pop(source, None)
            self._warm[source] = None
            if len(self._warm) > self._limit:
                oldest = next(iter(self._warm))
                del self._warm[oldest]
                self._cold[oldest] = None

    def only_restless(self, sources: Iterable[str]) -> None:
        """Note that of all that were chosen, only these were not found at rest."""
        self._restless = dict.fromkeys(sources)

    def quick(self, named: Iterable[str]) -> list[str]:
        """Choose for a quick look, after a notification that named these."""
        return list(dict.fromkeys([*self._restless, *named]))

    def full(self) -> list[str]:
        """Choose for a full look; the cold ones whose turn it was go to the end of the row."""
        turn = list(islice(self._cold, self._limit))
        for source in turn:
            del self._cold[source]
            self._cold[source] = None
        return list(dict.fromkeys([*self._restless, *self._warm, *turn]))
