"""Apps of a simulated TrueNAS, and the output of their containers that can be followed. Pure: no socket.

`app.query` lists the apps; the event source `app.container_log_follow:{...}` gives a container's lines. Container ids
change with every deployment, on every release.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .failures import CallFailed, call_error, invalid_params

__all__ = ["FOLLOW", "App", "Container", "FollowRequest", "LogLine", "log_line"]

FOLLOW = "app.container_log_follow"
_FOLLOWED_STATES = ("RUNNING", "CRASHED", "DEPLOYING")
_DEFAULT_TAIL = 500


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line as the event source gives it."""

    data: str
    timestamp: str | None

    def fields(self) -> dict[str, Any]:
        """Return the fields of the event."""
        return {"data": self.data, "timestamp": self.timestamp}


@dataclass(slots=True)
class Container:
    """A container of an app and what it has written since it was made."""

    service_name: str
    image: str = "example/borg:latest"
    id: str = field(default_factory=lambda: uuid.uuid4().hex * 2)
    state: str = "running"
    lines: list[LogLine] = field(default_factory=list)


@dataclass(slots=True)
class App:
    """An installed app."""

    name: str
    containers: list[Container]
    state: str = "RUNNING"

    def describe(self) -> dict[str, Any]:
        """Return the app as `app.query` lists it."""
        details = [
            {
                "id": container.id,
                "service_name": container.service_name,
                "image": container.image,
                "state": container.state,
                "port_config": [],
                "volume_mounts": [],
            }
            for container in self.containers
        ]
        workloads = {"containers": len(details), "container_details": details}
        return {"id": self.name, "name": self.name, "state": self.state, "active_workloads": workloads}


@dataclass(frozen=True, slots=True)
class FollowRequest:
    """Whose output a subscription wants, and how much of what was written before."""

    app_name: str
    container_id: str
    tail_lines: int | None

    @classmethod
    def parse(cls, argument: str) -> FollowRequest:
        """Read the JSON after the first colon of the subscription's name."""
        try:
            values = json.loads(argument)
            tail = values.get("tail_lines", _DEFAULT_TAIL)
            return cls(values["app_name"], values["container_id"], tail)
        except (ValueError, AttributeError, KeyError) as error:
            raise invalid_params([(FOLLOW, str(error))]) from None

    def container(self, apps: list[App]) -> Container:
        """Return the container to follow, or raise why it cannot be followed."""
        app = next((app for app in apps if app.name == self.app_name), None)
        if app is None:
            raise call_error(f"App {self.app_name!r} does not exist")
        if app.state not in _FOLLOWED_STATES:
            raise call_error(f"Unable to retrieve logs of stopped {self.app_name!r} app")
        container = next((container for container in app.containers if container.id == self.container_id), None)
        if container is None:
            raise call_error(f"Container {self.container_id!r} not found in app {self.app_name!r}")
        return container

    def tail(self, container: Container) -> list[LogLine]:
        """Return the lines to begin with: the last `tail_lines`, or all for null and 0."""
        return container.lines[-self.tail_lines :] if self.tail_lines else list(container.lines)


def log_line(written: str | bytes, moment: datetime, *, offset: bool) -> LogLine:
    """Return a line as it is given on: without leading white space, stamped as the release stamps.

    Bytes that are not UTF-8 end the stream (`CallFailed`). A blank line comes without a time stamp and with the stamp
    for its text: on every release.
    """
    stamp = moment.isoformat() if offset else moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    try:
        text = written.decode() if isinstance(written, bytes) else written
    except UnicodeDecodeError as error:
        raise _stream_ended(error) from None
    if not text.strip():
        return LogLine(stamp, None)
    return LogLine(text.lstrip(), stamp)


def _stream_ended(error: UnicodeDecodeError) -> CallFailed:
    return call_error(f"Failed to read container logs: {error}")
