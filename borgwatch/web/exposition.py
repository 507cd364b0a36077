"""Metrics as text that Prometheus reads, by its own client library.

Writing the text costs most of a scrape, and from one scrape to the next little changes: `Exposition` writes anew only
the metrics whose samples are others than the last time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family

from borgwatch.views.metrics import METRICS, Metric, Samples

__all__ = ["CONTENT_TYPE", "Exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Values = Sequence[tuple[tuple[str, ...], float]]


class _Collector:
    """One metric with its samples, as the library asks for it."""

    def __init__(self, metric: Metric, values: _Values) -> None:
        self._metric = metric
        self._values = values

    def collect(self) -> Iterator[Family]:
        kind = CounterMetricFamily if self._metric.kind == "counter" else GaugeMetricFamily
        family = kind(self._metric.name, self._metric.help, labels=self._metric.labels)
        for labels, value in self._values:
            family.add_metric(labels, value)
        yield family


class Exposition:
    """Writes samples down; with `process` also what the process takes (`process_...`)."""

    def __init__(self, *, process: bool = True) -> None:
        self._written: dict[str, tuple[_Values, bytes]] = {}
        self._process = CollectorRegistry(auto_describe=False)
        if process:
            ProcessCollector(registry=self._process)

    def write(self, samples: Samples) -> bytes:
        """Write the text of a moment."""
        parts = [self._text_of(metric, samples.get(metric.name, ())) for metric in METRICS]
        return b"".join([*parts, generate_latest(self._process)])

    def _text_of(self, metric: Metric, values: _Values) -> bytes:
        known = self._written.get(metric.name)
        if known is None or known[0] != values:
            known = self._written[metric.name] = values, generate_latest(_Collector(metric, values))
        return known[1]
