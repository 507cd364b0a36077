"""The simulator answers like the releases: recorded frames, scenario by scenario."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import json
import ssl
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from borgwatch.truenas.simulator import PROFILES, Simulator, load_keys

DATA = Path(__file__).parents[2] / "data" / "truenas"


def load_play() -> ModuleType:
    """Return the player of scenarios, which is a script beside its data."""
    spec = importlib.util.spec_from_file_location("play", DATA / "play.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PLAY = load_play()
SETTLE = 0.1  # seconds; the player waits so long after an answer for events that belong to it
SPEC = json.loads((DATA / "scenarios.json").read_text(encoding="utf-8"))


def in_haste(step: dict[str, Any]) -> dict[str, Any]:
    """Return a step with a shorter time to settle: there is no network and no NAS to wait for."""
    return {**step, "settle": SETTLE}


async def record(release: str) -> str:
    """Play all scenarios in their order against one simulator and return what the player would write."""
    async with Simulator(release, keys=load_keys(DATA / "scenarios.json"), insecure_port=0) as nas:
        player = PLAY.Player(Namespace(secure=nas.url, insecure=nas.insecure_url, insecure_header=[]), SPEC)
        lines = []
        for scenario in SPEC["scenarios"]:
            hasty = {**scenario, "steps": [in_haste(step) for step in scenario["steps"]]}
            lines += [json.dumps(entry, sort_keys=True) async for entry in player.scenario(hasty)]
        return "\n".join(lines)


@pytest.fixture(scope="module")
def recordings() -> dict[str, str]:
    """What each release's simulator answers, recorded side by side."""

    async def record_releases() -> list[str]:
        return await asyncio.gather(*map(record, PROFILES))

    with pytest.MonkeyPatch.context() as patch:
        # the player makes a context a connection, and each reads the system's certificates: seconds in all
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        return dict(zip(PROFILES, asyncio.run(record_releases()), strict=True))


@pytest.mark.parametrize("release", PROFILES)
def test_every_scenario_agrees(
    release: str, recordings: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each frame that the release sent is sent, and no other."""
    got = tmp_path / "got.jsonl"
    got.write_text(recordings[release], encoding="utf-8")

    differs = PLAY.diff(DATA / "transcripts" / f"{release}.jsonl", got)

    report = capsys.readouterr().out
    assert not differs, report
    assert report == f"{len(SPEC['scenarios'])} of {len(SPEC['scenarios'])} scenarios agree\n"
