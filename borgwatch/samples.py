"""Run the samples that stand beside rules: the lines through the real judge, compared with what they must give. Pure.

A sample is judged with all loaded rules, as its lines would be in a log; the end of the sample ends open runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from borgwatch.decode import decode
from borgwatch.judge import Judge, SourceRole
from borgwatch.matching.matcher import Matcher
from borgwatch.matching.rules import Rule, Sample
from borgwatch.model import Event, FieldValue, Line, Position
from borgwatch.runs.machine import Limits

__all__ = ["SampleResult", "judge_lines", "run_samples"]

_SAMPLE = "sample"
_READ_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SampleResult:
    """What came of one sample: `differences` is empty where all was as it must be.

    `speakers` are the ids of the rules that spoke for its lines, one each, empty where none did.
    """

    rule: Rule
    sample: Sample
    differences: tuple[str, ...]
    events: tuple[Event, ...]
    speakers: tuple[str, ...] = ()


def run_samples(rules: Iterable[Rule]) -> list[SampleResult]:
    """Judge every sample of every rule with all `rules` loaded."""
    rules = tuple(rules)
    matcher = Matcher(rules)
    return [_run(rule, sample, matcher) for rule in rules for sample in rule.samples]


def judge_lines(
    texts: Iterable[str | bytes], matcher: Matcher, *, source: str = _SAMPLE, job: str = _SAMPLE
) -> tuple[Event, ...]:
    """Judge lines as one whole log of `job`; returns its events."""
    judge = Judge(matcher, Limits(), lambda _: SourceRole(job))
    judged = judge.lines({}, _lines(texts, source))
    return judged.events + judge.finish(judged.streams).events


def _lines(texts: Iterable[str | bytes], source: str) -> Iterable[Line]:
    offset = 0
    for text in texts:
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        offset += len(data) + 1
        yield Line(source, data, Position(0, 0, offset), _READ_AT)


def _run(rule: Rule, sample: Sample, matcher: Matcher) -> SampleResult:
    signals = [matcher.match(decode(line, sample.job), line) for line in _lines(sample.lines, sample.source)]
    speakers = tuple(signal.rule if signal is not None else "" for signal in signals)
    differences = []
    if (rule.id in speakers) != sample.hits:
        who = ", ".join(dict.fromkeys(filter(None, speakers))) or "no rule"
        differences.append(f"expected {rule.id} {'to speak' if sample.hits else 'to keep silent'}; {who} spoke")
    events = judge_lines(sample.lines, matcher, source=sample.source, job=sample.job)
    differences.extend(_compare(sample, events[-1] if events else None))
    return SampleResult(rule, sample, tuple(differences), events, speakers)


def _compare(sample: Sample, event: Event | None) -> Iterable[str]:
    if sample.event.get("name", "") is None:
        if event is not None:
            yield f"expected no event; got {event.name}"
        return
    for key, want in sample.event.items():
        have = _value(event, key) if event is not None else "no event"
        if str(have) != str(want):
            yield f"{key}: expected {want!r}; got {have!r}"


def _value(event: Event, key: str) -> FieldValue:
    if key.startswith("fields."):
        return event.fields.get(key.removeprefix("fields."))
    return event.level.name if key == "level" else str(getattr(event, key))
