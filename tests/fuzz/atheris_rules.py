"""Coverage-guided fuzzing of the rule loader and the decoder, for a bounded time; needs `pip install atheris`.

    python -m tests.fuzz.atheris_rules -max_total_time=90

Atheris is no dependency of the project: it has wheels for a few Pythons only. The shipped packs and samples are the
corpus to begin with. It ends with exit code 0 unless an input broke something, which is then written to a file.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["borgwatch", "yaml"]):
    from borgwatch.decode import decode
    from borgwatch.matching.load import load_rules, parse_pack, shipped_rules_dir
    from borgwatch.matching.matcher import Matcher
    from borgwatch.model import Line, Position
    from borgwatch.samples import judge_lines

READ_AT = datetime(2026, 11, 23, tzinfo=UTC)
SHIPPED = Matcher(load_rules().rules)


def one_input(data: bytes) -> None:
    """Take the first byte for the choice: a rule file, or a log for the shipped rules."""
    choice, rest = data[:1], data[1:]
    if choice == b"L":
        for line in rest.split(b"\n")[:20]:
            decode(Line("log", line, Position(0, 0, len(line)), READ_AT), "nas").text.encode("utf-8")
        judge_lines(rest.split(b"\n")[:20], SHIPPED)
        return
    pack, problems = parse_pack(rest.decode("utf-8", "surrogateescape"), "fuzz.yaml")
    if not all(problem.startswith("fuzz.yaml:") for problem in problems):
        raise AssertionError(problems)
    if pack is not None and not problems:
        judge_lines([rest[:200]], Matcher(pack.rules))


def main() -> None:
    """Write the corpus and run until the time is over."""
    with tempfile.TemporaryDirectory() as directory:
        for number, path in enumerate(shipped_rules_dir().glob("*.yaml")):
            head, *rules = path.read_text().split("\n  - id:")
            for part, rule in enumerate(rules):
                Path(directory, f"rule-{number}-{part}").write_text(f"R{head}\n  - id:{rule}\n")
        for number, sample in enumerate(sample for rule in SHIPPED.rules for sample in rule.samples):
            Path(directory, f"log-{number}").write_text("L" + "\n".join(sample.lines))
        atheris.Setup([*sys.argv, "-max_len=4096", directory], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
