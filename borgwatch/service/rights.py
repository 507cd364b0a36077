"""Finds rights that borgwatch has and does not need: to write where it only reads, or to read the keys of the backups.

It looks at names and permissions, and opens nothing. The look is bounded: a few levels, a few thousand entries.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["KEYS", "needless_rights"]

KEYS = (
    "repo-key*", "borg-key*", "*.borgkey", "keyfile*", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*",
    "*passphrase*", "*passcommand*", ".borg_pass*", ".pgpass",
)  # fmt: skip
"""What files are called that hold keys of repositories, keys of SSH, passphrases."""
_DEEPEST = 4
_MOST = 5000
_MOST_TOLD = 5


def needless_rights(watch: Sequence[Path], key_file: Path | None) -> list[str]:
    """Say, a sentence each, what this process could do and should not be able to, and how to take it away."""
    found = []
    for directory in watch:
        if os.access(directory, os.W_OK):
            found.append(
                f"{directory} could be written: mount it read-only (:ro), or let it run as a user who only reads"
            )
        keys = [path for path in _entries(directory) if _is_key(path)]
        found += [
            f"{path} could be read, and looks like a key or passphrase: run borgwatch as a user that may not read it"
            for path in keys[:_MOST_TOLD]
        ]
        if len(keys) > _MOST_TOLD:
            found.append(f"{directory} holds {len(keys) - _MOST_TOLD} more such files")
    if key_file is not None and (too_open := _too_open(key_file)):
        found.append(too_open)
    return found


def _entries(directory: Path) -> Iterator[Path]:
    """Give the files below a directory, links left out."""
    left = _MOST
    for place, directories, files in os.walk(directory):
        if len(Path(place).relative_to(directory).parts) >= _DEEPEST:
            directories.clear()
        yield from (Path(place, name) for name in sorted(files)[:left])
        left -= len(files) + len(directories)
        if left <= 0:
            return


def _is_key(path: Path) -> bool:
    if path.suffix == ".pub" or not any(fnmatch.fnmatch(path.name.lower(), pattern) for pattern in KEYS):
        return False
    return not path.is_symlink() and path.is_file() and os.access(path, os.R_OK)


def _too_open(path: Path) -> str:
    """Say if everybody on the machine may read or change the API key. Its group may: Compose needs that."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return ""  # told elsewhere: the key cannot be read
    if not mode & 0o007:
        return ""
    return f"{path} has the mode {mode:04o}: everybody on this machine can take the API key: chmod 0440 {path}"
