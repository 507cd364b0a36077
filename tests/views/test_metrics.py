"""The metrics are what the journal and the running service say, under names that keep the conventions."""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from borgwatch.journal.lookback import Lookback
from borgwatch.journal.store import Change, Journal
from borgwatch.matching.suspicious import RuleHits
from borgwatch.policy.deadman import Expectation
from borgwatch.policy.jobs import JobState
from borgwatch.service.heartbeat import Condition, Health, Link, TrueNASState
from borgwatch.service.live import Live, SourceState
from borgwatch.views.facts import read_facts
from borgwatch.views.metrics import MANY, METRICS, Samples, measure
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


def test_names_that_are_the_same_as_labels_are_one_series(tmp_path: Path) -> None:
    """Prometheus refuses a whole scrape that has a series twice; what is left out is counted."""
    jobs = [JobState(name, "backup", "success", NOW, NOW) for name in ("a\u202eb", "a\u202db", "x" * 300, "x" * 301)]
    with closing(Journal.open(tmp_path)) as journal:
        journal.commit(Change(jobs=jobs, hits={"r\x01": RuleHits(1, NOW), "r\x02": RuleHits(2, NOW)}))
        live = replace(LIVE, sources=tuple(SourceState(str(at), job.job, 1) for at, job in enumerate(jobs)))
        samples = measure(read_facts(journal, (), NOW), live)
    for name, values in samples.items():
        assert len(dict(values)) == len(values), name
    assert samples["borgwatch_omitted_series"] == [((), 3)]
    assert [value for _, value in samples["borgwatch_source_unread_bytes"]] == [2, 2]


def test_the_number_of_series_is_bounded(tmp_path: Path) -> None:
    jobs = [JobState(f"job-{number}", "backup", "success", NOW, NOW) for number in range(MANY + 20)]
    with closing(Journal.open(tmp_path)) as journal:
        journal.commit(Change(jobs=jobs))
        samples = measure(read_facts(journal, (), NOW), LIVE)
    assert len(samples["borgwatch_last_success_timestamp_seconds"]) == MANY
    assert samples["borgwatch_omitted_series"] == [((), 20)]


ROOT = Path(__file__).resolve().parents[2]
NAMES = {metric.name for metric in METRICS}


def expressions() -> list[str]:
    """All that the examples ask Prometheus for."""
    rules = yaml.safe_load((ROOT / "examples" / "prometheus" / "alerts.yml").read_text())
    dashboard = json.loads((ROOT / "examples" / "grafana" / "borgwatch.json").read_text())
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return found + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("expression", expressions())
def test_the_examples_ask_for_metrics_and_labels_that_there_are(expression: str) -> None:
    asked = set(re.findall(r"borgwatch_\w+", expression))
    assert asked <= NAMES or expression.startswith("up")
    labels = {label for metric in METRICS if metric.name in asked for label in metric.labels}
    assert set(re.findall(r"[{,]\s*(\w+)\s*=~?", expression)) <= labels | {"job"}
    assert expression.count("(") == expression.count(")")


def test_the_alert_rules_have_what_prometheus_wants() -> None:
    rules = yaml.safe_load((ROOT / "examples" / "prometheus" / "alerts.yml").read_text())
    for group in rules["groups"]:
        assert group.keys() == {"name", "rules"}
        for rule in group["rules"]:
            assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
            assert re.fullmatch(r"[A-Z]\w+", rule["alert"])
            assert re.fullmatch(r"\d+[smhd]", rule.get("for", "1m"))
            assert rule["labels"]["severity"] in {"info", "warning", "critical"}
            named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
            known = {label for metric in METRICS if metric.name in rule["expr"] for label in metric.labels}
            assert named <= known | {"instance"}, rule["alert"]


def test_the_panels_of_the_dashboard_lie_side_by_side() -> None:
    dashboard = json.loads((ROOT / "examples" / "grafana" / "borgwatch.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_every_metric_is_documented_and_no_other() -> None:
    rows = re.findall(
        r"^\| `(borgwatch_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$",
        (ROOT / "docs" / "metrics.md").read_text(),
        re.MULTILINE,
    )
    assert rows == [
        (metric.name, metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.help)
        for metric in METRICS
    ]
