"""The errors that borgwatch raises, by whose fault they are.

    BorgwatchError
    ├── ConfigError          a setting is missing, misspelt or impossible: the user can mend it
    │   └── RuleError        the same for a rule file, with file:line:column
    ├── SourceError          something that is read cannot be read
    ├── JournalError         the state directory cannot be used
    └── PeerError            TrueNAS, or the way to it (see `borgwatch.truenas.errors` for its family)

Every message says what happened, where, and what to do next, in one line: commands print it as it is
and exit with `exit_code`.
"""

from __future__ import annotations

__all__ = [
    "BorgwatchError",
    "ConfigError",
    "JournalError",
    "PeerError",
    "RuleError",
    "SourceError",
]


class BorgwatchError(Exception):
    """Any failure that borgwatch explains to its user."""

    exit_code = 1


class ConfigError(BorgwatchError):
    """A setting is missing, misspelt or impossible."""

    exit_code = 2


class RuleError(ConfigError):
    """A rule file is wrong; `problems` holds one `file:line:column: what` text for each fault found."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SourceError(BorgwatchError):
    """A watched file or directory cannot be read."""


class JournalError(BorgwatchError):
    """The state directory or the journal in it cannot be used."""

    exit_code = 2


class PeerError(BorgwatchError):
    """TrueNAS refused, broke off or could not be reached."""
