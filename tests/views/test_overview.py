"""What the page is made of: bounded, what somebody must see to first, each run in its local day."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from borgwatch.journal.outlines import Outline
from borgwatch.journal.store import Change, Journal
from borgwatch.model import Outcome
from borgwatch.policy.jobs import JobState
from borgwatch.service.heartbeat import Condition, Health, Link, TrueNASState
from borgwatch.service.live import Live, SourceState
from borgwatch.views.facts import read_facts
from borgwatch.views.overview import DAYS, MANY, Overview, overview, read_overview
from borgwatch.views.review import review
from tests.views.test_review import NOW, run, told


def live(sources: int = 0) -> Live:
    followed = tuple(SourceState(f"/watch/{number}.log", "nas", number) for number in range(sources))
    return Live("1.0.0", NOW, Health(Condition.HEALTHY, "fine"), TrueNASState(Link.OFF), followed)


def shown(*states: JobState, ended: tuple[Outline, ...] = (), now: datetime = NOW, sources: int = 0) -> Overview:
    with closing(Journal(":memory:")) as journal:
        journal.commit(Change(jobs=states))
        facts = read_facts(journal, (), now)
        return overview(review(facts.status, now, [], {}, [], (), {}), facts, live(sources), ended, [])


def test_of_very_many_jobs_and_sources_the_first_are_shown_and_how_many_more() -> None:
    states = [JobState(f"{number:05}", "backup", "success", NOW, NOW) for number in range(MANY + 7)]
    found = shown(*states, sources=MANY + 3)
    assert (len(found.jobs), found.more_jobs) == (MANY, 7)
    assert (len(found.sources), found.more_sources) == (MANY, 3)
    assert found.sources[0].unread == MANY + 2


def test_what_somebody_must_see_to_comes_first() -> None:
    found = shown(
        JobState("a", "backup", "success", NOW, NOW), JobState("b", "backup", "failure", None, NOW, failures=1)
    )
    assert [(job.status.job, job.status.state) for job in found.jobs] == [("b", "failing"), ("a", "ok")]


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_a_run_counts_for_its_local_day_over_a_change_of_the_clock_and_the_worst_of_a_day_is_shown() -> None:
    """The 25th of October 2026 has 25 hours in Berlin: from 22:00 UTC the day before to 23:00 UTC."""
    at = [
        ("2026-10-24T21:59", "success"), ("2026-10-24T22:00", "failure"), ("2026-10-25T22:59", "warning"),
        ("2026-10-25T23:00", "skipped"),
    ]  # fmt: skip
    ended = [Outline("r", "nas", "backup", word, datetime.fromisoformat(f"{when}:00+00:00")) for when, word in at]
    before = Outline("r", "nas", "backup", "failure", NOW - timedelta(days=DAYS, hours=9))
    (job,) = shown(JobState("nas", "backup"), ended=(*reversed(ended), before)).jobs
    days = {str(day.date): (day.outcome, day.runs) for day in job.days if day.runs}
    assert days == {"2026-10-24": ("success", 1), "2026-10-25": ("failure", 2), "2026-10-26": ("skipped", 1)}
    assert len(job.days) == DAYS
    assert job.days[-1].date == NOW.astimezone().date()


def test_the_last_rows_and_the_verdict_are_those_of_history_and_review() -> None:
    runs = [run(day, Outcome.FAILURE if day == 1 else Outcome.SUCCESS) for day in range(30)]
    with closing(Journal(":memory:")) as journal:
        journal.commit(Change(runs=runs, events=[told(one, 0).event for one in runs]))
        found = read_overview(journal, live(), NOW)
    assert [row.run for row in found.recent] == [f"r{day}" for day in range(20)]
    assert "7 runs since 2026-11-16" in found.verdict
    assert "1 failed or missing" in found.verdict


def test_an_empty_journal_makes_an_empty_page() -> None:
    with closing(Journal(":memory:")) as journal:
        found = read_overview(journal, live(), datetime(2026, 11, 23, tzinfo=UTC))
    assert (found.jobs, found.recent, found.alerts) == ((), (), ())
    assert found.verdict.startswith("ACT: delivery in trouble")
