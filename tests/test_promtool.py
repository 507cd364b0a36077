"""Prometheus' own tool reads what borgwatch exposes, and the alert rules fire when they should."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from borgwatch.views.metrics import METRICS
from borgwatch.web.exposition import Exposition
from tests.snapshots import DIRECTORY
from tests.tools import ROOT, tool

EXAMPLES = ROOT / "examples"
HOSTILE = 'n"} 1\n# HELP x\\ <script>\u202e\x1b[31m\x00é備'


def promtool(*arguments: str, stdin: bytes = b"") -> None:
    done = subprocess.run([tool("promtool"), *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_the_metrics_have_no_fault() -> None:
    promtool("check", "metrics", stdin=(DIRECTORY / "metrics.prom").read_bytes())


def test_whatever_a_log_says_the_metrics_are_read() -> None:
    samples = {metric.name: [(tuple(f"{HOSTILE}{label}" for label in metric.labels), 1.5)] for metric in METRICS}
    promtool("check", "metrics", stdin=Exposition().write(samples))


def test_the_alert_rules_have_no_fault() -> None:
    promtool("check", "rules", str(EXAMPLES / "prometheus" / "alerts.yml"))


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    cases = ROOT / "tests" / "data" / "prometheus" / "alerts.test.yml"
    promtool("test", "rules", str(cases))
    fired = {
        case["alertname"]
        for test in yaml.safe_load(cases.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    rules = yaml.safe_load((EXAMPLES / "prometheus" / "alerts.yml").read_text())
    assert fired == {rule["alert"] for group in rules["groups"] for rule in group["rules"]}


def test_the_dashboard_asks_in_words_that_prometheus_understands(tmp_path: Path) -> None:
    dashboard = json.loads((EXAMPLES / "grafana" / "borgwatch.json").read_text())
    asked = [
        target["expr"].replace("$__rate_interval", "5m") for panel in dashboard["panels"] for target in panel["targets"]
    ]
    rules = [{"record": f"asked:{number}", "expr": expression} for number, expression in enumerate(asked)]
    path = tmp_path / "asked.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    promtool("check", "rules", str(path))


def test_a_fault_is_found() -> None:
    """The checks above can fail: a counter without `_total` is one that the tool tells."""
    with pytest.raises(AssertionError, match="_total"):
        promtool("check", "metrics", stdin=b"# HELP a_count b.\n# TYPE a_count counter\na_count 1\n")
