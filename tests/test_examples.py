"""`compose.yaml` and the examples: sound for a real Compose, hardened, and understood by borgwatch itself."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from borgwatch.config import load
from borgwatch.settings import Settings
from tests.tools import ROOT, tool

COMPOSE = ROOT / "compose.yaml"
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
TRUENAS = ROOT / "examples" / "truenas-custom-app.yaml"
every_file = pytest.mark.parametrize("path", [COMPOSE, *EXAMPLES], ids=lambda path: path.name)


def resolved(path: Path) -> dict[str, Any]:
    """What Compose makes of a file, without an engine and without anybody's environment."""
    done = subprocess.run(
        [tool("docker-compose"), "-f", str(path), "config", "--format", "json"],
        capture_output=True, text=True, check=False, env={"HOME": "/home/somebody", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "level=warning" not in done.stderr, done.stderr
    project = json.loads(done.stdout)
    assert isinstance(project, dict)
    return project


def settings_of(service: dict[str, Any], tmp_path: Path) -> Settings:
    """The settings that borgwatch would have, with a key in the file that is named."""
    environment = dict(service["environment"])
    assert "NOTIFY_TRUENAS_API_KEY" not in environment, "a key in the environment is shown by `docker inspect`"
    key = tmp_path / "key"
    key.write_text("1-abcdef\n")
    return load({**environment, "NOTIFY_TRUENAS_API_KEY_FILE": str(key), "BORGWATCH_CONFIG": ""})


@every_file
def test_compose_takes_it_and_it_is_hardened(path: Path) -> None:
    service = resolved(path)["services"]["borgwatch"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert int(service["mem_limit"]) == 128 << 20
    assert service["pids_limit"] == 64
    assert service["stop_grace_period"] == "15s"
    assert service["restart"] == "unless-stopped"
    assert service["tmpfs"] == ["/tmp:size=8m,mode=1777"]  # noqa: S108 - the container's
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert re.fullmatch(r"\d+:\d+", service["user"])


@every_file
def test_only_the_state_is_mounted_writable_and_no_socket_is_mounted_at_all(path: Path) -> None:
    mounts = {mount["target"]: mount for mount in resolved(path)["services"]["borgwatch"]["volumes"]}
    assert [target for target, mount in mounts.items() if not mount.get("read_only")] == ["/state"]
    assert any(target.startswith("/watch") for target in mounts)
    assert not [mount for mount in mounts.values() if str(mount["source"]).endswith(".sock")]


@every_file
def test_borgwatch_understands_its_environment(path: Path, tmp_path: Path) -> None:
    service = resolved(path)["services"]["borgwatch"]
    settings = settings_of(service, tmp_path)
    assert settings.problems == ()
    assert settings.truenas.enabled
    assert settings.truenas.address is not None
    assert not settings.truenas.address.was_plain
    assert settings.truenas.verification == "pin"
    assert settings.expect is not None
    assert (settings.state, settings.watch) == (Path("/state"), (Path("/watch"),))


@every_file
def test_the_key_comes_from_the_file_that_is_mounted(path: Path) -> None:
    project = resolved(path)
    service = project["services"]["borgwatch"]
    mounted = [f"/run/secrets/{secret['source']}" for secret in service.get("secrets", [])]
    mounted += [mount["target"] for mount in service["volumes"]]
    assert service["environment"]["NOTIFY_TRUENAS_API_KEY_FILE"] in mounted
    assert all("file" in secret for secret in project.get("secrets", {}).values())


def test_the_custom_app_can_be_pasted_into_truenas() -> None:
    """An app has no directory of its own: nothing is built, every path is absolute and on a pool."""
    text = TRUENAS.read_text()
    service = yaml.safe_load(text)["services"]["borgwatch"]
    whole = yaml.safe_load(text)
    assert set(whole) == {"services", "x-portals"}
    [portal], [published] = whole["x-portals"], service["ports"]
    assert published == f"{portal['port']}:{service['environment']['BORGWATCH_WEB_PORT']}"
    assert portal.keys() == {"name", "scheme", "host", "port", "path"}
    assert "build" not in service
    assert all(volume.startswith("/mnt/") for volume in service["volumes"])
    assert "${" not in text
    assert service["environment"]["NOTIFY_TRUENAS_API_URL"].startswith("wss://")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_takes_the_image_that_was_built_here(path: Path) -> None:
    """No registry has one of this name: whoever offered one would be given the key."""
    service = resolved(path)["services"]["borgwatch"]
    assert (service["image"], service["pull_policy"]) == ("borgwatch:latest", "never")
    assert "docker build -t borgwatch ." in path.read_text()


def test_every_example_is_listed_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert EXAMPLES
    assert [path.name for path in EXAMPLES if f"(examples/{path.name})" not in readme] == []


def test_the_dockerfile_has_no_fault_that_hadolint_knows() -> None:
    done = subprocess.run([tool("hadolint"), str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
