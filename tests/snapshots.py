"""Whole outputs, kept as files that a browser or `promtool` opens as they are: the directory `tests/snapshots`.

An output that is meant to be different is written anew with

    ./bw test tests/test_snapshots.py --renew-snapshots

and looked at with `git diff` before it is committed.
"""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

__all__ = ["DIRECTORY", "compare"]

DIRECTORY = Path(__file__).with_name("snapshots")


def compare(name: str, text: str, *, renew: bool) -> None:
    """Fail, with what differs, unless `text` is what was kept as `name`; with `renew`, keep it."""
    path = DIRECTORY / name
    if renew:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8", newline="")
        return
    kept = path.read_bytes().decode() if path.exists() else ""
    if text != kept:
        differs = "\n".join(difflib.unified_diff(kept.splitlines(), text.splitlines(), "kept", "now", lineterm="", n=1))
        pytest.fail(f"{name} is another; if it is meant to be, --renew-snapshots keeps it:\n{differs}", pytrace=False)
