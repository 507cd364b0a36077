"""Hard case 14 with real permissions: what may not be read is told, and found by `borgwatch healthcheck`."""

from __future__ import annotations

import os
from pathlib import Path

from tests.process import health_that_says, running

FAILED = b"2026-11-23 02:10:11,123 terminating with error status, rc 2\n"
NO_OVERRIDE = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
"""Takes from root what lets root read everything (util-linux); others never had it."""


async def test_14_permission_that_is_granted_later_loses_nothing(tmp_path: Path) -> None:
    """It is told once and seen by the health check, other sources go on, and nothing is lost when it is granted."""
    watch, run = tmp_path / "watch", tmp_path / "run"
    for directory in (watch / "closed", watch / "open", run):
        directory.mkdir(parents=True)
    settings = {
        "BORGWATCH_WATCH": str(watch), "BORGWATCH_STATE": str(tmp_path / "state"), "BORGWATCH_RUN": str(run),
        "BORGWATCH_POLL": "0.1s",
    }  # fmt: skip
    async with running(settings, before=NO_OVERRIDE if os.geteuid() == 0 else ()) as service:
        closed = watch / "closed" / "borg.log"
        hidden = closed.with_name(".borg.log")
        hidden.write_bytes(FAILED)
        hidden.chmod(0)
        hidden.rename(closed)
        await service.line_with("source.problem", "closed/borg.log", "permission denied")
        (watch / "open" / "borg.log").write_bytes(FAILED)
        await service.line_with("run.finished", "outcome=failure", "job=open")
        _, said = await health_that_says(settings, "degraded")
        assert said.startswith("degraded: 1 source cannot be read: ")
        assert "closed/borg.log: permission denied" in said

        closed.chmod(0o644)
        await service.line_with("source.resolved", "closed/borg.log")
        await service.line_with("run.finished", "outcome=failure", "job=closed")
        assert (await health_that_says(settings, "healthy: "))[1].startswith("healthy: ")
        for event in ("source.problem", "source.resolved"):
            assert sum(event in line for line in service.lines) == 1
