"""`borgwatch rules`: list the rules with their hits, run their samples, print the schema of rule files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

import click

from borgwatch.cli.output import event_json, print_json, say_error
from borgwatch.config import load
from borgwatch.errors import JournalError, RuleError
from borgwatch.journal.lookback import Lookback
from borgwatch.matching.load import RuleSet, load_rules
from borgwatch.matching.remarks import Remark, remarks
from borgwatch.matching.rules import Rule
from borgwatch.matching.schema import schema
from borgwatch.matching.suspicious import RuleHits
from borgwatch.matching.templates import one_line
from borgwatch.redact import redact
from borgwatch.samples import SampleResult, run_samples
from borgwatch.settings import Settings

__all__ = ["command"]

_DIRECTORIES = click.argument("directories", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))


@click.group("rules")
def command() -> None:
    """List the rules, run their samples, print their schema."""


# -- list -----------------------------------------------------------------------------------------------------------


@command.command("list", short_help="List all rules, and how often each spoke.")
@_DIRECTORIES
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a rule.")
def list_rules(directories: tuple[Path, ...], as_json: bool) -> int:
    """List all rules in the order in which they are asked (yours, from DIRECTORIES or BORGWATCH_RULES, first).

    How often each spoke is taken from the journal (BORGWATCH_STATE), if there is one.
    """
    settings = load(os.environ)
    rules = load_rules(directories or settings.rules)
    hits = _hits(settings)
    notes = {remark.rule: remark for remark in remarks(rules)}
    for rule in rules.rules:
        if as_json:
            print_json(_rule_json(rule, hits, notes.get(rule.id)))
        else:
            click.echo(f"{rule.id:36} {one_line(_says(rule)):36} {_how_often(rule, hits)}".rstrip())
    if not as_json:
        _tell_remarks(notes.values())
    return _tell_problems(rules)


def _tell_remarks(notes: Iterable[Remark]) -> None:
    for remark in notes:
        click.echo(one_line(f"{remark.place}: note: {remark.rule}: {remark.what}"))


def _hits(settings: Settings) -> Mapping[str, RuleHits] | None:
    """Ask the journal how often each rule spoke; None, said on standard error, where it cannot be asked."""
    try:
        with closing(Lookback.open(settings.state)) as past:
            return past.rule_hits()
    except JournalError as error:
        say_error(f"no hits are shown: {error}")
        return None


def _how_often(rule: Rule, hits: Mapping[str, RuleHits] | None) -> str:
    if hits is None:
        return ""
    found = hits.get(rule.id)
    if found is None:
        return "never"
    times = "1 time" if found.count == 1 else f"{found.count} times"
    return f"{times}, last {found.last.astimezone().isoformat(timespec='seconds')}"


def _rule_json(rule: Rule, hits: Mapping[str, RuleHits] | None, remark: Remark | None) -> dict[str, object]:
    found = hits.get(rule.id) if hits else None
    return {
        "id": rule.id,
        "says": _says(rule),
        "samples": len(rule.samples),
        "place": rule.place,
        "hits": None if hits is None else found.count if found else 0,
        "last": found.last.isoformat() if found else None,
        "note": remark.what if remark is not None else None,
    }


def _says(rule: Rule) -> str:
    if rule.event is not None:
        return f"emit {rule.event.source}"
    return " ".join(filter(None, ("run", rule.phase.value, rule.operation, rule.outcome)))


# -- test -----------------------------------------------------------------------------------------------------------


@command.command("test", short_help="Run the samples of all rules.")
@_DIRECTORIES
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a sample.")
def test_rules(directories: tuple[Path, ...], as_json: bool) -> int:
    """Run the samples of all rules (yours, from DIRECTORIES or BORGWATCH_RULES, with the shipped ones).

    Exits 1 if a sample does not give what it must, 2 if a rule file is broken.
    """
    rules = load_rules(directories or load(os.environ).rules)
    results = run_samples(rules.rules)
    failed = [result for result in results if result.differences]
    if as_json:
        for result in results:
            print_json(_result_json(result))
    else:
        for result in failed:
            _tell_failure(result)
        for rule in rules.rules:
            if not rule.samples:
                click.echo(one_line(f"{rule.place}: note: {rule.id} has no samples: nothing shows that it works"))
        _tell_remarks(remarks(rules))
        click.echo(f"{len(rules.rules)} rules, {len(results)} samples, {len(failed)} failed")
    return max(_tell_problems(rules), 1 if failed else 0)


def _tell_failure(result: SampleResult) -> None:
    click.echo(one_line(f"{result.sample.place}: FAILED {result.rule.id}"))
    for line, speaker in zip(result.sample.lines, result.speakers, strict=True):
        click.echo(f"    line  {one_line(redact(line))}")
        click.echo(f"          {speaker or 'no rule'} spoke")
    for event in result.events:
        click.echo(f"    gave  {one_line(redact(f'{event.level.name} {event.name}: {event.title} | {event.message}'))}")
    for difference in result.differences:
        click.echo(f"    E     {one_line(redact(difference))}")


def _result_json(result: SampleResult) -> dict[str, object]:
    return {
        "rule": result.rule.id,
        "place": result.sample.place,
        "passed": not result.differences,
        "differences": [redact(difference) for difference in result.differences],
        "speakers": list(result.speakers),
        "events": [event_json(event) for event in result.events],
    }


# -- schema ---------------------------------------------------------------------------------------------------------


@command.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of rule files, for editors."""
    click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))


def _tell_problems(rules: RuleSet) -> int:
    for problem in rules.problems:
        say_error(problem)
    return RuleError.exit_code if rules.problems else 0
