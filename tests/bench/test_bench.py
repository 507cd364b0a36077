"""The benchmarks run, and measure what they say."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from borgwatch.matching.candidates import Candidates
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from tests.bench.expressions import for_grep
from tests.bench.logs import write_log
from tests.bench.reader import read, rules_to
from tests.bench.reading import main


def test_grep_finds_with_the_same_expressions_the_lines_of_interest(tmp_path: Path) -> None:
    write_log(tmp_path / "log", 3000)
    wanted = Candidates(Matcher(load_rules().rules), patience=timedelta(seconds=10)).wanted
    (tmp_path / "patterns").write_bytes(for_grep(wanted))
    command = ["grep", "-aE", "-f", str(tmp_path / "patterns"), str(tmp_path / "log")]

    found = subprocess.check_output(command, env={"LC_ALL": "C"}).splitlines()
    assert sum(b'"levelname"' in line for line in found) == 3
    assert len(found) < 1000, "most lines are noise"


@pytest.mark.parametrize("count", [None, 20, 100])
def test_the_reader_reads_every_line(count: int | None, tmp_path: Path) -> None:
    (tmp_path / "watch" / "nas").mkdir(parents=True)
    write_log(tmp_path / "watch" / "nas" / "borg.log", 3000)

    assert count in (None, len(rules_to(count)))
    assert read(tmp_path / "watch", tmp_path / "state", rules_to(count))["lines"] == 3000


def test_the_benchmark_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lines", "2000", "--repeat", "1", "--only"]) == 0

    names = [line[:32].strip() for line in capsys.readouterr().out.splitlines()]
    assert {"borgwatch", "grep -E, LC_ALL=C", "grep -E, LC_ALL=C.UTF-8"} <= set(names)
