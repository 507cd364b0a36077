"""Read status and heartbeat files: small files that a script writes anew after each run.

The files found by the walk come in; a `Line` for each new report in them leaves, with the position behind it. Such a
file is known by what it says: a position holds the digests of the reports that were judged, and what it says again,
in a file written anew or put in its place, is no news. A line is the report as a JSON object, which the rules of
`status-files.yaml` match, so that anyone can say otherwise what a report means.

Nothing is judged while it is being written: a file has to stand still for a moment first. What stays half written
says nothing that could be understood, and is told as a problem where the user named the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from borgwatch.model import Line, Position
from borgwatch.sources.choice import Kind, Wish
from borgwatch.sources.disk import ABSENT, RefusedError, Stamp, explain, open_file, stamp_at
from borgwatch.sources.problems import Ledger
from borgwatch.sources.reading import Moment
from borgwatch.sources.reports import Report, heartbeat, reports_in

__all__ = ["MAX_CONTENT", "StatusFiles", "is_of_status"]

MAX_CONTENT = 64 * 1024
"""Bytes of a status file; a longer one is none."""
_STEADY = 1.0
"""Seconds that a file has to stand still before it is judged."""
_TRUST_AFTER = 2.0
_DIGEST = 8
_PLACE = 1  # there is but one place in a file that is read as a whole
_MARK = b"status\0"
"""What the anchor of our positions begins with."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A file as it is known: its last stamp, since when and until when that was seen, what was judged of it."""

    stamp: Stamp = ABSENT
    since: float = 0.0
    checked: float = 0.0
    position: Position | None = None


def is_of_status(position: Position) -> bool:
    """Tell the position of a status file from that of a log, which the same file may have been or become."""
    return position.anchor.startswith(_MARK)


class StatusFiles:
    """The status files of one tree; `read` stages what it finds until `commit`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[str, _Known] = {}
        self._staged: dict[str, _Known] = {}

    def restore(self, source: str, position: Position) -> None:
        """Remember what was judged of a file."""
        if is_of_status(position):
            self._known[source] = _Known(position=position)

    def read(
        self, found: Mapping[str, tuple[str, Wish]], moment: Moment, *, first: Callable[[str], bool]
    ) -> tuple[list[Line], dict[str, Position]]:
        """Read the files that changed; give a line for each new report, and the positions that changed.

        Of a source for which this look is the `first` of all, what is there is the past.
        """
        self._staged = {}
        lines: list[Line] = []
        positions: dict[str, Position] = {}
        for source, (path, wish) in found.items():
            known = self._known.get(source, _Known())
            try:
                after, reports = self._look(source, path, wish, known, moment, first=first(source))
            except RefusedError as error:
                self._ledger.wrong(source, str(error))
                continue
            except OSError as error:
                self._ledger.wrong(*explain(source, error))
                continue
            if after is not known:
                self._staged[source] = after
            if after.position is not None and after.position != known.position:
                positions[source] = after.position
                place = Position(after.stamp.device, after.stamp.inode, _PLACE, past_until=after.position.past_until)
                lines += [Line(source, data, place, moment.now) for data in reports]
        return lines, positions

    def commit(self) -> None:
        """Let what was read last count."""
        self._known |= self._staged
        self._staged = {}

    def _look(
        self, source: str, path: str, wish: Wish, known: _Known, moment: Moment, *, first: bool
    ) -> tuple[_Known, list[bytes]]:
        stamp = stamp_at(path)
        now = moment.monotonic
        same = stamp == known.stamp
        if stamp is None or (same and known.checked - known.since >= _TRUST_AFTER):
            return known, []  # a file that is away for a moment is being replaced
        since = known.since if same else now
        seen = _Known(stamp, since, now, known.position)
        if now - since < _STEADY and not first:
            return seen, []
        with open_file(path) as file:
            content = file.read(0, MAX_CONTENT + 1)
            if file.stamp != stamp:
                return _Known(file.stamp, now, now, known.position), []
        reports = self._understood(source, content, wish)
        changed = datetime.fromtimestamp(stamp.changed_ns / 1e9, UTC)
        written = dict(_written(reports, changed))
        if not written:
            return seen, []
        before = _digests(known.position)
        anchor = _MARK + b"".join(written)
        if known.position is not None and known.position.anchor == anchor:
            return seen, []
        position = Position(stamp.device, stamp.inode, _PLACE, anchor, past_until=_PLACE if first else 0)
        new = [data for digest, data in written.items() if digest not in before]
        return _Known(stamp, since, now, position), new

    def _understood(self, source: str, content: bytes, wish: Wish) -> tuple[Report, ...]:
        if len(content) > MAX_CONTENT:
            self._ledger.wrong(source, f"longer than {MAX_CONTENT} bytes: this is no status file, it is not read")
            return ()
        reports = reports_in(content, wish.operation)
        if not reports and wish.kind is Kind.HEARTBEAT:
            reports = heartbeat(wish.operation)
        if not reports and wish.is_named and content.strip():
            self._ledger.wrong(source, 'says nothing that is understood: write a time, status=ok or {"status": "ok"}')
        else:
            self._ledger.fine(source)
        return reports


def _written(reports: tuple[Report, ...], changed: datetime) -> Iterator[tuple[bytes, bytes]]:
    """Write reports as the lines that the rules see, each with the digest of what makes it news."""
    for report in reports:
        said = {"type": "status_file", "operation": report.operation, "outcome": report.outcome.value}
        said |= {"message": report.detail}
        dated = json.dumps(said | {"time": (report.time or changed).isoformat()}).encode()
        yield _digest(json.dumps(said).encode() if report.stands else dated), dated


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST).digest()


def _digests(position: Position | None) -> frozenset[bytes]:
    packed = position.anchor.removeprefix(_MARK) if position else b""
    return frozenset(packed[at : at + _DIGEST] for at in range(0, len(packed), _DIGEST))
