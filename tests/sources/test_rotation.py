from __future__ import annotations

import pytest

from borgwatch.sources.rotation import generation, is_compressed, live_names


@pytest.mark.parametrize(
    "oldest_first",
    [
        ["b.log.10", "b.log.2.gz", "b.log.1", "b.log.0"],
        ["b.log-20251231", "b.log-20260101.gz", "b.log-20260101-0210", "b.log-20261123"],
        ["b.log.2026-01-31", "b.log.2026-11-23_02-10", "b.log.2026-11-23_14-00"],
        ["b.log-1700000000", "b.log-1763000000"],
    ],
)
def test_generations_are_in_order(oldest_first: list[str]) -> None:
    found = [generation("b.log", name) for name in oldest_first]
    ranks = [one.rank for one in found if one]

    assert len(ranks) == len(oldest_first)
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("name", ["b.log", "b.logs", "b.log.swp", "b.log.1x", "c.log.1", "b.log.tmp", "b.log.12345"])
def test_other_names_are_no_generations(name: str) -> None:
    assert generation("b.log", name) is None


@pytest.mark.parametrize(
    ("name", "lives"),
    [("b.log.1", ("b.log",)), ("b.log-20261123.gz", ("b.log",)), ("borg-2026-11-23.log", ()), ("b.log~", ("b.log",))],
)
def test_a_generation_names_its_live_file(name: str, lives: tuple[str, ...]) -> None:
    assert live_names(name) == lives


def test_compression_shows_in_the_name() -> None:
    assert is_compressed("b.log.1.gz")
    assert not is_compressed("b.log.1")
