"""One step: read, judge, decide, commit; what counts and what does not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from borgwatch.errors import JournalError
from borgwatch.journal.store import Journal
from borgwatch.judge import Judge
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.pipeline import LEAST_BUDGET, MOST_BUDGET, Pipeline, Plan, Step, _next_budget
from borgwatch.policy.alerts import EventFilter
from borgwatch.policy.deadman import Expectation
from borgwatch.policy.folding import Repetition
from borgwatch.runs.machine import Limits
from borgwatch.service.report import LogReport
from borgwatch.service.roles import Roles
from borgwatch.sources.app_log import Written
from borgwatch.sources.app_output import AppOutput
from borgwatch.sources.reading import MOST_LINES
from borgwatch.sources.tail import Tree

START = datetime(2026, 11, 23, 6, tzinfo=UTC)
GOOD = 'Creating archive at "/r::{}"\nterminating with success status, rc 0\n'
LOCKED = "Failed to create/acquire the lock /r (timeout).\nterminating with error status, rc 2\n"
QUIET_FAILURE = "Repository /r does not exist.\n"
EVENTS = EventFilter(("*.failure", "*.missed"))


@cache
def shipped_rules() -> Matcher:
    """Read them once: it takes longer than most tests."""
    return Matcher(load_rules().rules)


class World:
    """A watched directory, a journal and a clock turned by hand."""

    def __init__(self, directory: Path) -> None:
        self.watch = directory / "watch"
        (self.watch / "nas").mkdir(parents=True)
        self.log = self.watch / "nas" / "backup.log"
        self.state = directory / "state"
        self.matcher = shipped_rules()
        self.moment = START
        self.expect: timedelta | None = None
        self.remind: timedelta | None = None
        self.events = EVENTS
        self.jumps = timedelta()
        self.instance = "main"
        self.repetitions: dict[str, Repetition] = {}
        self.journal = Journal.open(self.state)
        self.restart()

    def restart(self) -> None:
        """Begin anew from what was committed."""
        self.journal.close()
        self.journal = Journal.open(self.state)
        root = str(self.watch)
        first = {root} - self.journal.roots()
        tree = Tree({root: self.watch}, first_start=first, now=self.now, monotonic=lambda: self.now().timestamp())
        judge = Judge(self.matcher, Limits(), Roles((self.watch,), ()))
        expect = (Expectation("*", "backup", self.expect, self.remind),) if self.expect else ()
        plan = Plan(self.events, expect, self.instance, self.repetitions)
        self.pipeline = Pipeline({root: tree}, judge, plan, self.journal, self.now, self.monotonic)

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return (self.moment - self.jumps).timestamp()

    def set_clock(self, by: timedelta) -> None:
        """Set the clock forwards or backwards; no time passes."""
        self.moment += by
        self.jumps += by

    def write(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(text)
        os.utime(self.log, (self.moment.timestamp(), self.moment.timestamp()))

    def step(self, after: timedelta = timedelta()) -> Step:
        """Let time pass and take steps until there is no more to read; returns the last."""
        self.moment += after
        while (step := self.pipeline.step()).more:
            pass
        return step

    def catch_up(self, after: timedelta = timedelta()) -> int:
        """Let time pass and take steps until there is no more to read; returns how many lines there were."""
        self.moment += after
        lines = 0
        while (step := self.pipeline.step()).more:
            lines += step.lines
        return lines + step.lines

    def arm(self) -> None:
        """Expect a backup each day, of which the first succeeds now."""
        self.expect = timedelta(hours=26)
        self.restart()
        self.step()
        self.write(GOOD.format("a"))
        self.step()

    def names(self) -> list[str]:
        return [event.name for event in self.journal.events()]


class AppWorld(World):
    """The same with the output of an app in place of the directory."""

    def restart(self) -> None:
        self.journal.close()
        self.journal = Journal.open(self.state)
        self.output = AppOutput("borg", "backup", now=self.now, wake=lambda: None, first_start=False)
        judge = Judge(self.matcher, Limits(), Roles((self.watch,), ()))
        plan = Plan(self.events, (Expectation("*", "backup", timedelta(hours=26)),))
        self.pipeline = Pipeline({self.output.name: self.output}, judge, plan, self.journal, self.now, self.monotonic)

    def writes(self, text: str) -> None:
        for line in text.splitlines():
            assert self.output.take("backup", Written(line.encode(), self.moment))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.journal.close()


def test_a_failure_is_an_event_and_an_alert_in_one_commit(world: World) -> None:
    world.step()
    world.write(LOCKED)
    step = world.step()
    assert [event.name for event in step.events] == ["backup.failure"]
    assert [(alert.key, alert.raised) for alert in step.alerts] == [("borgwatch:main:nas", True)]
    assert [pending.alert for pending in world.journal.pending()] == list(step.alerts)


def test_a_commit_that_fails_counts_for_nothing_and_the_lines_come_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.step()
    world.write(LOCKED)
    with monkeypatch.context() as broken:
        broken.setattr(world.journal, "commit", _disk_full)
        with pytest.raises(JournalError):
            world.step()
    assert world.journal.pending() == []
    assert [event.name for event in world.step().events] == ["backup.failure"]
    assert world.names() == ["backup.failure"]


def _disk_full(_: object) -> None:
    raise JournalError("the journal cannot be written: disk full")


def test_silence_ends_a_failure_that_has_no_closing_line(world: World) -> None:
    world.step()
    world.write(QUIET_FAILURE)
    assert world.step().events == ()
    assert world.step(timedelta(seconds=9)).events == ()
    assert [event.name for event in world.step(timedelta(seconds=2)).events] == ["backup.failure"]
    assert world.step(timedelta(seconds=60)).events == ()


def test_an_open_run_survives_a_restart(world: World) -> None:
    world.step()
    world.write('Creating archive at "/r::a"\n')
    world.step()
    world.restart()
    world.write("terminating with success status, rc 0\n")
    (event,) = world.step().events
    assert (event.name, event.fields["archive"]) == ("backup.success", "a")


def test_a_missing_backup_is_told_once_however_often_one_looks(world: World) -> None:
    world.arm()
    assert world.step(timedelta(hours=25)).events == ()
    assert [event.name for event in world.step(timedelta(hours=2)).events] == ["backup.missed"]
    assert world.step(timedelta(hours=2)).events == ()
    world.restart()
    assert world.step(timedelta(hours=2)).events == ()
    world.write(GOOD.format("b"))
    (alert,) = world.step().alerts
    assert not alert.raised
    assert [event.name for event in world.step(timedelta(hours=27)).events] == ["backup.missed"]


def test_a_success_that_is_yet_to_be_read_does_not_count_as_missing(world: World) -> None:
    """A log of several steps: its first success is old, its last one is not."""
    world.expect = timedelta(hours=26)
    line = '{{"type": "log_message", "time": {}, "message": "{}", "levelname": "INFO", "name": "{}"}}\n'
    noise = '{"type": "file_status", "status": "A", "path": "/' + "x" * 150 + '"}\n'
    for day in range(40, -1, -1):
        at = (START - timedelta(days=day, hours=1)).timestamp()
        world.write(line.format(at, f"Archive name: a{day}", "borg.output.stats"))
        world.write(noise * 400)
        world.write(line.format(at, "terminating with success status, rc 0", "borg.output.show-rc"))
    assert world.log.stat().st_size > 2 << 20
    world.restart()
    world.step()
    assert "backup.missed" not in world.names()
    assert world.journal.pending() == []
    assert [event.name for event in world.step(timedelta(hours=26)).events] == ["backup.missed"]


@pytest.mark.parametrize("name", ["borg-1.4.5/create-ok-progress.stderr", "borg-2.0.0b25/create-ok-progress.stderr"])
def test_the_journal_is_the_same_whether_lines_are_chosen_first_or_all_are_judged(name: str, tmp_path: Path) -> None:
    """Positions with their proofs, streams, events; and all lines are counted."""
    recorded = Path(__file__).parent / "data" / "borg-logs" / name
    found = []
    for choosing in (True, False):
        world = World(tmp_path / str(choosing))
        if not choosing:
            world.pipeline._candidates.everything = True
        world.log.write_bytes(recorded.read_bytes())
        os.utime(world.log, ns=(0, 0))
        world.catch_up()
        world.log.write_bytes(recorded.read_bytes() + LOCKED.encode() + recorded.read_bytes())
        os.utime(world.log, ns=(1, 1))
        lines = world.catch_up(timedelta(seconds=10))
        journal = world.journal
        positions = {key: replace(at, device=0, inode=0) for key, at in journal.positions().items()}
        told = [replace(event, id="", run="", source="") for event in journal.events()]
        found.append((list(positions.values()), told, len(journal.streams()), lines))
        journal.close()

    assert found[0] == found[1]
    assert found[0][1]


@pytest.mark.parametrize(
    ("budget", "judged", "following"),
    [
        (LEAST_BUDGET, 0, 2 * LEAST_BUDGET),
        (MOST_BUDGET, 10, MOST_BUDGET),
        (MOST_BUDGET, 2000, MOST_BUDGET // 10),
        (LEAST_BUDGET, 100_000, LEAST_BUDGET),
    ],
)
def test_a_step_reads_the_more_the_fewer_lines_are_judged(budget: int, judged: int, following: int) -> None:
    """So that it is short where all lines matter, and does not commit all the time where none do."""
    assert following == _next_budget(budget, judged)


def test_where_all_lines_matter_the_next_step_reads_less() -> None:
    """A step takes so many lines of a file at most, and what it has read beyond them is read again."""
    assert _next_budget(MOST_BUDGET, MOST_LINES) < MOST_BUDGET


def test_the_past_of_a_directory_that_comes_late_is_past_as_well(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.watch.rename(tmp_path / "unmounted")
    world.step()
    world.restart()
    world.step()
    (tmp_path / "unmounted" / "nas" / "backup.log").write_text(LOCKED)
    (tmp_path / "unmounted").rename(world.watch)
    assert [event.past for event in world.step(timedelta(seconds=5)).events] == [True]
    assert world.journal.pending() == []
    world.write(LOCKED)
    assert [event.past for event in world.step().events] == [False]
    world.journal.close()


def test_the_first_success_takes_away_what_an_earlier_journal_may_have_left(world: World) -> None:
    world.step()
    world.write(GOOD.format("a"))
    assert [alert.raised for alert in world.step().alerts] == [False]
    world.write(GOOD.format("b"))
    assert world.step().alerts == ()


def test_another_instance_name_takes_the_standing_alert_along(world: World) -> None:
    world.step()
    world.write(LOCKED)
    world.step()
    for pending in world.journal.pending():
        world.journal.mark_delivered([pending])
    world.instance = "attic"
    world.restart()
    asked = {pending.alert.key: pending.alert.raised for pending in world.journal.pending()}
    assert asked == {"borgwatch:main:nas": False, "borgwatch:attic:nas": True}
    world.restart()
    assert len(world.journal.pending()) == 2


def test_trouble_that_never_arrived_is_still_news_when_it_is_repeated(world: World) -> None:
    """Raised and shown, cleared and raised anew while TrueNAS was away, then repeated: people are to be told."""
    world.step()
    world.write(LOCKED)
    world.step()
    for pending in world.journal.pending():
        world.journal.mark_delivered([pending])
    for text in (GOOD.format("a"), LOCKED, LOCKED):
        world.write(text)
        world.step()
    (pending,) = world.journal.pending()
    assert pending.alert.renotify


def test_a_journal_of_several_processes_is_never_left_half_written(world: World) -> None:
    world.step()
    world.write(LOCKED)
    world.step()
    database = sqlite3.connect(world.state / "journal.sqlite3")
    counts = [database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("runs", "events", "alerts")]  # noqa: S608 - fixed names
    database.close()
    assert counts == [1, 1, 1]


def test_the_journal_is_for_its_owner_alone(world: World) -> None:
    """It holds lines of the logs as they were written."""
    assert oct((world.state / "journal.sqlite3").stat().st_mode & 0o777) == "0o600"
    assert oct(world.state.stat().st_mode & 0o777) == "0o700"


# -- hard cases 28 to 30, as far as they are decided here; what TrueNAS shows then: tests/e2e -----------------------


def test_case_28_started_and_silent_is_stalled_once_and_the_late_end_tells_the_true_outcome(world: World) -> None:
    world.step()
    world.write('Creating archive at "/r::a"\n')
    assert world.step().events == ()
    assert world.step(timedelta(hours=23)).events == ()
    assert [event.name for event in world.step(timedelta(hours=2)).events] == ["backup.stalled"]
    assert world.step(timedelta(hours=30)).events == ()
    world.write("terminating with success status, rc 0\n")
    (event,) = world.step().events
    assert (event.name, event.fields["archive"]) == ("backup.success", "a")
    (pending,) = world.journal.pending()
    assert not pending.alert.raised


def test_case_29_only_a_success_arms_the_switch_and_only_a_success_feeds_it(world: World) -> None:
    world.expect = timedelta(hours=26)
    world.restart()
    world.step()
    world.write(LOCKED)
    world.step()
    assert world.step(timedelta(days=3)).events == ()
    world.write(GOOD.format("a"))
    world.step()
    world.write("Keeping archive: a\nterminating with success status, rc 0\n")
    world.write("/mnt/x: open: [Errno 13] Permission denied\nterminating with warning status, rc 1\n")
    assert [event.name for event in world.step(timedelta(hours=20)).events] == ["prune.success", "backup.warning"]
    assert [event.name for event in world.step(timedelta(hours=7)).events] == ["backup.missed"]


def test_case_29_the_past_of_the_log_arms_the_switch_from_the_first_minute(world: World) -> None:
    world.expect = timedelta(hours=26)
    at = START - timedelta(hours=25)
    world.write(f"{at:%a %b %d %H:%M:%S} UTC {at:%Y} Starting backup\n")
    world.write(f"{at:%a %b %d %H:%M:%S} UTC {at:%Y} Backup, Prune, and Compact finished successfully\n")
    world.restart()
    assert [event.past for event in world.step().events] == [True]
    assert [event.name for event in world.step(timedelta(hours=2)).events] == ["backup.missed"]


def test_case_29_text_without_a_time_is_as_old_as_its_file(world: World) -> None:
    world.expect = timedelta(hours=26)
    world.write(GOOD.format("a"))
    written = (START - timedelta(hours=25)).timestamp()
    os.utime(world.log, (written, written))
    world.restart()
    assert [event.name for event in world.step().events] == ["backup.success"]
    assert [event.name for event in world.step(timedelta(hours=2)).events] == ["backup.missed"]


@pytest.mark.parametrize("noise", ["", "nothing of note\n" * 50_000], ids=["in one step", "in many steps"])
def test_case_29_the_watchers_own_downtime_trips_nothing_if_the_success_is_found(world: World, noise: str) -> None:
    world.arm()
    world.moment += timedelta(days=2)
    world.write(noise + GOOD.format("b"))
    changed = (world.moment - timedelta(hours=1)).timestamp()
    os.utime(world.log, (changed, changed))
    world.restart()
    world.step()
    assert world.names() == ["backup.success", "backup.success"]
    assert world.step(timedelta(hours=24)).events == ()
    assert [event.name for event in world.step(timedelta(hours=2)).events] == ["backup.missed"]


def test_case_29_a_clock_that_is_set_forward_trips_nothing_and_set_back_hides_nothing(world: World) -> None:
    world.arm()
    world.set_clock(timedelta(days=400))
    assert world.step(timedelta(minutes=1)).events == ()
    world.write(GOOD.format("b"))
    world.step()
    world.set_clock(timedelta(days=-400))
    assert world.step(timedelta(minutes=1)).events == ()
    assert world.step(timedelta(minutes=11)).events == ()
    assert world.step(timedelta(hours=25)).events == ()
    assert [event.name for event in world.step(timedelta(hours=2)).events] == ["backup.missed"]


def test_case_29_a_clock_that_is_wrong_for_a_moment_changes_nothing(world: World) -> None:
    """Set back by a day and set right again: the last success has not moved with it."""
    world.arm()
    before = world.journal.jobs()["nas", "backup"].last_success
    world.set_clock(timedelta(days=-1))
    world.step(timedelta(seconds=10))
    world.set_clock(timedelta(days=1))
    world.step(timedelta(seconds=10))
    world.step(timedelta(minutes=11))
    assert world.journal.jobs()["nas", "backup"].last_success == before
    assert world.step(timedelta(hours=25)).events == ()


def test_case_29_a_success_in_a_directory_that_comes_late_is_waited_for(world: World) -> None:
    """After a week of downtime, the share with the logs is mounted a little after borgwatch has started."""
    world.arm()
    world.write(GOOD.format("b"))
    changed = (world.moment + timedelta(days=7, hours=-1)).timestamp()
    os.utime(world.log, (changed, changed))
    world.watch.rename(world.watch.with_name("unmounted"))
    world.moment += timedelta(days=7)
    world.restart()
    assert world.step().events == ()
    assert world.step(timedelta(minutes=50)).events == ()
    world.watch.with_name("unmounted").rename(world.watch)
    assert [event.name for event in world.step(timedelta(seconds=5)).events] == ["backup.success"]
    assert world.step(timedelta(hours=24)).events == ()


def test_case_29_a_directory_that_never_comes_does_not_switch_the_switch_off(world: World) -> None:
    world.arm()
    world.watch.rename(world.watch.with_name("unmounted"))
    world.moment += timedelta(days=7)
    world.restart()
    assert world.step().events == ()
    assert [event.name for event in world.step(timedelta(minutes=61)).events] == ["backup.missed"]


def test_case_29_a_directory_that_goes_away_when_a_run_is_due_trips_nothing(world: World) -> None:
    """The backup ran, and stands in a share that is away for the moment: whether one is missing cannot be seen."""
    world.arm()
    world.step(timedelta(hours=25))
    world.write(GOOD.format("b"))
    world.watch.rename(world.watch.with_name("unmounted"))
    assert world.step(timedelta(minutes=55)).events == ()
    assert world.step(timedelta(minutes=10)).events == ()
    world.watch.with_name("unmounted").rename(world.watch)
    assert [event.name for event in world.step(timedelta(seconds=5)).events] == ["backup.success"]


def test_case_29_a_log_that_cannot_be_read_is_waited_for_and_then_told_as_what_it_is(world: World) -> None:
    world.arm()
    world.step(timedelta(hours=25, minutes=50))
    aside = world.log.with_name("aside")
    world.log.rename(aside)
    os.mkfifo(world.log)
    assert world.step(timedelta(minutes=5)).events == ()
    assert world.step(timedelta(minutes=50)).events == ()
    (event,) = world.step(timedelta(minutes=15)).events
    assert event.name == "backup.missed"
    assert event.message.endswith(f"{world.log}: {world.log} is a FIFO, not a file: it is not read")
    world.log.unlink()
    aside.rename(world.log)
    world.write(GOOD.format("b"))
    step = world.step(timedelta(minutes=1))
    assert [(alert.outcome, alert.raised) for alert in step.alerts] == [("success", False)]


def test_case_29_the_silence_of_one_job_waits_for_no_log_of_another(world: World) -> None:
    world.arm()
    other = world.watch / "laptop"
    other.mkdir()
    world.step(timedelta(hours=25, minutes=50))
    os.mkfifo(other / "backup.log")
    assert [event.name for event in world.step(timedelta(minutes=15)).events] == ["backup.missed"]


def test_case_29_a_connection_that_breaks_when_a_run_is_due_trips_nothing(tmp_path: Path) -> None:
    """The output of an app that comes over it is read as soon as there is a connection again."""
    world = AppWorld(tmp_path)
    world.output.begin("backup", "c1")
    world.writes(GOOD.format("a"))
    world.step()
    world.step(timedelta(hours=25, minutes=59))
    world.output.away()
    assert world.step(timedelta(minutes=30)).events == ()
    world.output.begin("backup", "c1")
    assert world.step(timedelta(seconds=2)).events == ()
    assert world.step(timedelta(seconds=2)).events == ()
    world.writes(GOOD.format("b"))
    assert [event.name for event in world.step(timedelta(seconds=2)).events] == ["backup.success"]
    world.journal.close()


def test_case_29_a_connection_that_breaks_between_two_looks_is_no_silence_either(tmp_path: Path) -> None:
    world = AppWorld(tmp_path)
    world.output.begin("backup", "c1")
    world.writes(GOOD.format("a"))
    world.step()
    world.step(timedelta(hours=25, minutes=59))
    world.output.away()
    world.output.begin("backup", "c1")
    assert world.step(timedelta(minutes=2)).events == ()
    assert [event.name for event in world.step(timedelta(minutes=1)).events] == ["backup.missed"]
    world.journal.close()


def test_case_29_a_connection_that_stays_away_is_told_as_what_it_is(tmp_path: Path) -> None:
    world = AppWorld(tmp_path)
    world.output.begin("backup", "c1")
    world.writes(GOOD.format("a"))
    world.step()
    world.step(timedelta(hours=25))
    world.output.away()
    world.output.wrong("there is no session with TrueNAS")
    assert world.step(timedelta(minutes=1)).events == ()
    assert world.step(timedelta(minutes=58)).events == ()
    (event,) = world.step(timedelta(minutes=70)).events
    assert event.message.endswith(": truenas-app:borg/backup: there is no session with TrueNAS")
    assert event.fields["next_step"] == "Whether it ran cannot be seen until borgwatch can read this again."
    world.journal.close()


def test_case_29_a_reminder_is_told_again_until_a_success(world: World) -> None:
    world.expect, world.remind = timedelta(hours=26), timedelta(days=1)
    world.restart()
    world.step()
    world.write(GOOD.format("a"))
    world.step()
    told = [event.name for _ in range(8) for event in world.step(timedelta(hours=12)).events]
    assert told == ["backup.missed"] * 3  # after 36, 60 and 84 of the 96 hours
    (pending,) = world.journal.pending()
    assert pending.alert.renotify
    world.restart()
    world.write(GOOD.format("b"))
    assert [event.name for event in world.step().events] == ["backup.success"]


def tripped(world: World, *, failed: bool = False) -> None:
    """A success, a failure after it perhaps, then silence until the switch trips."""
    world.expect = timedelta(hours=26)
    world.restart()
    world.step()
    for text in (GOOD.format("a"), LOCKED) if failed else (GOOD.format("a"),):
        world.write(text)
        world.step()
    assert [event.name for event in world.step(timedelta(hours=27)).events] == ["backup.missed"]
    world.journal.mark_delivered(world.journal.pending())


@pytest.mark.parametrize("within", [None, timedelta(days=8)], ids=["withdrawn", "more time"])
def test_the_alert_of_a_run_that_is_not_expected_any_more_goes(world: World, within: timedelta | None) -> None:
    """By a restart with other settings, or by rules that are read again."""
    tripped(world)
    expect = () if within is None else (Expectation("*", "backup", within),)
    world.pipeline.plan = replace(world.pipeline.plan, expect=expect, whole=False)
    assert world.step().alerts == ()  # settings or rules with faults prove nothing
    world.pipeline.plan = replace(world.pipeline.plan, whole=True)
    (alert,) = world.step(timedelta(minutes=1)).alerts

    assert (alert.key, alert.raised, alert.renotify) == ("borgwatch:main:nas", False, True)
    assert alert.text.startswith("Borg backup of nas is not overdue any more (2026-11-24 ")
    assert [pending.alert for pending in world.journal.pending()] == [alert]
    assert [found.delivery for found in world.journal.events_after(1)] == ["raised"]
    assert world.step(timedelta(minutes=1)).alerts == ()
    world.write(LOCKED)
    (alert,) = world.step().alerts
    assert (alert.outcome, alert.renotify, "failed 2 times" in alert.text) == ("failure", True, False)


def test_an_alert_goes_as_well_if_its_expectation_was_withdrawn_while_borgwatch_was_off(world: World) -> None:
    tripped(world)
    world.expect = None
    world.restart()

    assert [alert.raised for alert in world.step().alerts] == [False]
    world.expect = timedelta(hours=26)
    world.restart()
    assert [event.name for event in world.step(timedelta(minutes=11)).events] == ["backup.missed"]


def test_a_job_that_was_renamed_leaves_an_alert_until_it_is_said_to_be_gone(world: World) -> None:
    """The new name is another job, armed by its own success; each operation is waited for by itself."""
    table = Expectation("*", "backup", timedelta(hours=26)), Expectation("*", "prune", timedelta(days=8))
    world.step()
    world.pipeline.plan = replace(world.pipeline.plan, expect=table)
    pruned = "Keeping archive: a\nterminating with success status, rc 0\n"
    world.write(GOOD.format("a") + pruned)
    world.step()
    world.log = world.watch / "vault" / "backup.log"
    world.log.parent.mkdir()
    for _ in range(10):
        world.moment += timedelta(days=1)
        world.write(GOOD.format("b") + pruned)
        world.step()
    raised = {place: alert.outcome for place, alert in world.journal.alerts().items() if alert.raised}
    assert raised == {("nas", "backup"): "missed", ("nas", "prune"): "missed"}
    gone = [Expectation("nas", operation, None) for operation in ("backup", "prune")]
    world.pipeline.plan = replace(world.pipeline.plan, expect=(*gone, *table))
    assert [(alert.job, alert.raised) for alert in world.step().alerts] == [("nas", False)] * 2
    assert world.step(timedelta(days=2)).events[-1].job == "vault"


def test_an_alert_that_stands_for_a_failure_too_does_not_go_with_what_is_expected(world: World) -> None:
    tripped(world, failed=True)
    world.pipeline.plan = replace(world.pipeline.plan, expect=())

    assert world.step(timedelta(minutes=1)).alerts == ()
    world.write(GOOD.format("b"))
    assert [alert.raised for alert in world.step().alerts] == [False]


def test_a_clock_that_was_just_set_back_takes_no_alert_back(world: World) -> None:
    tripped(world)
    world.set_clock(timedelta(hours=-5))
    assert world.step().alerts == ()


def test_case_30_a_repeated_failure_is_counted_and_a_success_says_after_how_long(world: World) -> None:
    world.events = EventFilter(("*.failure", "*.recovered"))
    world.restart()
    world.step()
    shown = []
    for text in (LOCKED, LOCKED, GOOD.format("a"), LOCKED):
        world.write(text)
        (alert,) = world.step(timedelta(hours=12)).alerts
        shown.append((alert.outcome, alert.raised, alert.renotify, "failed 2 times since" in alert.text))
    assert shown == [
        ("failure", True, True, False),
        ("failure", True, False, True),
        ("recovered", True, True, False),
        ("failure", True, True, False),
    ]
    assert "backup.recovered" in world.names()


def test_a_recovery_that_nobody_asked_for_is_no_event_of_its_own(world: World) -> None:
    world.step()
    for text in (LOCKED, GOOD.format("a")):
        world.write(text)
        world.step(timedelta(hours=12))
    assert world.names() == ["backup.failure", "backup.success"]
    assert world.journal.events()[-1].fields["recovered_after"] == 12 * 3600


def test_an_event_in_its_cool_down_counts_but_is_not_told_until_it_is_over(world: World) -> None:
    world.repetitions = {"borg.lock-timeout": Repetition(cooldown=timedelta(hours=6))}
    world.restart()
    world.step()
    world.write(LOCKED)
    (told,) = world.step().alerts
    world.write(LOCKED)
    step = world.step(timedelta(hours=1))
    assert ([event.name for event in step.events], step.alerts) == (["backup.failure"], ())
    assert step.held == {event.id for event in step.events}
    world.restart()
    (again,) = world.step(timedelta(hours=5)).alerts
    assert again.raised
    assert again.event_id != told.event_id
    assert world.names() == ["backup.failure"] * 2


def test_a_success_ends_what_waits_in_a_cool_down(world: World) -> None:
    world.repetitions = {"borg.lock-timeout": Repetition(cooldown=timedelta(hours=6))}
    world.restart()
    world.step()
    for text in (LOCKED, LOCKED, GOOD.format("a")):
        world.write(text)
        step = world.step(timedelta(minutes=40))
    assert [alert.raised for alert in step.alerts] == [False]
    assert world.step(timedelta(hours=12)).alerts == ()


def test_a_record_that_the_wrapper_keeps_beside_its_output_tells_nothing_twice(world: World) -> None:
    """docker-borg-client 0.9.1 and later: the same backup stands in its output and in its history.log."""
    world.step()
    world.write("Starting Borg Backup\nBackup completed successfully!\n")
    world.step()
    at = world.moment + timedelta(seconds=1)
    title = "backup.success INFO Borg Backup Successful | Archive: a, Duration: 3s"
    for later in (timedelta(), timedelta(days=1)):
        with (world.watch / "nas" / "history.log").open("a") as history:
            history.write(f"{at + later:%Y-%m-%dT%H:%M:%S}+0000 {title}\n")
        world.step(later + timedelta(seconds=5))
    assert world.names() == ["backup.success"] * 2


@pytest.mark.parametrize(
    "line",
    [
        "0001-01-01T00:00:00+14:00 terminating with error status, rc 2",
        "9999-12-31T23:59:59-14:00 terminating with error status, rc 2",
        '{"time": -62135596800, "levelname": "ERROR", "message": "terminating with error status, rc 2"}',
    ],
)
def test_no_time_in_a_line_can_stop_the_watching(world: World, line: str) -> None:
    """A step that breaks reads the same line again, for good: one line would blind borgwatch to all others."""
    world.step()
    world.write(line + "\n")

    assert [event.time for event in world.step().events] == [START]


@pytest.mark.parametrize("says", ["emit: backup.failure", "run: end, operation: backup, outcome: failure"])
@pytest.mark.parametrize(
    ("field", "number"),
    [("failures", "3"), ("failing_since", "3"), ("reminder", "1"), ("duration", "nan"), ("duration", "1e308")],
)
def test_no_field_that_a_rule_takes_from_a_line_can_stop_the_watching(
    world: World, tmp_path: Path, field: str, number: str, says: str
) -> None:
    """What only the past can tell is not taken from a line; a duration that none is, is left out."""
    read = "int" if number.isdigit() else "float"
    (tmp_path / "own.yaml").write_text(
        "schema: 1\npack: own\nrules:\n"
        f"  - {{id: odd, match: {{text|re: 'took (?P<n>\\S+)'}}, {says}, set: {{{field}: '{{n|{read}}}'}}}}\n"
    )
    world.matcher = Matcher(load_rules([tmp_path]).rules)
    world.restart()
    world.step()
    report = LogReport()
    for _ in range(3):
        world.write(f"took {number}\n")
        step = world.step(timedelta(hours=1))
        report.step(step)
        assert [event.name for event in step.events] == ["backup.failure"]

    assert [step.alerts[0].renotify, world.journal.jobs()["nas", "backup"].failures] == [False, 3]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_failure_is_not_told_anew_when_its_log_is_moved_away_and_comes_back(world: World, *, restarts: bool) -> None:
    world.step()
    world.write(LOCKED)
    assert [event.name for event in world.step(timedelta(minutes=1)).events] == ["backup.failure"]
    away = world.log.parent.rename(world.watch.parent / "away")
    assert world.catch_up(timedelta(hours=1)) == 0
    if restarts:
        world.restart()
        world.step()
    away.rename(world.log.parent)

    assert world.catch_up(timedelta(hours=1)) == 0
    assert len(world.journal.events()) == 1
