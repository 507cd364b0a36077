"""Say when to look: after a hint from the kernel, or when the poll interval has passed.

Roots to watch come in; `await wait()` returns when something below them may have changed. Hints only save time:
whatever becomes of them (no inotify on NFS, watch limit reached, queue overflow, directory not there yet), the poll
interval finds what they miss, and every look is complete by itself. So there is no way to lose a line here.

Hints come from watchdog's threads and are folded into one event of the running loop; two wake-ups are at least a
small gap apart. Only what changes content or names wakes: our own opening, reading and closing does not.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
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

_GAP = 0.02
_TELLING: list[type[FileSystemEvent]] = [
    FileModifiedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    FileClosedEvent,
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
        self._observer: BaseObserver | None = None
        self._watched: dict[str, tuple[Identity, ObservedWatch]] = {}
        self._ledger = Ledger()
        self._watch()

    async def wait(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - running out of time is an answer
        """Wait for a change, a poke, the poll interval or the timeout; tell whether it was a change or a poke."""
        longest = self._interval if timeout is None else min(timeout, self._interval)
        too_soon = self._last_wake + self._gap - self._loop.time()
        if too_soon > 0:
            await asyncio.sleep(min(too_soon, longest))
        try:
            async with asyncio.timeout(longest):
                await self._changed.wait()
        except TimeoutError:
            self._watch()
            return False
        finally:
            self._last_wake = self._loop.time()
        self._changed.clear()
        return True

    def poke(self) -> None:
        """Make `wait` return; for a signal handler, and from any thread."""
        self._loop.call_soon_threadsafe(self._changed.set)

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
        if isinstance(event, tuple(_TELLING)) and not self._loop.is_closed():
            self.poke()

    def _watch(self) -> None:
        """Listen for hints about the roots that are there; listen anew where that has come to an end."""
        if not self._hints:
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
