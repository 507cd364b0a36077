"""The rule that `borgwatch review` proposes for a line that no rule knows, pasted into a file as it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from borgwatch.cli.review import proposal
from borgwatch.judge import Judge, Judged, SourceRole
from borgwatch.matching.load import load_rules
from borgwatch.matching.matcher import Matcher
from borgwatch.matching.suspicious import Unclaimed, telling_part
from borgwatch.model import Line, Position
from borgwatch.runs.machine import Limits
from borgwatch.views.formats import safe

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def judged(text: bytes, *rules: Path) -> Judged:
    found = load_rules(rules)
    assert found.problems == ()
    judge = Judge(Matcher(found.rules), Limits(), lambda _: SourceRole("nas"))
    return judge.lines({}, [Line("log", text, Position(1, 1, 0), NOW)])


def kept(text: bytes) -> Unclaimed:
    (found,) = judged(text).unclaimed
    return found


@pytest.mark.parametrize(
    "text",
    [
        b"ERROR: smartctl: /dev/sd4: 12 reallocated sectors",
        b"2026-11-23 02:10:11 ERROR the pool  tank\tis   degraded since 7 days",
        b"ERROR: login of admin with PASSWORD=hunter2hunter2 was refused by the host",
        b"\x1b[31mERROR: pool degraded\x1b[0m",
        b"ERROR: a\x07bell rings on the console of the host",
        "ERROR: can't open 'x': \"y\" # z: \u202eword: \u00fcber".encode(),
        b"ERROR: " + b"very long " * 200,
        b"ERROR: C:\\backup\\new is 100% full",
        b"backup.sh exited with code 2",
        b"rsync: connection closed, exit status 23 after 5 minutes",
    ],
)
def test_the_proposed_rule_speaks_for_the_line_it_was_made_for(tmp_path: Path, text: bytes) -> None:
    """Whatever masking, cutting and cleaning did to what is shown, the rule finds the line as it was written."""
    match = safe(telling_part(kept(text)))
    assert match
    (tmp_path / "own.yaml").write_text("\n".join(proposal(match)), "utf-8")
    found = judged(text, tmp_path)
    assert (list(found.hits), [event.name for event in found.events]) == (["own.my-rule"], ["backup.failure"])


def test_a_rule_for_an_exit_code_does_not_call_a_good_end_a_failure(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("\n".join(proposal(telling_part(kept(b"sync.sh: exit code 2")))), "utf-8")
    assert judged(b"sync.sh: exit code 0", tmp_path).events == ()


@pytest.mark.parametrize("text", [b"rc 1", b"ERROR: 17", b'{"exit_code": 3, "command": "sync-everything"}'])
def test_where_nothing_is_telling_enough_no_rule_is_proposed(text: bytes) -> None:
    """A rule for `rc` or `ERROR:` alone would raise an alert for much that means no harm."""
    assert telling_part(kept(text)) == ""


def test_a_line_kept_by_an_older_version_gets_no_rule_that_does_not_match() -> None:
    old = replace(kept(b"x exited with code 2"), text="x  exited with code #", sample="x exited with code 2")
    assert telling_part(old) == ""
