"""Listen to the output of an app's containers over the session with TrueNAS.

`app.query` names the containers, the event source `app.container_log_follow` gives what they write (25.04.0 to 27; both
take the role APPS_READ). A container has another id after each deployment, so it is found by its app and service,
anew in each session and whenever a stream ends. A stream begins with the last lines that Docker still has: as many as
`tail_lines` says, all for 0. Where these do not reach back to what is known, all are asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Protocol

from borgwatch.sources.app_log import Place, Written
from borgwatch.truenas.client import RETRY_LATER, Client, back_off
from borgwatch.truenas.errors import CallFailed, TrueNASError, Verdict, said
from borgwatch.truenas.session import Session
from borgwatch.truenas.subscriptions import Heard

__all__ = ["APPS_RIGHT", "FOLLOW", "AppListener", "Containers", "Sink", "find_containers", "read_line"]

FOLLOW = "app.container_log_follow"
_FOLLOWED = ("RUNNING", "CRASHED", "DEPLOYING")
_LOOK_AGAIN = 30.0
"""Seconds between two looks at the containers of an app."""
_SILENCE = 600.0
"""Seconds without a line after which a stream is begun again: it may have ended without a word."""
_LASTS = 60.0
"""Seconds after which it is told that there is no session."""
_ROOM = 0.5
"""Seconds until it is seen whether there is room for more lines."""
_TAIL, _FIRST_TAIL, _ALL = 500, 10_000, 0
_NOT_UTF_8 = "codec can't decode"
APPS_RIGHT = "reading the output of apps takes the role APPS_READ for the key's user"

Containers = Mapping[str, str]
"""The ids of containers by their service."""


def read_line(text: object, stamp: object) -> Written | None:
    """Read a line as TrueNAS gives it; None for a blank one, whose text is its stamp, and for any other shape.

    A stamp without an offset is UTC (25.04, 25.10); 26 writes the appliance's zone with its offset.
    """
    if not isinstance(text, str) or not isinstance(stamp, str):
        return None
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    written = Written(text.rstrip("\r\n").encode("utf-8", "surrogatepass"), at)
    return written if written.stamp >= 0 else None


class Sink(Protocol):
    """Where lines go, and who knows which were there."""

    app: str
    service: str

    def place(self, service: str) -> Place:
        """Say where the output of a service goes on."""

    def begin(self, service: str, container: str) -> None:
        """Take note that the output of a service comes again, from some line on."""

    def take(self, service: str, written: Written) -> bool:
        """Take a line if it is new; False if there is no room for it."""

    @property
    def has_room(self) -> bool:
        """Whether more lines may come."""

    def away(self) -> None:
        """Take note that some of the output does not come until it is begun again."""

    def wrong(self, what: str) -> None:
        """Take note of what keeps the output from being read."""

    def fine(self) -> None:
        """Take note that nothing does."""

    def note(self, service: str, what: str) -> None:
        """Take note of something that happened and is over."""


async def find_containers(session: Session, app: str, service: str) -> Containers:
    """Find an app's containers, of one service or of all; raises `LookupError` with what to do, or `TrueNASError`."""
    rows = await _apps(session, [["name", "=", app]])
    if not rows:
        names = [str(row.get("name")) for row in await _apps(session, [])]
        near = get_close_matches(app, names, 1)
        hint = f"; did you mean {said(near[0])!r}?" if near else f"; there are: {said(', '.join(names)) or 'none'}"
        raise LookupError(f"TrueNAS has no app {app!r}{hint}")
    state = said(rows[0].get("state"))
    if state not in _FOLLOWED:
        raise LookupError(f"the app {app!r} is {state}: its output can be read while it runs")
    workloads = rows[0].get("active_workloads")
    details = workloads.get("container_details") if isinstance(workloads, dict) else None
    chosen: dict[str, tuple[bool, str]] = {}
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(detail.get("id"), str):
            name = said(detail.get("service_name"), 100)
            candidate = (detail.get("state") != "running", detail["id"])
            chosen[name] = min(candidate, chosen.get(name, candidate))  # of several, the same at each look
    found = {name: container for name, (_, container) in chosen.items()}
    if service and service not in found:
        raise LookupError(f"the app {app!r} has no service {service!r}; it has: {', '.join(sorted(found)) or 'none'}")
    return {service: found[service]} if service else found


async def _apps(session: Session, filters: list[Any]) -> list[dict[str, Any]]:
    rows = await session.call("app.query", filters)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


@dataclass(slots=True)
class _Stream:
    """A subscription to the output of one container; `tail` is how many lines were asked for."""

    container: str
    collection: str
    tail: int
    place: Place
    is_first: bool = True
    is_over: bool = False
    failed: bool = False
    heard: float = field(default_factory=time.monotonic)

    @property
    def may_miss(self) -> bool:
        """Whether lines may lie between what is known and the first line that comes."""
        return bool(self.place.entries) and self.place.container == self.container


class AppListener:
    """Keeps the streams of one app going, in each session of a client."""

    def __init__(self, client: Client, sink: Sink) -> None:
        self._client = client
        self._sink = sink
        self._streams: dict[str, _Stream] = {}
        self._reaches: dict[str, int] = {}  # how many lines are asked for, where it is not the usual number
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled."""
        pauses = back_off()
        while True:
            session = await self._session()
            wait = _LOOK_AGAIN
            try:
                await self._look(session)
            except LookupError as error:
                self._sink.wrong(str(error))
            except CallFailed as error:
                self._sink.wrong(f"{error} ({APPS_RIGHT})")
                wait = RETRY_LATER if error.verdict is Verdict.USER else wait
            except TrueNASError:
                wait = next(pauses)  # whoever keeps the session up tells of it
            if await self._wait(session, wait):
                pauses = back_off()
            elif any(stream.failed for stream in self._streams.values()):
                await asyncio.sleep(next(pauses))

    async def _session(self) -> Session:
        """Wait for a session; that nothing is read meanwhile is told once it lasts."""
        if (session := self._client.session_now) is not None:
            return session
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LASTS):
                return await self._client.session()
        self._sink.wrong("without a session with TrueNAS, the output of its apps cannot be read")
        return await self._client.session()

    async def _wait(self, session: Session, seconds: float) -> bool:
        """Wait until something is over, or there is room again; tell whether it was just time that passed."""
        if not self._sink.has_room:
            seconds = _ROOM
        closed = asyncio.ensure_future(session.connection.wait_closed())
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            done, _ = await asyncio.wait((closed, changed), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closed.cancel()
            changed.cancel()
        if closed in done:
            self._sink.away()
        self._changed.clear()
        return not done

    async def _look(self, session: Session) -> None:
        """Bring the streams up to what is there now."""
        containers = await find_containers(session, self._sink.app, self._sink.service)
        for service, stream in list(self._streams.items()):
            is_silent = time.monotonic() - stream.heard >= _SILENCE
            is_current = not (stream.is_over or is_silent) and containers.get(service) == stream.container
            if not is_current or not self._client.subscriptions.has(stream.collection):
                await self._end(session, service)
        for service, container in containers.items():
            if service not in self._streams and self._sink.has_room:
                await self._begin(session, service, container)
        self._sink.fine()

    async def _end(self, session: Session, service: str) -> None:
        stream = self._streams.pop(service)
        with contextlib.suppress(CallFailed):  # it ended by itself
            await self._client.subscriptions.end(session, stream.collection)

    async def _begin(self, session: Session, service: str, container: str) -> None:
        place = self._sink.place(service)
        usual = _TAIL if place.container == container else _ALL
        tail = self._reaches.pop(service, usual if place.entries else _FIRST_TAIL)
        argument = {"app_name": self._sink.app, "container_id": container, "tail_lines": tail}
        stream = _Stream(container, f"{FOLLOW}:{json.dumps(argument)}", tail, place)
        self._streams[service] = stream
        self._sink.begin(service, container)

        def heard(event: Heard) -> None:
            self._hear(service, stream, event)

        def ended(error: TrueNASError) -> None:
            self._over(service, stream, str(error))

        await self._client.subscriptions.follow(session, stream.collection, heard, ended)

    def _hear(self, service: str, stream: _Stream, event: Heard) -> None:
        stream.heard = time.monotonic()
        written = read_line(event.fields.get("data"), event.fields.get("timestamp"))
        if written is None or stream.is_over:
            return
        if stream.is_first:
            stream.is_first = False
            if (
                stream.may_miss
                and written.stamp > stream.place.newest
                and not self._reaches_far_enough(service, stream)
            ):
                return
        if not self._sink.take(service, written):
            self._over(service, stream, "")

    def _reaches_far_enough(self, service: str, stream: _Stream) -> bool:
        """Ask for all lines where those that were asked for begin behind what is known."""
        if stream.tail == _TAIL:  # no shorter one: that is on purpose, and all is what was tried last
            self._reaches[service] = _ALL
            self._over(service, stream, "")
            return False
        self._sink.note(service, "lines of its output may be missing: Docker no longer has those that come next")
        return True

    def _over(self, service: str, stream: _Stream, reason: str) -> None:
        """Take note that a stream is at its end: it is begun again from where it came to."""
        stream.is_over, stream.failed = True, bool(reason)
        self._sink.away()
        if _NOT_UTF_8 in reason:  # TrueNAS breaks off there; a shorter tail begins behind it
            self._reaches[service] = max(1, (stream.tail or _FIRST_TAIL) // 10)
            self._sink.note(
                service, "its output holds bytes that are not UTF-8, where TrueNAS breaks off: lines may be missing"
            )
        self._changed.set()
