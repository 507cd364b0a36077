from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from borgwatch.model import EVENT_NAMES, OPERATIONS, Alert, Event, Level
from borgwatch.policy.alerts import DEFAULT_EVENTS, EventFilter, alert_for, alert_key, alert_text, unknown_patterns

NOW = datetime(2026, 11, 23, tzinfo=UTC)
AT = NOW.astimezone().strftime("(%Y-%m-%d %H:%M:%S)")
DEFAULT = EventFilter()
ALL = EventFilter(("backup.*",))


def event(name: str, *, job: str = "nas", message: str = "", event_id: str = "", **fields: str) -> Event:
    return Event(event_id or name, name, Level.ERROR, job, "Borg Title", message, NOW, "rule", "log", "run", fields)


def play(wanted: EventFilter, *names: str) -> list[str]:
    """What each event in turn does to the alert: `raise`, `refresh` (nobody is told again), `clear`, or nothing."""
    current: Alert | None = None
    did = []
    for number, name in enumerate(names):
        alert = alert_for(event(name, event_id=f"e{number}"), current, wanted, "main")
        if alert is None:
            did.append("-")
            continue
        assert f"e{number}" == alert.event_id
        did.append("clear" if not alert.raised else "raise" if alert.renotify else "refresh")
        current = alert
    return did


@pytest.mark.parametrize(
    ("names", "did"),
    [
        ("failure", "raise"),
        ("success", "clear"),
        ("success success", "clear -"),
        ("warning", "-"),
        ("failure failure", "raise refresh"),
        ("failure failure success failure", "raise refresh clear raise"),
        ("failure success success", "raise clear -"),
        ("failure warning", "raise -"),
        ("failure warning success", "raise - clear"),
        ("failure skipped started recovered success", "raise - - - clear"),
        ("missed failure stalled missed success", "raise raise raise raise clear"),
        ("success failure", "clear raise"),
        ("warning success", "- clear"),
    ],
)
def test_trouble_raises_the_same_refreshes_success_clears(names: str, did: str) -> None:
    assert did.split() == play(DEFAULT, *(f"backup.{name}" for name in names.split()))


@pytest.mark.parametrize(
    ("names", "did"),
    [
        ("success success", "raise raise"),
        ("failure success", "raise raise"),
        ("failure warning", "raise raise"),
        ("warning warning failure success", "raise refresh raise raise"),
    ],
)
def test_what_the_user_asked_to_hear_of_is_raised(names: str, did: str) -> None:
    assert did.split() == play(ALL, *(f"backup.{name}" for name in names.split()))


@pytest.mark.parametrize(("names", "told"), [("failure success", True), ("success", False)])
def test_an_end_is_told_where_there_was_something_to_end(names: str, told: bool) -> None:
    """Where alerts become mails, the end of a failure is a mail too; a first success is none."""
    alert: Alert | None = None
    for name in names.split():
        alert = alert_for(event(f"backup.{name}"), alert, DEFAULT, "main")

    assert alert is not None
    assert (alert.raised, alert.renotify) == (False, told)


def test_an_alert_says_what_the_event_says() -> None:
    expected = Alert(
        key="borgwatch:main:nas:prune",
        job="nas",
        operation="prune",
        outcome="failure",
        level=Level.ERROR,
        text=f"Borg prune of nas failed {AT}: lock",
        raised=True,
        event_id="prune.failure",
        time=NOW,
        renotify=True,
    )

    assert expected == alert_for(event("prune.failure", message="lock"), None, DEFAULT, "main")


@pytest.mark.parametrize(
    ("name", "message", "step", "text"),
    [
        ("backup.failure", "No space.", "Free some", f"Borg backup of nas failed {AT}: No space. Free some"),
        ("backup.failure", "", "", f"Borg backup of nas failed {AT}"),
        ("backup.missed", "Since Monday", "", f"Borg backup of nas did not run {AT}: Since Monday"),
        ("verify.skipped", " x ", "", f"Borg verify of nas was skipped {AT}: x"),
        ("backup.stalled", "", "Look", f"Borg backup of nas stalled {AT}. Look"),
        ("container.startup", "up", "", f"Borg Title (nas) {AT}: up"),
    ],
)
def test_the_first_sentence_carries_the_message(name: str, message: str, step: str, text: str) -> None:
    assert text == alert_text(event(name, message=message, **({"next_step": step} if step else {})))


@pytest.mark.parametrize(
    ("patterns", "name", "wants"),
    [
        (DEFAULT_EVENTS, "backup.failure", True),
        (DEFAULT_EVENTS, "prune.stalled", True),
        (DEFAULT_EVENTS, "ssh.failure", True),
        (DEFAULT_EVENTS, "backup.warning", False),
        (("backup.*",), "backup.success", True),
        (("backup.*",), "prune.failure", False),
        (("*",), "container.startup", True),
        (("backup.failure",), "backup.failures", False),
        ((), "backup.failure", False),
    ],
)
def test_a_filter_wants_what_its_patterns_name(patterns: tuple[str, ...], name: str, wants: bool) -> None:
    assert wants is EventFilter(patterns).wants(name)


def test_patterns_that_match_no_event_are_found() -> None:
    patterns = ("backup.failure", "*.missed", "backup.fail", "Backup.*", "*")

    assert unknown_patterns(patterns, EVENT_NAMES) == ["backup.fail", "Backup.*"]


# -- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instance", "job", "operation", "key"),
    [
        ("main", "nas", "backup", "borgwatch:main:nas"),
        ("main", "nas", "prune", "borgwatch:main:nas:prune"),
        ("two", "My job 2@x+y", "backup", "borgwatch:two:My job 2@x+y"),
    ],
)
def test_a_plain_name_is_its_own_key(instance: str, job: str, operation: str, key: str) -> None:
    assert key == alert_key(instance, job, operation)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)), st.sampled_from(OPERATIONS))
def test_a_key_is_short_ascii_of_harmless_letters(instance: str, job: str, operation: str) -> None:
    key = alert_key(instance, job, operation)

    assert key.isascii()
    assert key.isprintable()
    assert len(key) <= 200
    assert not set(key) & set("\"'<>\\%{}")


def test_different_jobs_have_different_keys() -> None:
    jobs = [
        "",
        "a",
        "A",
        "a:b",
        "a_b",
        "ä",
        "ö",
        "a:prune",
        "a~b",
        "x" * 300,
        "x" * 301,
        "x" * 299 + "y",
        "a\n",
        "a ",
        "a/b",
    ]
    keys = {
        alert_key(instance, job, op) for instance, job, op in product(("main", "main:a"), jobs, ("backup", "prune"))
    }

    assert 2 * len(jobs) * 2 == len(keys)


def test_the_key_does_not_depend_on_what_happened() -> None:
    failure, success = event("backup.failure"), event("backup.success")
    raised = alert_for(failure, None, DEFAULT, "main")
    assert raised is not None
    cleared = alert_for(success, raised, DEFAULT, "main")
    assert cleared is not None

    assert (raised.key, False) == (cleared.key, cleared.raised)
    assert raised == alert_for(failure, replace(cleared), DEFAULT, "main")


def test_what_was_taken_back_and_is_missing_again_is_news() -> None:
    """The alert that went says the same as the one that comes."""
    current = alert_for(event("backup.missed"), None, DEFAULT, "main")
    assert current is not None

    again = alert_for(event("backup.missed"), replace(current, raised=False), DEFAULT, "main")

    assert again is not None
    assert again.renotify


def test_a_reminder_of_what_is_still_missing_is_news() -> None:
    current = alert_for(event("backup.missed"), None, DEFAULT, "main")

    told = [alert_for(event("backup.missed", **more), current, DEFAULT, "main") for more in ({}, {"reminder": "yes"})]

    assert [alert and alert.renotify for alert in told] == [False, True]
