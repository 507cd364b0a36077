"""Read rule files and merge them: shipped packs first, the user's files over them.

A file is one pack. Where a user's pack has the name of a shipped one, its rules take the place of those with the
same id, or switch them off (`enabled: false`); its other rules are asked before all shipped ones. A broken file is
left out whole and every fault in it is told, so that the sound files go on working.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from borgwatch.matching.read_pack import Base, read_pack
from borgwatch.matching.rules import Pack, Rule
from borgwatch.policy.deadman import Expectation
from borgwatch.yamltree import Document, nearest

__all__ = ["RuleSet", "is_rule_file", "load_rules", "parse_pack", "shipped_rules_dir"]

_SUFFIXES = (".yaml", ".yml")


def is_rule_file(name: str) -> bool:
    """Say whether a file of this name holds rules; hidden ones are what editors and file servers leave behind."""
    return name.endswith(_SUFFIXES) and not name.startswith(".")


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules in the order in which they are asked, the packs they come from, and what was wrong with files.

    Of `expectations`, the first that fits a job and operation counts; the user's stand before the shipped ones.
    """

    rules: tuple[Rule, ...]
    packs: tuple[Pack, ...]
    problems: tuple[str, ...] = ()
    expectations: tuple[Expectation, ...] = ()


def shipped_rules_dir() -> Path:
    """Find the packs that come with borgwatch: inside the installed package, or in the checkout beside it."""
    packaged = Path(str(resources.files("borgwatch"))) / "packs"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "rules"


def load_rules(user_dirs: Iterable[Path] = (), *, shipped: Path | None = None) -> RuleSet:
    """Load the shipped packs and the rule files in `user_dirs`; a directory that is not there holds none."""
    problems: list[str] = []
    bases: dict[str, Base] = {}
    shipped_packs = _load_dir(shipped or shipped_rules_dir(), problems, bases, shipped=True)
    user_packs = [pack for directory in user_dirs for pack in _load_dir(directory, problems, bases, shipped=False)]
    rules = _merge(shipped_packs, user_packs, problems)
    expectations = tuple(item for pack in (*user_packs, *shipped_packs) for item in pack.expectations)
    return RuleSet(rules, (*shipped_packs, *user_packs), tuple(problems), expectations)


def _load_dir(directory: Path, problems: list[str], bases: dict[str, Base], *, shipped: bool) -> list[Pack]:
    try:
        files = sorted(path for path in directory.iterdir() if is_rule_file(path.name) and not path.is_dir())
    except FileNotFoundError:
        files = []
    except OSError as error:
        problems.append(f"{directory}:1:1: rules cannot be read: {error.strerror}")
        files = []
    packs = []
    for path in files:
        document = _document(path)
        known = dict(bases)
        pack = read_pack(document, known)
        problems.extend(document.in_order())
        if pack is not None and not document.problems:
            packs.append(replace(pack, shipped=shipped))
            bases.update(known)
    return packs


def _document(path: Path) -> Document:
    """Read a file, but no pipe or device: one would never end."""
    try:
        is_regular = stat.S_ISREG(path.stat().st_mode)
    except OSError:
        is_regular = True  # opening it tells why not
    return Document.load(path) if is_regular else Document(str(path), problems=[f"{path}:1:1: it is no regular file"])


def _merge(shipped: list[Pack], user: list[Pack], problems: list[str]) -> tuple[Rule, ...]:
    replaced: dict[str, Rule] = {}
    for rule in (rule for pack in user for rule in pack.rules):
        if rule.id in replaced:
            problems.append(f"{rule.place}: the id {rule.id!r} stands already at {replaced[rule.id].place}")
        else:
            replaced[rule.id] = rule
    shipped_ids = {rule.id for pack in shipped for rule in pack.rules}
    disabled = {rule_id: place for pack in user for rule_id, place in pack.disabled.items()}
    for rule_id, place in disabled.items():
        if rule_id not in shipped_ids and rule_id not in replaced:
            hint = nearest(rule_id, shipped_ids)
            problems.append(f"{place}: enabled: false names the rule {rule_id!r}, which is not there{hint}")
    own = tuple(rule for rule_id, rule in replaced.items() if rule_id not in shipped_ids)
    left = (rule for pack in shipped for rule in pack.rules if rule.id in replaced or rule.id not in disabled)
    return own + tuple(replaced.get(rule.id, rule) for rule in left)


def parse_pack(text: str, name: str) -> tuple[Pack | None, list[str]]:
    """Read one pack from text; returns it with the problems found (the pack is whole only if there are none)."""
    document = Document.parse(text, name)
    return read_pack(document, {}), document.problems
