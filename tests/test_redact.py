from __future__ import annotations

import time

import pytest

from borgwatch import redact as module
from borgwatch.redact import redact, register_secret

API_KEY = "12-" + "aB3" * 21 + "x"


@pytest.fixture(autouse=True)
def _no_secrets_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_known", [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"key {API_KEY} refused", "key *** refused"),
        (f'{{"params": ["{API_KEY}"]}}', '{"params": ["***"]}'),
        ("ssh://borg:hunter2@nas:22/repo", "ssh://borg:***@nas:22/repo"),
        ("smb://:hunter2@nas/x", "smb://:***@nas/x"),
        ("BORG_PASSPHRASE=hunter2 borg create", "BORG_PASSPHRASE=*** borg create"),
        ("export BORG_PASSPHRASE='two words'; borg", "export BORG_PASSPHRASE=***; borg"),
        ('MYSQL_PASSWORD="a b" dump', "MYSQL_PASSWORD=*** dump"),
        ("--password=hunter2 x", "--password=*** x"),
        ("{'api_key': 'hunter2', 'x': 1}", "{'api_key': ***, 'x': 1}"),
        ('{"token": "hunter2"}', '{"token": ***}'),
    ],
)
def test_what_has_the_shape_of_a_secret_is_masked(text: str, expected: str) -> None:
    assert expected == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "can not acquire a passphrase: BORG_PASSPHRASE is not set. BORG_PASSCOMMAND is not set.",
        "passphrase supplied in BORG_PASSPHRASE, by BORG_PASSCOMMAND or via BORG_PASSPHRASE_FD is incorrect.",
        "Enter passphrase for key /mnt/enc:",
        "ssh://borg@nas:22/./repo::archive-2026-11-23",
        "Repository ssh://nas.lan/mnt/a@b does not exist.",
        "Archive nas-2026-11-23T02:00:01.123456 [46994b1c1129c915f1d5da14aafbf20189dc08a9032ea4cfa84f449bc8b898aa]",
        "mail-2026-11-23-0000000000000000",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert text == redact(text)


def test_a_registered_secret_is_masked_wherever_it_stands() -> None:
    register_secret("correct horse")

    assert redact("<correct horse> <correct horse>") == "<***> <***>"


def test_the_part_of_a_key_that_matters_is_masked_alone_too() -> None:
    register_secret("7-abcdefgh")

    assert (redact("7-abcdefgh"), redact("xabcdefgh ***")) == ("***", "x*** ***")


def test_a_secret_that_holds_another_is_masked_whole() -> None:
    for secret in ("secret", "my secret is long", "secret is"):
        register_secret(secret)

    assert redact("a my secret is long b secret is c secret") == "a *** b *** c ***"


def test_a_text_too_short_to_be_a_secret_masks_nothing() -> None:
    register_secret("1-abc")

    assert redact("1-abc abc") == "1-abc abc"


@pytest.mark.parametrize(
    "text",
    ["a" * 500_000 + "://", "PASSWORD" * 100_000, "a.-+" * 200_000 + "://x:", "1" * 500_000 + "-", "_" * 500_000],
)
def test_long_text_takes_bounded_time(text: str) -> None:
    started = time.perf_counter()

    assert text == redact(text)
    assert time.perf_counter() - started < 5
