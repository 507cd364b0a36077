"""Bytes as they were written, as text that a person would have seen. Pure."""

from __future__ import annotations

import re

__all__ = ["ANSI", "clean_text", "overwritten", "without_surrogates"]

_BOM = "\ufeff"
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
"""CSI sequences, OSC strings and two-character escapes (ECMA-48): colours, moves of the cursor, titles of windows."""
_INVISIBLE = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(data: bytes) -> str:
    r"""Decode `data` and keep what a terminal would have left standing.

    Invalid UTF-8 becomes U+FFFD; a byte order mark, NUL bytes, other control characters and ANSI sequences go.
    Of fragments that a progress display ends with `\r`, the last one that is not blank stands: that is where the
    next real line is glued on when standard error is no terminal.

    >>> clean_text(b"Saving files cache\rSaving cache config\r\r-----")
    '-----'
    """
    text = data.decode("utf-8", errors="replace").removeprefix(_BOM)
    if "\x1b" in text:
        text = ANSI.sub("", text)
    if "\r" in text:
        text = next((part for part in reversed(text.split("\r")) if part.strip()), "")
    if not text.isprintable():
        text = text.translate(_INVISIBLE)
    return text


def overwritten(data: bytes) -> bytes:
    r"""Give the first fragment of a progress display that the text of a line was written over; b"" if there is none.

    >>> overwritten(b"Checking segments   0%\rChecking segments  50%\r\rterminating with success status, rc 0")
    b'Checking segments   0%'
    """
    *before, _ = data.rstrip().split(b"\r")
    return next((part for part in before if part.strip()), b"")


def without_surrogates(text: str) -> str:
    r"""Replace lone surrogates, which Borg 1.x writes as `\udcXX` for file names that are not UTF-8."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
