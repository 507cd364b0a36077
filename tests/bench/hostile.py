"""A hostile pattern on a hostile 1 MB line, the whole way: read, cut, decoded, asked with the shipped rules beside it.

    python -m tests.bench.hostile

prints a table of milliseconds; the figure to hold is 100 ms for the worst.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from borgwatch.decode import decode
from borgwatch.matching.conditions import FieldTest
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.matching.patterns import Pattern, PatternError
from borgwatch.matching.rules import Rule
from borgwatch.model import Phase
from borgwatch.sources.oldlogs import read_lines

PATTERNS = [
    "(a+)+$", "(a|a)*b", "^(([a-z])+.)+[A-Z]([a-z])+$", "(x+x+)+y", "(?:a?){450}a{450}", "(?:a{0,24}){30}b",
    "(.*)(.*)(.*)(.*)(.*)[^a]", "[^b]{180}b$", "(?P<x>.*a){50}b", ".{0,80}b.{0,80}c", r"\b(\w+\s?)+\b!", "(.*a.{180})b",
    "(?:.*a){150}b", "".join(f"(?P<g{n}>.*)a" for n in range(20)), "(?P<x>[ab]*a[ab]{150})+$", "(?i)(\\pL+\\pN*)+#",
    "(?:a{0,30}){60}b", ".{0,900}b.{0,900}c",
]  # fmt: skip
MEGABYTE = 1 << 20
LINES = {
    "a...!": "a" * (MEGABYTE - 1) + "!",
    "abab": "ab" * (MEGABYTE // 2),
    "random": "".join("ab"[(n * n * 7 + n // 3) % 2 if n % 5 else (n >> 4) % 2] for n in range(MEGABYTE)),
    "umlauts": "\u00e4" * (MEGABYTE // 2),
    "words": "abcdefghij klmnop" * (MEGABYTE // 17),
    "json": '{"type": "log_message", "message": "' + "a" * (MEGABYTE - 50) + '"}',
    "braces": '{"' * (MEGABYTE // 2 - 1) + "}}",
    "escapes": "\x1b]" * (MEGABYTE // 2),
}
ROUNDS = 3


def measure(directory: Path) -> Iterator[tuple[float, str, str]]:
    """Take the best of a few rounds of each pattern on each line."""
    shipped = load_rules().rules
    for source in PATTERNS:
        try:
            when = FieldTest("text", "re", (Pattern(source),))
        except PatternError as error:
            print(f"{source[:40]:40} refused: {str(error)[:60]}")
            continue
        # Asked last, so that all shipped rules are asked as well.
        matcher = Matcher((*shipped, Rule("hostile.r", "", when, Phase.DETAIL)))
        for name, text in LINES.items():
            path = directory / "hostile.log"
            path.write_text(text)
            yield min(_once(path, matcher) for _ in range(ROUNDS)), source, name


def _once(path: Path, matcher: Matcher) -> float:
    began = time.perf_counter()
    for line in read_lines(str(path)):
        matcher.match(decode(line, "nas"), line)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Print the worst line of each pattern, the worst of all last."""
    with tempfile.TemporaryDirectory() as directory:
        worst: dict[str, tuple[float, str]] = {}
        for took, source, name in measure(Path(directory)):
            worst[source] = max(worst.get(source, (0.0, "")), (took, name))
    for source, (took, name) in sorted(worst.items(), key=lambda item: item[1]):
        print(f"{source[:40]:40} {took:8.1f} ms on {name}")


if __name__ == "__main__":
    main()
