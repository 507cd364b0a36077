"""The page of the real process: there when a port is set, and no harm to the watching when it cannot be had."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.process import ROOT, TIMEOUT, running

LOCKED = (ROOT / "tests" / "data" / "borg-logs" / "borg-1.4.5" / "create-lock-timeout.stderr").read_bytes()


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "watch" / "nas").mkdir(parents=True)
    return {
        "BORGWATCH_WATCH": str(tmp_path / "watch"), "BORGWATCH_STATE": str(tmp_path / "state"),
        "BORGWATCH_RULES": str(tmp_path / "rules"), "BORGWATCH_RUN": str(tmp_path),
    }  # fmt: skip


def get(port: int, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return str(answer.read(), "utf-8")


async def answer_with(port: int, path: str, words: str) -> str:
    """Wait for an answer that holds some words: one that was made before them is given again for a while."""
    for _ in range(10 * TIMEOUT):
        if words in (answer := await asyncio.to_thread(get, port, path)):
            return answer
        await asyncio.sleep(0.1)
    raise AssertionError(answer)


async def test_the_page_and_the_metrics_show_what_the_process_sees(settings: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with running({**settings, "BORGWATCH_WEB_PORT": str(port)}) as service:
        (tmp_path / "watch" / "nas" / "backup.log").write_bytes(LOCKED)
        await service.line_with("run.finished", "outcome=failure")
        assert "TrueNAS is not told" in await answer_with(port, "/", "broken now: nas backup")
        metrics = await answer_with(port, "/metrics", 'borgwatch_events_total{event="backup.failure"} 1.0')
        assert 'borgwatch_consecutive_failures{backup_job="nas",operation="backup"} 1.0' in metrics
        assert json.loads(await asyncio.to_thread(get, port, "/healthz"))["health"] in ("healthy", "degraded")
        assert await service.end() == 0


async def test_health_is_told_while_the_service_waits_for_a_locked_journal(
    settings: dict[str, str], tmp_path: Path
) -> None:
    """Each step waits five seconds for it then; who asks for health does not."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with running({**settings, "BORGWATCH_WEB_PORT": str(port)}) as service:
        await service.line_with("ready")
        with closing(sqlite3.connect(tmp_path / "state" / "journal.sqlite3", isolation_level=None)) as selfish:
            selfish.execute("BEGIN IMMEDIATE")
            (tmp_path / "watch" / "nas" / "backup.log").write_bytes(LOCKED)
            await service.line_with("journal.failed", "another process keeps it locked")
            with pytest.raises(HTTPError) as told:
                await asyncio.to_thread(get, port, "/healthz")
            assert "another process keeps it locked" in json.loads(told.value.read())["reason"]
            assert "No run was seen yet" in await asyncio.to_thread(get, port, "/")
        await service.line_with("run.finished", "outcome=failure")
        await answer_with(port, "/", "broken now: nas backup")


async def test_a_port_that_is_taken_is_told_and_the_watching_goes_on(settings: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with running({**settings, "BORGWATCH_WEB_PORT": str(taken.getsockname()[1])}) as service:
            assert "BORGWATCH_WEB_PORT" in await service.line_with("page.broken", "cannot listen")
            (tmp_path / "watch" / "nas" / "backup.log").write_bytes(LOCKED)
            await service.line_with("run.finished", "outcome=failure")


async def test_without_a_port_nothing_listens_and_nothing_is_loaded(settings: dict[str, str]) -> None:
    async with running(settings) as service:
        maps = Path(f"/proc/{service.process.pid}/net/tcp").read_text()
        inodes = {
            Path(f"/proc/{service.process.pid}/fd/{fd.name}")
            for fd in Path(f"/proc/{service.process.pid}/fd").iterdir()
        }
        sockets = {str(link.readlink()) for link in inodes if link.exists() or link.is_symlink()}
        listening = [line.split()[9] for line in maps.splitlines()[1:] if line.split()[3] == "0A"]
        assert not {f"socket:[{inode}]" for inode in listening} & sockets
