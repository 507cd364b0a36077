"""No test key may be in anything that borgwatch prints or keeps: every test's output is searched, and its journals.

What a process printed is searched where it is read (`tests.process`), what a test printed or logged when it has ended,
and what it left in its directory after that. The simulator may print its own keys: they are there to be copied.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["KEY", "check_files", "check_text"]

KEY = re.compile(rb"\d+-([a-z])\1{63}(?![a-z])|(?<!s)s{64}(?!s)")
"""The keys of the tests: a number, a hyphen and 64 times the same letter; or the secret of most of them alone."""
_KEPT = ("*.sqlite3*", "*.damaged-*")


def check_text(text: str | bytes, where: str) -> None:
    """Fail if a test key is in something that was printed."""
    found = KEY.search(text.encode("utf-8", "replace") if isinstance(text, str) else text)
    assert found is None, f"an API key is in {where}"


def check_files(directory: Path) -> None:
    """Fail if a test key is in a journal below a directory."""
    for pattern in _KEPT:
        for path in directory.rglob(pattern):
            if path.is_file():
                check_text(path.read_bytes(), str(path))
