"""The wheel, installed into an empty environment without development packages, is the whole program."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(directory), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    (path,) = directory.glob("*.whl")
    return path


def test_the_wheel_holds_rules_recordings_and_types_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    packs = {f"borgwatch/packs/{path.name}" for path in (ROOT / "rules").glob("*.yaml")}
    assert packs
    assert packs <= names
    assert {"borgwatch/py.typed", "borgwatch/demo/recordings/1-good.log", "borgwatch/demo/backup.sh"} <= names
    assert [name for name in names if name.startswith("tests")] == []


def test_the_installed_wheel_runs_without_development_packages(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", str(ROOT / "requirements" / "run.txt")], check=True)
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)

    def borgwatch(*arguments: str) -> str:
        command = [str(environment / "bin" / "borgwatch"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={}, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert borgwatch("--version").startswith("borgwatch ")
    assert "0 failed" in borgwatch("rules", "test")
    assert "4 of 4 nights confirmed" in borgwatch("demo", "--recorded")


def test_an_environment_that_was_left_without_pip_is_made_anew(tmp_path: Path) -> None:
    """Debian leaves one behind where python3-venv is missing, and says to install that and try again."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "run.txt").touch()
    shutil.copy(ROOT / "bw", tmp_path)
    venv.create(tmp_path / ".venv", with_pip=False)
    subprocess.run([tmp_path / "bw", "--version"], capture_output=True, check=False)  # there is no borgwatch to run
    subprocess.run([tmp_path / ".venv" / "bin" / "python", "-m", "pip", "--version"], check=True, capture_output=True)
    assert (tmp_path / ".venv" / "run.txt").exists()
