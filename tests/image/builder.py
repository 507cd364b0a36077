"""A real image, really built: `buildah` without a daemon, on a base that is made of Debian's packages.

The base stands in for the official Python image: the same distribution, its own Python. It is made once and kept in the
directory of `BORGWATCH_TEST_IMAGES` (else for the session), for it takes minutes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("buildah", "mmdebstrap", "bwrap", "nsenter", "setpriv")
BASE = "localhost/borgwatch-test-base"
IMAGE = "localhost/borgwatch-test"
_FOR_BASE, _FOR_BUILD = 1500, 900  # seconds
_LIKE_SLIM = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale", "man")]


def missing() -> list[str]:
    """Which of the programs that building and running needs are not here."""
    return [name for name in NEEDED if shutil.which(name) is None] + ([] if os.geteuid() == 0 else ["root"])


@dataclass(frozen=True)
class Image:
    """A built image: the configuration that an engine would read, and its files."""

    config: Mapping[str, Any]
    root: Path
    own: int  # bytes of the layers above the base, compressed as a registry would hold them
    whole: int  # the same with the base


class Builder:
    """A store of images of its own in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._store = ["--storage-driver", "vfs", "--root", f"{directory}/store", "--runroot", f"{directory}/run"]
        directory.mkdir(parents=True, exist_ok=True)

    def buildah(self, *arguments: str, timeout: int = 300) -> str:
        """Run buildah; what it says is in the error if it fails."""
        command = ["buildah", *self._store, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, f"buildah {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def build(self) -> Image:
        """Make the base unless it is there, and the image upon it."""
        self._base()
        secrets = self._pip_settings()
        self.buildah(
            "build", "--isolation", "chroot", "--format", "docker", "--build-arg", f"BASE={BASE}",
            "--build-arg", "VERSION=1.2.3", "--build-arg", "REVISION=abcdef",
            *(f"--secret=id={name},src={path}" for name, path in secrets.items()), "--tag", IMAGE, str(ROOT),
            timeout=_FOR_BUILD,
        )  # fmt: skip
        return self._opened()

    def clear(self) -> None:
        """Remove everything: plain copies of whole file systems are large."""
        self.buildah("umount", "--all")
        self.buildah("rm", "--all")
        self.buildah("rmi", "--all", "--force")
        shutil.rmtree(self._directory)

    def _base(self) -> None:
        if BASE in self.buildah("images", "--format", "{{.Name}}").split():
            return
        archive = self._directory / "base.tar"
        if not archive.exists():
            packages = "python3-venv,tzdata,ca-certificates"
            part = archive.with_suffix(".part")
            subprocess.run(
                ["mmdebstrap", "--variant=apt", *_LIKE_SLIM, f"--include={packages}", "--format=tar", _suite(), part],
                check=True, capture_output=True, timeout=_FOR_BASE,
            )  # fmt: skip
            part.rename(archive)
        container = self.buildah("from", "scratch")
        self.buildah("add", container, str(archive), "/")
        self.buildah("commit", "--rm", container, BASE)

    def _pip_settings(self) -> dict[str, Path]:
        """Hand this machine's way to the package index into the build; nothing of it stays in the image."""
        pip = [sys.executable, "-m", "pip", "config", "list"]
        listed = subprocess.run(pip, check=True, capture_output=True, text=True).stdout
        found = dict(re.findall(r"^(?:global|install|:env:)\.([a-z-]+)='(.*)'$", listed, re.MULTILINE))
        wanted = {name: value for name, value in found.items() if name in ("index-url", "trusted-host", "proxy")}
        secrets = {"pip_conf": self._directory / "pip.conf"}
        if "cert" in found:
            wanted["cert"] = "/run/secrets/pip_ca"
            secrets["pip_ca"] = Path(found["cert"])
        lines = [f"{name} = {value}" for name, value in {**wanted, "timeout": "120"}.items()]
        secrets["pip_conf"].write_text("\n".join(["[global]", *lines, ""]))
        return secrets

    def _opened(self) -> Image:
        inspected = json.loads(self.buildah("inspect", "--type", "image", IMAGE))
        base = json.loads(self.buildah("inspect", "--type", "image", BASE))
        above = len(inspected["OCIv1"]["rootfs"]["diff_ids"]) - len(base["OCIv1"]["rootfs"]["diff_ids"])
        root = Path(self.buildah("mount", self.buildah("from", IMAGE)))
        sizes = self._compressed()
        return Image(inspected["Docker"]["config"], root, sum(sizes[-above:]), sum(sizes))

    def _compressed(self) -> list[int]:
        """Write the image out as for a registry, and weigh its layers."""
        pushed = self._directory / "pushed"
        shutil.rmtree(pushed, ignore_errors=True)
        self.buildah("push", IMAGE, f"dir:{pushed}")
        layers = json.loads((pushed / "manifest.json").read_text())["layers"]
        assert all(layer["mediaType"].endswith("gzip") for layer in layers)
        return [int(layer["size"]) for layer in layers]


def _suite() -> str:
    """The Debian that this machine runs: its package sources are at hand."""
    release = dict(re.findall(r'^(\w+)="?(.*?)"?$', Path("/etc/os-release").read_text(), re.MULTILINE))
    return str(release.get("VERSION_CODENAME", "stable"))
