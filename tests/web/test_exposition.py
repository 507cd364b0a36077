"""The metrics as text: what is kept from the last scrape is never old."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from borgwatch.views.metrics import METRICS, Samples
from borgwatch.web.exposition import Exposition


def read(text: bytes) -> dict[str, list[tuple[dict[str, str], float]]]:
    families = text_string_to_metric_families(text.decode())
    return {sample.name: [(one.labels, one.value) for one in family.samples] for family in families
            for sample in family.samples}  # fmt: skip


def test_what_changed_since_the_last_scrape_is_written_anew_and_the_rest_is_the_same() -> None:
    exposition = Exposition(process=False)
    first: Samples = {
        "borgwatch_rules": [((), 3)],
        "borgwatch_last_success_timestamp_seconds": [(("a", "backup"), 1.0), (("b", "backup"), 2.0)],
    }
    second: Samples = {**first, "borgwatch_last_success_timestamp_seconds": [(("b", "backup"), 5.0)]}
    assert exposition.write(first) == exposition.write(first) == Exposition(process=False).write(first)
    changed = exposition.write(second)
    assert changed == Exposition(process=False).write(second)
    assert read(changed) == {
        "borgwatch_rules": [({}, 3.0)],
        "borgwatch_last_success_timestamp_seconds": [({"backup_job": "b", "operation": "backup"}, 5.0)],
    }


def test_words_of_a_log_cannot_break_out_of_a_label() -> None:
    hostile = 'n"} 1\r\nborgwatch_evil{x="\\'
    text = Exposition(process=False).write({"borgwatch_source_unread_bytes": [((hostile,), 1)]})
    assert read(text) == {"borgwatch_source_unread_bytes": [({"backup_job": hostile}, 1.0)]}


def test_every_metric_has_its_help_and_kind_also_without_a_sample() -> None:
    text = Exposition().write({}).decode()
    for metric in METRICS:
        assert f"# TYPE {metric.name} {metric.kind}\n" in text
    assert "process_resident_memory_bytes" in text
