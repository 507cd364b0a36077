"""Whoever reaches the port can ask and do no harm: strange requests, too many of them, and a journal in trouble."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from borgwatch.journal.lookback import Lookback
from borgwatch.journal.store import Change, Journal
from borgwatch.policy.jobs import JobState
from borgwatch.service.live import Live
from borgwatch.views.overview import MANY
from borgwatch.web import server
from borgwatch.web.listening import MOST_CONNECTIONS
from tests.scenario import LIVE, make
from tests.web.serving import exchange, exchange_blocking, serving_at

SECURE = (
    b"content-security-policy: default-src 'none'", b"x-content-type-options: nosniff", b"referrer-policy: no-referrer",
    b"cache-control: ", b"cross-origin-resource-policy: same-origin",
)  # fmt: skip


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("state")
    make(made)
    return made


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each answer anew, but for those who ask at the same moment."""
    monkeypatch.setattr(server, "_FRESH", 0.001)
    monkeypatch.setattr(server, "_SHARE", 0)


def alive() -> Live:
    return LIVE


def request(line: str, *headers: str, host: str = "Host: localhost") -> bytes:
    return "\r\n".join((line, *((host,) if host else ()), *headers, "Connection: close", "", "")).encode()


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (request("GET / HTTP/1.1"), 200),
        (request("HEAD / HTTP/1.1"), 200),
        (request("GET /?" + "x" * 30_000 + " HTTP/1.1"), 200),
        (request("GET /?" + "x" * 200_000 + " HTTP/1.1"), 400),
        (request("GET / HTTP/1.1", "X: " + "y" * 200_000), 400),
        (request("POST / HTTP/1.1", "Content-Length: 0"), 405),
        (request("PUT /metrics HTTP/1.1", "Content-Length: 0"), 405),
        (request("DELETE / HTTP/1.1"), 405),
        (request("OPTIONS / HTTP/1.1"), 405),
        (request("TRACE / HTTP/1.1"), 405),
        (request("GET /../../etc/passwd HTTP/1.1"), 404),
        (request("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1"), 404),
        (request("GET /style.css/../../page.py HTTP/1.1"), 404),
        (request("GET /style.css%00 HTTP/1.1"), 404),
        (request("GET //evil.example/ HTTP/1.1"), 404),
        (request("GET http://evil.example/ HTTP/1.1"), 404),
        (request("GET / HTTP/1.1", host="Host: evil.example"), 421),
        (request("GET / HTTP/1.1", host="Host: localhost@evil.example"), 421),
        (request("GET / HTTP/1.1", host="Host: 127.0.0.1.evil.example"), 421),
        (request("GET / HTTP/1.1", host="Host: ."), 421),
        (request("GET / HTTP/1.1", host="Host: <script>"), 421),
        (request("GET / HTTP/1.0", host=""), 421),
        (request("GET / HTTP/1.1", host=""), 400),
        (request("GET / HTTP/1.1", "Host: evil.example"), 400),
        (request("GET / HTTP/1.1", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example"), 200),
        (request("GET / HTTP/1.1", "Upgrade: websocket", "Sec-WebSocket-Key: x"), 200),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"\x00" * 5000 + b"\r\n\r\n", 400),
    ],
)  # fmt: skip
async def test_a_strange_request_gets_a_plain_answer(state: Path, asked: bytes, code: int) -> None:
    async with serving_at(state, alive) as port:
        answer = await exchange(port, asked)
        is_cut = code == 400 and not answer  # the rest of what was sent lies unread, and the connection is reset
        assert is_cut or answer.startswith(f"HTTP/1.1 {code} ".encode())
        assert b"root:" not in answer
        assert b"evil" not in answer.lower()
        head, _, body = answer.partition(b"\r\n\r\n")
        if code != 400:  # what is no HTTP comes to no application
            assert [one for one in SECURE if one not in head.lower()] == []
        assert is_cut or bool(body) is not asked.startswith(b"HEAD")
        assert b" 200 " in await exchange(port, request("GET /healthz HTTP/1.1"))


async def test_who_opens_connections_and_says_nothing_keeps_nobody_out(state: Path) -> None:
    """The oldest of too many gives way: the service keeps the files that it may open for logs."""
    async with serving_at(state, alive) as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5 * MOST_CONNECTIONS)]
        for number, (_, writer) in enumerate(silent):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX" if number % 2 else b"")
        assert b" 200 " in await exchange(port, request("GET /healthz HTTP/1.1"))
        ended = 0
        for reader, _ in silent[: 4 * MOST_CONNECTIONS]:
            try:
                ended += await asyncio.wait_for(reader.read(), 10) == b""
            except ConnectionError:
                ended += 1
        assert ended == 4 * MOST_CONNECTIONS
        for _, writer in silent:
            writer.close()


async def test_many_who_ask_at_once_are_answered_by_one_reading(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def one_page(shown: object, _: object) -> str:
        made.append(shown)
        return "page"

    monkeypatch.setattr(server, "page", one_page)
    async with serving_at(state, alive) as port:
        asked = [exchange(port, request("GET / HTTP/1.1")) for _ in range(MOST_CONNECTIONS - 1)]
        answers = await asyncio.gather(*asked)
    assert [answer.endswith(b"page") for answer in answers] == [True] * (MOST_CONNECTIONS - 1)
    assert len(made) == 1


async def test_of_ten_thousand_jobs_the_page_shows_some_and_stays_small(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with closing(Journal.open(tmp_path)) as journal:
        jobs = [JobState(f"host-{number}", "backup", "success", now, now) for number in range(10_000)]
        journal.commit(Change(jobs=[*jobs, JobState("zebra", "backup", "failure", None, now, failures=1)]))
        async with serving_at(tmp_path, alive) as port:
            page = await exchange(port, request("GET / HTTP/1.1"))
            metrics = await exchange(port, request("GET /metrics HTTP/1.1"))
    assert page.count(b"<article") == MANY
    assert page.index(b"zebra") < page.index(b"host-0")
    assert b"and 9901 more" in page
    assert len(page) < 2_000_000
    assert len(metrics) < 1_000_000


@pytest.mark.usefixtures("at_once")
async def test_a_journal_in_trouble_is_told_and_the_server_goes_on(tmp_path: Path) -> None:
    """There is none yet, it is of a newer borgwatch, it is no database: each time a sentence, and health as before."""
    async with serving_at(tmp_path, alive) as port:
        for path in ("/", "/metrics"):
            answer = await exchange(port, request(f"GET {path} HTTP/1.1"))
            assert b" 503 " in answer
            assert b"there is no journal" in answer
        with closing(sqlite3.connect(tmp_path / "journal.sqlite3")) as database:
            database.execute("PRAGMA user_version = 999")
        assert b"written by a newer borgwatch" in await exchange(port, request("GET / HTTP/1.1"))
        (tmp_path / "journal.sqlite3").write_bytes(b"x" * 5000)
        assert b"cannot be read" in await exchange(port, request("GET / HTTP/1.1"))
        assert b" 200 " in await exchange(port, request("GET /healthz HTTP/1.1"))


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """Have the journal for oneself, as a tool does that was left open in the middle of a change."""
    with closing(sqlite3.connect(state / "journal.sqlite3", isolation_level=None)) as selfish:
        selfish.execute("PRAGMA locking_mode = EXCLUSIVE")
        selfish.execute("INSERT OR REPLACE INTO roots VALUES ('x')")
        yield


@pytest.mark.usefixtures("at_once")
async def test_a_journal_that_another_process_has_for_itself_is_told_at_once(tmp_path: Path) -> None:
    """The page shows what was read before, and how old that is; numbers that are old nobody gets as new ones."""
    make(tmp_path)
    get = {path: request(f"GET {path} HTTP/1.1") for path in ("/", "/metrics", "/healthz")}
    async with serving_at(tmp_path, alive) as port:
        with locked(tmp_path):
            for path in ("/", "/metrics"):  # before anything was read
                answer = await exchange(port, get[path])
                assert b" 503 " in answer
                assert b"another process keeps it locked" in answer
        assert b" 200 " in await exchange(port, get["/"])
        assert b" 200 " in await exchange(port, get["/metrics"])
        with locked(tmp_path):
            page = await exchange(port, get["/"])
            assert page.startswith(b"HTTP/1.1 503 ")
            assert b"Not up to date: the journal" in page
            assert b"another process keeps it locked (database is locked). What follows was read" in page
            assert b"<h3" in page
            metrics = await exchange(port, get["/metrics"])
            assert b" 503 " in metrics
            assert b"borgwatch_" not in metrics
            assert b" 200 " in await exchange(port, get["/healthz"])
        assert b"Not up to date" not in await exchange(port, get["/"])
        assert b" 200 " in await exchange(port, get["/metrics"])


async def test_of_many_who_ask_while_the_journal_is_locked_only_one_waits(tmp_path: Path) -> None:
    make(tmp_path)
    tried = []

    def opened(*given: object) -> Lookback:
        tried.append(given)
        return Lookback.open(*given)  # type: ignore[arg-type] # as they came

    with locked(tmp_path), pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "Lookback", SimpleNamespace(open=opened))
        async with serving_at(tmp_path, alive) as port:
            asked = [exchange(port, request("GET / HTTP/1.1")) for _ in range(MOST_CONNECTIONS - 1)]
            assert all(b" 503 " in answer for answer in await asyncio.gather(*asked))
    assert tried == [(tmp_path, server.PATIENCE)]


@pytest.mark.usefixtures("at_once")
async def test_a_service_that_is_held_up_is_quoted_from_before(state: Path) -> None:
    """Its loop waits here for each answer, as it does for a disk that hangs; its health is that of now."""
    async with serving_at(state, alive) as port:
        assert b"not answered" not in await exchange(port, request("GET / HTTP/1.1"))
        answer = exchange_blocking(port, request("GET / HTTP/1.1"))
        assert b" 200 " in answer
        assert b"The service has not answered for " in answer
        assert b" 200 " in exchange_blocking(port, request("GET /metrics HTTP/1.1"))
        assert b" 200 " in exchange_blocking(port, request("GET /healthz HTTP/1.1"))


async def test_the_page_is_read_while_another_process_writes(state: Path) -> None:
    with closing(Journal.open(state)) as journal:
        journal._database.execute("BEGIN IMMEDIATE")
        async with serving_at(state, alive) as port:
            assert b" 200 " in await exchange(port, request("GET / HTTP/1.1"))
        journal._database.execute("ROLLBACK")


async def test_what_nobody_thought_of_is_told_and_shows_nothing(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def broken(*_: object) -> str:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(server, "page", broken)
    async with serving_at(state, alive, tell=told.append) as port:
        answer = await exchange(port, request("GET / HTTP/1.1"))
    assert b" 500 " in answer
    assert b"secret" not in answer
    assert told == ["page could not be made: ZeroDivisionError: a secret"]


async def test_a_clock_that_was_set_back_does_not_break_the_page(tmp_path: Path) -> None:
    """What is in the journal lies in the future then."""
    later = datetime.now(UTC) + timedelta(days=400)
    with closing(Journal.open(tmp_path)) as journal:
        journal.commit(Change(jobs=[JobState("nas", "backup", "success", later, later)]))
        async with serving_at(tmp_path, alive) as port:
            assert b"(in 399 days" in await exchange(port, request("GET / HTTP/1.1"))
            assert b" 200 " in await exchange(port, request("GET /metrics HTTP/1.1"))
