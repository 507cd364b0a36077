from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from borgwatch.model import Outcome, Phase, Signal
from borgwatch.runs import machine as runs
from borgwatch.runs.effects import EFFECTS
from borgwatch.runs.machine import ACTIONS, Action, Kind, Limits, advance, finish, settle
from borgwatch.runs.run import RANK, Evidence, Run, Stream, resolve
from tests import draw_runs

T0 = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
LIMITS = Limits()
SUCCESS, WARNING, FAILURE = Outcome.SUCCESS, Outcome.WARNING, Outcome.FAILURE


def _action(label: str) -> Mapping[str, str]:
    return {"_stage": "action", "label": label}


class Script:
    """Signals of one stream, one after the other; `at` is seconds after two o'clock."""

    def __init__(self, stream: Stream | None = None) -> None:
        self.stream = stream or Stream()
        self.ended: list[Run] = []
        self._count = 0

    def say(
        self,
        phase: Phase,
        operation: str | None = None,
        outcome: Outcome | None = None,
        captured: Mapping[str, str] | None = None,
        *,
        at: float = 0,
        timed: bool = True,
        rule: str = "",
        weight: int = 0,
        past: bool = False,
    ) -> Script:
        """Take in one signal."""
        self._count += 1
        time = T0 + timedelta(seconds=at)
        signal = Signal(
            rule=rule or f"{phase.value}-{operation}",
            phase=phase,
            job="nas",
            source="log",
            line_id=f"line-{self._count}",
            read_at=time,
            time=time if timed else None,
            operation=operation,
            outcome=outcome,
            message=f"message {self._count}",
            weight=weight,
            past=past,
            captured=captured or {},
        )
        self.stream, ended = advance(self.stream, signal, LIMITS)
        self.ended.extend(ended)
        return self

    def start(self, operation: str, *, at: float = 0, rule: str = "", timed: bool = True) -> Script:
        """Take in a start."""
        return self.say(Phase.START, operation, at=at, rule=rule, timed=timed)

    def action(self, operation: str, label: str = "", *, at: float = 0, timed: bool = True) -> Script:
        """Take in the start of an action of a wrapper."""
        return self.say(Phase.START, operation, None, _action(label), at=at, timed=timed)

    def detail(
        self, operation: str | None = None, outcome: Outcome | None = None, *, at: float = 0, weight: int = 0
    ) -> Script:
        """Take in a detail."""
        return self.say(Phase.DETAIL, operation, outcome, at=at, weight=weight)

    def end(self, outcome: Outcome, *, at: float = 0, operation: str | None = None, timed: bool = True) -> Script:
        """Take in an end."""
        return self.say(Phase.END, operation, outcome, at=at, timed=timed)

    def summary(self, outcome: Outcome, *, at: float = 0) -> Script:
        """Take in a script's last line."""
        return self.say(Phase.END, runs.ALL, outcome, at=at)

    def silence(self, seconds: float) -> Script:
        """Let it be silent for so long."""
        assert self.stream.open is not None
        since = self.stream.open.read
        self.stream, ended = settle(self.stream, since, since + timedelta(seconds=seconds), LIMITS)
        self.ended.extend(ended)
        return self

    def finish(self) -> Script:
        """Let nothing more come."""
        self.stream, ended = finish(self.stream)
        self.ended.extend(ended)
        return self

    @property
    def told(self) -> list[str]:
        """What was told, in its order."""
        return [f"{run.operation}.{run.outcome}" for run in self.ended]


# -- the table ------------------------------------------------------------------------------------------------

# Signals that bring a stream to each row of the table, and what must have been told in the end.
_Said = tuple[Phase, str | None, Outcome | None] | tuple[Phase, str | None, Outcome | None, Mapping[str, str]]

ROWS: dict[tuple[bool, Kind], tuple[Script, _Said, list[str]]] = {
    (False, Kind.START): (Script(), (Phase.START, "backup", None), []),
    (False, Kind.DETAIL): (Script(), (Phase.DETAIL, "backup", None), []),
    (False, Kind.DETAIL_LATE): (
        Script().detail("backup", WARNING).silence(900),
        (Phase.DETAIL, None, FAILURE),
        ["backup.warning", "backup.failure"],
    ),
    (False, Kind.DETAIL_KNOWN): (
        Script().detail("backup", FAILURE, weight=10).end(FAILURE),
        (Phase.DETAIL, None, FAILURE),
        ["backup.failure"],
    ),
    (False, Kind.END): (Script(), (Phase.END, None, SUCCESS), ["backup.success"]),
    (False, Kind.END_LATE): (
        Script().detail("backup", FAILURE).silence(10),
        (Phase.END, None, SUCCESS),
        ["backup.failure", "backup.warning"],
    ),
    (False, Kind.END_KNOWN): (Script().end(SUCCESS), (Phase.END, "backup", SUCCESS), ["backup.success"]),
    (False, Kind.SUMMARY): (Script(), (Phase.END, runs.ALL, SUCCESS), ["backup.success"]),
    (True, Kind.START): (Script().start("backup"), (Phase.START, "prune", None), []),
    (False, Kind.RESTART): (Script(), (Phase.EVENT, "container", None), []),
    (True, Kind.RESTART): (Script().start("backup"), (Phase.EVENT, "container", None), ["backup.failure"]),
    (True, Kind.START_AGAIN): (Script().start("backup"), (Phase.START, "backup", None), ["backup.failure"]),
    (True, Kind.START_NEXT): (Script().action("backup", "nas"), (Phase.START, "backup", None, _action("offsite")), []),
    (True, Kind.START_JOINS): (Script().detail("backup"), (Phase.START, "backup", None), []),
    (True, Kind.DETAIL): (Script().start("backup"), (Phase.DETAIL, "backup", None), []),
    (True, Kind.DETAIL_KNOWN): (
        Script().detail("backup", FAILURE, weight=10).end(FAILURE).start("verify"),
        (Phase.DETAIL, None, FAILURE, {"_whole": "yes"}),
        ["backup.failure"],
    ),
    (True, Kind.DETAIL_OTHER): (
        Script().detail("backup", SUCCESS),
        (Phase.DETAIL, "prune", None),
        ["backup.success"],
    ),
    (True, Kind.END): (Script().start("prune"), (Phase.END, None, SUCCESS), ["prune.success"]),
    (True, Kind.END_LATE): (
        Script().detail("verify", FAILURE).silence(900).detail("backup"),
        (Phase.END, "verify", SUCCESS),
        ["verify.failure", "verify.warning"],
    ),
    (True, Kind.END_KNOWN): (
        Script().start("verify").end(SUCCESS).start("backup"),
        (Phase.END, "verify", SUCCESS),
        ["verify.success"],
    ),
    (True, Kind.END_OTHER): (
        Script().detail("backup", SUCCESS),
        (Phase.END, "verify", SUCCESS),
        ["backup.success", "verify.success"],
    ),
    (True, Kind.SUMMARY): (Script().start("backup"), (Phase.END, runs.ALL, SUCCESS), ["backup.success"]),
}
LEAVES_OPEN = {Action.OPEN, Action.ADD, Action.CUT_OPEN, Action.NEXT_OPEN}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[Action]:
    """The actions that were taken while the test ran."""
    actions: list[Action] = []

    def watched(action: Action) -> object:
        handler = EFFECTS[action]

        def handle(stream: Stream, signal: Signal) -> tuple[Stream, tuple[Run, ...]]:
            actions.append(action)
            return handler(stream, signal)

        return handle

    monkeypatch.setattr(runs, "EFFECTS", {action: watched(action) for action in EFFECTS})
    return actions


def test_every_row_of_the_table_is_walked_below() -> None:
    assert set(ACTIONS) == set(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{'open' if row[0] else 'none'}-{row[1].name}")
def test_signals_reach_the_row_and_its_action_is_taken(row: tuple[bool, Kind], taken: list[Action]) -> None:
    prepared, last, told = ROWS[row]
    script = Script(prepared.stream)
    script.ended = list(prepared.ended)
    taken.clear()

    assert row[0] is (script.stream.open is not None)
    script.say(*last)

    assert [ACTIONS[row]] == taken
    assert told == script.told
    if row[1] not in (Kind.END_LATE, Kind.END_KNOWN, Kind.DETAIL_KNOWN):
        assert (ACTIONS[row] in LEAVES_OPEN) is (script.stream.open is not None)


def test_every_action_has_a_handler() -> None:
    assert set(Action) == set(EFFECTS) == set(ACTIONS.values())


def test_the_docstring_shows_every_action_of_the_table() -> None:
    words = {
        Action.OPEN: "OPEN a run",
        Action.ADD: "ADD to it",
        Action.CLOSE: "CLOSE it",
        Action.OPEN_CLOSE: "OPEN a run and CLOSE it",
        Action.CUT_OPEN: "CUT the run off, OPEN one",
        Action.NEXT_OPEN: "end the run (NEXT), OPEN one",
        Action.NEXT_CLOSE: "end the run (NEXT), CLOSE one",
        Action.AMEND: "AMEND that run",
        Action.SUM_UP: "SUM UP all its runs",
        Action.BREAK_OFF: "BREAK the run off",
        Action.IGNORE: "IGNORE it",
    }
    table = (runs.__doc__ or "").split("==\n")[2].split("\n==")[0]
    shown = {re.split(r" {2,}", line)[-1] for line in table.strip().splitlines()}

    assert set(words) == set(Action)
    assert shown == {*words.values(), "as if no run were open"}


def test_no_sequence_of_signals_falls_out_of_the_table() -> None:
    """Every chain of four signals is judged, whatever it is; a run is told again only with another outcome."""
    alphabet = [
        (Phase.START, "backup", None),
        (Phase.DETAIL, None, WARNING),
        (Phase.DETAIL, "prune", FAILURE),
        (Phase.END, None, SUCCESS),
        (Phase.END, "verify", FAILURE),
        (Phase.END, runs.ALL, FAILURE),
    ]
    for chain in product(alphabet, repeat=4):
        for pause in (0, 60, 3000):
            script = Script()
            for number, (phase, operation, outcome) in enumerate(chain):
                script.say(phase, operation, outcome, at=number * pause)
            script.finish()
            last: dict[str, Outcome | None] = {}
            for run in script.ended:
                assert last.get(run.id) is not run.outcome, chain
                last[run.id] = run.outcome
            assert script.stream.open is None
            assert all(run.outcome is not None and run.operation not in (None, runs.ALL) for run in script.ended), chain


# -- resolve --------------------------------------------------------------------------------------------------

SOFT, FIRM = 0, 5


@pytest.mark.parametrize(
    ("operation", "found", "weight", "closing", "expected"),
    [
        ("backup", None, SOFT, None, None),
        ("backup", None, SOFT, SUCCESS, SUCCESS),
        ("backup", None, SOFT, WARNING, WARNING),
        ("backup", None, SOFT, FAILURE, FAILURE),
        ("backup", SUCCESS, SOFT, None, SUCCESS),
        ("backup", SUCCESS, SOFT, SUCCESS, SUCCESS),
        ("backup", SUCCESS, FIRM, WARNING, WARNING),
        ("backup", SUCCESS, FIRM, FAILURE, FAILURE),
        ("backup", WARNING, SOFT, None, WARNING),
        ("backup", WARNING, SOFT, SUCCESS, SUCCESS),
        ("backup", WARNING, FIRM, SUCCESS, WARNING),
        ("backup", WARNING, SOFT, WARNING, WARNING),
        ("backup", WARNING, FIRM, FAILURE, FAILURE),
        ("backup", FAILURE, SOFT, None, FAILURE),
        ("backup", FAILURE, SOFT, SUCCESS, WARNING),
        ("backup", FAILURE, SOFT, WARNING, WARNING),
        ("backup", FAILURE, FIRM, SUCCESS, FAILURE),
        ("backup", FAILURE, FIRM, WARNING, FAILURE),
        ("backup", FAILURE, FIRM, FAILURE, FAILURE),
        ("verify", FAILURE, FIRM, None, FAILURE),
        ("verify", FAILURE, FIRM, SUCCESS, WARNING),
        ("verify", FAILURE, FIRM, WARNING, FAILURE),
        ("verify", FAILURE, FIRM, FAILURE, FAILURE),
    ],
)
def test_evidence_is_weighed_against_the_closing_line(
    operation: str, found: Outcome | None, weight: int, closing: Outcome | None, expected: Outcome | None
) -> None:
    evidence = Evidence(found, "rule", "message", weight=weight) if found else None

    assert expected is resolve(operation, evidence, closing)


def test_no_evidence_makes_a_closing_line_milder() -> None:
    for operation, found, weight, closing in product(
        ("backup", "verify"), (None, SUCCESS, WARNING, FAILURE), (SOFT, FIRM), (SUCCESS, WARNING, FAILURE)
    ):
        evidence = Evidence(found, "rule", "", weight=weight) if found else None
        outcome = resolve(operation, evidence, closing)
        assert outcome is not None
        assert RANK[outcome] >= RANK[closing]


# -- silence --------------------------------------------------------------------------------------------------


def test_a_run_that_falls_silent_is_stalled_once() -> None:
    script = Script().start("backup")

    assert script.silence(24 * 3600 - 1).told == []
    assert script.silence(24 * 3600).told == ["backup.stalled"]
    assert script.finish().told == ["backup.stalled"]


def test_the_late_end_of_a_stalled_run_tells_the_true_outcome_of_that_run() -> None:
    script = Script().start("prune").silence(24 * 3600).end(SUCCESS, at=30 * 3600)

    assert script.told == ["prune.stalled", "prune.success"]
    assert len({run.id for run in script.ended}) == 1


def test_a_summary_after_a_stall_tells_the_true_outcome() -> None:
    script = Script().start("backup").silence(24 * 3600).summary(SUCCESS, at=30 * 3600)

    assert script.told == ["backup.stalled", "backup.success"]


def test_a_new_start_after_a_stall_is_a_run_of_its_own() -> None:
    script = Script().start("backup").silence(24 * 3600).start("backup", at=25 * 3600).end(SUCCESS, at=25 * 3600 + 9)

    assert script.told == ["backup.stalled", "backup.success"]
    assert len({run.id for run in script.ended}) == 2


def test_a_detail_that_names_no_operation_and_nothing_else_is_no_run() -> None:
    assert Script().detail().finish().told == []


@pytest.mark.parametrize(
    ("operation", "outcome", "seconds"),
    [("backup", FAILURE, 10), ("backup", SUCCESS, 10), ("backup", WARNING, 900), ("verify", FAILURE, 900)],
)
def test_silence_after_evidence_settles_a_run(operation: str, outcome: Outcome, seconds: int) -> None:
    script = Script().detail(operation, outcome)

    assert script.silence(seconds - 1).told == []
    assert [f"{operation}.{outcome}"] == script.silence(seconds).told


def test_the_clock_of_the_log_settles_a_run_before_the_next_begins() -> None:
    script = Script().detail("backup", FAILURE, weight=10).detail("backup", SUCCESS, at=3600)

    assert script.told == ["backup.failure"]


def test_a_late_closing_line_belongs_to_its_run_and_tells_one_outcome() -> None:
    script = Script().detail("backup", FAILURE).end(SUCCESS, at=60)

    assert script.told == ["backup.warning"]


def test_a_check_that_reads_on_after_damage_is_one_run() -> None:
    script = Script().start("verify").detail("verify", FAILURE, at=5, weight=10)
    for minute in range(1, 60, 5):
        script.detail("verify", at=minute * 60)

    assert script.end(WARNING, at=3600).told == ["verify.failure"]


def test_a_clock_that_runs_backwards_ends_nothing() -> None:
    assert Script().start("backup", at=3600).detail("backup", at=-3600).end(SUCCESS, at=-3000).told == [
        "backup.success"
    ]


def test_an_outcome_that_did_not_change_is_not_told_again() -> None:
    script = Script().detail("backup", FAILURE, weight=5).silence(10).end(FAILURE, at=11)

    assert script.told == ["backup.failure"]
    assert script.stream.done[-1].closed


# -- one script, several commands -------------------------------------------------------------------------------


def test_a_run_that_the_next_start_cuts_off_is_a_failure_that_says_so() -> None:
    script = Script().start("backup").start("backup", at=86000)

    assert script.told == ["backup.failure"]
    telling = script.ended[0].telling
    assert telling is not None
    assert "cut off" in telling.message


def test_a_run_without_the_closing_line_it_used_to_have_was_killed() -> None:
    script = Script().start("backup").end(SUCCESS).start("backup", at=86400).start("prune", at=86410)

    assert script.told == ["backup.success", "backup.failure"]
    telling = script.ended[1].telling
    assert telling is not None
    assert "without its closing line" in telling.message


def test_a_missing_closing_line_tells_once_and_then_none_is_awaited() -> None:
    """Whoever takes `--show-rc` out of the script hears of it once."""
    script = Script().start("backup").end(SUCCESS)
    for day in (1, 2, 3):
        script.start("backup", at=day * 86400).start("prune", at=day * 86400 + 10)

    assert script.told == ["backup.success", "backup.failure"]


def test_a_run_that_never_had_closing_lines_is_not_called_killed() -> None:
    assert Script().start("backup").start("prune", at=10).told == []


def test_a_good_prune_does_not_hide_a_failed_backup() -> None:
    script = Script().start("backup").end(FAILURE, at=5).start("prune", at=6).end(SUCCESS, at=9)

    assert script.told == ["backup.failure", "prune.success"]


def test_two_operations_without_closing_lines_get_theirs_from_the_summary() -> None:
    script = Script().start("backup").start("prune", at=5).summary(SUCCESS, at=9)

    assert script.told == ["backup.success", "prune.success"]


@pytest.mark.parametrize(("labels", "timed"), [(("nas", "offsite"), False), (("", ""), True)])
def test_the_summary_of_a_wrapper_decides_the_runs_of_all_its_repositories(
    labels: tuple[str, str], timed: bool
) -> None:
    """Also where a backup takes longer than a session lasts."""
    script = Script()
    for number, label in enumerate(labels):
        at = number * 8000
        script.action("backup", label, at=at, timed=timed).action("prune", label, at=at + 7000, timed=timed)
    script.end(SUCCESS, operation="all", at=15_100, timed=timed)

    assert script.told == ["backup.success", "prune.success"] * 2


@pytest.mark.parametrize("labels", [("", "offsite"), ("nas", "")])
def test_a_repository_with_a_label_is_another_than_one_without(labels: tuple[str, str]) -> None:
    """However long the first one took."""
    script = Script().action("backup", labels[0]).action("backup", labels[1], at=3600 * 7)

    assert script.end(SUCCESS, operation="all", at=3600 * 8).told == ["backup.success", "backup.success"]


def test_of_actions_without_label_and_time_nobody_knows_that_they_are_of_one_go() -> None:
    script = Script().action("backup", timed=False).action("backup", timed=False)

    assert script.told == ["backup.failure"]


@pytest.mark.parametrize(("label", "hours"), [("nas", 1), ("", 24)])
def test_a_wrapper_that_begins_anew_was_cut_off(label: str, hours: int) -> None:
    """It names the same repository again, or begins it much later."""
    script = Script().action("backup", label).action("backup", label, at=3600 * hours - 1)

    assert script.told == ["backup.failure"]


def test_two_actions_of_a_wrapper_on_two_repositories_cut_nothing_off() -> None:
    script = Script().action("backup", "nas").action("backup", "offsite").end(SUCCESS, operation="all")

    assert script.told == ["backup.success", "backup.success"]


def test_a_dry_run_is_nothing_whatever_else_it_lists() -> None:
    script = Script().detail("prune").say(Phase.DETAIL, "prune", None, {"_dry_run": "yes"}).detail("prune")

    assert script.end(SUCCESS).ended[0].operation == "other"


@pytest.mark.parametrize(
    ("listed", "operation"), [((), "other"), (({"_item": "/a/b"},), "backup"), (({"_listed": "/a"},), "backup")]
)
def test_what_may_be_a_dry_run_is_none_once_something_was_saved(
    listed: tuple[Mapping[str, str], ...], operation: str
) -> None:
    script = Script().say(Phase.DETAIL, None, None, {"_dry_run": "maybe"})
    for captured in listed:
        script.say(Phase.DETAIL, None, None, captured)

    assert script.end(SUCCESS, timed=True).ended[0].operation == operation


def test_a_line_that_several_commands_write_is_not_the_backups() -> None:
    """It belongs to the prune or delete that is open, and else to what its rule holds for likely."""
    shared = (Phase.DETAIL, None, SUCCESS, {"_likely": "prune"})

    assert Script().start("backup").say(*shared).end(SUCCESS).told == ["prune.success"]
    assert Script().detail("delete").say(*shared).end(SUCCESS).ended[0].operation == "delete"


def test_a_summary_of_errors_blames_the_first_undecided_run_and_no_other() -> None:
    script = Script().start("backup").start("prune", at=5).start("compact", at=7).summary(FAILURE, at=9).finish()

    assert script.told == ["backup.failure"]


def test_a_summary_of_errors_blames_the_run_that_had_them() -> None:
    script = (
        Script().start("backup").start("prune", at=5).detail("prune", FAILURE, at=6, weight=10).summary(FAILURE, at=9)
    )

    assert script.finish().told == ["prune.failure"]


def test_a_killed_backup_and_a_summary_of_errors_are_one_failure() -> None:
    script = Script().start("backup").detail(None, FAILURE, at=4, weight=10)
    script.start("prune", at=5).end(SUCCESS, at=8).summary(FAILURE, at=9)

    assert script.told == ["backup.failure", "prune.success"]


def test_a_summary_of_errors_after_nothing_but_success_blames_the_first() -> None:
    script = Script().start("backup").end(SUCCESS, at=4).start("prune", at=5).end(SUCCESS, at=8).summary(FAILURE, at=9)

    assert script.told == ["backup.success", "prune.success", "backup.failure"]


def test_success_that_nobody_can_name_claims_nothing() -> None:
    assert Script().end(SUCCESS).end(SUCCESS, at=5).end(SUCCESS, at=9).told == ["backup.success"]


def test_trouble_that_nobody_can_name_is_still_trouble() -> None:
    assert Script().end(SUCCESS).end(FAILURE, at=5).told == ["backup.success", "backup.failure"]


def test_the_first_closing_line_of_a_session_counts_as_the_default_operation() -> None:
    script = Script(Stream("prune")).end(SUCCESS).end(SUCCESS, at=86400)

    assert script.told == ["prune.success", "prune.success"]


@pytest.mark.parametrize(("gap", "told"), [(1800, 1), (1801, 2)])
def test_a_session_ends_with_half_an_hour_of_silence(gap: int, told: int) -> None:
    assert told == len(Script().end(SUCCESS).end(SUCCESS, at=gap).told)


def test_the_time_of_reading_stands_in_where_lines_have_none() -> None:
    assert len(Script().end(SUCCESS, timed=False).end(SUCCESS, at=1801, timed=False).told) == 2


def test_a_stream_remembers_no_more_than_a_few_ended_runs() -> None:
    script = Script()
    for number in range(50):
        script.say(Phase.END, None, FAILURE, at=number)

    assert len(script.ended) == 50
    assert len(script.stream.done) == 32


# -- what a run carries -----------------------------------------------------------------------------------------


def test_the_worst_then_the_weightiest_line_becomes_the_message() -> None:
    script = Script().start("backup").detail("backup", WARNING, weight=9).detail("backup", FAILURE, weight=1)
    script.detail("backup", FAILURE, weight=8).detail("backup", FAILURE, weight=8).end(FAILURE)

    telling = script.ended[0].telling
    assert telling is not None
    assert (telling.message, script.ended[0].warnings, script.ended[0].errors) == ("message 4", 1, 3)


def test_a_run_starts_with_its_first_time_and_ends_with_its_last() -> None:
    script = Script().say(Phase.DETAIL, "backup", at=9e9, timed=False).detail("backup", at=5).end(SUCCESS, at=65)

    run = script.ended[0]
    assert (T0 + timedelta(seconds=5), T0 + timedelta(seconds=65)) == (run.started, run.ended)


def test_a_run_is_past_if_its_last_line_is() -> None:
    past = Script().say(Phase.START, "backup", past=True).say(Phase.END, None, SUCCESS, past=True)
    over_the_edge = Script().say(Phase.START, "backup", past=True).say(Phase.END, None, SUCCESS)

    assert (past.ended[0].past, over_the_edge.ended[0].past) == (True, False)


def test_nothing_is_changed_in_place() -> None:
    before = Stream()
    script = Script(before).start("backup").end(SUCCESS)

    assert Stream() == before
    assert script.stream == replace(script.stream)
    assert frozenset({"backup"}) == script.stream.closes


def test_the_drawing_in_the_documents_is_that_of_the_table() -> None:
    text = draw_runs.DOCUMENT.read_text("utf-8")

    assert draw_runs.redrawn(text) == text, "run: python -m tests.draw_runs"


def test_the_drawing_says_of_every_action_whether_a_run_is_open_then() -> None:
    for (is_open, kind), (prepared, signal, _) in ROWS.items():
        action = ACTIONS[is_open, kind]
        script = Script(prepared.stream).say(*signal)
        after = draw_runs.LEAVES_OPEN[action]
        assert (script.stream.open is not None) == (is_open if after is None else after), (is_open, kind)
