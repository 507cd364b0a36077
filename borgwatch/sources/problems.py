"""Say what stands in the way of reading, once.

Every look at the disk tells what it ran into; what leaves are changes of state only: a `Problem` when something
goes wrong or goes wrong in another way, and one more, `resolved`, when it is over.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Ledger", "Problem"]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong (`what`, one sentence) with which source, directory or limit (`where`); or that it is over.

    `stands` tells that it keeps something from being read until it is resolved: a note of what is over does not.
    """

    where: str
    what: str
    resolved: bool = False
    stands: bool = True


class Ledger:
    """Turn what each look ran into into changes of state."""

    def __init__(self) -> None:
        self._standing: dict[str, str] = {}
        self._seen: dict[str, str] = {}
        self._fine: set[str] = set()
        self._notes: list[Problem] = []
        self._noted: dict[str, str] = {}

    def wrong(self, where: str, what: str) -> None:
        """Tell that something is wrong; within one look this outweighs `fine`."""
        self._seen[where] = what

    def fine(self, where: str) -> None:
        """Tell that nothing is wrong, or no longer."""
        if where in self._standing:
            self._fine.add(where)

    def note(self, where: str, what: str) -> None:
        """Tell of something that happened and is over."""
        self._notes.append(Problem(where, what, stands=False))

    def note_once(self, where: str, what: str) -> None:
        """Tell of something that happens again and again, and keeps nothing from being read."""
        if self._noted.get(where) != what:
            self._noted[where] = what
            self.note(where, what)

    def drain(self) -> tuple[Problem, ...]:
        """Close a look: what changed since the one before."""
        changes = self._notes
        changes += [Problem(where, what) for where, what in self._seen.items() if self._standing.get(where) != what]
        over = [where for where in self._fine if where not in self._seen]
        changes += [Problem(where, self._standing.pop(where), resolved=True) for where in sorted(over)]
        self._standing |= self._seen
        self._seen, self._fine, self._notes = {}, set(), []
        return tuple(changes)
