"""What cannot be read: whose silence proves nothing, for how long, and what is said then."""

from __future__ import annotations

import pytest

from borgwatch.policy.jobs import JobState
from borgwatch.policy.unread import EVERYTHING, Unread

NAS = JobState("nas", "backup", source="/watch/nas/backup.log")
APP = JobState("photos", "backup", source="truenas-app:borg/backup")
HOUR = 3600.0


def job_of(where: str) -> str:
    return where.removeprefix("/watch/").partition("/")[0] if where.startswith("/watch/") else "of an app"


def looked(*looks: tuple[float, dict[str, str]]) -> Unread:
    unread = Unread()
    for now, wrong in looks:
        unread = unread.look(wrong, now, job_of)
    return unread


@pytest.mark.parametrize(
    ("where", "state", "holds"),
    [
        pytest.param("/watch/nas/backup.log", NAS, True, id="the log itself"),
        pytest.param("/watch/nas", NAS, True, id="its directory"),
        pytest.param("/watch", NAS, True, id="the watched directory"),
        pytest.param("/watch/nas/borg-2026-11-24.log", NAS, True, id="another log of the job"),
        pytest.param("/watch/nas2", NAS, False, id="a directory with a longer name"),
        pytest.param("/watch/laptop/backup.log", NAS, False, id="another job's"),
        pytest.param("/other", NAS, False, id="another watched directory"),
        pytest.param(EVERYTHING, NAS, True, id="anything"),
        pytest.param("/other", JobState("nas", "backup"), True, id="a job of unknown place"),
        pytest.param("truenas-app:borg/", APP, True, id="the app"),
        pytest.param("truenas-app:borg/backup", APP, True, id="the service"),
        pytest.param("truenas-app:borg/web", APP, False, id="another service"),
        pytest.param("truenas-app:borg2/", APP, False, id="another app"),
    ],
)
def test_the_switch_waits_for_what_may_hold_the_success(where: str, state: JobState, holds: bool) -> None:
    unread = looked((0.0, {where: "is away"}))
    assert unread.holds(state) is holds
    assert unread.reason(state) == (f"{where}: is away" if holds else "")


def test_it_waits_an_hour_and_then_says_why() -> None:
    unread = looked((0.0, {"/watch": "is away"}), (HOUR - 1, {"/watch": "is away"}))
    assert unread.holds(NAS)
    unread = unread.look({"/watch": "is away"}, HOUR, job_of)
    assert not unread.holds(NAS)
    assert unread.reason(NAS) == "/watch: is away"


def test_what_is_there_again_is_given_a_minute_for_its_lines_and_gives_no_reason() -> None:
    unread = looked((0.0, {"/watch": "is away"}), (59.0, {}))
    assert unread.holds(NAS)
    assert unread.reason(NAS) == ""
    assert not unread.look({}, 60.0, job_of).holds(NAS)


def test_what_comes_and_goes_has_been_away_all_the_time() -> None:
    """Else a connection that breaks every minute would keep the switch off for good."""
    unread = looked(*((30.0 * n, {"/watch": "is away"} if n % 2 else {}) for n in range(1, 122)))
    assert not unread.holds(NAS)


def test_each_gap_has_an_hour_of_its_own() -> None:
    """A log that nobody may read for weeks must not keep an app's silence from being waited for."""
    unread = looked(
        (0.0, {"/watch/nas/old.log": "no"}), (HOUR, {"/watch/nas/old.log": "no", "/watch/nas/new.log": "no"})
    )
    assert unread.holds(NAS)


def test_what_is_yet_to_be_read_is_waited_for_without_an_afterthought() -> None:
    unread = looked((0.0, {EVERYTHING: ""}))
    assert (unread.holds(NAS), unread.reason(NAS)) == (True, "")
    assert not unread.look({}, 0.5, job_of).holds(NAS)


def test_a_name_from_the_disk_cannot_inject() -> None:
    unread = looked((0.0, {"/watch/nas/\x1b[31m\n\u202e": "no"}))
    assert unread.reason(NAS).isprintable()
