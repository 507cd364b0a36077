"""Draws the table of `borgwatch.runs.machine` into docs/runs.md: `python -m tests.draw_runs`; a test compares."""

from __future__ import annotations

from pathlib import Path

from borgwatch.runs.machine import ACTIONS, Action, Kind

DOCUMENT = Path(__file__).parents[1] / "docs" / "runs.md"
BEGIN, END = "<!-- drawn from borgwatch/runs/machine.py by tests/draw_runs.py -->\n", "<!-- end of the drawing -->\n"

KINDS = {
    Kind.START: "a start",
    Kind.START_AGAIN: "its own start line again",
    Kind.START_JOINS: "another start line of it",
    Kind.START_NEXT: "its own start line for the next repository",
    Kind.DETAIL: "a detail of it",
    Kind.DETAIL_LATE: "a late detail of the last run",
    Kind.DETAIL_KNOWN: "more words about a failure",
    Kind.DETAIL_OTHER: "a detail of another operation or command",
    Kind.END: "its closing line",
    Kind.END_LATE: "the late closing line of the last run",
    Kind.END_KNOWN: "a closing line of what had ended",
    Kind.END_OTHER: "the closing line of another operation",
    Kind.SUMMARY: "the summary of a whole script",
    Kind.RESTART: "the container starts again",
}
ACTION_WORDS = {
    Action.OPEN: "open a run",
    Action.ADD: "add to it",
    Action.CLOSE: "close it",
    Action.OPEN_CLOSE: "open and close a run",
    Action.CUT_OPEN: "it was cut off; open the next",
    Action.NEXT_OPEN: "end it by its evidence; open the next",
    Action.NEXT_CLOSE: "end it by its evidence; open and close the next",
    Action.AMEND: "amend that run",
    Action.SUM_UP: "decide all that is undecided",
    Action.BREAK_OFF: "it was cut off",
    Action.IGNORE: "nothing",
}
LEAVES_OPEN = {
    Action.OPEN: True,
    Action.ADD: True,
    Action.CLOSE: False,
    Action.OPEN_CLOSE: False,
    Action.CUT_OPEN: True,
    Action.NEXT_OPEN: True,
    Action.NEXT_CLOSE: False,
    Action.AMEND: None,  # as it was
    Action.SUM_UP: False,
    Action.BREAK_OFF: False,
    Action.IGNORE: None,
}


def _state(is_open: bool) -> str:
    return "Open" if is_open else "Quiet"


def draw() -> str:
    """Draw the table as a diagram and as a table."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> Quiet"]
    lines.append("    Open --> Quiet: silence / end it by its evidence, else it stalled")
    rows = []
    for (is_open, kind), action in sorted(ACTIONS.items(), key=lambda item: (item[0][0], item[0][1].value)):
        after = LEAVES_OPEN[action]
        target = _state(is_open if after is None else after)
        lines.append(f"    {_state(is_open)} --> {target}: {KINDS[kind]} / {ACTION_WORDS[action]}")
        rows.append(f"| {_state(is_open)} | {KINDS[kind]} | {ACTION_WORDS[action]} | {target} |")
    lines.append("```")
    table = ["| state | a line tells of | what follows | state then |", "|---|---|---|---|", *rows]
    return "\n".join([*lines, "", *table]) + "\n"


def redrawn(text: str) -> str:
    """Put the drawing into the text of the document."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + draw() + END + after


if __name__ == "__main__":
    DOCUMENT.write_text(redrawn(DOCUMENT.read_text("utf-8")), "utf-8")
