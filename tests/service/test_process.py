"""The process around the pipeline: nothing that breaks in one place ends the rest."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from borgwatch.config import load
from borgwatch.errors import JournalError
from borgwatch.journal.store import Journal
from borgwatch.matching.candidates import Candidates
from borgwatch.matching.matcher import Matcher
from borgwatch.model import Line
from borgwatch.service import process as service_module
from borgwatch.service import rulebook as rulebook_module
from borgwatch.service.process import Service
from borgwatch.service.report import LogReport
from borgwatch.settings import Settings
from borgwatch.truenas.errors import TrueNASError
from borgwatch.truenas.session import Session
from borgwatch.truenas.simulator import Simulator
from tests.process import ROOT, borgwatch, environment, settings_for

LOCKED = (ROOT / "tests" / "data" / "borg-logs" / "borg-1.4.5" / "create-lock-timeout.stderr").read_bytes()


class Told(LogReport):
    """Keeps what was told, and can fail in the telling."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[tuple[str, str]] = []
        self.changed = asyncio.Event()
        self.fail_on: str = ""
        self.sessions = 0
        self.reloads = 0
        self.rejections: list[Sequence[str]] = []
        self.refused = 0

    def problem(self, event: str, what: str, **fields: object) -> None:
        self.problems.append((event, what))
        self.changed.set()
        self._maybe_fail("problem")
        super().problem(event, what, **fields)

    def ready(self, session: Session) -> None:
        super().ready(session)
        self.sessions += 1
        self.changed.set()

    def failed(self, error: TrueNASError, retry_in: float) -> None:
        super().failed(error, retry_in)
        self.refused += 1
        self.changed.set()

    def reloaded(self, rules: int) -> None:
        super().reloaded(rules)
        self.reloads += 1
        self.changed.set()

    def rejected(self, problems: Sequence[str]) -> None:
        super().rejected(problems)
        self.rejections.append(problems)
        self.changed.set()

    def lost(self, reason: str) -> None:
        self._maybe_fail("lost")
        super().lost(reason)

    def step(self, step: Any) -> None:
        self.changed.set()
        self._maybe_fail("step" if step.events else "")
        super().step(step)

    def _maybe_fail(self, what: str) -> None:
        if what and what in self.fail_on.split():
            raise OSError(28, "No space left on device")

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


def checked(nas: Simulator, directory: Path, **more: str) -> Settings:
    return load(settings_for(nas, directory, BORGWATCH_POLL="0.1s", **more)).checked()


@asynccontextmanager
async def at_work(settings: Settings, told: Told) -> AsyncIterator[Service]:
    journal = Journal.open(settings.state, exclusive=True)
    service = Service(settings, journal, told)
    ready = asyncio.Event()
    task = asyncio.create_task(service.run(on_ready=ready.set))
    await ready.wait()
    try:
        yield service
    finally:
        service.stop()
        await task
        journal.close()


@pytest.fixture
async def nas() -> AsyncIterator[Simulator]:
    async with Simulator() as nas:
        yield nas


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "watch" / "nas" / "backup.log"
    path.parent.mkdir(parents=True)
    return path


def _disk_full(_: object) -> None:
    raise JournalError("disk full")


def _nobody_thought_of_it(*_: object, **__: object) -> None:
    raise ZeroDivisionError("what now")


@pytest.mark.parametrize(
    ("part", "call", "breaks", "told_as"),
    [
        ("_journal", "commit", _disk_full, ("journal.failed", "disk full")),
        ("pipeline", "step", _nobody_thought_of_it, ("pipeline.broken", "ZeroDivisionError: what now")),
    ],
    ids=["a journal that cannot be written", "something nobody thought of"],
)
async def test_a_step_that_breaks_is_told_and_tried_again(
    nas: Simulator,
    tmp_path: Path,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    call: str,
    breaks: Callable[..., None],
    told_as: tuple[str, str],
) -> None:
    """The lines wait, and are told once."""
    told = Told()
    async with at_work(checked(nas, tmp_path), told) as service:
        with monkeypatch.context() as broken:
            broken.setattr(getattr(service, part), call, breaks)
            log.write_bytes(LOCKED)
            await told.until(lambda: told.problems)
        assert told.problems[0] == told_as
        await nas.changed(lambda nas: nas.alerts)
    assert len(nas.alerts) == 1


async def test_one_line_that_breaks_the_judging_does_not_keep_the_others_from_being_judged(
    nas: Simulator, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is passed over, and told; what stands before and behind it counts."""
    real = Matcher.judge

    def judge(self: Matcher, line: Line, job: str) -> Any:
        if line.data == b"a line like no other":
            raise ZeroDivisionError("what now")
        return real(self, line, job)

    monkeypatch.setattr(Matcher, "judge", judge)
    monkeypatch.setattr(Candidates, "starts", lambda *_: None)  # every line is judged
    told = Told()
    async with at_work(checked(nas, tmp_path), told):
        log.write_bytes(b"a line like no other\n" + LOCKED)
        await nas.changed(lambda nas: nas.alerts)
    assert ("pipeline.broken", "ZeroDivisionError: what now") in told.problems


async def test_what_cannot_be_told_is_still_delivered(nas: Simulator, tmp_path: Path, log: Path) -> None:
    told = Told()
    told.fail_on = "step problem"
    async with at_work(checked(nas, tmp_path), told):
        log.write_bytes(LOCKED)
        await nas.changed(lambda nas: nas.alerts)


async def test_delivery_that_broke_is_begun_again_even_if_that_cannot_be_told(
    nas: Simulator, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk behind the log at the moment when the connection drops must not end delivery for good."""
    monkeypatch.setattr(service_module, "_PAUSE_AFTER_BREAK", 0.05)
    told = Told()
    async with at_work(checked(nas, tmp_path), told):
        await told.until(lambda: told.sessions)
        told.fail_on = "lost problem"
        await nas.disconnect_all()
        await told.until(lambda: [event for event, _ in told.problems if event == "client.broken"])
        told.fail_on = ""
        log.write_bytes(LOCKED)
        await nas.changed(lambda nas: nas.alerts, 20)


async def test_a_watched_directory_within_another_is_watched_once(nas: Simulator, tmp_path: Path, log: Path) -> None:
    told = Told()
    watch = f"{tmp_path / 'watch'},{log.parent},{tmp_path / 'watch'}"
    async with at_work(checked(nas, tmp_path, BORGWATCH_WATCH=watch), told) as service:
        log.write_bytes(b'Creating archive at "/r::a"\nterminating with success status, rc 0\n')
        await told.until(lambda: service.pipeline.jobs)
    assert [what for event, what in told.problems if event == "config.problem"] == [
        f"BORGWATCH_WATCH: {log.parent} lies in {tmp_path / 'watch'}: it is watched once",
    ]


async def test_a_full_disk_behind_the_log_does_not_stop_the_service(nas: Simulator, tmp_path: Path, log: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "borgwatch",
            "run",
            env=environment(settings_for(nas, tmp_path)),
            stdout=full,
            stderr=full,
        )
    try:
        await nas.changed(lambda nas: nas.connections == 1, 20)
        log.write_bytes(LOCKED)
        await nas.changed(lambda nas: nas.alerts, 20)
    finally:
        process.terminate()
        assert await process.wait() == 0


async def test_a_journal_below_the_watched_directory_is_refused(tmp_path: Path, log: Path) -> None:
    """Borgwatch never writes where it watches."""
    settings = {"BORGWATCH_WATCH": str(tmp_path / "watch"), "BORGWATCH_STATE": str(log.parent / "state")}
    done = await borgwatch("run", settings=settings)
    assert done.code == 2
    assert "must not write" in done.err
    assert list(log.parent.iterdir()) == []


async def test_a_reload_tries_truenas_again_at_once(nas: Simulator, tmp_path: Path, log: Path) -> None:  # noqa: ARG001 - the directory must be there
    """After a refused login the next try would come a quarter of an hour later."""
    told = Told()
    nas.keys[0].revoked = True
    async with at_work(checked(nas, tmp_path), told) as service:
        await told.until(lambda: told.refused)
        nas.keys[0].revoked = False
        service.reload()
        await told.until(lambda: told.sessions)


TAPE = """schema: 1
pack: my
expect: [{job: nas, within: 26h}]
rules: [{id: tape, match: {text|contains: tape is full}, emit: backup.failure}]
"""


async def test_changed_rule_files_are_read_again_without_being_asked(nas: Simulator, tmp_path: Path, log: Path) -> None:
    """The directory may come only later, as a mount does."""
    told = Told()
    async with at_work(checked(nas, tmp_path, BORGWATCH_EXPECT="2d"), told) as service:
        (tmp_path / "rules").mkdir()
        (tmp_path / "rules" / "my.yaml").write_text(TAPE)
        await told.until(lambda: told.reloads)
        assert service.rules.rules[0].id == "my.tape"
        assert [row.job for row in service.pipeline.plan.expect] == ["nas", "*"]
        log.write_text("the tape is full\n")
        await nas.changed(lambda nas: nas.alerts)
        (tmp_path / "rules" / "my.yaml").unlink()
        await told.until(lambda: told.reloads == 2)
        assert service.rules.rules[0].id != "my.tape"


async def test_broken_rules_leave_the_old_ones_in_place_and_are_told_with_each_change_and_each_request(
    nas: Simulator, tmp_path: Path, log: Path
) -> None:
    """Whoever mends a file in vain, or asks by SIGHUP, must not take silence for success."""
    rules = tmp_path / "rules" / "my.yaml"
    rules.parent.mkdir()
    rules.write_text(TAPE)
    told = Told()
    async with at_work(checked(nas, tmp_path), told) as service:
        rules.write_text(TAPE + "rulez: []\n")
        await told.until(lambda: told.rejections)
        log.write_text("the tape is full\n")
        await nas.changed(lambda nas: nas.alerts)
        assert service.rules.rules[0].id == "my.tape"
        service.reload()
        assert len(told.rejections) == 2
        rules.write_text(TAPE + "rulez: []\n# mended?\n")
        await told.until(lambda: len(told.rejections) == 3)
        rules.write_text(TAPE)
        await told.until(lambda: told.reloads)
    fault = f"{rules}:5:1: unknown key 'rulez' in a rule file (did you mean 'rules'?)"
    assert told.rejections == [(fault,)] * 3


async def test_a_rule_that_breaks_the_reload_does_not_end_the_watching(
    nas: Simulator, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    async with at_work(checked(nas, tmp_path), told):
        with monkeypatch.context() as broken:
            broken.setattr(rulebook_module, "load_rules", _nobody_thought_of_it)
            (tmp_path / "rules").mkdir()
            (tmp_path / "rules" / "my.yaml").write_text(TAPE)
            await told.until(lambda: told.problems)
        assert told.problems == [("rules.broken", "ZeroDivisionError: what now")]
        log.write_bytes(LOCKED)
        await nas.changed(lambda nas: nas.alerts)
