"""Hard cases 30 and 31, with borgwatch as a process of its own and the simulated TrueNAS: what people get to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from borgwatch.truenas.simulator import Simulator
from tests.process import ROOT, running, settings_for

RECORDINGS = ROOT / "tests" / "data" / "borg-logs" / "borg-1.4.5"
LOCKED = (RECORDINGS / "create-lock-timeout.stderr").read_bytes()
GOOD = (RECORDINGS / "create-ok-full.stderr").read_bytes()
KEY = "borgwatch:main:nas"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "watch" / "nas" / "backup.log"
    path.parent.mkdir(parents=True)
    return path


def append(log: Path, data: bytes) -> None:
    with log.open("ab") as file:
        file.write(data)


def shown(nas: Simulator) -> list[str]:
    """The texts under the bell that nobody has dismissed."""
    return [alert["formatted"] for alert in nas.alerts if not alert["dismissed"]]


async def test_case_30_failure_failure_success_failure(tmp_path: Path, log: Path) -> None:
    """Raised, refreshed with its count, cleared, raised anew: at each step one alert or none."""
    async with Simulator() as nas, running(settings_for(nas, tmp_path)) as service:
        append(log, LOCKED)
        await nas.changed(lambda nas: len(shown(nas)) == 1 and "Failed to create" in shown(nas)[0], 20)
        assert "times since" not in shown(nas)[0]
        append(log, LOCKED)
        await nas.changed(lambda nas: ["failed 2 times since" in text for text in shown(nas)] == [True], 20)
        append(log, GOOD)
        await nas.changed(lambda nas: shown(nas) == [], 20)
        line = await service.line_with("run.finished", "outcome=success")
        assert "recovered_after=" in line or "failures=2" in line
        append(log, LOCKED)
        await nas.changed(lambda nas: len(shown(nas)) == 1, 20)
        assert "times since" not in shown(nas)[0]
        assert await service.end() == 0


async def test_case_30_with_truenas_away_in_between_the_newest_state_shows(tmp_path: Path, log: Path) -> None:
    async with Simulator() as nas, running(settings_for(nas, tmp_path)) as service:
        append(log, LOCKED)
        await nas.changed(lambda nas: len(shown(nas)) == 1, 20)
        nas.faults.never_answer.add("alert.list")
        nas.faults.never_answer.add("alert.oneshot_create")
        for text in (LOCKED, GOOD, LOCKED, LOCKED):
            append(log, text)
            await service.line_with("run.finished")
        nas.faults.never_answer.clear()
        await nas.reboot(lose_alerts=False)
        await nas.changed(lambda nas: ["failed 2 times since" in text for text in shown(nas)] == [True], 60)
        append(log, GOOD)
        await nas.changed(lambda nas: shown(nas) == [], 20)
        assert await service.end() == 0


async def test_case_31_a_dismissed_alert_stays_away_until_something_new_happens(tmp_path: Path, log: Path) -> None:
    async with Simulator() as nas:
        settings = settings_for(nas, tmp_path)
        async with running(settings) as service:
            append(log, LOCKED)
            await nas.changed(lambda nas: len(shown(nas)) == 1, 20)
            nas.dismiss(nas.alerts[0]["uuid"])
            assert await service.end() == 0
        async with running(settings) as service:  # a new session finds it dismissed, and leaves it so
            await service.line_with("truenas.ready")
            assert shown(nas) == []
            append(log, LOCKED)
            await nas.changed(lambda nas: ["failed 2 times since" in text for text in shown(nas)] == [True], 20)
            assert await service.end() == 0
    assert KEY in str(nas.alerts)
