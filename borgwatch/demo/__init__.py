"""The whole way on one machine with nothing set up: the service itself, real Borg output, a simulated TrueNAS.

Nothing is faked but the NAS. `run_demo` starts a simulated TrueNAS with real TLS on loopback and the same service
that `borgwatch run` starts, lets four nights of backups write into the watched directory, and tells the story as it
happens. A night is confirmed when the service has read its proof back from `alert.list`, and the NAS, asked apart
from the service, shows what it should.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from borgwatch.config import load
from borgwatch.demo.backups import NIGHTS, Backups, Real, Recorded
from borgwatch.journal.store import Journal
from borgwatch.model import Alert, Event
from borgwatch.pipeline import Step
from borgwatch.service.daily import Daily
from borgwatch.service.process import Service
from borgwatch.service.report import Report
from borgwatch.sources.problems import Problem
from borgwatch.truenas.delivery import Delivered, Mailed
from borgwatch.truenas.errors import TrueNASError
from borgwatch.truenas.session import Session
from borgwatch.truenas.simulator import Simulator
from borgwatch.truenas.trust import Certificate, PinVerdict

__all__ = ["run_demo"]

NIGHT_TIMEOUT = 10.0
JOB = "nas"
_EXPECTED = {
    # night: (outcome of the backup, what the bell shows afterwards: a part of its text, or None for nothing)
    "good": ("success", None),
    "warning": ("warning", "finished with warnings"),
    "locked": ("failure", "Failed to create/acquire the lock"),
    "recovery": ("success", None),
}
_TITLES = {
    "good": "Night 1: all goes well",
    "warning": "Night 2: a folder that was to be saved is not there",
    "locked": "Night 3: another Borg holds the repository",
    "recovery": "Night 4: all goes well again",
}

Say = Callable[[str], None]


class _Story:
    """The report of the demo: says what happens in plain lines, and lets the demo wait for it."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._began = time.monotonic()
        self._changed = asyncio.Event()
        self.session: Session | None = None
        self.has_looked = False
        self.outcomes: list[str] = []
        self.waiting: dict[str, Alert] = {}

    def line(self, what: str) -> None:
        self._say(f"{time.monotonic() - self._began:5.1f}s  {what}")

    def looked(self) -> None:
        self.has_looked = True
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def step(self, step: Step) -> None:
        if step.lines:
            self.line(f"{step.lines} new line{'s' if step.lines > 1 else ''} found in the log")
        for event in step.events:
            self._event(event)
        for alert in step.alerts:
            self.waiting[alert.key] = alert
            self.line(f"  to TrueNAS: {'raise' if alert.raised else 'clear'} the alert {alert.key}")
        self._changed.set()

    def _event(self, event: Event) -> None:
        self.line(f"  event {event.name}{f': {event.message}' if event.message else ''}")
        if event.operation == "backup":
            self.outcomes.append(event.outcome)

    def delivered(self, alert: Alert, proof: Delivered | Mailed, took: float) -> None:
        how = f"{took * 1000:.0f} ms"
        if isinstance(proof, Mailed):
            self.line(f"  mailed, not shown: {proof.why}")
        elif proof.raised:
            self.line(f"  read back from alert.list: {proof.alert_class} {alert.key} stands under the bell ({how})")
        else:
            self.line(f"  read back from alert.list: {alert.key} is cleared ({how})")
        self.waiting.pop(alert.key, None)
        self._changed.set()

    def ready(self, session: Session) -> None:
        self.session = session
        self.line(f"logged in to TrueNAS {session.release} as {session.username} over TLS")
        self._changed.set()

    def pinned(self, _: PinVerdict, certificate: Certificate) -> None:
        self.line(f"certificate seen for the first time and pinned: {certificate.fingerprint[:16]}…")

    def source(self, problem: Problem) -> None:
        self.line(f"trouble with {problem.where}: {problem.what}")

    def problem(self, event: str, what: str, **_: object) -> None:
        self.line(f"trouble: {event}: {what}")

    def resolved(self, event: str, **_: object) -> None:
        """Nothing to tell."""

    def reloaded(self, rules: int) -> None:
        """Nothing to tell."""

    def rejected(self, problems: Sequence[str]) -> None:
        """Nothing to tell: the demo reads the shipped rules."""

    def daily(self, daily: Daily) -> None:
        """Nothing to tell."""

    def still_up(self, session: Session) -> None:
        """Nothing to tell."""

    def dismissed(self, key: str) -> None:
        self.line(f"  somebody dismissed {key}")

    def lost(self, reason: str) -> None:
        self.line(f"connection lost: {reason}")

    def failed(self, error: TrueNASError, retry_in: float) -> None:
        self.line(f"no session with TrueNAS: {error}; next try in {retry_in:.0f} s")

    def undelivered(self, alert: Alert, error: TrueNASError, queue: int, retry_in: float) -> None:  # noqa: ARG002
        self.line(f"  not delivered: {error}")


async def run_demo(say: Say, *, use_borg: bool = True) -> bool:
    """Run the demo; returns whether every step was confirmed. It ends by itself in well under 30 seconds."""
    with tempfile.TemporaryDirectory(prefix="borgwatch-demo-") as name:
        directory = Path(name)
        log = directory / "watch" / JOB / "backup.log"
        log.parent.mkdir(parents=True)
        backups, what = await _backups(log, directory / "borg", use_borg=use_borg)
        async with Simulator() as nas:
            say(f"A simulated TrueNAS {nas.release} listens on {nas.url}; backups: {what}.")
            return await _nights(say, nas, directory, backups)


async def _backups(log: Path, directory: Path, *, use_borg: bool) -> tuple[Backups, str]:
    borg = shutil.which("borg") if use_borg else None
    if borg is None:
        return Recorded(log), Recorded.name
    real = Real(log, directory)
    await real.prepare()
    return real, f"the Borg that is installed ({borg})"


async def _nights(say: Say, nas: Simulator, directory: Path, backups: Backups) -> bool:
    settings = load(
        {
            "NOTIFY_TRUENAS_ENABLED": "true",
            "NOTIFY_TRUENAS_API_URL": nas.url,
            "NOTIFY_TRUENAS_API_KEY": nas.keys[0].key,
            "NOTIFY_TRUENAS_VERIFY_SSL": "pin",
            "NOTIFY_EVENTS": "*.warning,*.failure,*.missed,*.stalled",
            "BORGWATCH_WATCH": str(directory / "watch"),
            "BORGWATCH_STATE": str(directory / "state"),
            "BORGWATCH_RULES": str(directory / "rules"),
            "BORGWATCH_CONFIG": "",
        }
    ).checked()
    story: _Story = _Story(say)
    report: Report = story
    journal = Journal.open(settings.state, exclusive=True)
    service = Service(settings, journal, report)
    task = asyncio.create_task(service.run(on_ready=story.looked))
    confirmed = 0
    try:
        await asyncio.wait_for(story.until(lambda: story.session and story.has_looked), NIGHT_TIMEOUT)
        for night in NIGHTS:
            say(f"\n{_TITLES[night]}")
            await backups(night)
            if not await _is_confirmed(story, nas, night):
                story.line(f"  NOT confirmed: {night}")
                break
            confirmed += 1
    finally:
        service.stop()
        await task
        journal.close()
    say(f"\n{confirmed} of {len(NIGHTS)} nights confirmed: what borgwatch said is what TrueNAS shows.")
    return confirmed == len(NIGHTS)


async def _is_confirmed(story: _Story, nas: Simulator, night: str) -> bool:
    """Wait for the outcome and its proofs, then ask the NAS itself."""
    outcome, shown = _EXPECTED[night]
    count = NIGHTS.index(night) + 1
    try:
        await asyncio.wait_for(story.until(lambda: len(story.outcomes) >= count and not story.waiting), NIGHT_TIMEOUT)
    except TimeoutError:
        return False
    texts = [str(alert["formatted"]) for alert in nas.alerts if not alert["dismissed"] and ":prune" not in alert["key"]]
    texts = [text for text in texts if f"Borg backup of {JOB}" in text]
    for text in texts:
        story.line(f"  the bell shows: {text}")
    if story.outcomes[count - 1] != outcome:
        return False
    return not texts if shown is None else any(shown in text for text in texts)
