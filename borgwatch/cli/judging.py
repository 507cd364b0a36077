"""What the commands share that judge lines of their own: their options, and rules that must be sound."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click

from borgwatch.config import load
from borgwatch.errors import RuleError
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.model import OPERATIONS

__all__ = ["judge_options", "sound_matcher"]

_F = TypeVar("_F", bound=Callable[..., object])


def judge_options(function: _F) -> _F:
    """Add the options of commands that judge lines of their own."""
    for option in (
        click.option(
            "--rules", "rule_dirs", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="A directory with rule files of yours, in place of BORGWATCH_RULES.",
        ),
        click.option(
            "--operation", type=click.Choice([*OPERATIONS, "other"]), default="backup", show_default=True,
            help="What a closing line counts for that names no command.",
        ),
        click.option("--job", help="The job that the lines are of; by default the file's name."),
    ):  # fmt: skip
        function = option(function)
    return function


def sound_matcher(rule_dirs: Sequence[Path]) -> Matcher:
    """Load the rules; raises `RuleError` with all that is wrong with them."""
    rules = load_rules(rule_dirs or load(os.environ).rules)
    if rules.problems:
        raise RuleError(list(rules.problems))
    return Matcher(rules.rules)
