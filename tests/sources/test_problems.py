from __future__ import annotations

from borgwatch.sources.problems import Ledger, Problem


def test_a_problem_is_told_once_and_so_is_its_end() -> None:
    ledger = Ledger()
    told = []
    for _ in range(3):
        ledger.wrong("a", "broken")
        told.append(ledger.drain())
    for _ in range(2):
        ledger.fine("a")
        told.append(ledger.drain())

    assert told == [(Problem("a", "broken"),), (), (), (Problem("a", "broken", resolved=True),), ()]


def test_a_problem_that_changes_is_told_anew() -> None:
    ledger = Ledger()
    ledger.wrong("a", "broken")
    ledger.drain()
    ledger.wrong("a", "gone")

    assert ledger.drain() == (Problem("a", "gone"),)


def test_what_works_for_one_file_does_not_end_what_is_wrong_for_another() -> None:
    ledger = Ledger()
    for _ in range(2):
        ledger.fine("open files")
        ledger.wrong("open files", "too many")
        ledger.fine("open files")

    assert ledger.drain() == (Problem("open files", "too many"),)


def test_a_note_is_told_each_time() -> None:
    ledger = Ledger()
    ledger.note("a", "lost")
    ledger.note("a", "lost")

    assert len(ledger.drain()) == 2
