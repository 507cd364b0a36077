"""The page in a real browser: what it shows, on a phone, in the dark, by keyboard, and to who cannot see it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, async_playwright

from borgwatch.journal.store import Change, Journal
from borgwatch.model import Alert, Event, Level
from borgwatch.policy.deadman import Expectation
from borgwatch.policy.jobs import JobState
from borgwatch.service.heartbeat import Condition, Health, Link, TrueNASState
from borgwatch.service.live import Live, SourceState
from borgwatch.web.guard import is_expected_host
from tests.bench.history import make_year
from tests.web.serving import serving_at

NOW = datetime.now(UTC)
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\x1b[31m\u202egnp.exe"
CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def live() -> Live:
    return Live(
        "1.0.0", NOW, Health(Condition.DEGRADED, HOSTILE), TrueNASState(Link.CONNECTED, "alert"),
        sources=(SourceState(f"/watch/{HOSTILE}.log", HOSTILE, 5, NOW - timedelta(seconds=7)),),
        events={"backup.failure": 3}, deliveries={"raised": 2},
        expect=(Expectation("*", "backup", timedelta(hours=26)),),
    )  # fmt: skip


def hostile(state: Path) -> None:
    """Put an alert and an event into the journal whose every text is hostile."""
    event = Event(
        "evil", "backup.failure", Level.ERROR, HOSTILE, HOSTILE, HOSTILE, NOW, rule="x", source="x", fields={}
    )
    alert = Alert(f"borgwatch:main:{HOSTILE}", HOSTILE, "backup", "failure", Level.ERROR, HOSTILE, True, "evil", NOW)
    journal = Journal.open(state)
    job = JobState(HOSTILE, "backup", last_outcome="failure", last_run=NOW, failures=1, failing_since=NOW)
    journal.commit(Change(events=(event,), alerts=(alert,), jobs=(job,)))
    journal.close()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("page")
    make_year(made, NOW, days=100)
    hostile(made)
    return made


@asynccontextmanager
async def serving(state: Path, *names: str) -> AsyncIterator[str]:
    async with serving_at(state, live, *names) as port:
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def browsing(url: str, **context: Any) -> AsyncIterator[Page]:
    if CHROMIUM is None and os.environ.get("CI"):
        pytest.fail("CI must have a real Chromium")
    if CHROMIUM is None:
        pytest.skip("no chromium on the path (Debian: apt install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = await (await browser.new_context(**context)).new_page()
            await page.goto(url)
            yield page
        finally:
            await browser.close()


async def get(url: str, **headers: str) -> tuple[int, dict[str, str], str]:
    def ask() -> tuple[int, dict[str, str], str]:
        request = Request(url, headers=headers)  # noqa: S310 - our own server
        try:
            with urlopen(request, timeout=10) as answer:  # noqa: S310 - our own server
                return answer.status, dict(answer.headers), answer.read().decode()
        except OSError as error:
            read = getattr(error, "read", None)
            return getattr(error, "code", 0), dict(getattr(error, "headers", {})), read().decode() if read else ""

    return await asyncio.to_thread(ask)


async def test_the_page_shows_jobs_calendars_alerts_runs_and_sources(state: Path) -> None:
    async with serving(state) as url, browsing(url) as page:
        assert await page.locator("h1").inner_text()
        assert await page.locator("article").count() == 21
        card = page.locator("article", has_text="host-0").first
        assert await card.locator("svg.calendar use").count() == 91
        assert "days success" in (await card.locator("svg.calendar").get_attribute("aria-label") or "")
        assert await card.locator("svg.chart polyline").count() == 2
        assert "not delivered yet" in await page.locator("section[aria-labelledby=alerts]").inner_text()
        assert await page.locator("section[aria-labelledby=runs] tbody tr").count() == 20
        assert "5 B" in await page.locator("section[aria-labelledby=sources]").inner_text()


async def test_hostile_text_from_a_log_is_text(state: Path) -> None:
    """No element comes of it, no script runs, and no mark turns the direction of what stands around it."""
    async with serving(state) as url, browsing(url) as page:
        assert "owned" not in await page.title()
        text = await page.locator("main").inner_text()
        assert "<script>document.title='owned'</script>" in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert await page.locator("script, img, iframe, form, button, input, [onerror]").count() == 0


async def test_a_phone_needs_no_sideways_scrolling(state: Path) -> None:
    async with serving(state) as url, browsing(url, viewport={"width": 320, "height": 700}, is_mobile=True) as page:
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        rows = page.locator("section[aria-labelledby=runs]").get_by_role("row")
        assert await rows.count() == 21  # blocks to the eye, and a table to a screen reader
        for mark in await rows.locator(".mark").all():
            box = await mark.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= 320


async def test_the_page_is_dark_where_that_is_preferred(state: Path) -> None:
    async with serving(state) as url:
        seen = []
        for scheme in ("light", "dark"):
            async with browsing(url, color_scheme=scheme) as page:
                seen.append(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert seen == ["rgb(255, 255, 255)", "rgb(20, 23, 26)"]


async def test_all_that_can_be_used_is_reached_by_keyboard(state: Path) -> None:
    async with serving(state) as url, browsing(url) as page:
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to the jobs"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "jobs"
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.tagName") == "SUMMARY"
        await page.keyboard.press("Enter")
        assert await page.locator("details[open]").count() == 1


async def test_every_part_is_a_step_away_by_keyboard(state: Path) -> None:
    """Also where there are a hundred jobs before it."""
    async with serving(state) as url, browsing(url) as page:
        for presses, part in ((3, "alerts"), (4, "runs"), (5, "sources")):
            await page.goto(url)
            for _ in range(presses):
                await page.keyboard.press("Tab")
            await page.keyboard.press("Enter")
            assert await page.evaluate("document.activeElement.id") == part


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
async def test_axe_finds_no_violation(scheme: str, width: int, state: Path) -> None:
    window = {"width": width, "height": 800}
    async with serving(state) as url, browsing(url, color_scheme=scheme, viewport=window, bypass_csp=True) as page:
        found = await Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


async def test_nothing_is_taken_from_elsewhere_and_nothing_may_run(state: Path) -> None:
    async with serving(state) as url:
        code, headers, _ = await get(f"{url}/")
        assert code == 200
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        async with browsing("about:blank") as page:
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            errors: list[str] = []
            page.on("console", lambda message: errors.append(message.text))
            await page.goto(url)
            assert all(one.startswith((url, "data:")) for one in asked)
            assert errors == []


async def test_health_tells_degraded_from_unhealthy(state: Path) -> None:
    async with serving(state) as url:
        assert (await get(f"{url}/healthz"))[0] == 200
        code, _, body = await get(f"{url}/readyz")
        assert (code, '"degraded"' in body) == (503, True)


async def test_metrics_are_read_by_the_official_parser(state: Path) -> None:
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 - only here

    async with serving(state) as url:
        code, headers, body = await get(f"{url}/metrics")
    assert code == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(body)}
    assert families["borgwatch_lines"].type == "counter"
    assert len(families["borgwatch_last_success_timestamp_seconds"].samples) == 20
    assert "process_resident_memory_bytes" in families


async def test_only_asking_is_possible_and_only_by_a_name_of_this_machine(state: Path) -> None:
    async with serving(state, "nas.example.org") as url:
        assert (await get(f"{url}/", Host="rebound.example"))[0] == 421
        assert (await get(f"{url}/healthz", Host="nas.example.org"))[0] == 200
        assert (await get(f"{url}/no"))[0] == 404
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        assert b" 405 " in await reader.readline()
        writer.close()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.168.1.5:8080", True), ("[fd00::1]:80", True), ("localhost", True), ("nas", True), ("nas.local:1", True),
        ("nas.example.org", True), ("evil.example", False), ("", False), ("a b", False),
        ("nas.local.evil.example", False),
    ],
)  # fmt: skip
def test_names_that_this_machine_can_be_expected_to_have(host: str, expected: bool) -> None:
    assert is_expected_host(host, ("nas.example.org",)) is expected
