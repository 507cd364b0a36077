"""The state of one simulated TrueNAS: what its sessions share, and what outlives a connection.

Sessions come and go as `Subscriber`s; alerts, jobs, keys, mails and apps stay. Every change wakes those who wait for
one (`touch`), so that tests need not poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from .alerts import AlertList, Announcement
from .apps import FOLLOW, App, Container, log_line
from .auth import Authenticator, RateLimiter
from .failures import CallFailed
from .faults import Faults
from .jobs import Job, JobKind, Jobs
from .keys import Key
from .profiles import Profile

__all__ = ["PROCESS_ALERTS", "Appliance", "Subscriber"]

PROCESS_ALERTS = "process_alerts"
"""The lock that creating, deleting and sending alerts wait for, on every release."""

_SEND_ALERTS = JobKind(lock=lambda _: PROCESS_ALERTS, transient=True)
_ALTERED = " (altered)"


class Subscriber(Protocol):
    """A session as the appliance sees it."""

    def notify(self, collection: str, change: str, row_id: Any, fields: dict[str, Any] | None) -> None:
        """Send an event, if the session has subscribed to the collection."""

    def end_subscription(self, collection: str, failure: CallFailed) -> None:
        """Tell the session that one of its subscriptions is over."""

    def sees_jobs_of(self, username: str | None) -> bool:
        """Say whether the session may see a user's jobs: its own, or all with FULL_ADMIN."""

    def disconnect(self, code: int | None) -> None:
        """Close the connection with a code, or drop it without a close frame."""


class Appliance:
    """A TrueNAS without its sockets."""

    def __init__(
        self,
        profile: Profile,
        keys: list[Key],
        *,
        mail: bool,
        scram_iterations: int,
        rate_limit: int | None,
        clock: Callable[[], float],
    ) -> None:
        self.profile = profile
        self.faults = Faults()
        self.keys = keys
        self.auth = Authenticator(profile, keys, scram_iterations, on_revoked=self.touch)
        self.rate_limiter = RateLimiter(clock, rate_limit)
        self.alerts = AlertList(profile)
        self.jobs = Jobs(self._announce_job, self._hold_lock)
        self.mail_is_set_up = mail
        self.administrator_email: str | None = "admin@truenas.example"
        self.mails: list[dict[str, Any]] = []
        self.apps: list[App] = []
        self.calls: list[tuple[str, list[Any]]] = []
        self.sessions: set[Subscriber] = set()
        self._changed = asyncio.Event()

    def touch(self) -> None:
        """Wake those who wait for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def next_change(self) -> None:
        """Wait until something changes."""
        await self._changed.wait()

    def publish(self, collection: str, change: str, row_id: Any, fields: dict[str, Any] | None) -> None:
        """Send an event to all sessions that have subscribed to its collection."""
        for session in list(self.sessions):
            session.notify(collection, change, row_id, fields)
        self.touch()

    def record_call(self, method: str, params: list[Any]) -> None:
        """Remember a call."""
        self.calls.append((method, params))
        self.touch()

    # Alerts

    def listed_alerts(self) -> list[dict[str, Any]]:
        """Return what `alert.list` answers now."""
        entries = self.alerts.entries()
        return [_altered(entry) for entry in entries] if self.faults.alter_text else entries

    def create_alert(self, klass: str, args: Any) -> None:
        """Do what the job `alert.oneshot_create` does: the announcement is a job of its own, queued right after it."""
        listed = self.alerts if not self.faults.swallow_creates else AlertList(self.profile)
        listed.create(klass, args, datetime.now(UTC))
        self.queue_send_alerts()

    def delete_alerts(self, classes: str | list[str], query: Any) -> None:
        """Do what the job `alert.oneshot_delete` does."""
        self.alerts.delete(classes, query)
        self.queue_send_alerts()

    def announce_alert(self, announcement: Announcement | None) -> None:
        """Publish what became of an alert, if anything did."""
        if announcement:
            self.publish("alert.list", announcement.change, announcement.uuid, announcement.fields)

    def queue_send_alerts(self) -> None:
        """Queue the job that announces what has come and gone; it does nothing before the system is ready."""
        self.jobs.queue("alert.send_alerts", [], _SEND_ALERTS, self._send_alerts)

    async def _send_alerts(self) -> None:
        if self.faults.not_ready:
            return
        for announcement in self.alerts.announce():
            self.announce_alert(announcement)

    # Jobs

    def _hold_lock(self, job: Job) -> float:
        return self.faults.process_alerts_delay if job.method.startswith("alert.oneshot_") else 0.0

    def _announce_job(self, change: str, job: Job) -> None:
        self.touch()
        if job.kind.transient and not self.profile.transient_job_events:
            return
        for session in list(self.sessions):
            if session.sees_jobs_of(job.username):
                session.notify("core.get_jobs", change, job.id, job.describe())

    # Apps

    def app_writes(self, container: Container, written: str | bytes, moment: datetime) -> None:
        """Let a container write one line, and give it to those who follow."""
        try:
            line = log_line(written, moment, offset=self.profile.log_timestamp_offset)
        except CallFailed as failure:
            self.end_following(container, failure)
            return
        container.lines.append(line)
        for session in list(self.sessions):
            session.notify(f"{FOLLOW}:{container.id}", "added", None, line.fields())

    def end_following(self, container: Container, failure: CallFailed) -> None:
        """End every subscription to a container's output."""
        for session in list(self.sessions):
            session.end_subscription(f"{FOLLOW}:{container.id}", failure)


def _altered(entry: dict[str, Any]) -> dict[str, Any]:
    args = entry["args"]
    if isinstance(args, dict):
        args = {name: value if name == "id" else f"{value}{_ALTERED}" for name, value in args.items()}
    else:
        args = f"{args}{_ALTERED}"
    return {**entry, "args": args, "formatted": entry["formatted"] + _ALTERED}
