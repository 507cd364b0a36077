"""Alerts: keys, events, dismissing, deleting, policies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from borgwatch.truenas.simulator import PROFILES, Simulator
from borgwatch.truenas.simulator.alerts import AlertList

NOW = datetime(2026, 11, 23, 2, 10, tzinfo=UTC)
SCRUB = ("ScrubNotStarted", {"pool": "borgwatch:r", "text": "repository locked"})
CLOUD = ("CloudBackupTaskFailed", {"id": "borgwatch:r", "name": "exit code 2"})


async def test_a_created_alert_is_listed_and_announced(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        await client.call("core.subscribe", "alert.list")

        assert await client.call("alert.oneshot_create", *SCRUB) is None

        added = await client.event(lambda params: params["msg"] == "added")
        assert [added["fields"]] == nas.alerts == await client.call("alert.list")
        assert added["fields"]["formatted"] == "repository locked."


async def test_the_same_key_again_changes_the_text_but_sends_no_event(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        await client.call("core.subscribe", "alert.list")
        await client.call("alert.oneshot_create", *SCRUB)
        (first,) = nas.alerts

        await client.call("alert.oneshot_create", "ScrubNotStarted", {"pool": "borgwatch:r", "text": "second"})
        await client.call("alert.oneshot_create", "ScrubNotStarted", {"pool": "marker", "text": "t"})
        await client.event(lambda params: params["fields"]["key"] == "marker")

        assert [event["params"]["fields"]["key"] for event in client.events] == ["borgwatch:r", "marker"]
        assert {**first, "args": "second"}.items() >= {
            name: nas.alerts[0][name] for name in ("uuid", "datetime", "dismissed", "args")
        }.items()


async def test_a_dismissed_cloud_backup_alert_stays_dismissed_when_created_again(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        await client.call("alert.oneshot_create", *CLOUD)
        nas.dismiss(nas.alerts[0]["uuid"])

        await client.call("alert.oneshot_create", *CLOUD)

        assert [alert["dismissed"] for alert in nas.alerts] == [True]
        await client.call("alert.oneshot_delete", "CloudBackupTaskFailed", '"borgwatch:r"')
        await client.call("alert.oneshot_create", *CLOUD)
        assert [alert["dismissed"] for alert in nas.alerts] == [False]


async def test_restoring_shows_a_hidden_alert_again(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        await client.call("alert.oneshot_create", *CLOUD)
        await client.call("alert.dismiss", nas.alerts[0]["uuid"])

        await client.call("alert.restore", nas.alerts[0]["uuid"])

        assert not nas.alerts[0]["dismissed"]


async def test_dismissing_a_one_shot_alert_deletes_it(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        await client.call("alert.oneshot_create", *SCRUB)

        await client.call("alert.dismiss", nas.alerts[0]["uuid"])

        assert nas.alerts == []


async def test_an_unquoted_delete_does_nothing_and_reports_success(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        await client.call("alert.oneshot_create", *CLOUD)

        assert await client.call("alert.oneshot_delete", "CloudBackupTaskFailed", "borgwatch:r") is None
        assert len(nas.alerts) == 1

        assert await client.call("alert.oneshot_delete", "CloudBackupTaskFailed", '"borgwatch:r"') is None
        assert nas.alerts == []


async def test_policy_never_hides(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        nas.set_policy("ScrubNotStarted", "NEVER")

        await client.call("alert.oneshot_create", *SCRUB)

        assert await client.call("alert.list") == []
        assert (await client.call("alertclasses.config"))["classes"] == {"ScrubNotStarted": {"policy": "NEVER"}}
        nas.set_policy("ScrubNotStarted", "IMMEDIATELY")
        assert len(await client.call("alert.list")) == 1


async def test_the_level_that_a_user_has_set_is_listed(open_client: Any) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        await client.call("alert.oneshot_create", *SCRUB)
        await client.call("alert.oneshot_create", *CLOUD)

        await client.call("alertclasses.update", {"classes": {"ScrubNotStarted": {"level": "EMERGENCY"}}})

        assert [alert["level"] for alert in nas.alerts] == ["EMERGENCY", "ERROR"]


async def test_no_class_but_a_one_shot_one_can_be_created(open_client: Any, rpc_error: type[Exception]) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        with pytest.raises(rpc_error, match="Invalid alert class: 'CustomAlert'"):
            await client.call("alert.oneshot_create", "CustomAlert", {})
        with pytest.raises(rpc_error, match="is not a one-shot alert class"):
            await client.call("alert.oneshot_create", "Test", {})
        with pytest.raises(rpc_error, match="'text'"):
            await client.call("alert.oneshot_create", "ScrubNotStarted", {"pool": "p"})


@pytest.mark.parametrize(
    "wrong",
    [{"CustomAlert": {}}, {"RsyncFailed": {"policy": "SOMETIMES"}}, {"RsyncFailed": {"level": "BAD"}}],
)
async def test_impossible_settings_of_classes_are_refused(
    wrong: dict[str, Any], open_client: Any, rpc_error: type[Exception]
) -> None:
    async with Simulator() as nas, open_client(nas, key=nas.keys[0]) as client:
        with pytest.raises(rpc_error, match="Invalid"):
            await client.call("alertclasses.update", {"classes": wrong})


@pytest.mark.parametrize("release", PROFILES)
def test_smart_alerts_exist_on_25_04_only(release: str) -> None:
    classes = [c["id"] for category in AlertList(PROFILES[release]).categories() for c in category["classes"]]

    assert ("SMART" in classes) == release.startswith("25.04")


def test_arguments_that_do_not_fit_leave_the_bare_template() -> None:
    alerts = AlertList(PROFILES["25.10.6"])

    alerts.create("RsyncFailed", {"id": "k"}, NOW)

    assert alerts.entries()[0]["formatted"] == 'Rsync "%(direction)s" task for "%(path)s" failed.'


steps = st.tuples(
    st.sampled_from(["create", "delete", "dismiss", "restore", "announce"]),
    st.sampled_from(["ScrubNotStarted", "RsyncFailed", "CloudBackupTaskFailed"]),
    st.sampled_from("abc"),
)


@settings(deadline=None)
@given(st.lists(steps))
def test_whatever_happens_subscribers_can_follow_the_list(happenings: list[tuple[str, str, str]]) -> None:
    """Announcements alone rebuild which alerts there are, and class and key tell them apart."""
    alerts, followed = AlertList(PROFILES["25.10.6"]), set()
    for what, klass, key in [*happenings, ("announce", "", "")]:
        announcements = []
        match what:
            case "create":
                alerts.create(klass, {"pool": key, "id": key, "text": "t"}, NOW)
            case "delete":
                alerts.delete(klass, key if klass == "ScrubNotStarted" else f'"{key}"')
            case "dismiss" | "restore":
                named = [a["uuid"] for a in alerts.entries() if a["klass"] == klass and key in a["key"]]
                announcements = [getattr(alerts, what)(uuid) for uuid in named]
            case "announce":
                announcements = alerts.announce()
        for announcement in announcements:
            if announcement.change == "added":
                followed.add(announcement.uuid)
            elif announcement.change == "removed":
                followed.discard(announcement.uuid)
    entries = alerts.entries()
    assert {entry["uuid"] for entry in entries} == followed
    assert len({(entry["klass"], entry["key"]) for entry in entries}) == len(entries)
