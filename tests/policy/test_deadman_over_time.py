"""The dead-man's switch over weeks: whatever happens in between, in the end it tells what is true."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from borgwatch.policy.deadman import Expectation
from tests.test_pipeline import GOOD, LOCKED, World

EXAMPLES = 15 * (100 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 1)
HOUR = timedelta(hours=1)
QUIET = timedelta(minutes=11)
"""After so long, a clock is trusted again."""


class Story:
    """A world and what is true in it: when the last backup succeeded, and whether one has failed since."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.last: datetime | None = None
        self.failed = False
        world.expect = 26 * HOUR
        world.restart()
        world.step()

    def succeed(self) -> None:
        self.world.write(GOOD.format("a"))
        self.last, self.failed = self.world.moment, False
        self.settle()

    def fail(self) -> None:
        self.world.write(LOCKED)
        self.failed = True
        self.settle()

    def succeed_while_off(self) -> None:
        """The success is found when borgwatch comes back, a day later."""
        self.world.write(GOOD.format("b"))
        self.last, self.failed = self.world.moment, False
        self.world.moment += 24 * HOUR
        self.world.restart()
        self.settle()

    def restart(self) -> None:
        self.world.restart()
        self.settle()

    def be_off_for_a_week(self) -> None:
        self.world.moment += 7 * 24 * HOUR
        self.restart()

    def wait(self) -> None:
        self.world.step(9 * HOUR)
        self.settle()

    def wrong_clock_for_a_moment(self) -> None:
        for by in (-30 * HOUR, 30 * HOUR, 400 * 24 * HOUR, -400 * 24 * HOUR):
            self.world.set_clock(by)
            self.world.step(timedelta(seconds=5))
        self.settle()

    def clock_set_forward(self) -> None:
        self.world.set_clock(5 * HOUR)
        self.settle()

    def clock_set_back(self) -> None:
        self.world.set_clock(-5 * HOUR)
        self.settle()

    def expect_less(self) -> None:
        self._expect(8 * 24 * HOUR)

    def expect_more(self) -> None:
        self._expect(26 * HOUR)

    def expect_nothing(self) -> None:
        self._expect(None)

    def _expect(self, within: timedelta | None) -> None:
        self.world.expect = within
        plan = self.world.pipeline.plan
        self.world.pipeline.plan = type(plan)(
            plan.events, () if within is None else (Expectation("*", "backup", within),), plan.instance
        )
        self.settle()

    def settle(self) -> None:
        """Let the clock be trusted, then compare what is told with what is true."""
        for after in (timedelta(seconds=2), QUIET, timedelta(seconds=2)):
            self.world.step(after)
        now, within = self.world.moment, self.world.expect
        if self.last is not None:
            self.last = min(self.last, now)
        is_late = within is not None and self.last is not None and now - self.last > within
        alert = self.world.journal.alerts().get(("nas", "backup"))
        shown = alert.outcome if alert is not None and alert.raised else ""
        assert bool(shown) == (is_late or self.failed), (shown, is_late, self.failed)
        if not self.failed and shown:
            assert shown == "missed"


EVENTS: dict[str, Callable[[Story], None]] = {
    name: value for name, value in vars(Story).items() if not name.startswith("_") and name != "settle"
}


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(names=st.lists(st.sampled_from(sorted(EVENTS)), min_size=1, max_size=9))
def test_an_alert_stands_exactly_while_a_success_is_late_or_a_run_has_failed(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Restarts, weeks of downtime, clocks that are set, failures, and expectations that change, in any order."""
    world = World(tmp_path_factory.mktemp("story"))
    try:
        story = Story(world)
        story.succeed()
        for name in names:
            EVENTS[name](story)
    finally:
        world.journal.close()
