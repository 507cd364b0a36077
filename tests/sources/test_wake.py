"""Real notifications from the kernel; every wait ends by what it waits for, or by a timeout that means failure."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from watchdog.observers.api import BaseObserver

from borgwatch.sources.wake import _MAX_NAMED, Waker

from .world import World, append

LONG = 10.0
SHORT = 0.15


@asynccontextmanager
async def waker(*roots: Path, interval: float = LONG) -> AsyncIterator[Waker]:
    """Make a waker and close it."""
    one = Waker(roots, interval)
    try:
        yield one
    finally:
        one.close()


async def quiet(one: Waker) -> None:
    """Wait until what happened before is over."""
    while await one.wait(SHORT):
        pass


@pytest.mark.parametrize(
    "change",
    [
        lambda root: append(root / "a.log", "more\n"),
        lambda root: (root / "new.log").touch(),
        lambda root: (root / "a.log").rename(root / "a.log.1"),
        lambda root: (root / "a.log").unlink(),
        lambda root: os.truncate(root / "a.log", 0),
        lambda root: (root / "directory").mkdir(),
    ],
    ids=["append", "create", "rename", "delete", "truncate", "mkdir"],
)
async def test_a_change_wakes(tmp_path: Path, change: Callable[[Path], object]) -> None:
    (tmp_path / "a.log").write_text("one\n")
    async with waker(tmp_path) as one:
        await quiet(one)
        change(tmp_path)

        assert await one.wait()


async def test_a_change_in_a_new_subdirectory_wakes(tmp_path: Path) -> None:
    async with waker(tmp_path) as one:
        (tmp_path / "borg").mkdir()
        await one.wait()
        await quiet(one)
        (tmp_path / "borg" / "a.log").write_text("one\n")

        assert await one.wait()


async def test_our_own_reading_does_not_wake(world: World) -> None:
    """Looking at the files would otherwise be the reason to look again, for ever."""
    log = world.file("borg/a.log", "one\n")
    async with waker(world.root) as one:
        await quiet(one)
        assert world.catch_up() == [b"one"]
        assert world.catch_up() == []

        assert not await one.wait(SHORT)

        append(log, "two\n")
        assert await one.wait()


async def test_a_poke_wakes(tmp_path: Path) -> None:
    async with waker(tmp_path) as one:
        await asyncio.to_thread(one.poke)

        assert await one.wait()


async def test_a_hint_during_a_cancelled_wait_is_kept(tmp_path: Path) -> None:
    async with waker(tmp_path) as one:
        waiting = asyncio.create_task(one.wait())
        await asyncio.sleep(0)
        one._changed.set()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        assert await one.wait()


async def test_a_busy_file_causes_no_storm(tmp_path: Path) -> None:
    """Wake-ups are a gap apart, however many hints there are in between."""
    async with waker(tmp_path) as one:
        loop = asyncio.get_running_loop()
        begun, wakes = loop.time(), 0
        while loop.time() - begun < 0.3:
            one.poke()
            wakes += await one.wait()

        assert 1 < wakes <= 0.3 / one._gap + 2


async def test_polling_goes_on_where_there_are_no_hints(tmp_path: Path) -> None:
    """As on NFS or SMB: the wait ends with the interval."""
    one = Waker([tmp_path], interval=0.01, hints=False)
    append(tmp_path / "a.log", "one\n")

    assert not await one.wait()
    one.close()


async def test_a_reached_watch_limit_is_told_once_and_polling_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def schedule(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    with monkeypatch.context() as limited:
        limited.setattr(BaseObserver, "schedule", schedule)
        async with waker(tmp_path, interval=0.01) as one:
            told = [one.problems()]
            for _ in range(3):
                assert not await one.wait()
                told.append(one.problems())
            limited.undo()
            while not (over := one.problems()):
                await one.wait()

    assert [len(problems) for problems in told] == [1, 0, 0, 0]
    assert "inotify watch limit reached" in told[0][0].what
    assert [problem.resolved for problem in over] == [True]


async def test_a_root_that_appears_later_or_is_made_anew_is_watched(tmp_path: Path) -> None:
    root = tmp_path / "later"
    async with waker(root, interval=0.01) as one:
        for _ in range(2):
            root.mkdir()
            while root.as_posix() not in one._watched:
                await one.wait()
            one._interval = LONG
            await quiet(one)
            (root / "a.log").write_text("one\n")
            assert await one.wait()

            one._interval = 0.01
            (root / "a.log").unlink()
            root.rmdir()
            while root.as_posix() in one._watched:
                await one.wait()

        assert one.problems() == ()


async def test_dead_threads_are_replaced(tmp_path: Path) -> None:
    async with waker(tmp_path, interval=0.01) as one:
        assert one._observer
        one._observer.stop()
        one._observer.join()
        while not one._observer.is_alive():
            await one.wait()
        one._interval = LONG
        await quiet(one)
        (tmp_path / "a.log").write_text("one\n")

        assert await one.wait()


async def test_a_hint_names_what_was_written_and_anything_else_means_everything(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\n")
    async with waker(tmp_path) as one:
        await quiet(one)
        append(log, "two\n")
        assert await one.wait()
        assert one.changed() == frozenset({str(log)})

        log.rename(tmp_path / "a.log.1")
        assert await one.wait()
        assert one.changed() is None

        one.poke()
        await one.wait()
        assert one.changed() is None


async def test_time_that_passed_means_everything(tmp_path: Path) -> None:
    async with waker(tmp_path, interval=0.01) as one:
        await quiet(one)
        assert not await one.wait()
        assert one.changed() is None


async def test_hints_are_silenced_while_a_file_is_busy_and_heard_again_afterwards(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.touch()
    async with waker(tmp_path) as one:
        await quiet(one)
        assert one._watched
        while one._watched:
            append(log, "one\n")
            await one.wait(found=True)
        looks = []
        for _ in range(30):  # nothing tells of a change now, and what moved is looked at nevertheless
            assert await one.wait(found=True)
            looks.append(one.changed())
        assert not one._watched
        assert looks.count(frozenset()) > 15
        assert looks.count(None) > 0

        while not one._watched:
            await one.wait(found=False)
        assert one.changed() is None  # what happened in the silence is found by a full look
        await quiet(one)
        append(log, "two\n")
        assert await one.wait()


async def test_a_burst_that_never_brings_anything_is_silenced_for_longer_and_longer(tmp_path: Path) -> None:
    async with waker(tmp_path, interval=2) as one:
        lengths = []
        for _ in range(5):
            one._fall_silent()
            assert one._silent_until is not None
            lengths.append(round(one._silent_until - asyncio.get_running_loop().time(), 1))

        assert lengths == [0.3, 0.6, 1.2, 2.0, 2.0]


async def test_13_more_hints_than_can_be_named_mean_everything(tmp_path: Path) -> None:
    """So it is where the kernel's queue overflows: what it lost is found by looking at all."""
    logs = [tmp_path / f"{number}.log" for number in range(200)]
    for log in logs:
        log.touch()
    async with waker(tmp_path) as one:
        await quiet(one)
        for log in logs:
            append(log, "one\n")
        assert one._observer
        while one._hinted is not None:  # the names of more would be kept
            assert len(one._hinted) <= _MAX_NAMED
            await asyncio.sleep(0)
        assert await one.wait()
        assert one.changed() is None


async def test_13_hints_that_are_lost_are_made_up_for_by_polling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the inotify queue that overflowed nothing comes any more; the poll interval ends the wait."""
    async with waker(tmp_path, interval=0.05) as one:
        await quiet(one)
        monkeypatch.setattr(one, "dispatch", lambda _: None)
        append(tmp_path / "a.log", "one\n")

        assert not await one.wait()
        assert one.changed() is None


async def test_a_few_lines_a_second_end_the_silence(tmp_path: Path) -> None:
    """Else each of them would wait for a gap to pass, for ever."""
    async with waker(tmp_path) as one:
        one._fall_silent()
        looks = 0
        while not one._watched:
            await one.wait(found=looks % 5 == 0)
            looks += 1
            assert looks < 200


async def test_lines_that_come_one_by_one_are_no_burst(tmp_path: Path) -> None:
    """Each is told by its own notification: in silence it would wait for a gap to pass."""
    async with waker(tmp_path) as one:
        await quiet(one)

        async def write() -> None:
            for number in range(30):
                await asyncio.sleep(4 * one._gap)
                append(tmp_path / "a.log", f"{number}\n")

        writing = asyncio.create_task(write())
        while not writing.done():
            await one.wait(found=True)
            assert one._silent_until is None
