"""The rules in force, what was wrong with files that are not, and what is noted of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from borgwatch.journal.notes import RejectedRules, RuleExpectations
from borgwatch.journal.store import Journal
from borgwatch.matching.load import RuleSet, load_rules
from borgwatch.policy.deadman import Expectation
from borgwatch.service import rulebook
from borgwatch.service.rulebook import Rulebook

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SOUND = "schema: 1\npack: my\nexpect: [{within: 26h}]\nrules: [{id: a, match: {text: x}, run: detail}]\n"
DAILY = (Expectation("*", "backup", 26 * HOUR),)


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal(":memory:")
    yield journal
    journal.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text(SOUND)
    return path


def test_what_is_wrong_changes_nothing_and_is_known_until_it_is_mended(file: Path) -> None:
    book = Rulebook([file.parent])
    in_force = book.rules
    file.write_text(SOUND + "rulez: []\n")
    assert (book.reload(), book.rules is in_force) == (False, True)
    assert book.rejected == (f"{file}:5:1: unknown key 'rulez' in a rule file (did you mean 'rules'?)",)
    file.write_text(SOUND.replace("id: a", "id: b"))
    assert book.reload()
    assert not book.rejected
    assert book.rules.rules[0].id == "my.b"


def test_a_directory_that_is_gone_is_not_an_empty_one(file: Path) -> None:
    """Where a share is away for a while, what its files expect is still expected; not so where a file was deleted."""
    book = Rulebook([file.parent, file.parent / "never-there"])
    away = file.parent.with_name("away")
    file.parent.rename(away)
    assert (book.reload(), book.rules.expectations) == (False, DAILY)
    assert book.rejected == (f"{file.parent}:1:1: the directory is gone",)
    away.rename(file.parent)
    assert (book.reload(), book.rules.expectations) == (True, DAILY)
    assert not book.rejected
    file.unlink()
    assert (book.reload(), book.rules.expectations) == (True, ())


def test_a_change_is_seen_that_comes_while_the_files_are_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are looked at before they are read: else the rest of a file that was half there would be missed."""
    clock = 0.0

    def read_and_change(directories: Iterable[Path]) -> RuleSet:
        rules = load_rules(directories)
        with file.open("a") as more:
            more.write("# more\n")
        return rules

    with monkeypatch.context() as changing:
        changing.setattr(rulebook, "load_rules", read_and_change)
        book = Rulebook([file.parent], lambda: clock)
        assert not book.changed()
        clock += 1
        assert book.changed()
        book.reload()
    assert not book.changed()
    clock += 1
    assert book.changed()


def test_what_was_rejected_is_noted_with_the_time_since_when(file: Path, journal: Journal) -> None:
    book = Rulebook([file.parent])
    book.note(journal, NOW)
    assert journal.note(RejectedRules) == RejectedRules(NOW)
    file.write_text("schema: 1\npack: my\nrules: [{}, {}, {}, {}]\n")
    for hours in (1, 2):
        book.reload()
        book.note(journal, NOW + hours * HOUR)
        noted = journal.note(RejectedRules)
        assert noted is not None
        assert (noted.since, noted.count, noted.problems) == (NOW + HOUR, 4, book.rejected[:3])
    file.write_text(SOUND)
    book.reload()
    book.note(journal, NOW + 3 * HOUR)
    assert journal.note(RejectedRules) == RejectedRules(NOW + 3 * HOUR)


def test_files_that_are_wrong_at_the_start_expect_what_they_expected_when_they_were_sound(
    file: Path, journal: Journal
) -> None:
    file.write_text("schema: [\n")
    assert Rulebook([file.parent]).expectations(journal) == ()
    journal.set_note(RuleExpectations(DAILY))
    book = Rulebook([file.parent])
    assert book.expectations(journal) == DAILY
    book.note(journal, NOW)
    assert journal.note(RuleExpectations) == RuleExpectations(DAILY)
    file.write_text("schema: 1\npack: my\nrules: []\n")
    assert (book.reload(), book.expectations(journal)) == (True, ())


def test_what_is_noted_of_a_file_can_be_shown_anywhere(file: Path) -> None:
    file.write_text(f'schema: 1\npack: my\nrules: []\n"\\e]0;x\\a\\u202e {"k" * 5000}": 1\n')
    (problem,) = Rulebook([file.parent]).rejected
    assert problem.isprintable()
    assert len(problem) <= 2000
