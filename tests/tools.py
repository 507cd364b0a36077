"""The programs that examples, workflows and the Dockerfile are checked with: those of `./bw tools`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def tool(name: str) -> str:
    """The path of a program; without it the test is skipped, but in CI it fails."""
    found = shutil.which(name, path=f"{ROOT / '.tools' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None and os.environ.get("CI"):
        pytest.fail(f"CI must have {name}: ./bw tools, .ci/run")
    if found is None:
        pytest.skip(f"{name} is not here: ./bw tools (promtool: Debian's prometheus)")
    return found
