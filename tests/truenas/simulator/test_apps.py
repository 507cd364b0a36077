"""An app's output over the connection: lines, tails, time stamps, ends."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from borgwatch.truenas.simulator import App, Key, Simulator

MOMENT = datetime(2026, 11, 23, 2, 10, 11, 500000, tzinfo=timezone(timedelta(hours=1)))


def follow(app: App, **more: Any) -> str:
    """Return the name of the event source for an app's first container."""
    argument = {"app_name": app.name, "container_id": app.containers[0].id, **more}
    return f"app.container_log_follow:{json.dumps(argument)}"


async def lines(client: Any, number: int) -> list[str]:
    """Return the texts of the next lines."""
    frames = client.events + [await client.receive() for _ in range(number - len(client.events))]
    client.events.clear()
    return [frame["params"]["fields"]["data"] for frame in frames]


@pytest.mark.parametrize(
    ("tail", "expected"), [(2, ["c", "d"]), (0, list("abcd")), (None, list("abcd")), (9, list("abcd"))]
)
async def test_the_tail_comes_first_and_then_each_line(tail: int | None, expected: list[str], open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        app = nas.install_app("borg-backup")
        for text in "abcd":
            nas.app_writes(app.containers[0], text)

        await client.call("core.subscribe", follow(app, tail_lines=tail))

        assert await lines(client, len(expected)) == expected
        nas.app_writes(app.containers[0], "e")
        assert await lines(client, 1) == ["e"]


async def test_500_lines_are_the_default_tail(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        app = nas.install_app("borg-backup")
        for number in range(600):
            nas.app_writes(app.containers[0], str(number))

        await client.call("core.subscribe", follow(app))

        assert (await lines(client, 500))[0] == "100"


@pytest.mark.parametrize(
    ("release", "stamp"),
    [("25.10.6", "2026-11-23T01:10:11.500000"), ("26.0.0-BETA.3", "2026-11-23T02:10:11.500000+01:00")],
)
async def test_a_line_is_stamped_as_the_release_stamps(release: str, stamp: str, open_client: Any) -> None:
    async with Simulator(release) as nas, open_client(nas, key=nas.keys[0]) as client:
        app = nas.install_app("borg-backup")
        name = follow(app)
        nas.app_writes(app.containers[0], "   indented\n", MOMENT)
        nas.app_writes(app.containers[0], "\n", MOMENT)

        await client.call("core.subscribe", name)

        frames = [await client.receive() for _ in range(2)]
        assert [frame["params"] for frame in frames] == [
            {"msg": "added", "collection": name, "fields": {"data": "indented\n", "timestamp": stamp}},
            {"msg": "added", "collection": name, "fields": {"data": stamp, "timestamp": None}},
        ]


async def test_bytes_that_are_not_utf_8_end_the_stream(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        app = nas.install_app("borg-backup")
        await client.call("core.subscribe", follow(app))
        nas.app_writes(app.containers[0], "first")
        assert await lines(client, 1) == ["first"]

        nas.app_writes(app.containers[0], b"caf\xe9")

        frame = await client.receive()
        assert frame["method"] == "notify_unsubscribed"
        assert frame["params"]["collection"] == follow(app)
        nas.app_writes(app.containers[0], "after")
        await client.call("core.ping")
        assert client.events == []


async def test_a_new_deployment_has_new_containers(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        app = nas.install_app("borg-backup", "borg", "helper")
        (before,) = await client.call("app.query", [["name", "=", "borg-backup"]])
        await client.call("core.subscribe", follow(app))
        await client.call("core.ping")

        nas.redeploy(app)

        assert (await client.receive())["method"] == "notify_unsubscribed"
        (after,) = await client.call("app.query", [["state", "in", ["RUNNING"]], ["name", "!=", "x"]])
        old, new = (listed["active_workloads"]["container_details"] for listed in (before, after))
        assert [container["service_name"] for container in new] == ["borg", "helper"]
        assert not {container["id"] for container in old} & {container["id"] for container in new}


@pytest.mark.parametrize("state", ["STOPPED", "STOPPING"])
async def test_a_stopped_app_cannot_be_followed(state: str, open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        app = nas.install_app("borg-backup")
        app.state = state

        await client.call("core.subscribe", follow(app))

        frame = await client.receive()
        assert frame["method"] == "notify_unsubscribed"
        assert "stopped" in frame["params"]["error"]["reason"]


async def test_an_unknown_app_or_container_cannot_be_followed(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        app = nas.install_app("borg-backup")
        for name in (follow(app, app_name="other"), follow(app, container_id="0")):
            await client.call("core.subscribe", name)
            assert (await client.receive())["method"] == "notify_unsubscribed"


async def test_following_needs_a_role_and_a_good_argument(open_client: Any, rpc_error: type[Exception]) -> None:
    alerts = Key("svc_alerts", "3-" + "c" * 64, roles=("ALERT_WRITE",))
    async with (
        Simulator(keys=[alerts, Key("root", "1-" + "s" * 64)]) as nas,
        open_client(nas, key=alerts) as forbidden,
        open_client(nas, key=nas.keys[1]) as client,
    ):
        app = nas.install_app("borg-backup")
        with pytest.raises(rpc_error, match="Not authorized"):
            await forbidden.call("core.subscribe", follow(app))
        with pytest.raises(rpc_error, match=r"app\.container_log_follow"):
            await client.call("core.subscribe", "app.container_log_follow:{}")
