from __future__ import annotations

from pathlib import Path

import pytest

from borgwatch.judge import SourceRole
from borgwatch.service.roles import Roles
from borgwatch.settings import SourceSetting

WATCH = (Path("/watch"), Path("/mnt/tank/logs"))


@pytest.mark.parametrize(
    ("source", "job"),
    [
        ("/watch/nas/borg.log", "nas"),
        ("/watch/nas/2026/11/23.log", "nas"),
        ("/mnt/tank/logs/photos/x.log", "photos"),
        ("/watch/borg.log", "borg"),
        ("/watch/borg", "borg"),
        ("/watch/borg-2026-11-23.log", "borg"),
        ("/watch/borg_20261123_0200.log", "borg"),
        ("/watch/borg.2026.11.23-02:00:01.txt", "borg"),
        ("/watch/2026-11-23.log", "backup"),
        ("/watch/20261123-020001.log", "backup"),
        ("/watch/2026-11-23T02:00:01_nas.log", "nas"),
        ("/watch/2026-11-23-nas.log", "nas"),
        ("/watch/disk-1999.log", "disk-1999"),
        ("/elsewhere/deep/borg.log", "borg"),
    ],
)
def test_a_source_belongs_to_the_job_of_its_directory_or_its_own_name(source: str, job: str) -> None:
    assert SourceRole(job) == Roles(WATCH, ())(source)


SETTINGS = (
    SourceSetting("nas/check*.log", "nas-check", "verify"),
    SourceSetting("nas/*.log", operation="prune"),
    SourceSetting("/mnt/tank/logs/own.log", "own"),
    SourceSetting("*.status", "status"),
)


@pytest.mark.parametrize(
    ("source", "role"),
    [
        ("/watch/nas/check-1.log", SourceRole("nas-check", "verify")),
        ("/watch/nas/borg.log", SourceRole("nas", "prune")),
        ("/mnt/tank/logs/own.log", SourceRole("own")),
        ("/watch/a/b/c.status", SourceRole("status")),
        ("/watch/other/borg.log", SourceRole("other")),
    ],
)
def test_the_first_setting_that_fits_says_otherwise(source: str, role: SourceRole) -> None:
    assert role == Roles(WATCH, SETTINGS)(source)


def test_roles_of_different_settings_are_not_mixed_up() -> None:
    plain, other = Roles(WATCH, ()), Roles(WATCH, SETTINGS)

    assert [SourceRole("nas"), SourceRole("nas", "prune")] == [r("/watch/nas/borg.log") for r in (plain, other)]
