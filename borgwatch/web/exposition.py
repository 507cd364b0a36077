"""Metrics as text that Prometheus reads, by its own client library.

Writing the text costs most of a scrape, and from one scrape to the next little changes: `Exposition` lets the library
write anew only the lines of samples that are others than the last time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family

from borgwatch.views.metrics import METRICS, Metric, Samples

__all__ = ["CONTENT_TYPE", "Exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Sample = tuple[tuple[str, ...], float]
_Values = Sequence[_Sample]


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


class _Written:
    """What was written of one metric: its head, and a line for each sample."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._values: _Values = ()
        self._lines: dict[_Sample, bytes] = {}
        self._text = self._head = generate_latest(_Collector(metric, ()))

    def text(self, values: _Values) -> bytes:
        """Write the samples of a moment."""
        if values != self._values:
            new = [sample for sample in values if sample not in self._lines]
            *lines, _ = generate_latest(_Collector(self._metric, new))[len(self._head) :].split(b"\n")
            known = self._lines | dict(zip(new, lines, strict=True))
            self._lines = {sample: known[sample] for sample in values}
            self._values, self._text = values, self._head + b"".join(line + b"\n" for line in self._lines.values())
        return self._text


class Exposition:
    """Writes samples down; with `process` also what the process takes (`process_...`)."""

    def __init__(self, *, process: bool = True) -> None:
        self._written = [(metric.name, _Written(metric)) for metric in METRICS]
        self._process = CollectorRegistry(auto_describe=False)
        if process:
            ProcessCollector(registry=self._process)

    def write(self, samples: Samples) -> bytes:
        """Write the text of a moment."""
        parts = [written.text(samples.get(name, ())) for name, written in self._written]
        return b"".join([*parts, generate_latest(self._process)])
