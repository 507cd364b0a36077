"""What can be made to go wrong in a simulated TrueNAS, while it runs.

Set an attribute and the next call, frame or connection meets the fault. *Lasting* faults stay until they are set back;
*one-shot* faults are used up by the call that meets them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Faults"]


@dataclass(slots=True)
class Faults:
    """The faults of one simulated TrueNAS; the defaults are harmless."""

    http_status: int | None = None
    """Answer every handshake with this HTTP status, such as 502 during a restart. Lasting."""
    redirect: bool = False
    """Answer handshakes on the insecure port with 307 to https. Lasting."""
    idle_timeout: float | None = None
    """Drop a connection to which nothing was sent for so many seconds, as nginx does. Lasting; met from the next byte
    sent."""

    process_alerts_delay: float = 0.0
    """Seconds that the lock `process_alerts` is busy before each create or delete of an alert. Lasting."""
    not_ready: bool = False
    """The system is still booting: alerts are listed, but announced only with the first change after it. Lasting."""
    swallow_creates: bool = False
    """Creating an alert reports SUCCESS, yet nothing is listed. Lasting."""
    alter_text: bool = False
    """`alert.list` shows other texts than those sent. Lasting."""

    rate_limited: bool = False
    """Calls without login are refused with EBUSY. Lasting."""
    rate_limit_pause: float = 1.0
    """Seconds until such a call is refused; TrueNAS takes between 1 and 10. Lasting."""
    session_expires_after: int | None = None
    """Calls that each login is good for; then 207 is answered until the next login. Lasting."""
    ha_redirect: list[str] = field(default_factory=list)
    """URLs of the active node: every login is answered with REDIRECT to them. Lasting while not empty."""

    events_before_answer: bool = False
    """A job's events are sent before the answer that tells its id: the race that 25.04 can lose. Lasting."""
    never_answer: set[str] = field(default_factory=set)
    """Methods that are done but never answered; each call keeps its slot until the connection ends. Lasting."""
    close_before: dict[str, int | None] = field(default_factory=dict)
    """Method to close code (None: drop): the connection ends before the call is done. One-shot."""
    close_after: dict[str, int | None] = field(default_factory=dict)
    """Method to close code (None: drop): the call is done, but the connection ends before its answer. One-shot."""
    error: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Method to JSON-RPC error object that is answered instead of doing the call. Lasting."""
    error_once: dict[str, dict[str, Any]] = field(default_factory=dict)
    """As `error`, but one-shot."""
    garbage: set[str] = field(default_factory=set)
    """Methods whose answer comes after a frame that is not JSON and an answer to an unknown id. Lasting."""
    huge_frame: int = 0
    """White space added to every answer, in characters. Lasting."""
