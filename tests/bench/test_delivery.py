"""The benchmark of delivery still runs; how fast it is, is no matter here."""

from __future__ import annotations

import pytest

from tests.bench import delivery


def test_the_benchmark_of_delivery_runs(capsys: pytest.CaptureFixture[str]) -> None:
    delivery.main(["--samples", "2", "--alerts", "3"])

    printed = capsys.readouterr().out
    assert "2 samples: p50" in printed
    assert "3 alerts of different keys" in printed
