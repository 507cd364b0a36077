"""The geometry of what the page draws: cells of the calendar, lines of values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from borgwatch.views.overview import Day

__all__ = ["CELL", "Cell", "Chart", "cells", "chart"]

CELL = 12
"""Units from one day of the calendar to the next."""
_WEEK = 7
_WIDTH, _HEIGHT, _MARGIN = 300, 60, 3


@dataclass(frozen=True, slots=True)
class Cell:
    """A day at its place: weeks go from left to right, days from top to bottom."""

    day: Day
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A line of values, oldest first: its points in a box of `width` by `height`, its least, most and last value."""

    points: str
    last: tuple[float, float]
    least: float
    most: float
    newest: float
    count: int
    width: int = _WIDTH
    height: int = _HEIGHT


def cells(days: Sequence[Day]) -> list[Cell]:
    """Lay days out, each in the row of its weekday (Monday on top)."""
    first = days[0].date.weekday() if days else 0
    return [Cell(day, (first + at) // _WEEK * CELL, (first + at) % _WEEK * CELL) for at, day in enumerate(days)]


def chart(values: Sequence[float]) -> Chart | None:
    """Draw values from zero up; None where there are fewer than two."""
    if len(values) < 2:  # noqa: PLR2004 - one value is no line
        return None
    most = max(values)
    step = (_WIDTH - 2 * _MARGIN) / (len(values) - 1)
    scale = (_HEIGHT - 2 * _MARGIN) / most if most > 0 else 0.0
    places = [(_MARGIN + at * step, _HEIGHT - _MARGIN - value * scale) for at, value in enumerate(values)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return Chart(points, places[-1], min(values), most, values[-1], len(values))
