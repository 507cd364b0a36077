"""What the page says in words: it contradicts nothing, and is plain about its own age."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from borgwatch.journal.notes import DeliveryState, ServiceState
from borgwatch.journal.store import Change, Journal
from borgwatch.model import Alert, Level
from borgwatch.policy.jobs import JobState
from borgwatch.views.overview import read_overview
from borgwatch.web.page import page
from tests.scenario import LIVE, NOW

LONG_AGO = NOW - timedelta(hours=2)
ALERT = Alert("borgwatch:main:nas", "nas", "backup", "failure", Level.ERROR, "It failed", True, "e", LONG_AGO)


def written(state: Path, alert: Alert, rung: str = "alert", notices: tuple[str, ...] = ()) -> str:
    with closing(Journal.open(state)) as journal:
        journal.commit(Change(alerts=[alert], jobs=[JobState("nas", "backup", "success", NOW, NOW)]))
        journal.set_note(ServiceState("1.0.0", LONG_AGO, NOW))
        journal.set_note(DeliveryState(rung, LONG_AGO))
        return page(read_overview(journal, LIVE, NOW), notices)


def test_that_delivery_is_in_trouble_is_told_with_the_reason_and_nothing_says_that_all_is_well(tmp_path: Path) -> None:
    text = written(tmp_path, ALERT)
    assert '<h1 class="verdict act">ACT: delivery in trouble.</h1>' in text
    assert "1 alert waiting for delivery: borgwatch:main:nas" in text
    assert "Alerts are delivered and read back." not in text
    assert "not delivered yet" in text


@pytest.mark.parametrize(("rung", "is_listed"), [("alert", True), ("off", False)])
def test_an_alert_that_is_over_is_called_so_and_is_none_where_nobody_is_told(
    rung: str, tmp_path: Path, *, is_listed: bool
) -> None:
    text = written(tmp_path, replace(ALERT, raised=False, time=NOW), rung)
    assert ("to be cleared; not delivered yet" in text) is is_listed
    assert ("None: nothing stands under the bell" in text) is not is_listed


def test_very_long_names_do_not_take_the_figures_out_of_the_verdict(tmp_path: Path) -> None:
    names = [f"{number}. " + "x" * 250 for number in range(9)]
    with closing(Journal.open(tmp_path)) as journal:
        journal.commit(Change(jobs=[JobState(name, "backup", "failure", None, NOW, failures=1) for name in names]))
        text = page(read_overview(journal, LIVE, NOW))
    assert '<h1 class="verdict act">ACT: broken now: 0. xxx' in text
    assert re.search(r"<p>0 runs since .*, 0 failed or missing\.</p>", text)


def test_a_page_that_is_not_of_now_says_so_before_its_verdict_and_in_its_title(tmp_path: Path) -> None:
    text = written(tmp_path, ALERT, notices=("Not up to date: <b>",))
    assert "<title>ACT (not of now) · borgwatch</title>" in text
    assert text.index('<p class="notice">Not up to date: &lt;b&gt;</p>') < text.index("<h1")
    assert '<p class="notice"' not in written(tmp_path, ALERT)
