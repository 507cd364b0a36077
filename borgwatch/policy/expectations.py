"""Read `expect:`, the dead-man's table, which stands in the settings file and in rule files alike. Pure."""

from __future__ import annotations

from borgwatch.matching.vocabulary import EXPECTATION, NEVER, required
from borgwatch.model import OPERATIONS
from borgwatch.policy.deadman import Expectation
from borgwatch.yamltree import Document, Node

__all__ = ["read_expectations"]


def read_expectations(document: Document, node: Node) -> tuple[Expectation, ...]:
    """Read a list of what is to succeed how often; what is wrong is noted in the document, and its item left out."""
    table = []
    for item in document.items(node, "expect"):
        before = document.faults
        entries = document.mapping(item, "an expectation", tuple(EXPECTATION))
        document.require(item, entries, required(EXPECTATION), "an expectation")
        job = document.text(entries["job"], "job") if "job" in entries else "*"
        operation = document.choice(entries["operation"], "operation", OPERATIONS) if "operation" in entries else None
        is_never = "within" in entries and entries["within"].value == NEVER
        if is_never and "remind" in entries:
            document.fault(entries["remind"], f"remind does not go with within: {NEVER}, of which nothing is told")
        asked = [key for key in ("within", "remind") if key in entries and not (is_never and key == "within")]
        spans = {key: document.span(entries[key], key) for key in asked}
        if document.faults == before:
            table.append(Expectation(job or "*", operation or "backup", spans.get("within"), spans.get("remind")))
    return tuple(table)
