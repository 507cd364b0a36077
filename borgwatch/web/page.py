"""The status page, written from an `Overview`. No script, nothing from elsewhere; every text is masked and escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from borgwatch.journal.outlines import Outline
from borgwatch.service.heartbeat import Link
from borgwatch.service.live import SourceState
from borgwatch.views.formats import ago, safe, seconds, size, stamp, zone
from borgwatch.views.overview import Day, Overview, outcomes_of
from borgwatch.views.status import JobStatus
from borgwatch.web.drawing import CELL, Chart, cells, chart

__all__ = ["page", "style"]

_SHAPES = {
    "ok": "success", "success": "success", "recovered": "success", "warning": "warning", "skipped": "skipped",
    "failure": "failure", "failing": "failure", "stalled": "stalled", "missed": "missed", "overdue": "missed",
}  # fmt: skip
_ALERTS = {
    "raised": "shown under the bell, read back",
    "waiting": "not delivered yet",
    "mailed": "mailed; nobody can say whether it arrived",
    "over": "to be cleared; not delivered yet",
}
_LINKS = {
    Link.OFF: "TrueNAS is not told.",
    Link.UNUSABLE: "TrueNAS cannot be told: its address or key is missing.",
    Link.AWAY: "There is no session with TrueNAS.",
}
_CHARTS: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("Duration", "duration", seconds),
    ("Size", "original_size", size),
)
_NUMBER = Markup(' class="number"')
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[+-]\d\d:\d\d|Z)?", re.ASCII)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("borgwatch.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.globals.update(
        safe=safe, stamp=stamp, ago=ago, seconds=seconds, size=size, iso=datetime.isoformat, calendar=_calendar,
        shape=lambda word: _SHAPES.get(word, "none"), days_text=_days_text, charts=_charts, open_table=_open_table,
        alert_words=_alert_words, cell=CELL, message=_message, behind=_behind, zone=zone,
    )  # fmt: skip
    return environment


def page(shown: Overview, notices: Sequence[str] = ()) -> str:
    """Write the page; `notices` say why it is not of the present, if it is not."""
    word = shown.verdict.partition(":")[0]
    verdict, _, summary = shown.verdict.rpartition(". ")
    live = shown.live
    rung = live.truenas.rung if live.truenas.link is Link.CONNECTED else ""
    told = {"alert": "Alerts are delivered and read back.", "mail": "Alerts go out as mails.", "": ""}
    delivery = _LINKS.get(live.truenas.link) or told.get(rung, "Nothing can be delivered.")
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=shown, notices=notices, word=word, verdict=f"{safe(verdict, 1000)}.", summary=summary,
            service=f"The service is {live.health.condition}: {safe(live.health.reason)}.",
            delivery=delivery if not shown.troubles else "",
        )
    )  # fmt: skip


@cache
def style() -> bytes:
    """Read the style sheet."""
    return (resources.files("borgwatch.web") / "templates" / "style.css").read_bytes()


def _open_table(name: str, columns: Iterable[str]) -> Markup:
    """Open a table in a frame that scrolls by itself, and can be reached by keyboard; `#` marks columns of numbers.

    The roles say what the elements are anyway: a phone shows rows as blocks, and browsers then forget it.
    """
    heads = Markup("").join(
        Markup('<th role="columnheader" scope="col"{}>{}</th>').format(
            _NUMBER if column.startswith("#") else "", column.lstrip("#")
        )
        for column in columns
    )
    return Markup(
        '<div class="scroll" role="region" aria-label="{}" tabindex="0"><table role="table"><thead role="rowgroup">'
        '<tr role="row">{}</tr></thead><tbody role="rowgroup">'
    ).format(name, heads)


def _calendar(days: Sequence[Day]) -> Markup:
    """Draw the cells of a calendar: dates and fixed words alone, put together here because there are many."""
    drawn = []
    for one in cells(days):
        day = one.day
        runs = f" ({day.runs} runs)" if day.runs > 1 else ""
        drawn.append(
            f'<use href="#s-{day.outcome or "none"}" x="{one.x + 1}" y="{one.y + 1}">'
            f"<title>{day.date}: {day.outcome or 'nothing ran'}{runs}</title></use>"
        )
        if day.date.day == 1:
            drawn.append(f'<text x="{one.x + 1}" y="-3">{day.date:%b}</text>')
    return Markup("\n".join(drawn))  # noqa: S704 - nothing in it comes from outside: `Day.outcome` is one of ours


def _alert_words(job: JobStatus) -> str:
    """Say what became of the alert of a job."""
    return _ALERTS[job.alert if job.alert_raised else "over"]


def _message(text: str) -> Markup:
    """Escape a text from anywhere, and let no line end within a time."""
    harmless = str(escape(safe(text)))
    return Markup(_MOMENT.sub(r'<span class="nowrap">\g<0></span>', harmless))  # noqa: S704 - escaped right here


def _behind(source: SourceState, now: datetime) -> str:
    return seconds((now - source.behind).total_seconds()) if source.behind is not None else "no"


def _days_text(days: Sequence[Day]) -> str:
    """Say in words what a calendar shows."""
    counts = outcomes_of(days)
    return ", ".join(f"{count} days {word or 'without a run'}" for word, count in counts.items())


def _charts(ended: Sequence[Outline]) -> Iterator[tuple[str, Chart, Callable[[float | None], str]]]:
    for title, what, write in _CHARTS:
        values = [float(value) for outline in ended if (value := getattr(outline, what)) is not None]
        if (line := chart(values)) is not None:
            yield title, line, write
