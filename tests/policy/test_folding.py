"""Repetitions: what fold and cooldown let through, hold and count."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from borgwatch.matching.load import parse_pack
from borgwatch.model import Event, Level
from borgwatch.policy.folding import Held, Key, Passed, Repetition, cool, fold, repetitions

NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RULES = {"my.tape": Repetition(fold=10 * MINUTE, cooldown=60 * MINUTE)}


def event(number: int, name: str = "backup.failure", *, job: str = "nas", rule: str = "my.tape") -> Event:
    at = NOW + number * MINUTE
    return Event(f"e{number}", name, Level.ERROR, job, "Tape", f"Tape {number}", at, rule, "log", fields={"tape": "A7"})


class World:
    """What is held, from one step to the next."""

    def __init__(self, step: object = fold) -> None:
        self.held: dict[Key, Held] = {}
        self.rules = dict(RULES)
        self._cool = step is cool

    def step(self, minute: float, *events: Event) -> list[str]:
        """Take a step at a minute; returns the messages of what leaves."""
        take = cool if self._cool else fold
        passed: Passed = take(events, self.held, self.rules, NOW + minute * MINUTE)
        for key, held in passed.held.items():
            if held is None:
                del self.held[key]
            else:
                self.held[key] = held
        self.left = passed.events
        return [event.message for event in passed.events]


def test_the_events_of_a_window_become_one_with_their_count() -> None:
    world = World()
    assert world.step(0, event(0), event(1)) == []
    assert world.step(9, event(9)) == []
    assert world.step(10) == ["Tape 9 (3 times since 2026-11-23T04:00:00+00:00)"]
    (folded,) = world.left
    assert (folded.id, folded.time) == ("e0", NOW + 9 * MINUTE)
    assert folded.fields == {"tape": "A7", "count": 3, "first": "2026-11-23T04:00:00+00:00"}
    assert world.held == {}


def test_a_single_event_leaves_as_it_was_when_its_window_closes() -> None:
    world = World()
    assert world.step(0, event(0)) == []
    assert world.step(11) == ["Tape 0"]
    assert world.left == (event(0),)
    assert world.step(12, event(12)) == []
    assert world.step(22) == ["Tape 12"]


def test_only_the_same_event_of_the_same_job_and_rule_is_folded() -> None:
    world = World()
    world.rules["my.belt"] = RULES["my.tape"]
    different = [event(0), event(1, job="web"), event(2, "backup.warning"), event(3, rule="my.belt")]
    assert world.step(3, *different) == []
    assert sorted(world.step(13)) == ["Tape 0", "Tape 1", "Tape 2", "Tape 3"]


def test_what_no_rule_folds_goes_through() -> None:
    others = [event(0, rule="borg.x"), replace(event(1), past=True), replace(event(2), run="r1")]
    assert World().step(3, *others) == ["Tape 0", "Tape 1", "Tape 2"]


def test_what_waits_leaves_when_its_rule_is_gone_or_the_clock_was_set_back() -> None:
    world = World()
    world.step(0, event(0))
    world.rules.clear()
    assert world.step(1) == ["Tape 0"]
    world = World()
    world.step(1000, event(0))
    assert world.step(0) == ["Tape 0"]


def test_in_a_cool_down_the_newest_waits_and_is_told_when_it_is_over() -> None:
    world = World(cool)
    assert world.step(0, event(0)) == ["Tape 0"]
    assert world.step(30, event(30)) == []
    assert world.step(59, event(59)) == []
    assert world.step(60) == ["Tape 59 (2 times since 2026-11-23T04:30:00+00:00)"]
    assert world.step(61, event(61)) == []
    assert world.step(120) == ["Tape 61"]
    assert world.step(180) == []
    assert world.held == {}
    assert world.step(200, event(200)) == ["Tape 200"]


def test_of_several_at_once_the_first_is_told() -> None:
    world = World(cool)
    assert world.step(2, event(0), event(1), event(2)) == ["Tape 0"]
    assert world.step(62) == ["Tape 2 (2 times since 2026-11-23T04:01:00+00:00)"]


def test_a_success_takes_away_what_waits_but_not_the_cool_down() -> None:
    world = World(cool)
    good = event(20, "backup.success", rule="borg.closing-success")
    other = event(20, "prune.success", rule="borg.closing-success")
    world.step(0, event(0))
    world.step(10, event(10))
    assert world.step(15, other) == ["Tape 20"]
    assert world.step(20, good) == ["Tape 20"]
    assert world.step(30, event(30), good) == ["Tape 20"]
    assert world.step(40, good, event(40)) == ["Tape 20"]
    assert world.step(60) == ["Tape 40"]


def test_the_past_is_neither_held_nor_a_reason_to_be_quiet() -> None:
    world = World(cool)
    assert world.step(0, replace(event(0), past=True)) == ["Tape 0"]
    assert world.step(1, event(1)) == ["Tape 1"]


def test_a_clock_that_was_set_back_does_not_prolong_a_cool_down() -> None:
    world = World(cool)
    world.step(1000, event(0))
    assert world.step(0, event(1)) == ["Tape 1"]


def test_what_rules_say_is_looked_up_by_their_ids() -> None:
    text = "schema: 1\npack: my\nrules: [{id: a, match: {text: x}, emit: backup.failure, cooldown: 6h, fold: 10m},"
    pack, problems = parse_pack(text + " {id: b, match: {text: y}, run: detail}]", "my.yaml")
    assert pack is not None
    assert problems == []
    assert repetitions(pack.rules) == {"my.a": Repetition(timedelta(minutes=10), timedelta(hours=6))}
