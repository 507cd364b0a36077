"""Delivered is what was read back; on every release, and whatever breaks on the way."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from borgwatch.model import Level
from borgwatch.truenas.delivery import Delivered, Mailed, deliver
from borgwatch.truenas.errors import CallFailed, ConnectionLost, NoAnswer, NotShown, TrueNASError, Verdict
from borgwatch.truenas.ladder import Ladder, Rung
from borgwatch.truenas.simulator import Key, Simulator
from tests.truenas.conftest import Shorten
from tests.truenas.world import (
    KEY,
    NEW,
    OLD,
    RELEASES,
    SECRET,
    Stub,
    alert,
    cleared,
    creations,
    methods,
    session_at,
    session_with,
    show,
    simulator,
)

FAILED = alert("Borg backup of photos failed: repository locked")
WARNED = alert("Borg backup of photos: 2 files changed while read", level=Level.WARNING)
FINE = alert("Borg backup of photos: 12.3 GB in 4 min", level=Level.INFO)
BY_CLASS = {"CloudBackupTaskFailed": FAILED, "ScrubNotStarted": WARNED, "RsyncSuccess": FINE}
all_releases = pytest.mark.parametrize("release", RELEASES)
both_ways = pytest.mark.parametrize("release", [OLD, NEW])


def _shown(nas: Simulator) -> list[tuple[str, str]]:
    """Class and text of what is under the bell."""
    return [(entry["klass"], entry["formatted"]) for entry in nas.alerts if not entry["dismissed"]]


# Raised, again, refreshed, told anew, cleared


@all_releases
@pytest.mark.parametrize("name", BY_CLASS)
async def test_an_alert_is_raised_and_read_back(release: str, name: str) -> None:
    async with simulator(release) as nas, session_with(nas) as session:
        proof = await show(session, BY_CLASS[name])

        [entry] = nas.alerts
        assert proof == Delivered(raised=True, alert_class=name, uuid=entry["uuid"])
        assert entry["klass"] == name
        assert BY_CLASS[name].text in entry["formatted"]
        assert methods(nas)[-1] == "alert.list"


@all_releases
@pytest.mark.parametrize("name", BY_CLASS)
async def test_a_second_delivery_changes_nothing(release: str, name: str) -> None:
    """As after a crash between delivery and its record."""
    async with simulator(release) as nas, session_with(nas) as session:
        first = await show(session, BY_CLASS[name])
        before = nas.alerts

        assert await show(session, BY_CLASS[name]) == first
        assert nas.alerts == before
        assert len(creations(nas)) == 1


@all_releases
@pytest.mark.parametrize("name", BY_CLASS)
async def test_a_silent_refresh_changes_the_text_and_keeps_the_alert(release: str, name: str) -> None:
    async with simulator(release) as nas, session_with(nas) as session:
        first = await show(session, BY_CLASS[name])
        again = alert("it failed again", level=BY_CLASS[name].level, renotify=False)

        second = await show(session, again)

        assert second == first
        [entry] = nas.alerts
        assert "it failed again" in entry["formatted"]


@all_releases
@pytest.mark.parametrize("name", BY_CLASS)
async def test_a_renotification_is_a_new_alert(release: str, name: str) -> None:
    """The removal is awaited: what comes and goes in one breath is announced by TrueNAS to nobody."""
    async with simulator(release) as nas, session_with(nas) as session:
        first = await show(session, BY_CLASS[name])
        nas.faults.process_alerts_delay = 0.05

        second = await show(session, alert("it failed again", level=BY_CLASS[name].level))

        [entry] = nas.alerts
        assert second.uuid == entry["uuid"] != first.uuid


@both_ways
async def test_a_removal_is_over_before_the_next_alert_is_made(release: str) -> None:
    async with simulator(release) as nas, session_with(nas) as session:
        await show(session, FAILED)
        nas.faults.process_alerts_delay = 0.1
        seen: list[int] = []

        def is_made(nas: Simulator) -> bool:
            if len(creations(nas)) == 2:
                seen.append(len(nas.alerts))
            return bool(seen)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(nas.changed(is_made))
            tasks.create_task(show(session, alert("it failed again")))

        assert seen == [0]


LEVELS = [Level.INFO, Level.WARNING, Level.ERROR]


@both_ways
@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(LEVELS, 2)))
@pytest.mark.parametrize("renotify", [True, False])
async def test_another_level_takes_the_place_of_the_one_before(
    release: str, before: Level, after: Level, *, renotify: bool
) -> None:
    async with simulator(release) as nas, session_with(nas) as session:
        await show(session, alert("before", level=before))
        proof = await show(session, alert("after", level=after, renotify=renotify))

        [entry] = nas.alerts
        assert entry["uuid"] == proof.uuid
        assert "after" in entry["formatted"]


@all_releases
@pytest.mark.parametrize("name", BY_CLASS)
async def test_an_alert_is_cleared(release: str, name: str) -> None:
    """CloudBackup must be deleted: dismissing would only hide it."""
    async with simulator(release) as nas, session_with(nas) as session:
        await show(session, BY_CLASS[name])

        assert await show(session, cleared()) == Delivered(raised=False)
        assert nas.alerts == []


@all_releases
async def test_clearing_what_is_not_there_is_proven_by_a_look(release: str) -> None:
    async with simulator(release) as nas, session_with(nas) as session:
        before = len(nas.calls)
        assert await show(session, cleared()) == Delivered(raised=False)
        assert set(methods(nas)[before:]) == {"alert.list", "alertclasses.config"}


@all_releases
async def test_failure_failure_success_failure(release: str) -> None:
    """Raised, refreshed, cleared, raised anew: hard case 30."""
    async with simulator(release) as nas, session_with(nas) as session:
        first = await show(session, FAILED)
        second = await show(session, alert("still locked", renotify=False))
        await show(session, cleared())
        assert nas.alerts == []
        third = await show(session, FAILED)

        assert first.uuid == second.uuid != third.uuid
        assert len(nas.alerts) == 1


# What users do in between


@all_releases
@pytest.mark.parametrize("renotify", [True, False])
async def test_a_dismissed_cloud_backup_is_deleted_and_shown_anew(release: str, *, renotify: bool) -> None:
    """Made again under the same key it would stay hidden for good."""
    async with simulator(release) as nas, session_with(nas) as session:
        first = await show(session, FAILED)
        nas.dismiss(first.uuid)

        proof = await show(session, alert("something new", renotify=renotify))

        [entry] = nas.alerts
        assert not entry["dismissed"]
        assert entry["uuid"] == proof.uuid != first.uuid


@all_releases
async def test_a_dismissed_cloud_backup_is_cleared_too(release: str) -> None:
    async with simulator(release) as nas, session_with(nas) as session:
        nas.dismiss((await show(session, FAILED)).uuid)

        await show(session, cleared())

        assert nas.alerts == []


@all_releases
@pytest.mark.parametrize("renotify", [True, False])
async def test_a_dismissed_scrub_is_gone_and_something_new_shows_again(release: str, *, renotify: bool) -> None:
    async with simulator(release) as nas, session_with(nas) as session:
        nas.dismiss((await show(session, WARNED)).uuid)
        assert nas.alerts == []

        await show(session, alert("something new", level=Level.WARNING, renotify=renotify))

        assert len(_shown(nas)) == 1


@all_releases
async def test_alerts_of_others_are_left_alone(release: str) -> None:
    """TrueNAS' own of the same classes, and ours of other jobs: their keys differ."""
    async with simulator(release) as nas, session_with(nas) as session:
        strangers = [
            ("ScrubNotStarted", {"pool": "tank", "text": "A scrub of tank"}),
            ("CloudBackupTaskFailed", {"id": 5, "name": "to the cloud"}),
            ("RsyncFailed", {"id": 5, "direction": "PUSH", "path": "/mnt/tank"}),
            ("RsyncSuccess", {"id": KEY + "x", "direction": "PUSH", "path": "/mnt/tank"}),
        ]
        for klass, arguments in strangers:
            await session.run_job("alert.oneshot_create", klass, arguments)
        for level in LEVELS:
            await show(session, alert("of another job", key=f"borgwatch:nas1:music:{level.name}", level=level))
        before = nas.alerts

        for given in (FAILED, WARNED, FINE, cleared()):
            await show(session, given)

        assert nas.alerts == before
        assert len(before) == 7


@both_ways
@pytest.mark.parametrize("level", LEVELS)
async def test_texts_with_all_signs_are_read_back_as_sent(release: str, level: Level) -> None:
    async with simulator(release) as nas, session_with(nas) as session:
        await show(session, alert(f'<b>"50%"</b> & %s %(name)s \x1b[1m\n备份 {SECRET} ' + "x" * 2000, level=level))

        [(_, text)] = _shown(nas)
        assert '&lt;b&gt;"50%"&lt;/b&gt; &amp; %s %(name)s 备份 ***' in text
        assert len(text) < 700


@both_ways
async def test_a_key_with_signs_that_json_escapes_is_found_again(release: str) -> None:
    key = 'borgwatch:nas1:ph"o\\tos:backup'
    async with simulator(release) as nas, session_with(nas) as session:
        for level in LEVELS:
            await show(session, alert(key=key, level=level))
        assert len(nas.alerts) == 1
        await show(session, cleared(key))
        assert nas.alerts == []


# What is not proven is not delivered


@pytest.mark.parametrize("given", BY_CLASS.values(), ids=BY_CLASS)
async def test_27_takes_no_alerts_and_that_is_said(given: Any) -> None:
    async with simulator("27-master", mail=False) as nas, session_with(nas) as session:
        with pytest.raises(CallFailed, match=r"TrueNAS 27 takes no alerts .*no mail: .*outgoing mailserver") as caught:
            await show(session, given)

        assert caught.value.verdict is Verdict.USER
        assert nas.alerts == []


@all_releases
async def test_a_lesser_key_is_told_before_anything_is_changed(release: str) -> None:
    async with simulator(release, keys=[Key("svc", SECRET, ("READONLY_ADMIN",))]) as nas, session_with(nas) as session:
        before = list(nas.calls)
        with pytest.raises(CallFailed, match=r"no full administrator, .* may not send mail") as caught:
            await show(session, FAILED)

        assert caught.value.verdict is Verdict.USER
        assert {method for method, _ in nas.calls[len(before) :]} == {"alert.list"}


@all_releases
async def test_rights_that_were_taken_away_are_the_users_business(release: str) -> None:
    async with simulator(release, mail=False) as nas, session_with(nas) as session:
        nas.keys[0].roles = ("READONLY_ADMIN",)
        with pytest.raises(CallFailed, match="full administrator") as caught:
            await show(session, FAILED)

        assert caught.value.verdict is Verdict.USER


@all_releases
async def test_a_class_whose_policy_is_never_is_not_shown(release: str) -> None:
    async with simulator(release, mail=False) as nas, session_with(nas) as session:
        nas.set_policy("CloudBackupTaskFailed", "NEVER")
        with pytest.raises(CallFailed, match="CloudBackupTaskFailed has the policy NEVER") as caught:
            await show(session, FAILED)

        assert caught.value.verdict is Verdict.USER
        assert session.ladder.rung is Rung.ALERT, "the other classes are still shown"


@all_releases
@pytest.mark.parametrize("name", BY_CLASS)
async def test_an_alert_that_a_policy_hides_is_cleared_all_the_same(release: str, name: str) -> None:
    """Or it would stand again, and for good, when the policy is set back."""
    async with simulator(release) as nas, session_with(nas) as session:
        await show(session, BY_CLASS[name])
        nas.set_policy(name, "NEVER")

        assert await show(session, cleared()) == Delivered(raised=False)

        nas.set_policy(name, "IMMEDIATELY")
        assert nas.alerts == []


@both_ways
async def test_an_alert_that_a_policy_may_hide_is_cleared_where_the_policies_cannot_be_read(release: str) -> None:
    """That the list does not show it is no proof then: it may stand there unseen."""
    async with simulator(release) as nas, session_with(nas) as session:
        await show(session, FAILED)
        nas.set_policy("CloudBackupTaskFailed", "NEVER")
        nas.faults.error_once["alertclasses.config"] = {"code": -32001, "message": "m", "data": {"error": 14}}

        assert await show(session, cleared()) == Delivered(raised=False)

        nas.set_policy("CloudBackupTaskFailed", "IMMEDIATELY")
        assert nas.alerts == []


@both_ways
async def test_what_was_mailed_because_a_policy_hides_it_is_not_left_behind(release: str) -> None:
    async with simulator(release) as nas, session_with(nas) as session:
        nas.set_policy("CloudBackupTaskFailed", "NEVER")

        assert isinstance(await deliver(session, FAILED), Mailed)

        nas.set_policy("CloudBackupTaskFailed", "IMMEDIATELY")
        assert nas.alerts == []


@both_ways
async def test_a_hidden_alert_does_not_outlive_the_one_that_takes_its_place(release: str) -> None:
    async with simulator(release) as nas, session_with(nas) as session:
        await show(session, WARNED)
        nas.set_policy("ScrubNotStarted", "NEVER")

        await show(session, FAILED)

        nas.set_policy("ScrubNotStarted", "IMMEDIATELY")
        assert [klass for klass, _ in _shown(nas)] == ["CloudBackupTaskFailed"]


@both_ways
async def test_a_policy_that_is_set_at_this_moment_leaves_nothing_behind(release: str) -> None:
    """Between the look at the policies and the creation."""
    async with simulator(release) as nas, session_with(nas) as session:
        nas.faults.process_alerts_delay = 0.2
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(deliver(session, FAILED))
            await nas.changed(creations)
            nas.set_policy("CloudBackupTaskFailed", "NEVER")
        assert isinstance(task.result(), Mailed)

        nas.set_policy("CloudBackupTaskFailed", "IMMEDIATELY")
        assert nas.alerts == []


@pytest.mark.parametrize(
    "error",
    [
        {"code": -32602, "message": "Invalid params", "data": {"error": 22, "reason": "[EINVAL] no such argument"}},
        {"code": -32001, "message": "m", "data": {"error": 14, "reason": "[EFAULT] Invalid alert class: 'X'"}},
        {"code": -32001, "message": "m", "data": {"error": 14, "reason": "'X' is not a one-shot alert class"}},
    ],
    ids=["arguments", "unknown", "not one-shot"],
)  # fmt: skip
async def test_a_class_that_is_not_taken_is_mailed_and_the_others_are_still_shown(error: dict[str, Any]) -> None:
    async with simulator(NEW) as nas, session_with(nas) as session:
        nas.faults.error["alert.oneshot_create"] = error
        mailed = await deliver(session, FAILED)
        del nas.faults.error["alert.oneshot_create"]

        assert isinstance(mailed, Mailed)
        assert session.ladder.rung is Rung.ALERT
        await show(session, alert("a warning", key=KEY + "x", level=Level.WARNING))


@all_releases
async def test_a_success_without_an_alert_is_not_delivered(release: str) -> None:
    async with simulator(release) as nas, session_with(nas) as session:
        nas.faults.swallow_creates = True
        with pytest.raises(NotShown, match="does not list it"):
            await show(session, FAILED)


@all_releases
@pytest.mark.parametrize("name", BY_CLASS)
async def test_another_text_than_the_one_sent_is_not_delivered(release: str, name: str) -> None:
    async with simulator(release) as nas, session_with(nas) as session:
        nas.faults.alter_text = True
        with pytest.raises(NotShown):
            await show(session, BY_CLASS[name])


async def test_a_number_of_a_job_is_not_delivered_though_the_alert_is_listed() -> None:
    """The predecessor's mistake."""
    async with Stub({"alert.oneshot_create": 118}) as stub, session_at(stub.url) as session:
        with pytest.raises(NoAnswer, match="proves nothing"):
            await show(session, FAILED)


@pytest.mark.parametrize("listed", [None, {}, True, 0, "[]", {"$set": []}], ids=repr)
@pytest.mark.parametrize("given", [FAILED, cleared()], ids=["raised", "cleared"])
async def test_an_answer_that_is_no_list_proves_nothing(listed: Any, given: Any) -> None:
    """Above all it does not prove that an alert is gone."""
    async with Stub({"alert.list": listed}) as stub, session_at(stub.url) as session:
        with pytest.raises(NoAnswer, match=r"alert\.list"):
            await show(session, given)

        assert "alert.oneshot_create" not in stub.calls


@pytest.mark.parametrize("entry", [None, 5, "x", [], {}, {"klass": "CloudBackupTaskFailed"}, {"key": KEY}], ids=repr)
async def test_entries_of_any_shape_are_no_proof(entry: Any) -> None:
    async with Stub({"alert.list": [entry]}) as stub, session_at(stub.url) as session:
        with pytest.raises(NotShown):
            await show(session, FAILED)


async def test_an_alert_that_stays_after_its_removal_is_not_cleared() -> None:
    entry = {"uuid": "u", "klass": "ScrubNotStarted", "key": KEY, "args": "text", "dismissed": False}
    async with Stub({"alert.list": [entry]}) as stub, session_at(stub.url) as session:
        with pytest.raises(NotShown, match="still shows"):
            await show(session, cleared())

        assert "alert.dismiss" in stub.calls


async def test_an_older_alert_that_stays_beside_the_new_one_is_no_delivery() -> None:
    """Whoever reads both under the bell cannot tell which of them holds."""
    old = {"uuid": "u", "klass": "ScrubNotStarted", "key": KEY, "args": "text", "dismissed": False}
    new = {"uuid": "v", "klass": "CloudBackupTaskFailed", "key": json.dumps(KEY), "args": {"name": FAILED.text}}
    async with Stub({"alert.list": [new, old]}) as stub, session_at(stub.url) as session:
        with pytest.raises(NotShown, match="older alert"):
            await show(session, FAILED)

        assert "alert.dismiss" in stub.calls


async def test_an_alert_that_is_dismissed_at_this_very_moment_is_not_delivered() -> None:
    hidden: dict[str, Any] = {"uuid": "u", "klass": "CloudBackupTaskFailed", "key": json.dumps(KEY), "dismissed": True}
    hidden["args"] = {"id": KEY, "name": FAILED.text}

    async def made(stub: Stub, connection: ServerConnection, call: dict[str, Any]) -> None:
        stub.answers["alert.list"] = [hidden]
        await stub.reply(connection, call, None)

    async with Stub({"alert.oneshot_create": made}) as stub, session_at(stub.url) as session:
        with pytest.raises(NotShown):
            await show(session, FAILED)


# What breaks on the way

OLD_CALLS = ["alert.list", "core.bulk", "core.get_jobs"]
NEW_CALLS = ["alert.list", "alert.oneshot_create"]
LOGIN_CALLS = ["core.set_options", "auth.login_ex", "system.version"]
WAYS = [
    (release, standing, given, method)
    for release, create, delete in [
        (OLD, OLD_CALLS, OLD_CALLS),
        (NEW, NEW_CALLS, ["alert.list", "alert.oneshot_delete"]),
    ]
    for standing, given, calls in [
        (None, FAILED, [*LOGIN_CALLS, *create]),
        (WARNED, FAILED, ["alert.dismiss", *create]),
        (FAILED, WARNED, [*delete, create[1]]),
        (FAILED, cleared(), delete),
        (WARNED, cleared(), ["alert.dismiss", "alert.list"]),
    ]
    for method in dict.fromkeys(calls)
]


@pytest.mark.parametrize("code", [1012, None], ids=["closed", "dropped"])
@pytest.mark.parametrize("moment", ["close_before", "close_after"])
@pytest.mark.parametrize(
    ("release", "standing", "given", "method"),
    WAYS,
    ids=[
        f"{w[0]}-{w[1].level.name if w[1] else 'nothing'}-{w[2].level.name if w[2].raised else 'cleared'}-{w[3]}"
        for w in WAYS
    ],
)
async def test_a_connection_cut_anywhere_ends_in_the_right_state(
    release: str, standing: Any, given: Any, method: str, moment: str, code: int | None
) -> None:
    """Hard case 34: a typed error, and the next session sets it right, with the alert shown once."""
    async with simulator(release, rate_limit=None) as nas:
        if standing is not None:
            async with session_with(nas) as session:
                await show(session, standing)
        getattr(nas.faults, moment)[method] = code

        with pytest.raises(ConnectionLost):
            async with session_with(nas) as session:
                await show(session, given)
        assert getattr(nas.faults, moment) == {}

        async with session_with(nas) as session:
            proof = await show(session, given)
        assert proof.raised is given.raised
        assert [(entry["uuid"], entry["dismissed"]) for entry in nas.alerts] == (
            [(proof.uuid, False)] if given.raised else []
        )


@both_ways
async def test_a_job_that_goes_on_after_the_connection_shows_its_alert_once(release: str) -> None:
    async with simulator(release) as nas:
        nas.faults.process_alerts_delay = 0.1
        async with session_with(nas) as session, asyncio.TaskGroup() as tasks:
            delivery = tasks.create_task(_lost(session))
            await nas.changed(creations)
            await nas.disconnect_all(None)
            await delivery
        async with session_with(nas) as session:
            await show(session, FAILED)

        assert len(nas.alerts) == 1


async def _lost(session: Any) -> None:
    with pytest.raises(ConnectionLost):
        await show(session, FAILED)


@pytest.mark.parametrize(("release", "method"), [*((NEW, m) for m in NEW_CALLS), *((OLD, m) for m in OLD_CALLS)])
async def test_a_call_that_is_never_answered_is_not_delivered(release: str, method: str, call_timeout: Shorten) -> None:
    async with simulator(release) as nas:
        async with session_with(nas) as session:
            call_timeout(0.2)
            nas.faults.never_answer.add(method)
            with pytest.raises(NoAnswer, match=r"0\.2 s"):
                await show(session, FAILED)
        call_timeout(5)
        nas.faults.never_answer.clear()
        async with session_with(nas) as session:
            await show(session, FAILED)

        assert len(nas.alerts) == 1


@all_releases
async def test_a_slow_check_of_all_alerts_is_waited_for(release: str, call_timeout: Shorten) -> None:
    """Longer than other calls may take: TrueNAS makes alerts behind the lock of a check that can take minutes."""
    async with simulator(release) as nas, session_with(nas) as session:
        call_timeout(0.3)
        nas.faults.process_alerts_delay = 0.5
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("borgwatch.truenas.session.JOB_TIMEOUT", 5.0)
            await show(session, FAILED)

        assert len(nas.alerts) == 1


@both_ways
@pytest.mark.parametrize("fault", ["garbage", "events"])
async def test_broken_frames_unknown_ids_and_early_events_are_passed_over(release: str, fault: str) -> None:
    async with simulator(release) as nas:
        nas.faults.garbage |= {"auth.login_ex", "core.set_options", "alert.list", "core.bulk", "alert.oneshot_create"}
        nas.faults.events_before_answer = fault == "events"
        async with session_with(nas) as session:
            await session.call("core.subscribe", "core.get_jobs")
            await session.call("core.subscribe", "alert.list")
            await show(session, FAILED)
            await show(session, cleared())

        assert nas.alerts == []


async def test_a_frame_as_large_as_an_answer_may_be_is_read() -> None:
    """`alert.list` is not bounded by the server."""
    async with Simulator(NEW) as nas:
        nas.faults.huge_frame = 8 << 20
        async with session_with(nas) as session:
            await session.call("alert.list")


async def test_a_frame_without_end_is_not_read() -> None:
    """What it was is said, for the remedy is not in the network."""
    async with Simulator(NEW) as nas:
        async with session_with(nas) as session:
            nas.faults.huge_frame = 17 << 20
            with pytest.raises(ConnectionLost, match="more at once than is read"):
                await show(session, FAILED)
        nas.faults.huge_frame = 0
        async with session_with(nas) as session:
            await show(session, FAILED)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        ({"code": -32000, "message": "Maximum number of concurrent calls (20) has exceeded"}, Verdict.RETRY_NOW),
        (
            {"code": -32001, "message": "m", "data": {"error": 207, "reason": "[ENOTAUTHENTICATED] No"}},
            Verdict.RETRY_NOW,
        ),
        ({"code": -32001, "message": "m", "data": {"error": 22, "reason": "'text'"}}, Verdict.RETRY_NOW),
        ({"code": -32601, "message": "Method does not exist"}, Verdict.UNSUPPORTED),
        (None, Verdict.RETRY_NOW),
        ("words", Verdict.RETRY_NOW),
    ],
    ids=lambda value: str(value)[:50],
)
@pytest.mark.parametrize("method", ["alert.list", "alert.oneshot_create"])
async def test_an_error_of_a_call_has_its_verdict(method: str, error: Any, verdict: Verdict) -> None:
    async def answer(_: Stub, connection: ServerConnection, call: dict[str, Any]) -> None:
        await connection.send(json.dumps({"jsonrpc": "2.0", "id": call["id"], "error": error}))

    async with Stub({method: answer}) as stub, session_at(stub.url) as session:
        session.ladder = Ladder(no_mail="the next rung is of no interest here")
        with pytest.raises(TrueNASError) as caught:
            await show(session, FAILED)

        if error is not None and method == "alert.oneshot_create" and verdict is Verdict.UNSUPPORTED:
            assert "next rung" in str(caught.value)
        elif error is not None:
            assert caught.value.verdict is verdict
        else:  # neither an error nor a result: the look at the list decides
            assert isinstance(caught.value, NotShown | NoAnswer)


async def test_a_reboot_that_loses_alerts_is_set_right_by_a_new_delivery() -> None:
    async with Simulator(NEW) as nas:
        async with session_with(nas) as session:
            await show(session, FAILED)
            await nas.reboot(lose_alerts=True)
            assert nas.alerts == []
        async with session_with(nas) as session:
            await show(session, FAILED)

        assert len(nas.alerts) == 1
