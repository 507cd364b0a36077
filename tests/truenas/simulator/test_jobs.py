"""Jobs: answers, events, locks, and what is left of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from borgwatch.truenas.simulator import PROFILES, Key, Simulator

SCRUB = ("ScrubNotStarted", {"pool": "borgwatch:r", "text": "repository locked"})
READONLY = Key("svc_ro", "2-" + "r" * 64, roles=("READONLY_ADMIN",))
RELEASES_WITH_OPTION = [release for release, profile in PROFILES.items() if profile.legacy_jobs_option]


async def test_on_25_04_the_failed_event_may_come_before_the_answer(open_client: Any) -> None:
    async with Simulator("25.04.0") as nas, open_client(nas, key=nas.keys[0]) as client:
        nas.faults.events_before_answer = True
        await client.call("core.subscribe", "core.get_jobs")

        job = await client.call("alert.oneshot_create", "CustomAlert", {})

        states = [e["params"]["fields"]["state"] for e in client.events if e["params"]["id"] == job]
        assert states == ["WAITING", "RUNNING", "FAILED"]


@pytest.mark.parametrize("release", PROFILES)
async def test_transient_jobs_are_announced_before_26_only(release: str, open_client: Any) -> None:
    async with Simulator(release) as nas, open_client(nas, key=nas.keys[0], new_jobs=False) as client:
        await client.call("core.subscribe", "core.get_jobs")

        await client.call("alert.oneshot_create", *SCRUB)
        marker = await client.call("core.bulk", "core.ping", [[]])
        await client.event(lambda params: params["id"] == marker and params["fields"]["state"] == "SUCCESS")

        announced = any(event["params"]["fields"]["transient"] for event in client.events)
        assert announced == (release < "26")


async def test_27_answers_an_integer_in_legacy_mode_and_creates_nothing(open_client: Any) -> None:
    async with Simulator("27-master") as nas, open_client(nas, key=nas.keys[0], new_jobs=False) as client:
        job = await client.call("alert.oneshot_create", *SCRUB)
        await client.call("core.bulk", "alert.oneshot_delete", [["ScrubNotStarted", "x"]])

        assert isinstance(job, int)
        assert nas.alerts == []


async def test_27_refuses_class_and_arguments_in_new_mode(open_client: Any, rpc_error: type[Exception]) -> None:
    async with Simulator("27-master") as nas, open_client(nas, key=nas.keys[0]) as client:
        with pytest.raises(rpc_error, match="takes 3 positional arguments but 4 were given"):
            await client.call("alert.oneshot_create", *SCRUB)
        with pytest.raises(rpc_error, match="is not a one-shot alert class"):
            await client.call("alert.oneshot_create", {"klass": "ScrubNotStarted"})


@pytest.mark.parametrize("release", PROFILES)
async def test_a_finished_transient_job_is_gone_and_a_bulk_job_stays(release: str, open_client: Any) -> None:
    async with Simulator(release) as nas, open_client(nas, key=nas.keys[0], new_jobs=False) as client:
        transient = await client.call("alert.oneshot_delete", "ScrubNotStarted", "none")
        bulk = await client.call("core.bulk", "alert.oneshot_delete", [["ScrubNotStarted", "none"]])
        await client.call("core.subscribe", "core.get_jobs")
        wait = await client.call("core.job_wait", bulk)
        await client.event(lambda params: params["id"] == wait and params["fields"]["state"] == "SUCCESS")

        assert await client.call("core.get_jobs", [["id", "=", transient]], {}) == []
        (job,) = await client.call("core.get_jobs", [["id", "=", bulk]], {})
        assert (job["state"], job["result"][0]["error"]) == ("SUCCESS", None)


@pytest.mark.parametrize("release", PROFILES)
async def test_bulk_of_a_forbidden_method_is_refused_in_the_releases_way(release: str, open_client: Any) -> None:
    async with (
        Simulator(release, keys=[READONLY]) as nas,
        open_client(nas, key=READONLY, new_jobs=False) as client,
    ):
        await client.call("core.subscribe", "core.get_jobs")
        job = await client.call("core.bulk", "alert.oneshot_create", [list(SCRUB)])
        ended = await client.event(lambda params: params["id"] == job and params["fields"]["state"] != "WAITING")
        ended = await client.event(lambda params: params["id"] == job and params["fields"]["time_finished"])

        if release.startswith("25.04"):
            assert ended["fields"]["error"] == "[EPERM] Not authorized"
        else:
            assert ended["fields"]["result"][0]["error"] == "[EPERM] Not authorized"


async def test_others_jobs_are_hidden_from_all_but_full_administrators(open_client: Any) -> None:
    admin = Key("root", "1-" + "s" * 64)
    async with (
        Simulator(keys=[admin, READONLY]) as nas,
        open_client(nas, key=admin) as first,
        open_client(nas, key=READONLY) as second,
    ):
        await first.call("core.bulk", "core.ping", [[]])

        assert len(await first.call("core.get_jobs")) == 1
        assert await second.call("core.get_jobs") == []


async def test_the_21st_call_in_flight_is_refused(open_client: Any, rpc_error: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        nas.faults.never_answer.add("system.version")
        for _ in range(20):
            await client.send("system.version")

        with pytest.raises(rpc_error, match=r"Maximum number of concurrent calls \(20\) has exceeded") as caught:
            await client.call("core.ping")

        assert caught.value.code == -32000


async def test_ten_calls_run_and_the_eleventh_waits(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        nas.faults.process_alerts_delay = 3600
        for number in range(11):
            await client.send("alert.oneshot_create", "ScrubNotStarted", {"pool": str(number), "text": "t"})
        await nas.changed(lambda nas: nas.calls[-1][1] == ["ScrubNotStarted", {"pool": "10", "text": "t"}])

        async with open_client(nas, key=nas.keys[0]) as other:
            assert len(await other.call("core.get_jobs")) == 10


async def test_a_create_waits_for_the_process_alerts_lock(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        nas.faults.process_alerts_delay = 3600
        await client.send("alert.oneshot_create", *SCRUB)

        (job,) = await client.call("core.get_jobs")
        assert (job["method"], job["state"]) == ("alert.oneshot_create", "WAITING")
        assert nas.alerts == []


async def test_a_slow_create_is_answered_when_it_is_done(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        nas.faults.process_alerts_delay = 0.05
        started = asyncio.get_running_loop().time()

        await client.call("alert.oneshot_create", *SCRUB)

        assert asyncio.get_running_loop().time() - started >= 0.05
        assert len(nas.alerts) == 1


async def test_a_create_goes_on_when_its_client_leaves(open_client: Any) -> None:
    async with Simulator() as nas:
        async with open_client(nas, key=nas.keys[0]) as client:
            nas.faults.process_alerts_delay = 0.02
            await client.send("alert.oneshot_create", *SCRUB)
            await nas.changed(lambda nas: nas.calls[-1][0] == "alert.oneshot_create")

        await nas.changed(lambda nas: nas.alerts)


async def test_a_seventh_bulk_of_a_method_is_merged_into_one_that_waits(open_client: Any) -> None:
    """One runs, five wait, and the next is lost: its caller is given the id of the last that waits."""
    async with Simulator() as nas, open_client(nas, key=nas.keys[0], new_jobs=False) as client:
        nas.faults.process_alerts_delay = 3600
        ids = [await client.call("core.bulk", "alert.oneshot_create", [list(SCRUB)]) for _ in range(7)]

        assert len(set(ids)) == 6
        assert ids[6] == ids[5]


@pytest.mark.parametrize("release", RELEASES_WITH_OPTION)
async def test_with_legacy_jobs_off_the_answer_is_the_outcome(
    release: str, open_client: Any, rpc_error: type[Exception]
) -> None:
    async with Simulator(release) as nas, open_client(nas, key=nas.keys[0]) as client:
        assert await client.call("core.bulk", "core.ping", [[]]) == [{"job_id": None, "error": None, "result": "pong"}]
        with pytest.raises(rpc_error, match="Job with id 99 does not exist"):
            await client.call("core.job_wait", 99)


async def test_what_cannot_be_asked_of_jobs_is_refused(open_client: Any, rpc_error: type[Exception]) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        await client.call("core.bulk", "core.ping", [[]])
        with pytest.raises(rpc_error, match=r"Method 'no\.such' does not exist"):
            await client.call("core.bulk", "no.such", [[]])
        with pytest.raises(rpc_error, match="Invalid filter operator '~'"):
            await client.call("core.get_jobs", [["id", "~", 1]])
