"""The metrics are what the journal and the running service say, under names that keep the conventions."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from borgwatch.deadman import Expectation
from borgwatch.facts import read_facts
from borgwatch.heartbeat import Condition, Health, Link, TrueNASState
from borgwatch.live import Live, SourceState
from borgwatch.lookback import Lookback
from borgwatch.metrics import METRICS, Samples, measure
from tests.bench.history import make_year

NOW = datetime(2026, 11, 23, tzinfo=UTC)
LIVE = Live(
    "1.0.0", NOW, Health(Condition.HEALTHY, ""), TrueNASState(Link.CONNECTED, "alert"),
    sources=(SourceState("a", "nas", 5, NOW - timedelta(seconds=7)), SourceState("b", "nas", 2)),
    events={"backup.failure": 3}, deliveries={"raised": 2},
    expect=(Expectation("*", "backup", timedelta(hours=26)),),
)  # fmt: skip


def sample(directory: Path) -> Samples:
    make_year(directory, NOW, days=3)
    with closing(Lookback.open(directory)) as past:
        return measure(read_facts(past, LIVE.expect, NOW), LIVE)


def test_every_metric_of_the_table_is_measured_with_its_labels(tmp_path: Path) -> None:
    samples = sample(tmp_path)
    assert samples.keys() == {metric.name for metric in METRICS}
    for metric in METRICS:
        assert all(len(labels) == len(metric.labels) for labels, _ in samples[metric.name]), metric.name


def test_names_keep_the_conventions_of_prometheus() -> None:
    for metric in METRICS:
        assert re.fullmatch(r"borgwatch_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") is (metric.kind == "counter"), metric.name
        assert metric.help.endswith(".")


def test_the_values_are_those_of_the_journal_and_of_the_service(tmp_path: Path) -> None:
    samples = sample(tmp_path)
    assert samples["borgwatch_lines_total"] == [((), 3 * 20 * 137)]
    assert samples["borgwatch_source_unread_bytes"] == [(("nas",), 7)]
    assert samples["borgwatch_source_lag_seconds"] == [(("nas",), 7.0)]
    assert (("raised",), 2) in samples["borgwatch_deliveries_total"]
    assert (("host-4", "backup", "success"), 1.0) in samples["borgwatch_last_run_outcome"]
    success = dict(samples["borgwatch_last_success_timestamp_seconds"])["host-4", "backup"]
    assert dict(samples["borgwatch_due_timestamp_seconds"])["host-4", "backup"] == success + 26 * 3600
