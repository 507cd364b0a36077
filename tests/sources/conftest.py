"""A directory to watch, a clock to turn by hand and a reader that can crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from .world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    root = tmp_path / "watch"
    root.mkdir()
    return World(root)
