"""Which test is which hard case of reading files and of crashes: each case has at least one, and each is really there.

1  half a line now, the rest later            12  NUL bytes, bad UTF-8, BOM, CRLF, lone CR
2  a last line without its end                13  no notifications, lost ones, a full queue
3  rename and create                          14  watch limit, open files, permission, I/O error, stale handle
4  rotated twice, while stopped, compressed   15  clock jumps, times in the future
5  copied and truncated                       16  two writers, glued output
6  emptied, replaced, inode numbers reused    17  FIFO, socket, device, directory, /proc
7  a line dropped at the top                  18  kill -9 at any moment
8  deleted and made again, links, two names   19  kill -9 between delivery and its record
9  one file a run, thousands of them          20  journal: full, read-only, damaged, older, newer, in use
10 an old, large log at the first start       21  SIGTERM, SIGHUP, broken rules
11 a very long line
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
NUMBERED = ("sources/test_tail.py", "sources/test_hard_cases.py", "sources/test_compressed.py", "sources/test_wake.py",
            "sources/test_docker.py", "sources/test_status.py", "sources/test_agenda.py")  # fmt: skip
"""Modules whose tests say in their names which case they are: `test_04_...`."""

ELSEWHERE: dict[int, tuple[str, ...]] = {
    10: ("e2e/test_run.py::test_what_stood_in_the_log_before_is_learnt_from_and_alerts_nobody",),
    12: ("decode/test_decode.py::test_text_is_what_a_terminal_would_have_left_standing",),
    13: (
        "sources/test_wake.py::test_polling_goes_on_where_there_are_no_hints",
        "sources/test_wake.py::test_dead_threads_are_replaced",
    ),
    14: ("sources/test_wake.py::test_a_reached_watch_limit_is_told_once_and_polling_goes_on",),
    15: (
        "test_deadman.py::test_the_night_of_the_clock_change_counts_real_hours",
        "matching/test_time.py::test_a_time_in_the_future_is_not_believed",
    ),
    16: ("decode/test_decode.py::test_an_object_glued_behind_a_prompt_is_found",),
    18: (
        "sources/test_torture.py::test_nothing_is_lost_or_repeated_whatever_writers_and_crashes_do",
        "e2e/test_kill.py::test_kill_9_at_any_moment_neither_loses_nor_repeats",
        "test_journal.py::test_kill_9_while_writing_leaves_whole_transactions",
    ),
    19: ("e2e/test_run.py::test_an_alert_found_while_truenas_is_away_survives_kill_9_and_arrives_once",),
    20: (
        "test_journal.py::test_a_full_disk_is_told_and_leaves_nothing",
        "test_journal.py::test_a_directory_that_cannot_be_written_is_said",
        "test_journal.py::test_a_damaged_journal_is_moved_aside_and_said",
        "test_journal.py::test_a_journal_of_a_newer_borgwatch_is_refused_and_left_alone",
        "test_journal.py::test_a_second_service_on_the_same_directory_is_refused",
        "test_service.py::test_a_journal_that_cannot_be_written_is_told_and_the_lines_wait",
        "e2e/test_run.py::test_a_second_service_on_the_same_state_is_refused",
    ),
    21: (
        "e2e/test_run.py::test_sigterm_ends_it_in_time_even_in_the_middle_of_a_login_that_never_ends",
        "e2e/test_run.py::test_sighup_reads_the_rules_again_and_broken_ones_leave_the_old",
    ),
}


def names_in(module: str) -> set[str]:
    """List the tests of a module."""
    tree = ast.parse((TESTS / module).read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


@pytest.mark.parametrize("case", range(1, 22))
def test_every_hard_case_has_a_test_that_exists(case: int) -> None:
    """By the number in its name, or by the table above."""
    numbered = [name for module in NUMBERED for name in names_in(module) if name.startswith(f"test_{case:02}_")]
    named = ELSEWHERE.get(case, ())
    for place in named:
        module, _, name = place.partition("::")
        assert name in names_in(module), f"{place} is not there"
    assert numbered or named
