"""A real Borg, an unmodified cron script, borgwatch beside it as a process of its own, and what TrueNAS shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from borgwatch.journal.store import Journal
from borgwatch.truenas.simulator import Simulator
from tests.e2e.site import FILES, Site
from tests.process import running, settings_for

EVENTS = "*.warning,*.failure,*.stalled"


def bell(nas: Simulator) -> dict[str, str]:
    """What the bell shows: text by key."""
    return {alert["key"].strip('"'): alert["formatted"] for alert in nas.alerts if not alert["dismissed"]}


@pytest.mark.parametrize("options", ["", "--log-json"], ids=["text", "json"])
async def test_every_outcome_of_a_real_backup_shows_in_truenas(borg: str, tmp_path: Path, options: str) -> None:  # noqa: ARG001 - needs a real Borg
    """Good, missing path, repository gone, locked, killed, good again: the bell says each, and is empty in the end."""
    site = Site(tmp_path, options)
    await site.prepare(files=FILES, size=100)
    async with Simulator() as nas, running(settings_for(nas, tmp_path, NOTIFY_EVENTS=EVENTS)) as service:
        assert await site.run() == 0
        await service.line_with("run.finished", "operation=compact", "outcome=success")
        assert bell(nas) == {}

        assert await site.run(site.data, tmp_path / "no-such-folder") == 1
        await nas.changed(lambda nas: "finished with warnings" in bell(nas).get("borgwatch:main:nas", ""), 20)
        assert "no-such-folder" in bell(nas)["borgwatch:main:nas"]

        async with site.repository_gone():
            assert await site.run() == 2
        await nas.changed(lambda nas: len(bell(nas)) == 3, 20)
        assert {key: "does not exist" in text for key, text in bell(nas).items()} == {
            "borgwatch:main:nas": True,
            "borgwatch:main:nas:prune": True,
            "borgwatch:main:nas:compact": True,
        }

        async with site.locked():
            assert await site.run() == 2
        await nas.changed(lambda nas: "Failed to create/acquire the lock" in bell(nas)["borgwatch:main:nas"], 20)

        assert await site.run() == 0
        await nas.changed(lambda nas: bell(nas) == {}, 20)

        assert await site.run_and_kill() == 137
        await nas.changed(lambda nas: "borgwatch:main:nas" in bell(nas), 20)
        assert "failed" in bell(nas)["borgwatch:main:nas"]

        assert await site.run() == 0
        await nas.changed(lambda nas: bell(nas) == {}, 20)
        assert await service.end() == 0
    journal = Journal.open(tmp_path / "state")
    outcomes = [event.outcome for event in journal.events() if event.operation == "backup"]
    assert outcomes == ["success", "warning", "failure", "failure", "success", "failure", "success"]
    assert journal.pending() == []
    journal.close()


@pytest.mark.parametrize("options", ["", "--log-json"], ids=["text", "json"])
async def test_damage_that_a_real_check_finds_shows_whatever_its_exit_code(
    borg: str,  # noqa: ARG001 - needs a real Borg
    tmp_path: Path,
    options: str,
) -> None:
    """Borg ends with a mere warning (rc 1) where a check finds damage."""
    site = Site(tmp_path, options)
    await site.prepare()
    async with Simulator() as nas, running(settings_for(nas, tmp_path, NOTIFY_EVENTS=EVENTS)) as service:
        assert await site.run() == 0
        assert await site.check() == 0
        await service.line_with("run.finished", "operation=verify", "outcome=success")
        assert bell(nas) == {}

        site.damage()
        assert await site.check() == 1
        await nas.changed(lambda nas: "borgwatch:main:nas:verify" in bell(nas), 20)
        assert "Stop pruning" in bell(nas)["borgwatch:main:nas:verify"]
        assert await service.end() == 0
