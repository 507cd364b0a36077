"""What the documents say is what the program does."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from borgwatch.cli import cli
from borgwatch.config import load
from borgwatch.journal.notes import DeliveryState, ServiceState
from borgwatch.matching.load import load_rules, parse_pack
from borgwatch.samples import run_samples
from borgwatch.settings import SETTINGS
from borgwatch.views.history import History, Row
from borgwatch.views.review import Group, Happened, Line, Outlier, Review
from borgwatch.views.status import JobStatus, Status

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_readme_lists_every_setting_with_its_key_meaning_and_default() -> None:
    rows = [f"| `{s.variable}` | `{s.key}` | {s.meaning} | {s.default} |" for s in SETTINGS]
    table = README.partition("<!-- settings")[2].partition("<!-- end of settings")[0]
    assert [line for line in table.splitlines() if line.startswith("| `")] == rows


def test_the_readme_tells_of_every_command_and_each_has_help() -> None:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help
        assert f"`borgwatch {name}" in README


def shell_blocks() -> list[object]:
    """Every `sh` block of every document, also one that is indented, with the document's name."""
    found: list[object] = []
    for document in DOCUMENTS:
        for indent, text in re.findall(r"^( *)```sh\n(.*?)^ *```", document.read_text(), re.MULTILINE | re.DOTALL):
            block = "\n".join(line.removeprefix(indent) for line in text.splitlines())
            found.append(pytest.param(block, id=f"{document.name}: {block.splitlines()[0][:40]}"))
    return found


@pytest.mark.parametrize("block", shell_blocks())
def test_every_command_in_the_documents_is_one(block: str, tmp_path: Path) -> None:
    """The shell parses it; borgwatch takes its arguments; Compose knows its service; the rest is on every machine."""
    subprocess.run(["sh", "-n"], input=block, text=True, check=True)
    (tmp_path / "watched.log").touch()
    for line in block.splitlines():
        words = shlex.split(line, comments=True)
        if words[:3] == ["docker", "compose", "exec"]:
            assert words[3] == "borgwatch", "the service of compose.yaml"
            words = words[4:]
        match words:
            case ["./bw", "test" | "lint" | "tools" | "audit" | "sbom", *_]:
                assert f"{words[1]})" in (ROOT / "bw").read_text()
            case ["./bw" | "borgwatch", name, *arguments]:
                command = cli.get_command(click.Context(cli), name)
                assert command is not None, line
                existing = [str(tmp_path / "watched.log") if word.startswith("/") else word for word in arguments]
                command.make_context(name, existing)
            case ["docker", "compose", "up", *options]:
                assert set(options) <= {"-d", "--build"}
            case ["export", *assignments]:
                assert all(re.match(r"[A-Z_]+=", word) for word in assignments)
            case ["printf", "%s\\n", *assignments, ">", ".env"]:
                compose = (ROOT / "compose.yaml").read_text()
                assert all(f"${{{name.partition('=')[0]}:-" in compose for name in assignments), line
            case _:
                assert words == [] or words[0] in {"install", "docker"}, line


def test_every_command_in_the_readme_exists() -> None:
    context = click.Context(cli)
    named = set(re.findall(r"^(?:\./bw|borgwatch) ([a-z]+)", "\n".join(blocks("sh")), re.MULTILINE))
    assert {"demo", "test", "check", "run", "notify"} == named
    assert all(cli.get_command(context, name) for name in named - {"test"})


def test_the_rule_in_the_readme_works(tmp_path: Path) -> None:
    (text,) = [block for block in blocks("yaml") if block.startswith("schema: 1")]
    pack, problems = parse_pack(text, "README.md")
    assert problems == []
    assert pack is not None
    (tmp_path / "my-nas.yaml").write_text(text)
    own = [result for result in run_samples(load_rules([tmp_path]).rules) if result.rule.id == "my-nas.tape-full"]
    assert [result.differences for result in own] == [()]


def test_the_settings_file_in_the_readme_is_sound(tmp_path: Path) -> None:
    (text,) = [block for block in blocks("yaml") if block.startswith("truenas:")]
    path = tmp_path / "borgwatch.yaml"
    path.write_text(text)
    settings = load({"BORGWATCH_CONFIG": str(path), "NOTIFY_TRUENAS_API_KEY": "1-abcdef"})
    assert settings.problems == ()
    assert settings.sources[0].operation == "prune"


def test_the_environment_in_the_readme_is_sound(tmp_path: Path) -> None:
    (text,) = [block for block in blocks("sh") if "export NOTIFY" in block]
    key = tmp_path / "truenas-api-key"
    key.write_text("1-abcdef\n")
    environment = dict(re.findall(r"^export (\w+)=(.*)$", text, re.MULTILINE))
    settings = load({name: value.replace("$HOME", str(tmp_path)) for name, value in environment.items()})
    assert settings.problems == ()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_the_document_on_looking_back_names_every_field_of_the_json() -> None:
    text = (ROOT / "docs" / "review.md").read_text()
    named = set(re.findall(r"`(\w+)`", text.partition("## The JSON")[2]))
    views = (History, Row, Status, JobStatus, ServiceState, DeliveryState, Review, Happened, Group, Line, Outlier)
    assert {field.name for view in views for field in dataclasses.fields(view)} - named == set()


def test_the_document_on_looking_back_names_every_event_of_the_log_and_no_other() -> None:
    package = ROOT / "borgwatch"
    written = {
        node.value
        for path in (package / "service" / "report.py", package / "cli" / "run.py", package / "logs.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and re.fullmatch(r"[a-z]+\.[a-z_]+|ready|event", str(node.value))
    }
    written |= {
        str(node.args[0].value)
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "problem"
        if node.args and isinstance(node.args[0], ast.Constant)
    }
    text = (ROOT / "docs" / "review.md").read_text().partition("| line | when |")[2].partition("\n\n")[0]
    named = {
        name
        for row in text.splitlines()
        for name in re.findall(r"`([a-z]+\.[a-z_]+|ready|event)`", row[: row.rfind("|", 0, -1)])
    }
    assert len(written) > 40
    assert named == written - {"library.unreadable"}


def test_the_document_on_the_key_names_every_method_that_is_called() -> None:
    """What a full administrator's key is used for is said, and nothing else is done with it."""
    package = ROOT / "borgwatch"
    sources = [
        *(package / "truenas").glob("*.py"),
        *(package / "cli").glob("*.py"),
        *(package / "service").glob("*.py"),
    ]
    called = re.findall(r'(?:call|run_job)\([^"]*?"([a-z_]+\.[a-z_]+)"', "\n".join(map(Path.read_text, sources)))
    text = (ROOT / "docs" / "truenas-api-key.md").read_text()
    said = set(re.findall(r"`([a-z_]+\.[a-z_*]+)`", text))
    assert called
    assert {m if not m.startswith("auth.") else "auth.*" for m in called} == {m for m in said if m != "system.ready"}
