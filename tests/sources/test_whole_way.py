"""From status files and containers to events and alerts: the real pipeline, rules and journal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from borgwatch.journal.store import Change, Journal
from borgwatch.judge import Judge
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.model import Event
from borgwatch.pipeline import Pipeline, Plan
from borgwatch.policy.alerts import EventFilter
from borgwatch.policy.deadman import Expectation
from borgwatch.runs.machine import Limits
from borgwatch.service.roles import Roles, picks_in, wishes_in
from borgwatch.settings import SourceSetting
from borgwatch.sources.docker import Containers
from borgwatch.sources.tail import Tree

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
ID = "0123456789abcdef" * 4


class Site:
    """A watched directory and all that judges it, on a clock turned by hand."""

    def __init__(self, place: Path, *settings: SourceSetting) -> None:
        self.watch = place / "watch"
        self.watch.mkdir()
        self.moment = START
        self.journal = Journal.open(place / "state")
        containers = Containers(picks_in(settings))
        root = str(self.watch)
        tree = Tree(
            {root: self.watch}, now=self.now, monotonic=self.monotonic, first_start=[root],
            wishes=wishes_in(settings), containers=containers,
        )  # fmt: skip
        judge = Judge(Matcher(load_rules(()).rules), Limits(), Roles((self.watch,), settings, containers))
        plan = Plan(EventFilter(), (Expectation("*", "backup", timedelta(hours=26)),))
        self.pipeline = Pipeline({root: tree}, judge, plan, self.journal, self.now, self.monotonic)

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    def write(self, name: str, content: str, at: datetime | None = None) -> None:
        path = self.watch / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        stamp = (at or self.moment).timestamp()
        os.utime(path, (stamp, stamp))

    def happens(self, after: timedelta = timedelta()) -> list[tuple[str, str]]:
        """Let time pass and tell the events: job and name."""
        self.moment += after
        events: list[Event] = []
        for _ in range(3):
            events += self.pipeline.step().events
            self.moment += timedelta(seconds=2)
        return [(event.job, event.name) for event in events]

    def raised(self) -> set[str]:
        return {alert.key for alert in self.journal.alerts().values() if alert.raised}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    settings = (
        SourceSetting("nas/alive", kind="heartbeat"),
        SourceSetting("*.status", "photos", "prune", "status"),
        SourceSetting("", "container", kind="docker", container="borg-*"),
    )
    one = Site(tmp_path, *settings)
    yield one
    one.journal.close()


def test_a_heartbeat_feeds_the_dead_mans_switch(site: Site) -> None:
    """Also one that was there at the first start."""
    site.write("nas/alive", "", START - timedelta(hours=20))
    assert site.happens() == [("nas", "backup.success")]
    assert site.happens(timedelta(hours=5)) == []
    assert site.happens(timedelta(hours=2)) == [("nas", "backup.missed")]
    assert site.raised() == {"borgwatch:main:nas"}
    site.write("nas/alive", "")
    assert site.happens() == [("nas", "backup.success")]
    assert site.raised() == set()


def test_a_status_counts_for_the_job_and_operation_of_the_settings(site: Site) -> None:
    site.happens()
    site.write("x/borg.status", "status=failed\nerror=no space\n")
    assert site.happens() == [("photos", "prune.failure")]
    assert site.raised()
    site.write("x/borg.status", "status=ok\n")
    assert site.happens() == [("photos", "prune.success")]
    assert site.raised() == set()


def test_a_restore_drill_is_known_by_the_name_of_its_file(site: Site) -> None:
    site.happens()
    site.write("nas/last-restore-drill", f"{int(START.timestamp())} nas-1\n")

    assert site.happens() == [("nas", "restore.success")]


def test_a_failure_in_a_container_is_the_chosen_jobs(site: Site) -> None:
    site.happens()
    site.write(f"{ID}/config.v2.json", json.dumps({"Name": "/borg-nas", "Config": {"Image": "x"}}))
    said = ["Failed to create/acquire the lock /repo/lock.exclusive (timeout).", "terminating with error status, rc 2"]
    lines = [{"log": f"{text}\n", "stream": "stderr", "time": START.isoformat()} for text in said]
    site.write(f"{ID}/{ID}-json.log", "".join(json.dumps(line) + "\n" for line in lines))

    assert site.happens(timedelta(seconds=1)) == [("container", "backup.failure")]
    assert site.raised() == {"borgwatch:main:container"}


def test_positions_of_mere_noise_are_written_once_a_second_and_news_at_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash such noise is read again, and means nothing again."""
    site.write("nas/borg.log", "")
    site.happens()
    commits: list[int] = []
    commit = site.journal.commit

    def counted(change: Change) -> None:
        commits.append(len(tuple(change.positions)))
        commit(change)

    monkeypatch.setattr(site.journal, "commit", counted)
    with (site.watch / "nas/borg.log").open("a") as log:
        for _ in range(20):
            log.write("nothing of interest\n")
            log.flush()
            site.pipeline.step()
            site.moment += timedelta(seconds=0.1)
        assert len(commits) <= 3
        log.write("Failed to create/acquire the lock /repo/lock.exclusive (timeout).\n")
        log.flush()
        before = len(commits)
        site.pipeline.step()
        assert len(commits) == before + 1
    site.happens(timedelta(seconds=2))
    position = next(iter(site.journal.positions().values()))
    assert position.offset == (site.watch / "nas/borg.log").stat().st_size
