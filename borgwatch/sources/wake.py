"""Say when to look: after a hint from the kernel, or when the poll interval has passed.

Roots to watch come in; `await wait()` returns when something below them may have changed. Hints only save time:
whatever becomes of them (no inotify on NFS, watch limit reached, queue overflow, directory not there yet), the poll
interval finds what they miss, and every look is complete by itself. So there is no way to lose a line here.

Hints come from watchdog's threads and are folded into one event of the running loop; two wake-ups are at least a
small gap apart. Only what changes content or names wakes: our own opening, reading and closing does not. `changed`
says which paths it was about.

While a file is busy, hints tell nothing new and cost more than looking: after a burst of them they are silenced, and
the files that moved are looked at once a gap, until most looks find nothing. Then hints are listened to again. Where
the burst came from files that do not matter, and comes again, they are silenced for longer, up to the poll interval.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from borgwatch.sources.problems import Ledger, Problem

__all__ = ["Waker"]

_GAP = 0.015
_CALM = 6
"""Gaps between two looks while a file is busy: a look costs nearly the same, however little is new. A third more looks
would take more than a twentieth of a core at a thousand lines a second; so, each is told within a tenth of a second."""
_BURST = 10
"""Wake-ups by hints, one right after the other, that make a burst."""
_CREDIT = 20
"""Looks that a silence lasts beyond the last find, times `_IN_VAIN`."""
_IN_VAIN = 3
"""What a look that finds nothing weighs against one that does: ten lines a second are not busy."""
_REST = 0.3
"""Seconds that a first silence lasts at least if nothing is found at all."""
_FULL = 0.2
"""Seconds between two full looks while hints are silenced."""
_MAX_NAMED = 64
"""Paths that hints may name; if they are more, everything is looked at."""
_TELLING: list[type[FileSystemEvent]] = [
    FileModifiedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]

Identity = tuple[int, int]


class Waker(FileSystemEventHandler):
    """Wake one waiting task of the running loop; poll at least every `interval` seconds.

    At most one task waits at a time. Without `hints` it only polls.
    """

    def __init__(self, roots: Sequence[Path], interval: float, *, hints: bool = True, gap: float = _GAP) -> None:
        self._roots = tuple(os.path.abspath(root) for root in roots)
        self._interval = interval
        self._hints = hints
        self._gap = gap
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._last_wake = -gap
        self._lock = threading.Lock()
        self._hinted: set[str] | None = set()  # None stands for everything; filled by watchdog's threads
        self._changed_paths: frozenset[str] | None = None
        self._burst = 0
        self._silent_until: float | None = None
        self._silence = _REST
        self._credit = 0
        self._last_full = 0.0
        self._observer: BaseObserver | None = None
        self._watched: dict[str, tuple[Identity, ObservedWatch]] = {}
        self._ledger = Ledger()
        self._watch()

    async def wait(self, timeout: float | None = None, *, found: bool = False) -> bool:  # noqa: ASYNC109 - running out of time is an answer
        """Wait for a change, a poke, the poll interval or the timeout; tell whether it was not just time that passed.

        `found` tells that the look after the last wait found something.
        """
        longest = self._interval if timeout is None else min(timeout, self._interval)
        if self._silent_until is not None:
            return await self._wait_in_silence(self._silent_until, min(longest, _CALM * self._gap), found=found)
        too_soon = self._last_wake + self._gap - self._loop.time()
        if too_soon > 0:
            await asyncio.sleep(min(too_soon, longest))
        before = self._last_wake
        try:
            async with asyncio.timeout(longest):
                await self._changed.wait()
        except TimeoutError:
            self._burst = 0
            self._changed_paths = None
            self._watch()
            return False
        finally:
            self._last_wake = self._loop.time()
        self._take_hints()
        self._burst = self._burst + 1 if self._last_wake - before < 2 * self._gap else 0
        if self._burst >= _BURST:
            self._fall_silent()
        return True

    async def _wait_in_silence(self, until: float, gap: float, *, found: bool) -> bool:
        """Let a gap pass; end the silence, with a full look, once nothing was found for long enough."""
        await asyncio.sleep(gap)
        now = self._last_wake = self._loop.time()
        poked = self._changed.is_set()
        self._changed.clear()
        self._credit = min(self._credit + (1 if found else -_IN_VAIN), _CREDIT)
        if found:
            self._silent_until = now
            self._silence = _REST
        elif self._credit <= 0 and now >= until:
            self._silent_until, self._burst = None, 0
            self._watch()
        is_full = poked or self._silent_until is None or now - self._last_full >= _FULL
        if is_full:
            self._last_full = now
        self._changed_paths = None if is_full else frozenset()
        return True

    def _fall_silent(self) -> None:
        self._silent_until = self._loop.time() + self._silence
        self._credit = _CREDIT
        self._silence = min(2 * self._silence, max(self._interval, _REST))  # until a look finds something
        self._last_full = self._loop.time()
        for root in list(self._watched):
            self._forget(root)

    def changed(self) -> frozenset[str] | None:
        """Name the paths that the last wait was about; None if it may be anything, and none for those that moved."""
        return self._changed_paths

    def poke(self) -> None:
        """Make `wait` return, to look at everything; for a signal handler, and from any thread."""
        with self._lock:
            self._hinted = None
        self._loop.call_soon_threadsafe(self._changed.set)

    def nudge(self) -> None:
        """Make `wait` return for something that came by another way than a file; for the loop's own thread."""
        self._changed.set()

    def problems(self) -> tuple[Problem, ...]:
        """Tell what has come in the way of hints, or is over, since the last call."""
        return self._ledger.drain()

    def close(self) -> None:
        """Stop the threads that listen for hints."""
        if self._observer:
            self._observer.stop()
            self._observer.join()
        self._observer = None
        self._watched.clear()

    def dispatch(self, event: FileSystemEvent) -> None:
        """Take a hint, in watchdog's thread."""
        # Releases of watchdog differ in what the event filter holds back; what comes is checked again.
        if not isinstance(event, tuple(_TELLING)) or self._loop.is_closed():
            return
        with self._lock:
            is_first = self._hinted == set()
            if not isinstance(event, FileModifiedEvent) or self._hinted is None or len(self._hinted) >= _MAX_NAMED:
                self._hinted = None
            else:
                self._hinted.add(os.fsdecode(event.src_path))
        if is_first:
            self._loop.call_soon_threadsafe(self._changed.set)

    def _take_hints(self) -> None:
        self._changed.clear()
        with self._lock:
            hinted, self._hinted = self._hinted, set()
        self._changed_paths = None if hinted is None else frozenset(hinted)

    def _watch(self) -> None:
        """Listen for hints about the roots that are there; listen anew where that has come to an end."""
        if not self._hints or self._silent_until is not None:
            return
        for root in self._roots:
            try:
                self._watch_root(root)
            except FileNotFoundError:
                self._forget(root)  # who reads the root says that it is missing
            except OSError as error:
                self._forget(root)
                self._ledger.wrong(_WHERE.format(root), _WHAT.format(error.strerror or error))

    def _watch_root(self, root: str) -> None:
        found = os.stat(root)
        identity = (found.st_dev, found.st_ino)
        known = self._watched.get(root)
        if known and known[0] == identity and self._is_alive(known[1]):
            return
        self._forget(root)
        observer = self._started_observer()
        watch = observer.schedule(self, root, recursive=True, event_filter=_TELLING)
        self._watched[root] = (identity, watch)
        self._ledger.fine(_WHERE.format(root))

    def _started_observer(self) -> BaseObserver:
        if self._observer is None or not self._observer.is_alive():
            self._watched.clear()
            self._observer = Observer()
            self._observer.start()
        return self._observer

    def _is_alive(self, watch: ObservedWatch) -> bool:
        if self._observer is None or not self._observer.is_alive():
            return False
        return any(emitter.watch == watch and emitter.is_alive() for emitter in self._observer.emitters)

    def _forget(self, root: str) -> None:
        known = self._watched.pop(root, None)
        if known and self._observer and self._observer.is_alive():
            self._observer.unschedule(known[1])


_WHERE = "change notification for {}"
_WHAT = "not available ({}): changes are found by polling"
