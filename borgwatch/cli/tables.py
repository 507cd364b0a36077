"""Tables, headings and lines for people: with colour and boxes on a terminal, plain aligned text elsewhere.

Whatever is printed passes `safe` of `borgwatch.views.formats`: nothing in it moves the cursor, and nothing is read as
markup.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from borgwatch.views.formats import safe

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["heading", "line", "table", "verbatim"]

_LEAST_LAST = 20
_ABOUT = 4
_STYLES: Mapping[str, str] = {
    "success": "green", "ok": "green", "WELL": "bold green", "recovered": "green",
    "warning": "yellow", "skipped": "yellow", "LOOK": "bold yellow", "waiting": "yellow", "mailed": "yellow",
    "failure": "red", "stalled": "red", "missed": "red", "raised": "red", "failing": "bold red",
    "overdue": "bold red", "ACT": "bold red",
}  # fmt: skip
"""The colour of a cell or line by its first word; the word itself always says the same."""


def heading(text: str) -> None:
    """Print a heading with an empty line before it."""
    click.echo()
    line(text, style="bold")


def line(text: str, *, before: str = "", style: str | None = None) -> None:
    """Print one line; `before` stands before it, and before what has to be wrapped as much space.

    Its first word may give it a colour.
    """
    plain = safe(text, 1000)
    if not _is_terminal():
        click.echo(before + plain)
        return
    from rich.console import Console  # noqa: PLC0415 - only where it is needed: it takes its time
    from rich.text import Text  # noqa: PLC0415 - the same

    console = Console(highlight=False)
    told = Text(plain, _style_of(plain) if style is None else style)
    for part in told.wrap(console, max(console.width - len(before), _LEAST_LAST)):
        part.rstrip()
        console.print(Text(before) + part)
        before = " " * len(before)


def verbatim(text: str, *, before: str = "") -> None:
    """Print one line that somebody will copy: no terminal is too narrow for it."""
    click.echo(before + safe(text, 1000))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their columns."""
    cells = [[safe(cell) for cell in row] for row in rows]
    if not _is_terminal():
        _plain(columns, cells)
        return
    from rich import box  # noqa: PLC0415 - only where it is needed: it takes its time
    from rich.console import Console  # noqa: PLC0415 - the same
    from rich.table import Table  # noqa: PLC0415 - the same
    from rich.text import Text  # noqa: PLC0415 - the same

    console = Console(highlight=False)
    if _needs(columns, cells) > console.width:
        console.print(Text("  ".join(columns[:_ABOUT]), "bold"))
        for row in cells:
            _stacked(console, columns, row)
        return
    drawn = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        drawn.add_column(column, no_wrap=column != columns[-1], overflow="fold")
    for row in cells:
        drawn.add_row(*(Text(cell, _style_of(cell)) for cell in row))
    console.print(drawn)


def _needs(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """How many columns of a terminal a table needs: only its last column can be wrapped."""
    *fixed, last = _widths(columns, rows)
    return sum(fixed) + min(last, _LEAST_LAST) + 3 * len(fixed)


def _stacked(console: Console, columns: Sequence[str], row: Sequence[str]) -> None:
    """Write a row where the terminal is too narrow for the table: what it is about, and below it what is known."""
    from rich.padding import Padding  # noqa: PLC0415 - only where it is needed: it takes its time
    from rich.text import Text  # noqa: PLC0415 - the same

    console.print(Text("  ").join(Text(cell, _style_of(cell)) for cell in row[:_ABOUT]))
    rest = [(name, cell) for name, cell in zip(columns[_ABOUT:], row[_ABOUT:], strict=True) if cell not in ("", "-")]
    told = Text(", ").join(Text().append(f"{name} ", "dim").append(cell, _style_of(cell)) for name, cell in rest)
    if rest:
        console.print(Padding.indent(told, 2))


def _plain(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = _widths(columns, rows)
    for row in (columns, *rows):
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(_width, column)) for column in zip(columns, *rows, strict=True)]


def _width(text: str) -> int:
    """How many columns of a terminal a text takes: some letters take two, some marks none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - for such texts only

    return cell_len(text)


def _style_of(text: str) -> str:
    return _STYLES.get(text.partition(" ")[0].rstrip(":"), "")


def _is_terminal() -> bool:
    return sys.stdout.isatty()
