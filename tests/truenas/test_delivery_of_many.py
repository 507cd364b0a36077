"""Many alerts in one go: one look, what is missing, another look; each has its own proof or error."""

from __future__ import annotations

from typing import Any

import pytest

from borgwatch.model import Alert, Level
from borgwatch.truenas.alerts import CLASSES, ClassChoice, Listed
from borgwatch.truenas.delivery import AT_ONCE, Delivered, Todo, deliver_all, todo
from borgwatch.truenas.errors import CallFailed, ConnectionLost
from borgwatch.truenas.simulator import Simulator
from tests.truenas.world import NEW, OLD, RELEASES, alert, cleared, creations, methods, session_with, simulator

WANTED, OTHER = CLASSES["CloudBackupTaskFailed"], CLASSES["ScrubNotStarted"]
TEXT = alert().text


def _listed(alert_class: Any = WANTED, text: str | None = TEXT, *, dismissed: bool = False) -> Listed:
    return Listed("u", alert_class, text, dismissed)


SILENT = alert(renotify=False)


@pytest.mark.parametrize(
    ("asked", "shown", "removes", "creates"),
    [
        # asked for, shown: which of those shown go, and whether one is made
        (alert(), [], [], True),
        (alert(), [_listed()], [], False),
        (alert(), [_listed(text="old")], [0], True),
        (alert(), [_listed(text=None)], [0], True),
        (alert(), [_listed(dismissed=True)], [0], True),
        (alert(), [_listed(OTHER)], [0], True),
        (alert(), [_listed(OTHER), _listed()], [0], False),
        (alert(), [_listed(OTHER), _listed(text="old")], [0, 1], True),
        (alert(), [_listed(text="old"), _listed()], [], False),
        (SILENT, [], [], True),
        (SILENT, [_listed()], [], False),
        (SILENT, [_listed(text="old")], [], True),
        (SILENT, [_listed(text="old", dismissed=True)], [0], True),
        (SILENT, [_listed(OTHER)], [0], True),
        (cleared(), [], [], False),
        (cleared(), [_listed()], [0], False),
        (cleared(), [_listed(dismissed=True)], [0], False),
        (cleared(), [_listed(OTHER), _listed()], [0, 1], False),
    ],
)
def test_what_is_to_be_done(asked: Alert, shown: list[Listed], removes: list[int], *, creates: bool) -> None:
    assert todo(asked, shown, ClassChoice()) == Todo(tuple(shown[place] for place in removes), creates)


def _of(number: int, **more: Any) -> Alert:
    return alert(f"failed {number}", key=f"borgwatch:nas1:job{number}:backup", **more)


@pytest.mark.parametrize("release", RELEASES)
async def test_many_are_delivered_with_two_looks(release: str) -> None:
    async with simulator(release) as nas, session_with(nas) as session:
        given = [_of(number) for number in range(30)]

        results = await deliver_all(session, given)

        by_text = {entry["args"]["name"]: entry["uuid"] for entry in nas.alerts}
        assert results == [Delivered(True, WANTED.name, by_text[f"failed {number}"]) for number in range(30)]
        assert methods(nas).count("alert.list") == 2
        assert AT_ONCE < 10


@pytest.mark.parametrize("release", [OLD, NEW])
async def test_each_has_its_own_proof_or_error(release: str) -> None:
    async with simulator(release, mail=False) as nas, session_with(nas) as session:
        await deliver_all(session, [_of(1), _of(2), _of(3)])
        nas.set_policy("ScrubNotStarted", "NEVER")

        results = await deliver_all(
            session,
            [
                _of(1),
                cleared(_of(2).key),
                _of(3, level=Level.WARNING),
                alert("new", key=_of(4).key),
                cleared("borgwatch:x"),
            ],
        )

        assert [type(result) for result in results] == [Delivered, Delivered, CallFailed, Delivered, Delivered]
        assert {entry["args"]["name"] for entry in nas.alerts} == {"failed 1", "new"}


async def test_nothing_is_asked_twice_of_what_is_shown() -> None:
    async with Simulator(NEW) as nas, session_with(nas) as session:
        given = [_of(number) for number in range(5)]
        first = await deliver_all(session, given)

        assert await deliver_all(session, given) == first
        assert len(creations(nas)) == 5


@pytest.mark.parametrize("release", [OLD, NEW])
@pytest.mark.parametrize("moment", ["close_before", "close_after"])
async def test_a_loss_in_the_middle_is_an_error_of_all_and_the_next_session_sets_it_right(
    release: str, moment: str
) -> None:
    given = [_of(number) for number in range(12)]
    async with simulator(release, rate_limit=None) as nas:
        getattr(nas.faults, moment)["core.bulk" if release == OLD else "alert.oneshot_create"] = None
        async with session_with(nas) as session:
            lost = await deliver_all(session, given)
        assert {type(result) for result in lost} == {ConnectionLost}
        async with session_with(nas) as session:
            results = await deliver_all(session, given)

        assert all(isinstance(result, Delivered) for result in results)
        assert len(nas.alerts) == 12


async def test_a_look_that_fails_is_an_error_of_all() -> None:
    async with Simulator(NEW) as nas, session_with(nas) as session:
        nas.faults.error_once["alert.list"] = {"code": -32000, "message": "Too many"}
        assert [type(result) for result in await deliver_all(session, [_of(1), _of(2)])] == [CallFailed, CallFailed]
        assert creations(nas) == []


async def test_nothing_to_deliver_is_no_error() -> None:
    async with Simulator(NEW) as nas, session_with(nas) as session:
        assert await deliver_all(session, []) == []
        assert nas.alerts == []
