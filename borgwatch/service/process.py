"""The process around the pipeline: lifetimes, signals, reload.

`Service.run` is what `borgwatch run` does and what the demo does: look, judge, commit whenever something may have
changed; keep a session with TrueNAS; carry the outbox. Whatever fails is told once and tried again; nothing but
`stop` ends the service.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from borgwatch import __version__
from borgwatch.errors import JournalError
from borgwatch.journal.store import Journal
from borgwatch.judge import Judge
from borgwatch.matching.load import RuleSet
from borgwatch.matching.matcher import Matcher
from borgwatch.matching.templates import one_line
from borgwatch.pipeline import Pipeline, Plan, Step
from borgwatch.policy.folding import repetitions
from borgwatch.redact import redact
from borgwatch.runs.machine import Limits
from borgwatch.service.courier import Courier
from borgwatch.service.daily import Housekeeping
from borgwatch.service.heartbeat import Condition, Health, Heart, Link, TrueNASState, health
from borgwatch.service.live import Live, SourceState
from borgwatch.service.login import login_for, now
from borgwatch.service.memory import DeliveryMemory
from borgwatch.service.report import Report
from borgwatch.service.roles import Roles, picks_in, wishes_in
from borgwatch.service.rulebook import Rulebook
from borgwatch.service.tally import Tally
from borgwatch.settings import Settings
from borgwatch.sources.app_output import AppOutput, name_of
from borgwatch.sources.docker import Containers
from borgwatch.sources.problems import Problem
from borgwatch.sources.tail import Tree
from borgwatch.sources.wake import Waker
from borgwatch.truenas.apps import AppListener
from borgwatch.truenas.client import Client

__all__ = ["Service"]

_PAUSE_AFTER_BREAK = 10.0


class Service:
    """Everything that runs, built from settings, a journal and a report."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        report: Report,
        *,
        limits: Limits | None = None,
        rulebook: Rulebook | None = None,
        heart: Heart | None = None,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._report = self._tally = Tally(report)
        self._started = now()
        self._limits = limits or Limits(stalled=settings.stalled_after)
        self._rulebook = rulebook or Rulebook(settings.rules)
        self._containers = Containers(picks_in(settings.sources))
        self._roots = self._watched()
        self._tree = self._make_tree()
        self._apps = self._app_outputs()
        self._memory = DeliveryMemory(journal, self._tally, now)
        self._housekeeping = Housekeeping(journal, settings.keep, settings.keep_size, __version__, now)
        self.pipeline = Pipeline(
            {**dict.fromkeys(self._roots, self._tree), **self._apps},
            Judge(Matcher(self.rules.rules), self._limits, Roles(settings.watch, settings.sources, self._containers)),
            self._plan(),
            journal,
            now,
        )
        self._heart = heart
        self._careful = False
        self._unread: dict[str, str] = {}
        self._stopping = asyncio.Event()
        self._waker: Waker | None = None
        self._client: Client | None = None
        self._courier: Courier | None = None

    @property
    def rules(self) -> RuleSet:
        """The rules in force."""
        return self._rulebook.rules

    def _plan(self) -> Plan:
        """Put together what settings and rule files say; what rule files expect stands before the settings."""
        settings = self._settings
        return Plan(
            settings.events,
            (*self._rulebook.expectations(self._journal), *settings.expect),
            settings.instance,
            repetitions(self.rules.rules),
            whole=not (settings.problems or self.rules.problems),
        )

    def _watched(self) -> dict[str, Path]:
        """Name the directories to watch, none of which lies in another."""
        roots = {}
        for directory in self._settings.watch:
            root = os.fsencode(directory).decode("utf-8", "backslashreplace")
            if around := _other_around(directory, self._settings.watch):
                self._report.problem("config.problem", f"BORGWATCH_WATCH: {root} lies in {around}: it is watched once")
            else:
                roots[root] = directory
        return roots

    def _make_tree(self) -> Tree:
        """Make the tree of all directories; what is in one that was never looked at is the past."""
        return Tree(
            self._roots,
            now=now,
            monotonic=time.monotonic,
            wishes=wishes_in(self._settings.sources),
            containers=self._containers,
            first_start=self._roots.keys() - self._journal.roots(),
        )

    def _app_outputs(self) -> dict[str, AppOutput]:
        """Make a source for each app of TrueNAS whose output is to be read."""
        known = self._journal.roots()
        found = {}
        for setting in self._settings.sources:
            if setting.kind == "truenas-app":
                name = name_of(setting.app, setting.service)
                first = name not in known
                found[name] = AppOutput(setting.app, setting.service, now=now, wake=self._nudge, first_start=first)
        return found

    def _nudge(self) -> None:
        if self._waker is not None:
            self._waker.nudge()

    def stop(self) -> None:
        """End `run` as soon as the step under way is committed."""
        self._stopping.set()
        if self._waker is not None:
            self._waker.poke()

    async def run(
        self, on_ready: Callable[[], None] = lambda: None, on_caught_up: Callable[[], None] = lambda: None
    ) -> None:
        """Watch and deliver until `stop`.

        `on_ready` is called after the first look: what is written from then on is news. `on_caught_up` is called when
        all that stood there has been read.
        """
        looked_at = (*self._settings.watch, *self._settings.rules)
        self._waker = Waker(looked_at, self._settings.poll.total_seconds())
        with contextlib.suppress(JournalError):  # the first step meets it as well, and says so
            self._memory.begin(enabled=self._settings.truenas.enabled)
        self._rulebook.note(self._journal, now())
        tasks = [*self._delivery_tasks(), *self._page_tasks()]
        try:
            await self._watch(self._waker, on_ready, on_caught_up)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._waker.close()
            with contextlib.suppress(JournalError):
                self._housekeeping.stop()
            if self._heart is not None:
                self._heart.stop()

    def _delivery_tasks(self) -> list[asyncio.Task[None]]:
        login = login_for(self._settings.truenas, self._journal) if self._settings.truenas.enabled else None
        if login is None:
            return []
        client = self._client = Client(login, self._memory, now)
        self._courier = Courier(self._journal, client, self._memory)
        listeners = [(name, AppListener(client, output)) for name, output in self._apps.items()]
        return [
            self._kept_up("client", client.run),
            self._kept_up("courier", self._courier.run),
            *(self._kept_up(name, listener.run) for name, listener in listeners),
        ]

    def _page_tasks(self) -> list[asyncio.Task[None]]:
        port = self._settings.web_port
        if port is None:
            return []
        try:
            from borgwatch.web.server import Server  # noqa: PLC0415 - an extra, and memory for those who want it
        except ImportError as error:
            self._report.problem("page.failed", f"{error.name} is missing: pip install 'borgwatch[web]'")
            return []
        server = Server(
            self._settings.web_host, port, self._settings.web_names, self._settings.state, self.live, self.health,
            lambda what: self._report.problem("page.failed", what),
        )  # fmt: skip
        return [self._kept_up("page", server.run)]

    def live(self) -> Live:
        """Say what only the running service knows, at this moment."""
        own_rules = tuple(rule.id for pack in self.rules.packs if not pack.shipped for rule in pack.rules)
        return Live(
            __version__, self._started, self.health(), self._truenas_state(), tuple(self._source_states()),
            self._tally.events, self._tally.deliveries, len(self.rules.rules), own_rules, self.pipeline.plan.expect,
        )  # fmt: skip

    def health(self) -> Health:
        """Judge the last sign of life, as `borgwatch healthcheck` does; from any thread, for this one may hang."""
        last = self._heart.last if self._heart is not None else None
        return health(last, now(), time.monotonic()) if last else Health(Condition.UNHEALTHY, "starting")

    def _source_states(self) -> Iterator[SourceState]:
        for followed in self._tree.following():
            unread = max(0, followed.unread)
            changed = followed.stamp.changed_ns / 1e9 if unread and followed.stamp is not None else None
            behind = datetime.fromtimestamp(changed, UTC) if changed is not None else None
            yield SourceState(followed.source, self.pipeline.judge.role_of(followed.source).job, unread, behind)

    def _kept_up(self, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run a task for good: if it breaks on something nobody thought of, it is told and begun again."""

        async def forever() -> None:
            while True:
                try:
                    await run()
                except Exception as error:  # noqa: BLE001 - the last line of defence of a service
                    self._say_broken(name, error)
                await asyncio.sleep(_PAUSE_AFTER_BREAK)

        return asyncio.create_task(forever(), name=name)

    def _say_broken(self, name: str, error: Exception) -> None:
        """Tell of what nobody thought of; whatever happens in the telling must not stop the work."""
        with contextlib.suppress(Exception):
            self._report.problem(f"{name}.broken", f"{type(error).__name__}: {error}")

    async def _watch(self, waker: Waker, on_ready: Callable[[], None], on_caught_up: Callable[[], None]) -> None:
        step = self._step()
        on_ready()
        while step.more and not self._stopping.is_set():
            await _let_others_run()
            step = self._step()
        on_caught_up()
        while not self._stopping.is_set():
            if step.more:
                await _let_others_run()
            else:
                await waker.wait(found=step.lines > 0)
            for problem in waker.problems():
                self._report.source(problem)
            if self._rulebook.changed():
                self._reload_rules()
            step = self._step(None if step.more else waker.changed())

    def _step(self, changed: Collection[str] | None = None) -> Step:
        try:
            step = self.pipeline.step(changed, careful=self._careful)
        except JournalError as error:
            self._report.problem("journal.failed", str(error))
            self._beat(str(error))
            return Step()
        except Exception as error:  # noqa: BLE001 - one line must not end the watching
            self._say_broken("pipeline", error)
            self._careful = True
            self._beat(f"reading is broken: {type(error).__name__}: {error}")
            return Step()
        self._careful = False
        self._report.resolved("journal.failed")
        self._note_unread(step.problems)
        try:
            self._report.step(step)
        except Exception as error:  # noqa: BLE001 - what cannot be told is still delivered
            self._say_broken("report", error)
        if step.alerts and self._courier is not None:
            self._courier.poke()
        self._beat()
        self._keep_house()
        return step

    def _note_unread(self, problems: Iterable[Problem]) -> None:
        """Keep in mind what cannot be read at present, for the sign of life."""
        for problem in problems:
            if problem.resolved:
                self._unread.pop(problem.where, None)
            elif problem.stands:
                self._unread[problem.where] = one_line(redact(f"{problem.where}: {problem.what}"))

    def _keep_house(self) -> None:
        try:
            daily = self._housekeeping.look()
            if daily is not None:
                self._report.daily(daily)
        except JournalError as error:
            self._report.problem("housekeeping.failed", str(error))
        except Exception as error:  # noqa: BLE001 - what is not kept tidy must not end the watching
            self._say_broken("housekeeping", error)
        else:
            self._report.resolved("housekeeping.failed")

    def sources(self) -> dict[str, str]:
        """The logs that are there now, and their paths."""
        return dict(self._tree.scan())

    def _beat(self, wrong: str = "") -> None:
        """Leave a sign of life for `borgwatch healthcheck`; watching goes on without one."""
        if self._heart is None:
            return
        last = self._heart.last
        try:
            queue = last.queue if wrong and last else self._journal.queue()  # one that just failed is not asked again
        except JournalError as error:
            queue, wrong = 0, wrong or f"the journal cannot be read: {error}"
        try:
            self._heart.beat(
                one_line(redact(wrong)),
                self._truenas_state(),
                queue,
                now(),
                time.monotonic(),
                tuple(self._unread.values()),
                self._rulebook.rejected,
            )
        except OSError as error:
            self._report.problem("heartbeat.failed", f"{self._settings.run}: {error.strerror} (BORGWATCH_RUN)")
        else:
            self._report.resolved("heartbeat.failed")

    def _truenas_state(self) -> TrueNASState:
        if not self._settings.truenas.enabled:
            return TrueNASState(Link.OFF)
        if self._client is None:
            return TrueNASState(Link.UNUSABLE)
        session = self._client.session_now
        if session is None:
            return TrueNASState(Link.AWAY, trouble=self._client.trouble)
        return TrueNASState(Link.CONNECTED, session.ladder.rung.value)

    def reload(self) -> None:
        """Read the rule files again; broken ones leave the rules as they were. TrueNAS is tried at once, too.

        Whoever has just given the key its rights should not have to wait a quarter of an hour.
        """
        if self._client is not None:
            self._client.hurry()
        self._reload_rules()

    def _reload_rules(self) -> None:
        try:
            if self._rulebook.reload():
                self.pipeline.judge = replace(self.pipeline.judge, matcher=Matcher(self.rules.rules))
                self.pipeline.plan = self._plan()
                self._report.reloaded(len(self.rules.rules))
            else:
                self._report.rejected(self._rulebook.rejected)
        except Exception as error:  # noqa: BLE001 - a rule that nobody thought of must not end the watching
            self._say_broken("rules", error)
        self._rulebook.note(self._journal, now())
        if self._waker is not None:
            self._waker.poke()

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT stop the service and SIGHUP reload its rules, for the time of the context."""
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGTERM: self.stop, signal.SIGINT: self.stop, signal.SIGHUP: self.reload}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)


async def _let_others_run() -> None:
    """Give way between two steps, also to a signal: the loop needs three turns from its arrival to its handler."""
    for _ in range(3):
        await asyncio.sleep(0)


def _other_around(directory: Path, directories: Sequence[Path]) -> Path | None:
    """Find a watched directory in which another one lies; of two names of the same one, the first stays."""
    own = directory.resolve()
    before = directories[: directories.index(directory)]
    for other in directories:
        there = other.resolve()
        if (own != there and own.is_relative_to(there)) or (own == there and other in before):
            return other
    return None
