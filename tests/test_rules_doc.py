"""docs/rules.md: every example is run, every table is what the program knows."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from borgwatch.matching import vocabulary
from borgwatch.matching.load import load_rules, parse_pack
from borgwatch.matching.templates import FILTERS
from borgwatch.model import EVENT_NAMES, OPERATIONS, Level, Outcome
from borgwatch.samples import run_samples
from tests.process import ROOT, environment

TEXT = (ROOT / "docs" / "rules.md").read_text()
BLOCK = re.compile(
    r"(?:^<!-- file: (?P<file>\S+) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
BLOCKS = [found.groupdict() for found in BLOCK.finditer(TEXT)]
YAML = [block["text"] for block in BLOCKS if block["language"] == "yaml"]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("text", YAML, ids=lambda text: re.findall(r"^pack: (\S+)", text, re.MULTILINE)[0])
def test_every_rule_file_works_and_its_samples_give_what_they_must(text: str, tmp_path: Path) -> None:
    (tmp_path / "example.yaml").write_text(text)
    loaded = load_rules([tmp_path])
    assert loaded.problems == ()
    (pack,) = [pack for pack in loaded.packs if not pack.shipped]
    results = {result.sample.place: result for result in run_samples(loaded.rules)}
    assert [results[sample.place].differences for rule in pack.rules for sample in rule.samples] == [
        () for rule in pack.rules for _ in rule.samples
    ]
    assert {rule.id for rule in pack.rules if rule.samples} == {rule.id for rule in pack.rules}


def test_every_command_prints_what_is_shown(tmp_path: Path) -> None:
    """The whole page is one session in one directory."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "borgwatch"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m borgwatch "$@"\n')
    program.chmod(0o755)
    variables = environment({"BORGWATCH_STATE": str(tmp_path / "state"), "TZ": "UTC"})
    variables["PATH"] = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    ran = 0
    exported = ""
    for block in BLOCKS:
        if block["file"]:
            path = tmp_path / block["file"]
            path.parent.mkdir(exist_ok=True)
            path.write_text(block["text"])
        if block["language"] != "console":
            continue
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block["text"], re.MULTILINE):
            if command.startswith("export "):
                exported += f"{command}; "
                continue
            done = subprocess.run(
                ["sh", "-c", exported + command], cwd=tmp_path, env=variables, check=False, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if "list" in command else subprocess.STDOUT,
            )  # fmt: skip
            if expected:
                assert doctest.OutputChecker().check_output(expected, done.stdout, FLAGS), f"$ {command}\n{done.stdout}"
            else:
                assert (done.returncode, done.stdout) == (0, "")
            ran += 1
    assert ran >= 8


def table(name: str) -> dict[str, str]:
    """The rows of a table that a comment marks."""
    (text,) = re.findall(rf"<!-- keys: {name} -->\n\|.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT)
    return dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", text, re.MULTILINE))


@pytest.mark.parametrize("name", ["PACK", "RULE", "SCOPE", "EXPECTATION", "SAMPLE", "SAMPLE_EVENT"])
def test_the_tables_hold_every_key_and_what_it_means(name: str) -> None:
    assert table(name) == {key: value.meaning for key, value in getattr(vocabulary, name).items()}


@pytest.mark.parametrize("name", ["MODIFIERS", "COMBINATIONS"])
def test_the_tables_of_conditions_hold_every_word(name: str) -> None:
    assert table(name) == getattr(vocabulary, name)


def test_the_table_of_filters_holds_every_filter() -> None:
    assert set(FILTERS) == {name.partition(":")[0] for name in table("FILTERS")}


def test_every_word_of_the_language_is_named() -> None:
    others = {name for name in EVENT_NAMES if name.partition(".")[0] not in OPERATIONS}
    words = [*vocabulary.OPERATIONS_OF_RULES, *Outcome, *Level.__members__, *vocabulary.DEFAULTS, *others]
    assert [word for word in words if f"`{word}`" not in TEXT] == []


def test_the_broken_files_are_broken() -> None:
    """Else the page would show faults that nobody is told."""
    broken = [block["text"] for block in BLOCKS if (block["file"] or "").startswith("wrong/")]
    assert [len(parse_pack(text, "x")[1]) for text in broken] == [7]
