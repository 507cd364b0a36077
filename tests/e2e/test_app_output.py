"""The real process reads the output of an app of TrueNAS: no file, no mount, no socket of Docker."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from borgwatch.truenas.simulator import App, Simulator
from tests.e2e.test_kill import RULES, told
from tests.process import ROOT, borgwatch, running, settings_for

RECORDINGS = ROOT / "tests" / "data" / "borg-logs"
LOCKED = (RECORDINGS / "borg-1.4.5" / "create-lock-timeout.stderr").read_bytes().splitlines()
GOOD = (RECORDINGS / "borg-1.4.5" / "create-ok-full.stderr").read_bytes().splitlines()
CONFIG = """\
sources:
  - kind: truenas-app
    app: borg
    service: backup
    job: nas
"""


@pytest.fixture
async def nas() -> AsyncIterator[Simulator]:
    async with Simulator() as nas:
        yield nas


@pytest.fixture
def settings(nas: Simulator, tmp_path: Path) -> dict[str, str]:
    for name in ("watch", "rules"):
        (tmp_path / name).mkdir()
    (tmp_path / "borgwatch.yaml").write_text(CONFIG)
    return settings_for(nas, tmp_path, BORGWATCH_CONFIG=str(tmp_path / "borgwatch.yaml"))


def write(nas: Simulator, app: App, lines: list[bytes]) -> None:
    for line in lines:
        nas.app_writes(app.containers[0], line)


async def followed(nas: Simulator) -> None:
    await nas.changed(lambda nas: [name for name, _ in nas.calls].count("core.subscribe") > 1, timeout=60)


async def test_a_failed_backup_in_an_app_is_an_alert_and_the_next_good_one_clears_it(
    nas: Simulator, settings: dict[str, str]
) -> None:
    app = nas.install_app("borg", "backup")
    write(nas, app, LOCKED)  # before the first start: learnt from, and not told
    async with running(settings) as service:
        await followed(nas)
        write(nas, app, LOCKED)
        await service.line_with("alert.raised", "borgwatch:main:nas", "confirmed=True")
        nas.redeploy(app)
        write(nas, app, GOOD)
        await service.line_with("alert.cleared", "borgwatch:main:nas")
        assert nas.alerts == []
        assert [method for method, _ in nas.calls].count("alert.oneshot_create") == 1
        assert await service.end() == 0


async def test_check_looks_whether_the_output_can_be_read(nas: Simulator, settings: dict[str, str]) -> None:
    nas.install_app("borg", "web")

    done = await borgwatch("check", "--json", settings=settings)

    steps = [json.loads(line) for line in done.out.splitlines()]
    assert [(step["result"], step["what"]) for step in steps if step["step"] == "apps"] == [
        ("wrong", "the app 'borg' has no service 'backup'; it has: web")
    ]
    assert done.code == 1


async def test_without_truenas_the_output_of_an_app_is_an_error_of_the_settings(settings: dict[str, str]) -> None:
    """As any other, it is told, and what can be watched is watched."""
    settings = {**settings, "NOTIFY_TRUENAS_ENABLED": "false"}

    done = await borgwatch("check", settings=settings)

    assert done.code == 2
    assert "the app 'borg'" in done.out
    async with running(settings) as service:
        assert "NOTIFY_TRUENAS_ENABLED=true" in await service.line_with("config.problem", "the app 'borg'")


async def test_each_line_is_judged_once_over_kill_9_lost_connections_and_redeployments(
    nas: Simulator, settings: dict[str, str], tmp_path: Path
) -> None:
    """What a container wrote and Docker still has is an event in the journal, once."""
    dice = random.Random(7)  # noqa: S311 - dice, not keys
    (tmp_path / "rules" / "torture.yaml").write_text(RULES)
    app, count, state = nas.install_app("borg", "backup"), 0, tmp_path / "state"

    def some() -> None:
        nonlocal count
        lines = [f"line {count + number}".encode() for number in range(1, dice.randrange(2, 40))]
        count += len(lines)
        write(nas, app, lines)

    async def all_told() -> None:
        async with asyncio.timeout(60):
            while len(set(told(state))) < count:  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)

    async with running(settings):
        await followed(nas)
        some()
        await all_told()  # what stands there before the first look would be past
    for _ in range(5):
        some()
        async with running(settings) as service:
            for _ in range(4):
                some()
                await asyncio.sleep(dice.choice([0, 0.05, 0.2]))
                if dice.random() < 0.3:
                    await nas.disconnect_all(None)
                if dice.random() < 0.3:
                    await all_told()  # what a container wrote last goes with it
                    nas.redeploy(app)
            await service.end(signal.SIGKILL)
    async with running(settings):
        await all_told()

    assert Counter(told(state)) == Counter(f"line {number}" for number in range(1, count + 1))
