"""Which test is which hard case: each has at least one, and each is really there.

1  half a line now, the rest later            20 journal: full, read-only, damaged, older, newer, in use
2  a last line without its end                21 SIGTERM, SIGHUP, broken rules
3  rename and create                          22 samples, and lines that must not match
4  rotated twice, while stopped, compressed   23 a pattern that would back-track
5  copied and truncated                       24 error texts with their places
6  emptied, replaced, inode numbers reused    25 log text that would inject
7  a line dropped at the top                  26 the traps of what Borg writes
8  deleted and made again, links, two names   27 two jobs in a file, a job in two files
9  one file a run, thousands of them          28 began and fell silent
10 an old, large log at the first start       29 the dead-man's switch
11 a very long line                           30 failure, failure, success, failure
12 NUL bytes, bad UTF-8, BOM, CRLF, lone CR   31 a user dismisses the alert
13 no notifications, lost ones, a full queue  32 each release and its ways
14 watch limit, open files, permission, I/O   33 away for hours, very much pending
15 clock jumps, times in the future           34 the connection cut at every step
16 two writers, glued output                  35 what stands in the way, each with its remedy
17 FIFO, socket, device, directory, /proc     36 a hostile or broken server
18 kill -9 at any moment                      37 the key appears nowhere
19 kill -9 between delivery and its record
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
NUMBERED = ("sources/test_tail.py", "sources/test_hard_cases.py", "sources/test_compressed.py", "sources/test_wake.py",
            "sources/test_docker.py", "sources/test_status.py", "sources/test_agenda.py",
            "test_hard_cases_of_rules.py")  # fmt: skip
"""Modules whose tests say in their names which case they are: `test_04_...`."""

ELSEWHERE: dict[int, tuple[str, ...]] = {
    10: ("e2e/test_run.py::test_what_stood_in_the_log_before_is_learnt_from_and_alerts_nobody",),
    12: (
        "decode/test_decode.py::test_text_is_what_a_terminal_would_have_left_standing",
        "sources/test_progress.py::test_the_end_of_hours_of_progress_is_a_line",
    ),
    13: (
        "sources/test_wake.py::test_polling_goes_on_where_there_are_no_hints",
        "sources/test_wake.py::test_dead_threads_are_replaced",
    ),
    14: (
        "sources/test_wake.py::test_a_reached_watch_limit_is_told_once_and_polling_goes_on",
        "e2e/test_permission.py::test_14_permission_that_is_granted_later_loses_nothing",
    ),
    15: (
        "policy/test_deadman.py::test_the_night_of_the_clock_change_counts_real_hours",
        "matching/test_time.py::test_a_time_in_the_future_is_not_believed",
    ),
    16: ("decode/test_decode.py::test_an_object_glued_behind_a_prompt_is_found",),
    18: (
        "sources/test_torture.py::test_nothing_is_lost_or_repeated_whatever_writers_and_crashes_do",
        "e2e/test_kill.py::test_kill_9_at_any_moment_neither_loses_nor_repeats",
        "journal/test_store.py::test_kill_9_while_writing_leaves_whole_transactions",
    ),
    19: (
        "e2e/test_run.py::test_case_19_a_kill_9_between_a_delivery_and_its_record_shows_it_once",
        "e2e/test_run.py::test_an_alert_found_while_truenas_is_away_survives_kill_9_and_arrives_once",
        "truenas/test_delivery.py::test_a_second_delivery_changes_nothing",
    ),
    20: (
        "journal/test_store.py::test_a_full_disk_is_told_and_leaves_nothing",
        "journal/test_store.py::test_a_directory_that_cannot_be_written_is_said",
        "journal/test_store.py::test_a_damaged_journal_is_moved_aside_and_said",
        "journal/test_store.py::test_a_journal_of_a_newer_borgwatch_is_refused_and_left_alone",
        "journal/test_store.py::test_a_second_service_on_the_same_directory_is_refused",
        "service/test_process.py::test_a_step_that_breaks_is_told_and_tried_again",
        "e2e/test_run.py::test_a_second_service_on_the_same_state_is_refused",
    ),
    21: (
        "e2e/test_run.py::test_sigterm_ends_it_in_time_even_in_the_middle_of_a_login_that_never_ends",
        "e2e/test_run.py::test_sighup_reads_the_rules_again_and_broken_ones_leave_the_old",
    ),
    26: ("test_traps.py::test_trap_1_damage_is_a_failure_whatever_the_exit_code",),
    27: ("test_judge.py::test_case_27_one_job_in_two_files_is_one_run",),
    28: ("test_pipeline.py::test_case_28_started_and_silent_is_stalled_once_and_the_late_end_tells_the_true_outcome",),
    29: (
        "test_pipeline.py::test_case_29_only_a_success_arms_the_switch_and_only_a_success_feeds_it",
        "test_pipeline.py::test_case_29_a_connection_that_breaks_when_a_run_is_due_trips_nothing",
        "policy/test_unread.py::test_the_switch_waits_for_what_may_hold_the_success",
    ),
    30: ("e2e/test_hard_cases.py::test_case_30_failure_failure_success_failure",),
    31: (
        "e2e/test_hard_cases.py::test_case_31_a_dismissed_alert_stays_away_until_something_new_happens",
        "service/test_courier.py::test_31_a_dismissal_outlives_a_crash_that_loses_the_alert",
        "journal/test_store.py::test_31_what_a_user_dismissed_is_not_missed_unless_something_new_came_up",
    ),
    32: (
        "truenas/simulator/test_transcripts.py::test_every_scenario_agrees",
        "truenas/test_ladder.py::test_a_session_knows_its_rung_before_the_first_alert",
        "truenas/test_delivery.py::test_a_number_of_a_job_is_not_delivered_though_the_alert_is_listed",
    ),
    33: ("service/test_courier.py::test_no_storm_after_hours_away",),
    34: ("truenas/test_delivery.py::test_a_connection_cut_anywhere_ends_in_the_right_state",),
    35: (
        "truenas/test_connection.py::test_connection_refused",
        "truenas/test_connection.py::test_a_name_that_cannot_be_resolved",
        "truenas/test_connection.py::test_an_http_answer_is_named",
        "truenas/test_key_safety.py::test_the_redirect_of_the_http_port_is_said",
    ),
    36: (
        "truenas/test_delivery.py::test_a_frame_without_end_is_not_read",
        "truenas/test_connection.py::test_a_frame_that_drips_without_end_does_not_keep_a_call_from_ending",
        "truenas/test_connection.py::test_an_answer_with_a_wrong_number_is_not_taken",
    ),
    37: (
        "truenas/test_key_safety.py::test_no_log_of_the_websocket_shows_the_key_at_any_level",
        "e2e/test_run.py::test_the_key_stands_in_no_line_and_not_in_the_process_list",
        "test_leaks.py::test_a_key_in_any_place_is_found",
    ),
}


def names_in(module: str) -> set[str]:
    """List the tests of a module."""
    tree = ast.parse((TESTS / module).read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


@pytest.mark.parametrize("case", range(1, 38))
def test_every_hard_case_has_a_test_that_exists(case: int) -> None:
    """By the number in its name, or by the table above."""
    numbered = [name for module in NUMBERED for name in names_in(module) if name.startswith(f"test_{case:02}_")]
    named = ELSEWHERE.get(case, ())
    for place in named:
        module, _, name = place.partition("::")
        assert name in names_in(module), f"{place} is not there"
    assert numbered or named
