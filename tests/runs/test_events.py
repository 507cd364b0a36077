from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from borgwatch.model import EVENT_NAMES, Event, FieldValue, Level, Outcome, Phase, Signal
from borgwatch.runs.events import LEVELS, event_of_run, event_of_signal, human_bytes, human_seconds, title_of
from borgwatch.runs.run import Evidence, Run

T0 = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
RUN = Run(
    id="r1",
    job="nas",
    source="log",
    operation="backup",
    started=T0,
    read=T0 + timedelta(seconds=842),
    outcome=Outcome.SUCCESS,
    closed=True,
)
TROUBLE = Evidence(Outcome.FAILURE, "borg.lock-timeout", "Failed to create/acquire the lock", "Is one running?", 10)
CLOSING = Evidence(Outcome.FAILURE, "borg.closing-error", "terminating with error status, rc 2")


def event(run: Run) -> Event:
    made = event_of_run(run)
    assert made is not None
    return made


def test_a_good_run_says_its_figures_in_the_words_of_docker_borg_client() -> None:
    fields: dict[str, FieldValue] = {"archive": "a1", "files": 46, "original_size": 2_480_000, "deduplicated_size": 378}

    assert (
        event(replace(RUN, fields=fields)).message
        == "Archive: a1, Duration: 842s, Files: 46, Size: 2.48 MB, Added: 378 B"
    )


def test_the_line_that_led_to_trouble_says_more_than_the_closing_line() -> None:
    made = event(replace(RUN, outcome=Outcome.FAILURE, telling=TROUBLE, closing=CLOSING, errors=2))

    assert (made.name, made.level, made.title) == ("backup.failure", Level.CRITICAL, "Borg Backup Failed")
    assert (made.message, made.rule) == ("Failed to create/acquire the lock", "borg.lock-timeout")
    assert made.fields == {"duration": 842.0, "errors": 2, "next_step": "Is one running?"}


def test_without_such_a_line_the_closing_line_speaks() -> None:
    made = event(replace(RUN, outcome=Outcome.FAILURE, closing=CLOSING))

    assert (made.message, made.rule) == ("terminating with error status, rc 2", "borg.closing-error")


def test_a_cause_is_said_once() -> None:
    failed = replace(RUN, outcome=Outcome.FAILURE, telling=TROUBLE)

    assert event(replace(failed, fields={"cause": "refused"})).message == "Failed to create/acquire the lock (refused)"
    assert event(replace(failed, fields={"cause": "acquire"})).message == "Failed to create/acquire the lock"


def test_a_stalled_run_says_when_it_began() -> None:
    made = event(replace(RUN, outcome=Outcome.STALLED))

    assert (made.name, made.level) == ("backup.stalled", Level.ERROR)
    assert made.message == "It began at 2026-11-23T02:00:00+00:00 and then fell silent"


def test_a_rule_may_say_level_and_title() -> None:
    made = event(
        replace(RUN, outcome=Outcome.WARNING, telling=Evidence(Outcome.WARNING, "r", "m", "", 1, Level.NOTICE, "T"))
    )

    assert (made.level, made.title, made.message) == (Level.NOTICE, "T", "m")


@pytest.mark.parametrize(
    "run",
    [
        replace(RUN, outcome=None),
        replace(RUN, operation=None),
        replace(RUN, operation="list"),
        replace(RUN, operation="init"),
        replace(RUN, operation="delete"),
        replace(RUN, operation="delete", outcome=Outcome.WARNING),
    ],
)
def test_what_nobody_asks_after_is_no_event(run: Run) -> None:
    assert event_of_run(run) is None


def test_a_failed_delete_is_told() -> None:
    assert event(replace(RUN, operation="delete", outcome=Outcome.FAILURE)).name == "delete.failure"


def test_a_time_that_runs_backwards_gives_no_duration() -> None:
    made = event(replace(RUN, seen=T0 - timedelta(hours=1)))

    assert (made.fields, made.message) == ({}, "")


def test_the_duration_that_borg_tells_stands() -> None:
    assert event(replace(RUN, fields={"duration": 1.2})).fields["duration"] == 1.2


def test_the_id_of_an_event_is_stable_and_tells_outcomes_apart() -> None:
    failed = replace(RUN, outcome=Outcome.FAILURE)
    ids = [event(run).id for run in (RUN, replace(RUN, past=True), failed, replace(RUN, id="r2"))]

    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_an_event_belongs_to_its_run_and_its_past() -> None:
    made = event(replace(RUN, past=True))

    assert ("r1", "nas", "log", T0 + timedelta(seconds=842), True) == (
        made.run,
        made.job,
        made.source,
        made.time,
        made.past,
    )


SIGNAL = Signal(
    rule="mine.tape",
    phase=Phase.EVENT,
    job="nas",
    source="log",
    line_id="l1",
    read_at=T0,
    event="backup.failure",
    message="full",
    captured={"tape": "A7"},
)


def test_a_signal_that_is_an_event_keeps_what_its_rule_says() -> None:
    told = replace(
        SIGNAL, level=Level.NOTICE, title="Tape full", next_step="Change it", time=T0 - timedelta(1), past=True
    )
    expected = Event(
        id=event_of_signal(SIGNAL).id,
        name="backup.failure",
        level=Level.NOTICE,
        job="nas",
        title="Tape full",
        message="full",
        time=T0 - timedelta(1),
        rule="mine.tape",
        source="log",
        fields={"tape": "A7", "next_step": "Change it"},
        past=True,
    )

    assert expected == event_of_signal(told)


def test_what_its_rule_does_not_say_follows_from_the_name() -> None:
    plain = event_of_signal(SIGNAL)
    unknown = event_of_signal(replace(SIGNAL, event="container.startup"))

    assert (plain.level, plain.title, plain.time) == (Level.CRITICAL, "Borg Backup Failed", T0)
    assert (unknown.level, unknown.title) == (Level.INFO, "Borg Backup Container Started")


def test_every_outcome_has_a_level_and_every_event_a_title() -> None:
    assert {*Outcome, "stale"} == set(LEVELS)
    titles = [title_of(name) for name in EVENT_NAMES - {"container.startup"}]  # it is `container.started`
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (2_480_000, "2.48 MB"),
        (10**12, "1.00 TB"),
        (10**18, "1000.00 PB"),
    ],
)
def test_sizes_are_said_as_borg_says_them(size: int, text: str) -> None:
    assert text == human_bytes(size)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.024, "0.02s"), (0.31, "0.31s"), (9.94, "9.9s"), (10, "10s"), (842.4, "842s")]
)
def test_spans_have_parts_below_ten(seconds: float, text: str) -> None:
    assert text == human_seconds(seconds)
