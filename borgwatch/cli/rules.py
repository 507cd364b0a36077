"""`borgwatch rules`: list the rules, run their samples."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from borgwatch.cli.output import print_json, say_error
from borgwatch.config import load
from borgwatch.errors import RuleError
from borgwatch.matching.load import RuleSet, load_rules
from borgwatch.matching.rules import Rule
from borgwatch.matching.schema import schema
from borgwatch.samples import SampleResult, run_samples

__all__ = ["command"]

_DIRECTORIES = click.argument("directories", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))


@click.group("rules")
def command() -> None:
    """List the rules, run their samples."""


def _load(directories: tuple[Path, ...]) -> RuleSet:
    return load_rules(directories or load(os.environ).rules)


@command.command("list")
@_DIRECTORIES
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a rule.")
def list_rules(directories: tuple[Path, ...], as_json: bool) -> int:
    """List all rules in the order in which they are asked (yours, from DIRECTORIES or BORGWATCH_RULES, first)."""
    rules = _load(directories)
    for rule in rules.rules:
        if as_json:
            print_json({"id": rule.id, "says": _says(rule), "samples": len(rule.samples), "place": rule.place})
        else:
            click.echo(f"{rule.id:40} {_says(rule)}")
    return _tell_problems(rules)


def _says(rule: Rule) -> str:
    if rule.event is not None:
        return f"emit {rule.event.source}"
    return " ".join(filter(None, ("run", rule.phase.value, rule.operation, rule.outcome)))


@command.command("test")
@_DIRECTORIES
def test_rules(directories: tuple[Path, ...]) -> int:
    """Run the samples of all rules (yours, from DIRECTORIES or BORGWATCH_RULES, with the shipped ones)."""
    rules = _load(directories)
    results = run_samples(rules.rules)
    failed = [result for result in results if result.differences]
    for result in failed:
        _tell_failure(result)
    for rule in rules.rules:
        if not rule.samples:
            click.echo(f"{rule.place}: note: {rule.id} has no samples: nothing shows that it works")
    click.echo(f"{len(rules.rules)} rules, {len(results)} samples, {len(failed)} failed")
    return max(_tell_problems(rules), 1 if failed else 0)


@command.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of rule files, for editors."""
    click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))


def _tell_failure(result: SampleResult) -> None:
    click.echo(f"{result.sample.place}: FAILED {result.rule.id}")
    for line in result.sample.lines:
        click.echo(f"    line: {line!r}")
    for difference in result.differences:
        click.echo(f"    {difference}")


def _tell_problems(rules: RuleSet) -> int:
    for problem in rules.problems:
        say_error(problem)
    return RuleError.exit_code if rules.problems else 0
