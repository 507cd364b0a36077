"""One connection to the simulated TrueNAS: its login, options, subscriptions, limits and calls under way.

Text frames come in, each call runs in a task of its own, and all frames leave in one queue, in the order in which they
were made. What a call does is in `methods`; what frames look like is in `frames`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from .appliance import Appliance
from .apps import FOLLOW, FollowRequest
from .auth import LoginState, Origin, redact
from .failures import (
    NO_SUCH_METHOD,
    TOO_MANY_CALLS,
    CallFailed,
    call_error,
    not_authenticated,
    not_authorized,
)
from .frames import (
    BadFrame,
    Request,
    answer,
    collection_update,
    error_answer,
    notify_unsubscribed,
    parse_request,
)
from .keys import Key, allowed
from .methods import METHODS, Call, Method, perform

__all__ = ["Session"]

# Limits of a connection, alike on every release
_ANONYMOUS_LIMIT = 8192
_FRAME_LIMIT = 65536
_RUNNING_CALLS = 10
_CALLS_IN_FLIGHT = 20

_SUBSCRIPTION_ROLES = {"alert.list": "ALERT_LIST_READ", FOLLOW: "APPS_READ"}
_NOT_JSON = "{this is not JSON"


@dataclass(frozen=True, slots=True)
class _Subscription:
    collection: str
    """The name that the client gave, repeated in each event."""
    topic: str
    """What the appliance publishes under."""


class Session:
    """A connection from its handshake to its end."""

    def __init__(
        self, appliance: Appliance, connection: ServerConnection, origin: Origin, *, newest_route: bool
    ) -> None:
        self.login = LoginState(origin)
        self.options = {"legacy_jobs": True, "private_methods": False, "py_exceptions": False}
        self.newest_route = newest_route
        self._appliance = appliance
        self._connection = connection
        self._outgoing: asyncio.Queue[str] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscriptions: dict[str, _Subscription] = {}
        self._running = asyncio.Semaphore(_RUNNING_CALLS)
        self._in_flight = 0

    def let_in(self, key: Key | None) -> None:
        """Log in the user that a local process is, if TrueNAS knows one: no key is asked for."""
        if key is not None:
            self.login.open(key)

    async def run(self) -> None:
        """Serve the connection until it ends; its calls end with it, the jobs that they started go on."""
        self._appliance.sessions.add(self)
        self._appliance.touch()
        self._spawn(self._send_frames())
        try:
            async for message in self._connection:
                if not await self._receive(message):
                    break
        except ConnectionClosed:
            pass
        finally:
            self._appliance.sessions.discard(self)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._appliance.touch()

    # What the appliance and the methods ask of a session

    def notify(self, collection: str, change: str, row_id: Any, fields: dict[str, Any] | None) -> None:
        """Send an event, if the session has subscribed to the collection."""
        names = {s.collection for s in self._subscriptions.values() if s.topic == collection}
        for name in sorted(names):
            self._outgoing.put_nowait(collection_update(name, change, row_id, fields))

    def end_subscription(self, collection: str, failure: CallFailed) -> None:
        """Tell the client that its subscriptions to a collection are over."""
        ended = [number for number, s in self._subscriptions.items() if s.topic == collection]
        for number in ended:
            name = self._subscriptions.pop(number).collection
            self._outgoing.put_nowait(notify_unsubscribed(name, failure))

    def sees_jobs_of(self, username: str | None) -> bool:
        """Say whether the session may see a user's jobs: its own, or all with FULL_ADMIN."""
        key = self.login.key
        return key is not None and ("FULL_ADMIN" in key.roles or key.username == username)

    def subscribe(self, collection: str) -> str:
        """Subscribe to a collection and return the id of the subscription."""
        name, _, argument = collection.partition(":")
        self._check_subscription(name)
        number = str(uuid.uuid4())
        if name == FOLLOW:
            request = FollowRequest.parse(argument)
            # the lines come after the answer
            asyncio.get_running_loop().call_soon(self._follow, number, collection, request)
        else:
            self._subscriptions[number] = _Subscription(collection, collection)
        return number

    def unsubscribe(self, subscription: str) -> None:
        """End a subscription; an unknown id is ignored."""
        self._subscriptions.pop(subscription, None)

    def disconnect(self, code: int | None) -> None:
        """Close the connection with a code, or drop it without a close frame."""
        if code is None:
            self._connection.transport.abort()
        else:
            self._spawn(self._connection.close(code))

    # Frames

    async def _send_frames(self) -> None:
        try:
            while True:
                await self._connection.send(await self._outgoing.get())
        except ConnectionClosed:
            pass

    async def _receive(self, message: str | bytes) -> bool:
        """Take a frame in and say whether the connection goes on."""
        if isinstance(message, bytes):
            await self._connection.close(1003, "Invalid websocket message type: <WSMsgType.BINARY: 2>")
            return False
        if self.login.key is None and len(message) > _ANONYMOUS_LIMIT:
            await self._connection.close(1007, "Anonymous connection max message length is 8 kB")
            return False
        if len(message) > _FRAME_LIMIT:
            await self._connection.close(1009, "Max message length is 64 kB")
            return False
        try:
            self._accept(parse_request(message))
        except BadFrame as bad:
            self._outgoing.put_nowait(error_answer(bad.id, bad.error))
        return True

    def _accept(self, request: Request) -> None:
        self._appliance.record_call(request.method, redact(request.method, request.params))
        if self._in_flight >= _CALLS_IN_FLIGHT:
            message = f"Maximum number of concurrent calls ({_CALLS_IN_FLIGHT}) has exceeded"
            raise BadFrame(TOO_MANY_CALLS, message, request.id)
        self._in_flight += 1
        self._spawn(self._respond(request))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Calls

    async def _respond(self, request: Request) -> None:
        faults = self._appliance.faults
        try:
            async with self._running:
                if request.method in faults.close_before:
                    self.disconnect(faults.close_before.pop(request.method))
                    return
                frame = await self._frame(request)
                if request.method in faults.never_answer:
                    await asyncio.Event().wait()
                if request.method in faults.close_after:
                    self.disconnect(faults.close_after.pop(request.method))
                    return
                if request.method in faults.garbage:
                    self._outgoing.put_nowait(_NOT_JSON)
                    self._outgoing.put_nowait(answer(f"unknown-{uuid.uuid4()}", None))
                if not request.notification:
                    self._outgoing.put_nowait(frame + " " * faults.huge_frame)
        finally:
            self._in_flight -= 1

    async def _frame(self, request: Request) -> str:
        """Do a call and return the frame that answers it."""
        faults = self._appliance.faults
        planned = faults.error_once.pop(request.method, None) or faults.error.get(request.method)
        if planned:
            return error_answer(request.id, planned)
        method = METHODS.get(request.method)
        if method is None:
            return error_answer(request.id, {"code": NO_SUCH_METHOD, "message": "Method does not exist"})
        try:
            await self._admit(method)
            return answer(request.id, await perform(method, Call(self._appliance, self, request.params, request.id)))
        except CallFailed as failure:
            return error_answer(request.id, failure.as_error())

    async def _admit(self, method: Method) -> None:
        """Let a call pass, or raise why not."""
        profile = self._appliance.profile
        self._expire()
        if self.login.key is None:
            await self._limit_rate(method)
            if not method.before_login(profile):
                raise not_authenticated()
        elif not method.permits(self.login.key, profile):
            raise not_authorized()

    def _expire(self) -> None:
        self.login.calls += 1
        limit = self._appliance.faults.session_expires_after
        if limit is not None and self.login.calls > limit:
            self.login.key = None

    async def _limit_rate(self, method: Method) -> None:
        """Refuse what is too much without login; setting options is exempt."""
        if method.name == "core.set_options":
            return
        exceeded = self._appliance.rate_limiter.exceeded(method.name, self.login.origin.address)
        if exceeded or self._appliance.faults.rate_limited:
            await asyncio.sleep(self._appliance.faults.rate_limit_pause)
            raise call_error("Rate Limit Exceeded", 16)

    # Subscriptions

    def _check_subscription(self, name: str) -> None:
        role = _SUBSCRIPTION_ROLES.get(name)
        if role and self.login.key and not allowed(self.login.key.roles, frozenset({role})):
            raise not_authorized()

    def _follow(self, number: str, collection: str, request: FollowRequest) -> None:
        """Send what a container has written, and go on with what it writes from now on."""
        try:
            container = request.container(self._appliance.apps)
        except CallFailed as failure:
            self._outgoing.put_nowait(notify_unsubscribed(collection, failure))
            return
        self._subscriptions[number] = _Subscription(collection, f"{FOLLOW}:{container.id}")
        for line in request.tail(container):
            self._outgoing.put_nowait(collection_update(collection, "added", None, line.fields()))
