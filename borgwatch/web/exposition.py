"""Metrics as text that Prometheus reads, by its own client library. Pure, but for what the process itself takes."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from borgwatch.views.metrics import METRICS, Samples

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Collector:
    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        for metric in METRICS:
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels)
            for labels, value in self._samples.get(metric.name, ()):
                family.add_metric(labels, value)
            yield family


def exposition(samples: Samples, *, process: bool = True) -> bytes:
    """Write the samples down, and with `process` what the process takes (`process_...`)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(samples))
    if process:
        ProcessCollector(registry=registry)
    return generate_latest(registry)
