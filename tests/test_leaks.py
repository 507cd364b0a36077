"""The search for leaked keys finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from borgwatch.truenas.simulator import Simulator
from tests.leaks import KEY, check_files, check_text
from tests.truenas.world import SECRET


@pytest.mark.parametrize(
    "text", [SECRET, f"key={SECRET!r}", SECRET[2:], f"7-{'r' * 64}", f'"{SECRET}"\n', f"x{SECRET}"]
)
def test_a_key_in_any_place_is_found(text: str) -> None:
    with pytest.raises(AssertionError, match="an API key is in there"):
        check_text(text, "there")


@pytest.mark.parametrize("text", ["", "1-***", "s" * 65, "a" * 64, "2026-11-23", "1-" + "x" * 200])
def test_what_is_no_key_is_not_found(text: str) -> None:
    check_text(text, "there")


def test_a_key_in_a_journal_is_found(tmp_path: Path) -> None:
    directory = tmp_path / "kept"
    directory.mkdir()
    path = directory / "journal.sqlite3-wal"
    path.write_bytes(b"\0\0" + SECRET.encode() + b"\0")
    with pytest.raises(AssertionError, match="sqlite3-wal"):
        check_files(tmp_path)
    path.unlink()


def test_the_keys_of_the_simulator_are_of_the_shape_that_is_searched_for() -> None:
    assert all(KEY.fullmatch(key.key.encode()) for key in Simulator().keys)
