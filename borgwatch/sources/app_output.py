"""The output of an app of TrueNAS as a source, beside the trees of files: what came over the connection waits here.

Whoever listens to TrueNAS (`truenas.apps`) hands lines in; the pipeline takes them out, and commits them together with
the place behind them. What waits is bounded: where too much does, `take` refuses, and the output is asked for again,
from the place on, when there is room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from borgwatch.model import Line, Position
from borgwatch.sources.app_log import Place, Rereading, Written
from borgwatch.sources.lines import Wanted, one_piece
from borgwatch.sources.problems import Ledger
from borgwatch.sources.tail import Batch

__all__ = ["SCHEME", "AppOutput", "app_of", "name_of"]

SCHEME = "truenas-app:"
"""What the name of a source begins with that is an app's output: `truenas-app:<app>/<service>`."""

_MAX_WAITING = 4 << 20
_LINE_COSTS = 256


def name_of(app: str, service: str) -> str:
    """Name the source of a service's output; without a service, that of all of an app's."""
    return f"{SCHEME}{app}/{service}"


def app_of(source: str) -> tuple[str, str] | None:
    """Take the name of a source apart: app and service; None where it is a file."""
    if not source.startswith(SCHEME):
        return None
    app, _, service = source.removeprefix(SCHEME).partition("/")
    return app, service


@dataclass(slots=True)
class _Stream:
    """One service's output: the places behind what was committed, and behind what waits."""

    committed: Place
    accepted: Place
    past_until: int
    container: str = ""
    rereading: Rereading | None = None
    is_written_down: bool = False


@dataclass(frozen=True, slots=True)
class _Waiting:
    service: str
    container: str
    written: Written

    @property
    def cost(self) -> int:
        return len(self.written.data) + _LINE_COSTS


class AppOutput:
    """The output of an app, of one service or of all; `wake` is called when there is something to read.

    With `first_start`, what was written before is past: to learn from, not to alert about. The offset of a line is its
    time stamp, in microseconds, so that the same line has the same id whenever it is read.
    """

    def __init__(
        self, app: str, service: str = "", *, now: Callable[[], datetime], wake: Callable[[], None], first_start: bool
    ) -> None:
        self.app = app
        self.service = service
        self._now = now
        self._wake = wake
        self._past_until = Written(b"", now()).stamp if first_start else 0
        self._streams: dict[str, _Stream] = {}
        self._waiting: deque[_Waiting] = deque()
        self._cost = 0
        self._staged: tuple[Batch, int, dict[str, Place]] | None = None
        self._ledger = Ledger()
        self._comes = False
        self._is_there = False

    @property
    def there(self) -> tuple[str, ...]:
        """Its name, where what the app writes has come all the time since the last look."""
        return (self.name,) if self._is_there else ()

    @property
    def name(self) -> str:
        """What the journal knows it by."""
        return name_of(self.app, self.service)

    # -- for whoever listens to TrueNAS --------------------------------------------------------------------------

    def place(self, service: str) -> Place:
        """Say where the output of a service goes on, behind all that was taken."""
        return self._stream(service).accepted

    def begin(self, service: str, container: str) -> None:
        """Say that the output of a service comes again, from some line on, of this container."""
        stream, place = self._stream(service), self._stream(service).accepted
        if container != place.container and place.before > Written(b"", self._now()).stamp:
            place = Place()  # its clock was ahead: all that another container writes would look old
        stream.container, stream.rereading = container, Rereading(place)
        self._comes = True

    def take(self, service: str, written: Written) -> bool:
        """Take a line if it is new; False if there is no room for it."""
        stream = self._stream(service)
        entry = written.entry
        if not self.has_room:
            return False
        if stream.rereading is None or stream.rereading.is_new(entry):
            waiting = _Waiting(service, stream.container, replace(written, data=one_piece(written.data)))
            self._waiting.append(waiting)
            self._cost += waiting.cost
            stream.accepted = stream.accepted.behind((entry,), stream.container)
            self._wake()
        return True

    @property
    def has_room(self) -> bool:
        """Whether more lines may come."""
        return self._cost < _MAX_WAITING

    def away(self) -> None:
        """Say that some of it does not come for now, until it is begun again: silence proves nothing."""
        self._comes = self._is_there = False

    def wrong(self, what: str) -> None:
        """Tell what keeps the output from being read."""
        self._ledger.wrong(self.name, what)
        self._wake()

    def fine(self) -> None:
        """Tell that nothing does, or no longer."""
        self._ledger.fine(self.name)
        self._wake()

    def note(self, service: str, what: str) -> None:
        """Tell of something that happened and is over."""
        self._ledger.note(self._source(service), what)
        self._wake()

    # -- for the pipeline: as a tree of files --------------------------------------------------------------------

    def restore(self, positions: Mapping[str, Position]) -> None:
        """Go on where the one that gave these positions stood; those of others are left alone."""
        for source, position in positions.items():
            app, service = app_of(source) or ("", "")
            if app == self.app and self.service in ("", service):
                place = Place.from_bytes(position.anchor)
                self._streams[service] = _Stream(place, place, position.past_until, is_written_down=True)

    def read(self, budget: int, wanted: Wanted | None = None, *, changed: Collection[str] | None = None) -> Batch:  # noqa: ARG002 - as for files; who asks for single lines would have to know their times
        """Read what waits, at most `budget` bytes of it, but at least one line."""
        lines: list[Line] = []
        taken: dict[str, list[_Waiting]] = {}
        now = self._now()
        for waiting in self._waiting:
            if lines and budget < waiting.cost:
                break
            budget -= waiting.cost
            written = waiting.written
            place = Position(0, 0, written.stamp, past_until=self._stream(waiting.service).past_until)
            lines.append(Line(self._source(waiting.service), written.data, place, now, min(written.at, now)))
            taken.setdefault(waiting.service, []).append(waiting)
        places = {service: stream.committed for service, stream in self._streams.items() if not stream.is_written_down}
        places |= {
            service: self._stream(service).committed.behind((one.written.entry for one in of_it), of_it[-1].container)
            for service, of_it in taken.items()
        }
        positions = {self._source(service): self._position(service, place) for service, place in places.items()}
        more = len(lines) < len(self._waiting)
        batch = Batch(tuple(lines), positions, self._ledger.drain(), more, len(lines))
        self._staged = batch, len(lines), places
        return batch

    def commit(self, batch: Batch) -> None:
        """Go on behind the batch that was read last: its lines and positions are safe now."""
        if self._staged is None or self._staged[0] is not batch:
            raise ValueError("only the batch that was read last can be committed")
        _, count, places = self._staged
        self._staged = (batch, 0, {})
        self._is_there = self._comes
        for _ in range(count):
            self._cost -= self._waiting.popleft().cost
        for service, place in places.items():
            stream = self._stream(service)
            stream.committed, stream.is_written_down = place, True

    def _stream(self, service: str) -> _Stream:
        return self._streams.setdefault(service, _Stream(Place(), Place(), self._past_until))

    def _source(self, service: str) -> str:
        return name_of(self.app, service)

    def _position(self, service: str, place: Place) -> Position:
        return Position(0, 0, place.newest, place.to_bytes(), past_until=self._stream(service).past_until)
