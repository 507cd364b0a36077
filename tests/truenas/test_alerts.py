"""Our alerts as TrueNAS has them: class, key and text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgwatch.model import Level
from borgwatch.truenas.alerts import CLASSES, MAX_TEXT, Bell, ClassChoice, alert_text_for
from borgwatch.truenas.simulator import PROFILES
from borgwatch.truenas.simulator.alerts import AlertList
from tests.truenas.world import KEY, NOW, SECRET, alert

LEVELS = [
    (Level.INFO, "RsyncSuccess", "INFO"),
    (Level.NOTICE, "RsyncSuccess", "INFO"),
    (Level.WARNING, "ScrubNotStarted", "WARNING"),
    (Level.ERROR, "CloudBackupTaskFailed", "ERROR"),
    (Level.CRITICAL, "CloudBackupTaskFailed", "ERROR"),
]


@pytest.mark.parametrize(("level", "name", "_shown"), LEVELS)
def test_the_class_follows_the_level(level: Level, name: str, _shown: str) -> None:
    assert ClassChoice().class_for(alert(level=level)).name == name


def test_every_level_has_a_class() -> None:
    assert {level for level, _, _ in LEVELS} == set(Level)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("release", PROFILES)
def test_key_and_text_are_found_again_in_what_truenas_stores(name: str, release: str) -> None:
    alert_class, stored = CLASSES[name], AlertList(PROFILES[release])
    stored.create(name, alert_class.arguments(KEY, "what happened"), NOW)

    [entry] = json.loads(json.dumps(stored.entries()))
    [listed] = Bell([entry]).under(KEY)

    assert entry["key"] == alert_class.stored_key(KEY)
    assert (listed.uuid, listed.alert_class, listed.text) == (entry["uuid"], alert_class, "what happened")
    assert "what happened" in entry["formatted"]


@pytest.mark.parametrize("name", CLASSES)
def test_keys_are_text_never_numbers(name: str) -> None:
    """A number as a key would break `alert.list` for every user of 25.04, or be another's task."""
    arguments = CLASSES[name].arguments(KEY, "text")

    assert arguments[CLASSES[name].key_field] == KEY
    assert all(isinstance(value, str) for value in arguments.values())


TEXTS = [
    ("plain words", "plain words"),
    ("a < b & c > d", "a &lt; b &amp; c &gt; d"),
    ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
    ("100% of %s and %(name)s", "100% of %s and %(name)s"),
    ("first\nsecond\r\n\tthird", "first second third"),
    ("red \x1b[31mtext\x1b[0m", "red text"),
    ("right \u202eto left", "right to left"),
    ("lone \udc80 half", "lone half"),
    (f"key {SECRET} end", "key *** end"),
    ("ssh://user:hunter22@host/repo", "ssh://user:***@host/repo"),
    ("BORG_PASSPHRASE=hunter22 failed", "BORG_PASSPHRASE=*** failed"),
    ("ünï 備份", "ünï 備份"),
]


@pytest.mark.parametrize(("text", "sent"), TEXTS, ids=[repr(text) for text, _ in TEXTS])
def test_texts_are_escaped_masked_and_on_one_line(text: str, sent: str) -> None:
    assert alert_text_for(alert(text)) == sent


@pytest.mark.parametrize("length", [MAX_TEXT - 1, MAX_TEXT, MAX_TEXT + 1, 100_000])
def test_texts_are_cut(length: int) -> None:
    sent = alert_text_for(alert("x" * length))

    assert len(sent) == min(length, MAX_TEXT)
    assert sent.endswith("…") is (length > MAX_TEXT)


def test_an_escaped_sign_is_never_cut_apart() -> None:
    assert alert_text_for(alert("&" * 600)) == "&amp;" * (MAX_TEXT - 1) + "…"


@given(st.text(max_size=2000))
def test_any_text_can_be_sent_and_read_back(text: str) -> None:
    sent = alert_text_for(alert(text))

    assert json.loads(json.dumps(sent).encode()) == sent
    assert "<" not in sent
    assert len(json.dumps(sent)) < 10_000
    sent.encode()


ENTRY: dict[str, Any] = {
    "uuid": "u", "klass": "ScrubNotStarted", "key": KEY, "args": "text", "dismissed": False,
}  # fmt: skip
STRANGE: list[Any] = [
    None, True, 5, "text", {}, [], [None], [5], ["x"], [[]], [{}], [{"klass": None}], [{"klass": []}],
    [{"klass": "ScrubNotStarted"}], [{**ENTRY, "key": None}], [{**ENTRY, "key": [KEY]}],
    [{**ENTRY, "key": json.dumps(KEY)}], [{**ENTRY, "klass": "CloudBackupTaskFailed"}],
    [{**ENTRY, "klass": "SMART"}], [{**ENTRY, "key": KEY + "x"}],
    [{**ENTRY, "key": KEY.upper()}], [{**ENTRY, "klass": "RsyncFailed", "key": json.dumps(5)}],
]  # fmt: skip


@pytest.mark.parametrize("entries", STRANGE, ids=lambda entries: str(entries)[:70])
def test_what_is_not_ours_or_no_entry_at_all_is_passed_over(entries: Any) -> None:
    assert Bell(entries).under(KEY) == []


@pytest.mark.parametrize("args", [None, 5, [], {}, {"text": "x"}, {"name": None}])
@pytest.mark.parametrize("name", CLASSES)
def test_an_entry_without_a_text_has_none(name: str, args: Any) -> None:
    entry = {**ENTRY, "klass": name, "key": CLASSES[name].stored_key(KEY), "args": args}

    [listed] = Bell([entry]).under(KEY)

    assert listed.text is None


@pytest.mark.parametrize(
    ("dismissed", "counts"), [(True, True), (False, False), (None, False), ("yes", False), (1, False)]
)
def test_dismissed_is_what_truenas_says_plainly(dismissed: Any, *, counts: bool) -> None:
    [listed] = Bell([{**ENTRY, "dismissed": dismissed}]).under(KEY)

    assert listed.dismissed is counts
