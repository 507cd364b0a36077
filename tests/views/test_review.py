"""History, status and review as pure views."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from borgwatch.journal.notes import DeliveryState, Recorded, RejectedRules, ServiceState, Standing
from borgwatch.journal.outlines import Outline
from borgwatch.journal.store import Change, Journal
from borgwatch.matching.suspicious import RuleHits, Unclaimed
from borgwatch.model import Alert, Event, Level, Outcome
from borgwatch.policy.deadman import Expectation
from borgwatch.policy.jobs import JobState
from borgwatch.runs.events import event_of_run
from borgwatch.runs.run import Evidence, Run
from borgwatch.views.history import history, row_of_run
from borgwatch.views.review import Review, outliers, review
from borgwatch.views.status import Status, status

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)
NIGHT = NOW.replace(hour=2)
AT_WORK = ServiceState("1.0", NOW - DAY, NOW - timedelta(minutes=30))
ALERTS = DeliveryState("alert", NOW - DAY, release="25.10.6", user="root")
DAILY = (Expectation("*", "backup", timedelta(hours=26)),)


def run(
    days_ago: int = 0, outcome: Outcome = Outcome.SUCCESS, message: str = "lock timeout", job: str = "nas",
    seconds: float = 600, **fields: int,
) -> Run:  # fmt: skip
    began = NIGHT - days_ago * DAY
    ended = began + timedelta(seconds=seconds)
    telling = Evidence(outcome, "borg.x", message, weight=10) if outcome is not Outcome.SUCCESS else None
    return Run(
        f"r{days_ago}", job, "log", "backup", began, ended, ended, telling=telling, outcome=outcome, closed=True,
        fields={"rc": 0, "original_size": 10**12, **fields},
    )  # fmt: skip


def told(of: Run, seq: int, delivery: str = "") -> Recorded:
    event = event_of_run(of)
    assert event is not None
    return Recorded(seq, event, delivery)


def missed(at: datetime, seq: int, job: str = "nas") -> Recorded:
    event = Event("m", "backup.missed", Level.ERROR, job, "t", "No backup has succeeded", at, "deadman", "")
    return Recorded(seq, event, "raised")


def standing(event: Event, *, done: bool = True, shown: bool = True, raised: bool = True) -> Standing:
    alert = Alert(
        "borgwatch:main:nas", "nas", "backup", event.outcome, Level.ERROR, "text", raised, event.id, event.time
    )
    return Standing(alert, done, shown)


def outlined(runs: Iterable[Run]) -> list[Outline]:
    """What the journal tells of runs in outline, the newest first."""
    with closing(Journal(":memory:")) as journal:
        journal.commit(Change(runs=runs))
        return journal.outlines(NOW - 1000 * DAY)


# -- history -----------------------------------------------------------------------------------------------------------


def test_the_history_has_a_row_for_each_run_and_for_each_that_did_not_come() -> None:
    good, bad = run(3, files=7), run(2, Outcome.FAILURE)
    rows = history([bad, good], [told(good, 1), told(bad, 2, "raised"), missed(NIGHT - DAY, 3)], []).rows
    assert [(row.kind, row.outcome, row.alert) for row in rows] == [
        ("run", "success", "none"), ("run", "failure", "raised"), ("missed", "missed", "raised"),
    ]  # fmt: skip
    assert (rows[0].duration, rows[0].files, rows[0].original_size, rows[0].rc) == (600.0, 7, 10**12, 0)
    assert (rows[1].message, rows[1].rule) == ("lock timeout", "borg.x")


def test_a_row_whose_alert_was_overtaken_does_not_wait_for_ever() -> None:
    first, second = run(2, Outcome.FAILURE), run(1, Outcome.FAILURE)
    events = [told(first, 1, "waiting"), told(second, 2, "waiting")]
    rows = history([first, second], events, [standing(events[1].event, done=False)]).rows
    assert [row.alert for row in rows] == ["overtaken", "waiting"]


def test_the_newest_rows_are_shown_and_it_says_that_there_are_more() -> None:
    found = history([run(day) for day in range(5)], [], [], limit=2)
    assert ([row.run for row in found.rows], found.more) == (["r1", "r0"], True)
    assert not history([run()], [], [], limit=2).more


# -- status ------------------------------------------------------------------------------------------------------------


def status_of(
    *states: JobState, last: Run | None = None, standings: tuple[Standing, ...] = (),
    service: ServiceState | None = AT_WORK, delivery: DeliveryState | None = ALERTS,
    rejected: RejectedRules | None = None,
) -> Status:  # fmt: skip
    runs = {(last.job, "backup"): row_of_run(last, {})} if last else {}
    return status(states, runs, standings, DAILY, service, delivery, rejected, NOW)


GOOD = JobState("nas", "backup", "success", NIGHT, NIGHT, run="r0")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (GOOD, "ok"),
        (replace(GOOD, last_outcome="warning"), "warning"),
        (replace(GOOD, last_outcome="failure", failures=2, failing_since=NIGHT), "failing"),
        (replace(GOOD, last_outcome="stalled"), "failing"),
        (replace(GOOD, last_success=NIGHT - DAY), "overdue"),
        (replace(GOOD, operation="prune", last_success=NIGHT - 9 * DAY), "ok"),  # nobody waits for it
        (JobState("nas", "backup"), "unknown"),
    ],
)
def test_a_job_is_ok_failing_or_overdue(state: JobState, says: str) -> None:
    (job,) = status_of(state).jobs
    assert job.state == says


def test_the_status_of_a_job_says_when_how_long_due_when_and_what_truenas_shows() -> None:
    failed = run(0, Outcome.FAILURE)
    event = told(failed, 1).event
    state = replace(GOOD, last_outcome="failure", last_success=NIGHT - DAY / 2, failures=1, failing_since=NIGHT)
    (job,) = status_of(state, last=failed, standings=(standing(event),)).jobs
    assert (job.duration, job.message, job.due) == (600.0, "lock timeout", NIGHT - DAY / 2 + timedelta(hours=26))
    assert (job.alert, job.alert_key, job.alert_text) == ("raised", "borgwatch:main:nas", "text")


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (standing(missed(NOW, 1).event), "raised"), (standing(missed(NOW, 1).event, shown=False), "mailed"),
        (standing(missed(NOW, 1).event, done=False), "waiting"), (standing(missed(NOW, 1).event, raised=False), "none"),
    ],
)  # fmt: skip
def test_raised_is_said_only_of_what_was_read_back(found: Standing, says: str) -> None:
    (job,) = status_of(GOOD, standings=(found,)).jobs
    assert job.alert == says


@pytest.mark.parametrize(
    ("service", "at_work"),
    [
        (AT_WORK, True), (None, False), (replace(AT_WORK, stopped=NOW), False),
        (replace(AT_WORK, looked=NOW - timedelta(hours=4)), False),
    ],
)  # fmt: skip
def test_a_service_that_was_not_seen_for_hours_is_not_at_work(service: ServiceState | None, *, at_work: bool) -> None:
    assert status_of(GOOD, service=service).at_work is at_work


# -- review ------------------------------------------------------------------------------------------------------------


def reviewed(
    now: Status | None = None, events: tuple[Recorded, ...] = (), *, since: datetime | None = NOW - 7 * DAY,
    runs: tuple[Run, ...] = (), lines: tuple[Unclaimed, ...] = (), rules: tuple[str, ...] = (),
    hits: dict[str, RuleHits] | None = None,
) -> Review:  # fmt: skip
    return review(now or status_of(GOOD), since, events, {("nas", "backup"): outlined(runs)}, lines, rules, hits or {})


def test_where_nothing_is_wrong_the_verdict_says_so() -> None:
    found = reviewed(events=(told(run(1), 1), told(run(0), 2)))
    assert found.is_well
    assert found.verdict.startswith("WELL: nothing is broken and nothing stands out. 2 runs since 2026-11-")
    assert [(item.job, item.outcomes) for item in found.happened] == [("nas", {"success": 2})]


def test_what_is_broken_now_comes_first() -> None:
    state = replace(GOOD, last_outcome="failure", failures=1, failing_since=NIGHT)
    found = reviewed(status_of(state), (told(run(0, Outcome.FAILURE), 1, "raised"),))
    assert not found.is_well
    assert found.verdict.startswith("ACT: broken now: nas backup. 1 run since")
    assert [group.message for group in found.troubles] == ["lock timeout"]


def test_warnings_that_differ_in_numbers_only_are_one_group() -> None:
    messages = ("/srv/17.db: file changed", "/srv/2.db: file changed", "other")
    events = tuple(told(run(day, Outcome.WARNING, text), day) for day, text in zip((5, 3, 1), messages, strict=True))
    first, second = reviewed(events=events).warnings
    assert (first.message, first.count, first.last - first.first) == ("/srv/2.db: file changed", 2, 2 * DAY)
    assert (second.message, second.count, second.jobs) == ("other", 1, ("nas backup",))
    assert reviewed(events=events).verdict.startswith("LOOK: nothing is broken; 2 kinds of warning. 3 runs")


def test_the_past_that_was_learnt_is_no_news() -> None:
    past = replace(told(run(1, Outcome.FAILURE), 1).event, past=True)
    assert reviewed(events=(Recorded(1, past, ""),)).happened == ()


def test_of_very_many_broken_jobs_the_verdict_names_ten() -> None:
    states = [JobState(f"host-{number:05}", "backup", "failure", NIGHT, failures=1) for number in range(10_000)]
    found = reviewed(status_of(*states))
    assert len(found.broken) == 10_000
    assert found.verdict.startswith("ACT: broken now: host-00000 backup, host-00001 backup, ")
    assert "host-00009 backup and 9990 more. 0 runs since" in found.verdict


def test_an_unclaimed_line_says_what_a_rule_could_look_for() -> None:
    new = Unclaimed("nas", "ERROR: disk # is hot, # C", 3, NOW - DAY, NOW, "ERROR: disk 3 is hot, 80 C", "log")
    (line,) = reviewed(lines=(new,)).unclaimed
    assert (line.count, line.sample, line.match) == (3, "ERROR: disk 3 is hot, 80 C", "ERROR: disk")


def test_rule_files_that_are_not_in_force_are_for_a_person_to_mend() -> None:
    wrong = status_of(GOOD, rejected=RejectedRules(NIGHT, 2, ("my.yaml:5:1: no",)))
    found = reviewed(now=wrong)
    assert (found.is_well, found.verdict[:46]) == (False, "ACT: rule files are wrong and not in force. 0 ")
    assert reviewed(now=status_of(GOOD, rejected=RejectedRules(NIGHT))).is_well


@pytest.mark.parametrize(
    ("newest", "what"),
    [
        (run(0, seconds=1900), "duration"),
        (run(0, seconds=190), "duration"),
        (run(0, original_size=4 * 10**11), "original_size"),
        (run(0, deduplicated_size=2 * 10**11), "deduplicated_size"),
    ],
)  # fmt: skip
def test_a_run_unlike_those_before_it_stands_out(newest: Run, what: str) -> None:
    before = [run(day, seconds=600 + day, deduplicated_size=10**9) for day in range(1, 16)]
    (found,) = outliers(outlined([newest, *before]), {"r0"})
    assert (found.what, found.time) == (what, newest.ended)


@pytest.mark.parametrize(
    "runs",
    [
        [run(0, seconds=1700), *(run(day) for day in range(1, 16))],  # less than three times as long
        [run(0, seconds=50), *(run(day, seconds=1) for day in range(1, 16))],  # a matter of seconds
        [run(0, seconds=9000), *(run(day) for day in range(1, 5))],  # too few to know what is usual
        [
            run(0, Outcome.FAILURE, seconds=9000),
            *(run(day) for day in range(1, 16)),
        ],  # it failed: that is told elsewhere
        [run(8, seconds=9000), *(run(day) for day in range(9, 25))],  # seen in the last review
        [run(day, seconds=600 if day % 7 else 9000) for day in range(30)],  # each week a full one
    ],
)
def test_what_is_within_the_usual_does_not_stand_out(runs: list[Run]) -> None:
    assert outliers(outlined(runs), {"r0"}) == []


def test_a_run_that_was_read_late_stands_out_in_the_next_review() -> None:
    """What counts is what the last review could show, not when the run ended: the service may have been away."""
    slow, before = run(2, seconds=9000), [run(day) for day in range(3, 20)]
    (found,) = reviewed(events=(told(slow, 9),), since=NOW - DAY, runs=(slow, *before)).outliers
    assert found.value == 9000


def test_a_run_that_stalled_and_ended_well_after_all_is_one_run() -> None:
    stalled, ended = told(run(0, Outcome.STALLED), 1, "raised"), told(run(0), 2, "cleared")
    found = reviewed(events=(stalled, ended))
    assert [item.outcomes for item in found.happened] == [{"success": 1}]
    assert [group.count for group in found.troubles] == [1]
    assert "1 run since" in found.verdict


def test_a_failure_that_is_over_deserves_a_look() -> None:
    """Nothing is broken any more, but a night was lost since the last review: that is not `WELL`."""
    found = reviewed(events=(told(run(1, Outcome.FAILURE), 1, "raised"), told(run(0), 2, "cleared")))
    assert found.is_well
    assert found.verdict.startswith("LOOK: nothing is broken any more. 2 runs since")
    assert found.verdict.endswith(", 1 failed or missing.")


def test_a_rule_that_never_spoke_or_not_for_long_is_dead() -> None:
    hits = {"mine.lively": RuleHits(1, NOW - DAY), "mine.old": RuleHits(9, NOW - 200 * DAY)}
    found = reviewed(rules=("mine.lively", "mine.old", "mine.never"), hits=hits)
    assert found.dead_rules == ("mine.old", "mine.never")


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (status_of(GOOD, service=None), "borgwatch has not run yet"),
        (status_of(GOOD, service=replace(AT_WORK, stopped=NOW)), "borgwatch is not at work: it was last seen"),
        (status_of(GOOD, delivery=replace(ALERTS, rung="none", reason="no rights")), "nothing can be delivered since"),
        (status_of(GOOD, delivery=replace(ALERTS, lost=NOW - DAY, reason="refused")), "no session with TrueNAS since"),
        (
            status_of(GOOD, standings=(standing(missed(NIGHT, 1).event, done=False),)),
            "1 alert waiting for delivery: borgwatch:main:nas",
        ),
    ],
)
def test_trouble_of_delivery_is_told_and_is_not_well(now: Status, says: str) -> None:
    found = reviewed(now)
    (trouble,) = found.delivery
    assert trouble.startswith(says)
    assert found.verdict.startswith("ACT: delivery in trouble")
    assert not found.is_well


def test_a_session_that_was_just_lost_and_an_alert_that_was_just_raised_are_no_trouble_yet() -> None:
    fresh = status_of(
        GOOD, standings=(standing(missed(NOW, 1).event, done=False),),
        delivery=replace(ALERTS, lost=NOW - timedelta(minutes=1)),
    )  # fmt: skip
    assert reviewed(fresh).delivery == ()
