"""Take secrets out of any text, whatever way it leaves: log, message, alert, traceback. Pure but for the registry.

Known secrets are registered when settings are read; beside them, what has the shape of a secret is masked: a
TrueNAS API key, a password in a URL, a passphrase given on a command line or in an environment assignment.
"""

from __future__ import annotations

import re

__all__ = ["MASK", "redact", "register_secret"]

MASK = "***"
_MIN_LENGTH = 6  # shorter texts would mask half the language
_API_KEY = re.compile(r"\b\d+-[A-Za-z0-9]{32,}")
_URL_PASSWORD = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s/:@]*):[^\s/@]+@")
_ASSIGNMENT = re.compile(
    r"(?i)\b([A-Z_]*(?:PASSPHRASE|PASSWORD|PASSWD|API_KEY|SECRET|TOKEN))(=|[\"']\s*:\s*)(\"[^\"]*\"|'[^']*'|\S+)"
)
_WORDS = ("pass", "api_key", "secret", "token")
_known: list[str] = []  # the longest first: one may be part of another


def register_secret(secret: str) -> None:
    """Remember a secret, so that it is masked wherever it turns up; for an API key also its part after the dash."""
    for text in {secret, secret.partition("-")[2]}:
        if len(text) >= _MIN_LENGTH and text not in _known:
            _known.append(text)
    _known.sort(key=len, reverse=True)


def redact(text: str) -> str:
    """Return `text` with every secret replaced by `***`."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, MASK)
    if "-" in text:
        text = _API_KEY.sub(MASK, text)
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    if _may_assign(text):
        text = _ASSIGNMENT.sub(rf"\1\2{MASK}", text)
    return text


def _may_assign(text: str) -> bool:
    """Spare most texts the search; outside ASCII, more letters than two may be one where case is ignored."""
    if not text.isascii():
        return True
    lower = text.lower()
    return any(word in lower for word in _WORDS)
