"""Read the samples that stand beside a rule: nodes of YAML in, `Sample`s out. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from borgwatch.matching.rules import Sample
from borgwatch.matching.vocabulary import LEVELS, SAMPLE, SAMPLE_EVENT
from borgwatch.model import EVENT_NAMES, FieldValue
from borgwatch.yamltree import Document, Node

__all__ = ["read_samples"]


def read_samples(document: Document, samples: Node) -> Iterable[Sample]:
    """Read a list of samples; what is wrong with one is noted in the document."""
    for node in document.items(samples, "samples"):
        parts = document.mapping(node, "a sample", tuple(SAMPLE))
        if ("line" in parts) == ("lines" in parts):
            document.fault(node, "a sample has either line: or lines:")
            continue
        texts = document.one_or_many(
            parts["line"] if "line" in parts else parts["lines"], lambda item: document.text(item, "a line")
        )
        lines = tuple(line for text in texts for line in text.removesuffix("\n").split("\n"))  # as `|` writes them
        if not texts:
            document.fault(node, "a sample has no line")
        hits = document.boolean(parts["hits"], "hits") if "hits" in parts else True
        event = _expected_event(document, parts["event"]) if "event" in parts else {}
        source, job = (document.text(parts[key], key) if key in parts else None for key in ("source", "job"))
        yield Sample(lines, document.place(node), hits is not False, event, source or "sample", job or "sample")


def _expected_event(document: Document, node: Node) -> dict[str, FieldValue]:
    """Read what an event must be like; `none` asks that there is none."""
    if getattr(node, "value", None) == "none":
        return {"name": None}
    expected: dict[str, FieldValue] = {}
    entries = document.mapping(node, "event (or none)", tuple(SAMPLE_EVENT))
    for key, value in entries.items():
        if key == "fields":
            fields = document.mapping(value, "fields")
            expected.update({f"fields.{name}": document.text(item, name) for name, item in fields.items()})
        else:
            expected[key] = document.text(value, key)
    name = expected.get("name")
    if isinstance(name, str) and name not in EVENT_NAMES:
        document.fault(node, f"unknown event {name!r}{document.nearest(name, EVENT_NAMES)}")
    if "level" in entries:
        document.choice(entries["level"], "level", LEVELS)
    return expected
