"""Rights that borgwatch does not need are told, with what to do; those that it needs are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from borgwatch.service import rights
from borgwatch.service.rights import needless_rights
from tests.process import borgwatch, running


@pytest.fixture
def as_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that cannot be written and files that only their owner reads, also for root, which runs the tests."""

    def access(path: str | Path, mode: int) -> bool:
        return False if mode == os.W_OK else bool(Path(path).stat().st_mode & 0o004)

    monkeypatch.setattr(os, "access", access)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["repo-key.txt", "ssh/id_ed25519", "ssh/id_rsa_backup", "BORG_PASSPHRASE", "a/b/.borg-passphrase", "keyfile"],
)
def test_a_key_that_can_be_read_is_told(as_mounted: Path, name: str) -> None:
    path = as_mounted / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("secret")
    path.chmod(0o644)
    (told,) = needless_rights([as_mounted], None)
    assert told.startswith(f"{path} could be read")
    path.chmod(0o600)
    assert needless_rights([as_mounted], None) == []


@pytest.mark.parametrize("name", ["history.log", "id_rsa.pub", "last-restore-drill", "keys-found.log"])
def test_what_is_no_key_is_not(as_mounted: Path, name: str) -> None:
    (as_mounted / name).write_text("x")
    assert needless_rights([as_mounted], None) == []


def test_links_are_not_followed_and_the_look_is_bounded(as_mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (as_mounted / "repo-key").symlink_to("/etc/hostname")
    (as_mounted / "loop").symlink_to(as_mounted)
    deep = as_mounted / "1/2/3/4/5/6"
    deep.mkdir(parents=True)
    (deep / "repo-key.txt").write_text("secret")
    assert needless_rights([as_mounted], None) == []
    monkeypatch.setattr(rights, "_MOST", 10)
    for number in range(20):
        (as_mounted / f"a-{number}.log").touch()
    (as_mounted / "z-passphrase").touch()
    assert needless_rights([as_mounted], None) == []


def test_many_keys_are_not_many_lines(as_mounted: Path) -> None:
    for number in range(9):
        (as_mounted / f"repo-key-{number}").touch()
    told = needless_rights([as_mounted], None)
    assert len(told) == 6
    assert told[-1] == f"{as_mounted} holds 4 more such files"


def test_a_watched_directory_that_can_be_written_is_told(tmp_path: Path) -> None:
    (told,) = needless_rights([tmp_path], None)
    assert "could be written: mount it read-only (:ro)" in told


@pytest.mark.parametrize(
    ("mode", "open_"), [(0o400, False), (0o440, False), (0o640, False), (0o444, True), (0o602, True)]
)
def test_a_key_file_for_everybody_is_told(as_mounted: Path, mode: int, open_: bool) -> None:
    key = as_mounted / "truenas"
    key.write_text("1-abc")
    key.chmod(mode)
    told = needless_rights([], key)
    assert [f"mode {mode:04o}: everybody" in text for text in told] == [True] * open_


async def test_service_and_check_tell_it(tmp_path: Path) -> None:
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "repo-key.txt").touch()
    key = tmp_path / "api-key"
    key.write_text("1-abcdef\n")
    key.chmod(0o644)
    settings = {
        "NOTIFY_TRUENAS_API_KEY_FILE": str(key),
        "BORGWATCH_WATCH": str(tmp_path / "watch"),
        "BORGWATCH_STATE": str(tmp_path / "state"),
        "BORGWATCH_RUN": str(tmp_path),
    }
    async with running(settings) as service:
        await service.line_with("rights.needless", "repo-key.txt could be read")
        await service.line_with("rights.needless", "api-key has the mode 0644")
        await service.end()
    done = await borgwatch("check", settings=settings)
    assert len([line for line in done.out.splitlines() if line.startswith("note   access")]) == 3
