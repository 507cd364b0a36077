"""Read `expect:`, the dead-man's table, which stands in the settings file and in rule files alike. Pure."""

from __future__ import annotations

from borgwatch.matching.vocabulary import EXPECTATION, required
from borgwatch.model import OPERATIONS
from borgwatch.policy.deadman import Expectation
from borgwatch.yamltree import Document, Node

__all__ = ["read_expectations"]


def read_expectations(document: Document, node: Node) -> tuple[Expectation, ...]:
    """Read a list of what is to succeed how often; what is wrong is noted in the document."""
    table = []
    for item in document.items(node, "expect"):
        entries = document.mapping(item, "an expectation", tuple(EXPECTATION))
        document.require(item, entries, required(EXPECTATION), "an expectation")
        job = document.text(entries["job"], "job") if "job" in entries else "*"
        operation = document.choice(entries["operation"], "operation", OPERATIONS) if "operation" in entries else None
        within, remind = (document.span(entries[key], key) if key in entries else None for key in ("within", "remind"))
        if within is not None:
            table.append(Expectation(job or "*", operation or "backup", within, remind))
    return tuple(table)
