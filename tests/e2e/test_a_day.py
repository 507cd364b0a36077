"""A day of normal life, as it stands in the log of the container."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

from borgwatch.runs.events import human_bytes
from borgwatch.truenas.simulator import Simulator
from tests.process import ROOT, borgwatch, running, settings_for

RECORDINGS = ROOT / "tests" / "data" / "borg-logs" / "borg-1.4.5"


def _just_now(*names: str) -> bytes:
    """Recorded output as if Borg had written it a moment ago: what is a day old trips the dead-man's switch."""
    recorded = b"".join((RECORDINGS / f"{name}.stderr").read_bytes() for name in names)
    return re.sub(rb'"time": [\d.]+', b'"time": %.1f' % time.time(), recorded)


NIGHT = _just_now("create-ok-full", "prune-ok", "compact-ok")
LOCKED = _just_now("create-lock-timeout")
JOBS = [f"host-{number}" for number in range(10)]


async def test_a_day_of_ten_jobs_is_a_line_a_run_and_fits_the_pane_of_truenas(tmp_path: Path) -> None:
    """TrueNAS shows the last 500 lines of an app: a day with its start, its runs and a trouble is far from that."""
    logs = [tmp_path / "watch" / job / "backup.log" for job in JOBS]
    for log in logs:
        log.parent.mkdir(parents=True)
        log.touch()
    async with Simulator() as nas:
        settings = settings_for(nas, tmp_path, BORGWATCH_EXPECT="26h")
        async with running(settings) as service:
            for number, log in enumerate(logs):
                text = LOCKED if number == 3 else NIGHT
                with log.open("ab") as file:
                    file.write(text)
                await service.line_with("run.finished", f"job={JOBS[number]} ")
            await service.line_with("alert.raised", "key=borgwatch:main:host-3")
            with logs[3].open("ab") as file:
                file.write(NIGHT)
            await service.line_with("alert.cleared", "key=borgwatch:main:host-3")
            await service.line_with("run.finished", "job=host-3 operation=compact")
            status = await borgwatch("status", settings=settings)
            await service.end()
    names = Counter(line.split(" ")[2] for line in service.lines)
    assert names["run.finished"] == 10 * 3 + 1
    assert names["source.open"] == 10
    assert {name for name in names if not name.startswith(("alert.", "source.", "truenas."))} == {
        "borgwatch.start", "ready", "rights.needless", "run.finished", "borgwatch.stop",
    }  # fmt: skip
    assert len(service.lines) < 100
    assert [line for line in service.lines if len(line) > 1000 or not line.startswith("20")] == []
    assert status.code == 0
    assert "delivery: alerts under the bell of TrueNAS 25.10.6, read back, since 20" in status.out


async def test_the_start_says_what_is_in_force(tmp_path: Path) -> None:
    log = tmp_path / "watch" / "nas" / "backup.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(NIGHT)
    settings = {
        "BORGWATCH_WATCH": str(tmp_path / "watch"), "BORGWATCH_STATE": str(tmp_path / "state"),
        "BORGWATCH_RULES": str(tmp_path / "rules"), "BORGWATCH_EXPECT": "26h", "TZ": "Europe/Dublin",
    }  # fmt: skip
    async with running(settings) as service:
        await service.line_with("deadman.armed")
        await service.end()
    start, off, _, source, ready, _, armed, *_ = [line[26:] for line in service.lines]
    assert start.startswith("[info] borgwatch.start version=")
    assert " packs=borg," in start
    assert " tz=Europe/Dublin state=" in start
    assert off.startswith("[warning] truenas.off")
    size = human_bytes(len(NIGHT)).replace(" ", "")
    assert source == f"[info] source.open job=nas path={log} resume=begin unread={size}"
    assert ready == (
        f"[info] ready sources=1 jobs=1 watch={tmp_path / 'watch'} poll=2s notify=*.failure,*.error,*.missed,*.stalled"
        " expect=*:backup:26h"
    )
    assert armed.startswith("[info] deadman.armed job=nas operation=backup within=26h last_success=20")
