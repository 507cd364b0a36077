"""What a public forge would run: sound for a linter of workflows, pinned, and calling what exists."""

from __future__ import annotations

import re
import subprocess

import yaml

from tests.tools import ROOT, tool

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEXT = "\n".join(path.read_text() for path in WORKFLOWS)


def test_zizmor_finds_nothing() -> None:
    command = [tool("zizmor"), "--offline", "--no-progress", "--pedantic", "--quiet", str(ROOT / ".github")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_action_is_pinned_by_its_commit_with_the_version_beside_it() -> None:
    used = re.findall(r"uses: (.*)", TEXT)
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", line)] == []


def test_no_token_may_do_more_than_its_job_needs() -> None:
    granted: dict[str, dict[str, str]] = {}
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {}
        granted |= {f"{path.stem} {name}": job["permissions"] for name, job in workflow["jobs"].items()}
    writing = {name: rights for name, rights in granted.items() if set(rights.values()) != {"read"}}
    assert writing == {"release image": {"contents": "read", "packages": "write"}}


def test_what_the_workflows_call_is_there() -> None:
    script = (ROOT / "bw").read_text()
    called = set(re.findall(r"\./bw ([a-z]+)", TEXT))
    assert called == {"audit", "test"}
    assert all(re.search(rf"^{name}\)", script, re.MULTILINE) for name in called)
    assert (ROOT / ".ci" / "run").is_file()
    assert "run: .ci/run" in TEXT


def test_a_release_is_for_both_architectures_with_parts_list_and_origin() -> None:
    (build,) = [
        step["with"]
        for step in yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]["image"]["steps"]
        if "build-push-action" in step.get("uses", "")
    ]
    assert build["platforms"] == "linux/amd64,linux/arm64"
    assert (build["provenance"], build["sbom"]) == ("mode=max", True)
    arguments = set(re.findall(r"^(\w+)=", build["build-args"], re.MULTILINE))
    assert arguments == set(re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
