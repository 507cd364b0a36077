"""What is to be heard from TrueNAS unasked, on this session and on each one after it.

Subscriptions end with their connection, and TrueNAS may end one before (`notify_unsubscribed`, 25.04 to 27). They
belong to the client: it makes them anew in each session. What is heard is a hint, never the truth: events that were
sent while no connection was up are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from borgwatch.truenas.errors import CallFailed, TrueNASError, call_failed
from borgwatch.truenas.rpc import Notice
from borgwatch.truenas.session import Session

__all__ = ["Heard", "Subscriptions"]

_CALL_ERROR = -32001


@dataclass(frozen=True, slots=True)
class Heard:
    """One event of a collection: what became (`added`, `changed`, `removed`) of which row, and its fields."""

    change: str
    row_id: Any
    fields: Mapping[str, Any]


@dataclass(slots=True)
class _Listener:
    heard: Callable[[Heard], None]
    ended: Callable[[TrueNASError], None]
    is_lasting: bool = True
    subscription: Any = None


class Subscriptions:
    """The collections that are listened to, such as `alert.list`."""

    def __init__(self) -> None:
        self._listeners: dict[str, _Listener] = {}

    def add(self, collection: str, heard: Callable[[Heard], None], ended: Callable[[TrueNASError], None]) -> None:
        """Listen to a collection from the next session on; `ended` hears why one could not be had or is over."""
        self._listeners[collection] = _Listener(heard, ended)

    async def follow(
        self,
        session: Session,
        collection: str,
        heard: Callable[[Heard], None],
        ended: Callable[[TrueNASError], None],
    ) -> None:
        """Listen to a collection at once, in this session alone; raises `TrueNASError` where it cannot be had."""
        listener = self._listeners[collection] = _Listener(heard, ended, is_lasting=False)
        try:
            listener.subscription = await session.call("core.subscribe", collection)
        except TrueNASError:
            self._listeners.pop(collection, None)
            raise

    def has(self, collection: str) -> bool:
        """Say whether a collection is listened to."""
        return collection in self._listeners

    async def end(self, session: Session, collection: str) -> None:
        """Listen no longer; raises `TrueNASError`."""
        listener = self._listeners.pop(collection, None)
        if listener is not None and listener.subscription is not None:
            await session.call("core.unsubscribe", listener.subscription)

    async def restore(self, session: Session) -> None:
        """Subscribe to everything in a new session; raises `TrueNASError` only where the session itself is broken."""
        session.connection.on_notice = self.take
        self._listeners = {name: listener for name, listener in self._listeners.items() if listener.is_lasting}
        for collection, listener in tuple(self._listeners.items()):
            try:
                await session.call("core.subscribe", collection)
            except CallFailed as error:
                listener.ended(error)

    def take(self, notice: Notice) -> None:
        """Give a notice to its listener; what nobody listens to, or has another shape, is passed over."""
        params = notice.params if isinstance(notice.params, dict) else {}
        listener = self._listeners.get(str(params.get("collection")))
        if listener is None:
            return
        if notice.method == "notify_unsubscribed":
            listener.ended(call_failed("core.subscribe", {"code": _CALL_ERROR, "data": params.get("error")}))
        elif notice.method == "collection_update":
            fields = params.get("fields")
            fields = fields if isinstance(fields, dict) else {}
            listener.heard(Heard(str(params.get("msg")), params.get("id"), fields))
