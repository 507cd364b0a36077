"""An app's output over the connection: over redeployments, reconnections, missing rights and names spelt wrong."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from borgwatch.sources.app_log import Written
from borgwatch.sources.app_output import AppOutput
from borgwatch.truenas import apps as module
from borgwatch.truenas.apps import AppListener, find_containers, read_line
from borgwatch.truenas.client import Client
from borgwatch.truenas.simulator import App, Key, Simulator
from tests.truenas.world import NEW, SECRET, Witness, login_at, now, session_with, simulator

START = datetime(2026, 11, 23, 1, 10, 11, tzinfo=UTC)
RELEASES = [NEW, "26.0.0-BETA.3", "27-master"]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch, at_once: None) -> None:  # noqa: ARG001 - the client is to be quick as well
    monkeypatch.setattr(module, "_LOOK_AGAIN", 0.05)
    monkeypatch.setattr(module, "RETRY_LATER", 0.05)
    monkeypatch.setattr(module, "back_off", lambda: itertools.repeat(0.01))


class Listening:
    """A client, a listener, and what came of the app's output."""

    def __init__(self, nas: Simulator, app: str, service: str) -> None:
        self.woken = asyncio.Event()
        self.output = AppOutput(app, service, now=now, wake=self.woken.set, first_start=False)
        self.client = Client(login_at(nas.url), Witness(), now)
        self.listener = AppListener(self.client, self.output)
        self.lines: list[str] = []
        self.problems: list[str] = []

    def look(self) -> None:
        batch = self.output.read(1 << 20)
        self.lines += [line.data.decode() for line in batch.lines]
        self.problems += [f"{'over: ' if problem.resolved else ''}{problem.what}" for problem in batch.problems]
        self.output.commit(batch)

    async def until(self, count: int) -> list[str]:
        async with asyncio.timeout(10):
            while len(self.lines) < count:
                await self.woken.wait()
                self.woken.clear()
                self.look()
        return self.lines

    async def until_told(self, words: str) -> str:
        async with asyncio.timeout(10):
            while not (told := [problem for problem in self.problems if words in problem]):
                await self.woken.wait()
                self.woken.clear()
                self.look()
        return told[-1]


@asynccontextmanager
async def listening(nas: Simulator, app: str = "borg", service: str = "") -> AsyncIterator[Listening]:
    one = Listening(nas, app, service)
    tasks = [asyncio.create_task(one.client.run()), asyncio.create_task(one.listener.run())]
    try:
        yield one
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def nas(request: pytest.FixtureRequest) -> AsyncIterator[Simulator]:
    async with simulator(getattr(request, "param", NEW), keys=[Key("root", SECRET)]) as nas:
        yield nas


def write(nas: Simulator, app: App, numbers: range) -> list[str]:
    for number in numbers:
        nas.app_writes(app.containers[0], f"line {number}", datetime.now(UTC) + timedelta(microseconds=number))
    return [f"line {number}" for number in numbers]


@pytest.mark.parametrize("nas", RELEASES, indirect=True)
async def test_what_was_written_before_comes_and_then_each_line(nas: Simulator) -> None:
    app = nas.install_app("borg", "backup")
    before = write(nas, app, range(3))
    async with listening(nas) as one:
        assert await one.until(3) == before
        after = write(nas, app, range(3, 5))
        assert await one.until(5) == before + after


async def test_nothing_is_lost_and_nothing_comes_twice_over_a_lost_connection(nas: Simulator) -> None:
    app = nas.install_app("borg", "backup")
    expected = write(nas, app, range(5))
    async with listening(nas) as one:
        await one.until(5)
        for round_ in range(1, 4):
            await nas.disconnect_all(None)
            expected += write(nas, app, range(10 * round_, 10 * round_ + 7))
            assert await one.until(len(expected)) == expected


async def test_a_session_that_stays_away_is_told_and_its_end_as_well(
    nas: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first moment on it is no silence, and once it lasts a person hears of it."""
    monkeypatch.setattr(module, "_LASTS", 0.05)
    app = nas.install_app("borg", "backup")
    expected = write(nas, app, range(3))
    async with listening(nas) as one:
        await one.until(3)
        one.look()
        assert one.output.there
        nas.faults.never_answer.add("auth.login_ex")
        await nas.disconnect_all(None)
        await one.until_told("without a session")
        assert not one.output.there
        nas.faults.never_answer.clear()
        await nas.disconnect_all(None)
        expected += write(nas, app, range(10, 13))
        assert await one.until(6) == expected
        await one.until_told("over: without a session")
        one.look()
        assert one.output.there


@pytest.mark.parametrize("broken", ["connection", "container"])
async def test_what_breaks_for_a_moment_is_no_silence(nas: Simulator, broken: str) -> None:
    """Not even where it is over before anybody looks."""
    app = nas.install_app("borg", "backup")
    write(nas, app, range(3))
    async with listening(nas) as one:
        await one.until(3)
        one.look()
        assert one.output.there
        if broken == "connection":
            await nas.disconnect_all(None)
        else:
            nas.redeploy(app)
        write(nas, app, range(10, 13))
        async with asyncio.timeout(10):
            while not one.output.read(1 << 20).lines:
                await one.woken.wait()
                one.woken.clear()
        assert not one.output.there


async def test_a_redeployed_app_is_found_by_its_name(nas: Simulator) -> None:
    app = nas.install_app("borg", "web", "backup")
    app.containers.reverse()  # the first is "backup"
    expected = write(nas, app, range(4))
    async with listening(nas, service="backup") as one:
        await one.until(4)
        nas.redeploy(app)
        expected += write(nas, app, range(10, 13))
        assert await one.until(7) == expected


@pytest.mark.parametrize("ids", ["".join(order) for order in itertools.permutations("abc")])
async def test_of_several_containers_of_a_service_one_that_runs_is_chosen_and_always_the_same(
    nas: Simulator, ids: str
) -> None:
    app = nas.install_app("borg", "backup", "backup", "backup")
    for container, name in zip(app.containers, ids, strict=True):
        container.id, container.state = name, "exited" if name == "a" else "running"
    async with session_with(nas) as session:
        assert await find_containers(session, "borg", "backup") == {"backup": "b"}


async def test_a_restart_of_truenas_goes_by(nas: Simulator) -> None:
    app = nas.install_app("borg", "backup")
    expected = write(nas, app, range(2))
    async with listening(nas) as one:
        await one.until(2)
        await nas.reboot(lose_alerts=False)
        expected += write(nas, app, range(5, 8))
        assert await one.until(5) == expected


async def test_more_than_the_usual_tail_is_asked_for_where_it_does_not_reach_back(nas: Simulator) -> None:
    app = nas.install_app("borg", "backup")
    expected = write(nas, app, range(3))
    async with listening(nas) as one:
        await one.until(3)
        await nas.disconnect_all(None)
        expected += write(nas, app, range(10, 1510))
        assert await one.until(len(expected)) == expected
        assert not one.problems


async def test_lines_that_docker_no_longer_has_are_told(nas: Simulator) -> None:
    app = nas.install_app("borg", "backup")
    write(nas, app, range(3))
    async with listening(nas) as one:
        await one.until(3)
        await nas.disconnect_all(None)
        write(nas, app, range(10, 1510))
        del app.containers[0].lines[:800]
        await one.until(3 + 703)
        assert await one.until_told("may be missing")


async def test_bytes_that_are_not_utf_8_do_not_end_the_listening(nas: Simulator) -> None:
    app = nas.install_app("borg", "backup")
    write(nas, app, range(3))
    async with listening(nas) as one:
        await one.until(3)
        nas.app_writes(app.containers[0], b"\xff\xfe")
        assert "UTF-8" in await one.until_told("UTF-8")
        write(nas, app, range(5, 7))
        assert (await one.until(5))[3:] == ["line 5", "line 6"]


async def test_a_name_spelt_wrong_is_told_with_the_nearest(nas: Simulator) -> None:
    nas.install_app("borg-backup", "backup")
    async with listening(nas, app="borg-bakup") as one:
        assert "did you mean 'borg-backup'?" in await one.until_told("has no app")


async def test_a_service_spelt_wrong_is_told_with_those_that_there_are(nas: Simulator) -> None:
    nas.install_app("borg", "backup", "web")
    async with listening(nas, service="bakup") as one:
        assert "it has: backup, web" in await one.until_told("has no service")


async def test_an_app_that_is_installed_or_started_later_is_listened_to_then(nas: Simulator) -> None:
    async with listening(nas) as one:
        await one.until_told("has no app")
        app = nas.install_app("borg", "backup")
        app.state = "STOPPED"
        await one.until_told("is STOPPED")
        app.state = "RUNNING"
        expected = write(nas, app, range(3))
        assert await one.until(3) == expected
        assert await one.until_told("over: ")


async def test_missing_rights_are_told_and_rights_given_later_are_used() -> None:
    key = Key("borg", SECRET, ("ALERT_LIST_READ",))
    async with simulator(NEW, keys=[key]) as nas:
        app = nas.install_app("borg", "backup")
        expected = write(nas, app, range(2))
        async with listening(nas) as one:
            assert "APPS_READ" in await one.until_told("APPS_READ")
            key.roles = ("APPS_READ",)
            await nas.disconnect_all()
            assert await one.until(2) == expected


async def test_a_flood_is_cut_off_and_asked_for_again(nas: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is bounded, and still every line comes, once."""
    monkeypatch.setattr("borgwatch.sources.app_output._MAX_WAITING", 20_000)
    monkeypatch.setattr(module, "_ROOM", 0.01)
    app = nas.install_app("borg", "backup")
    expected = write(nas, app, range(400))
    async with listening(nas) as one:
        assert await one.until(400) == expected


async def test_a_stream_that_ended_without_a_word_is_begun_again(
    nas: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SILENCE", 0.3)
    app = nas.install_app("borg", "backup")
    expected = write(nas, app, range(2))
    async with listening(nas) as one:
        await one.until(2)
        for session in nas._appliance.sessions:
            vars(session)["_subscriptions"].clear()
        expected += write(nas, app, range(5, 8))
        assert await one.until(5) == expected


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2026-11-23T01:10:11", START),
        ("2026-11-23T02:10:11+01:00", START),
        ("2026-11-23T01:10:11.500000", START + timedelta(seconds=0.5)),
    ],
    ids=["25.04 and 25.10: UTC", "26: with its offset", "with a fraction"],
)
def test_a_stamp_is_read_as_the_release_writes_it(stamp: str, expected: datetime) -> None:
    assert read_line("Creating archive\n", stamp) == Written(b"Creating archive", expected)


@pytest.mark.parametrize(
    ("text", "stamp"), [("2026-11-23T01:10:11", None), (7, "2026-11-23T01:10:11"), ("x", "yesterday"), (None, None)]
)
def test_blank_lines_and_other_shapes_are_no_lines(text: object, stamp: object) -> None:
    assert read_line(text, stamp) is None
