"""Alerts on their way from the outbox to TrueNAS: in order, the newest of each key, struck off on proof alone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from borgwatch.errors import JournalError
from borgwatch.journal.store import Change, Journal, Pending
from borgwatch.model import Alert, Level
from borgwatch.service.courier import Courier
from borgwatch.truenas.client import RETRY_LATER, Client
from borgwatch.truenas.connection import Connection
from borgwatch.truenas.errors import CallFailed, ConnectionLost, NoAnswer, NotShown, Verdict
from borgwatch.truenas.simulator import Key, Simulator
from tests.truenas.world import (
    NEW,
    OLD,
    SECRET,
    Stub,
    Witness,
    alert,
    cleared,
    creations,
    login_at,
    methods,
    now,
    simulator,
)


class Outbox:
    """An outbox in memory, with the journal's ways."""

    def __init__(self) -> None:
        self._waiting: dict[str, Pending] = {}
        self._delivered: dict[str, Alert] = {}
        self._numbers = itertools.count(1)

    def put(self, *alerts: Alert) -> None:
        """Put alerts in; each takes the place of an earlier one of its key."""
        for one in alerts:
            self._waiting.pop(one.key, None)
            self._waiting[one.key] = Pending(one, next(self._numbers))

    def pending(self) -> list[Pending]:
        """The alerts that wait, oldest change first."""
        return list(self._waiting.values())

    def mark_delivered(self, shown: Sequence[Pending], mailed: Sequence[Pending]) -> None:
        """Strike them off, unless they have changed meanwhile."""
        for pending in (*shown, *mailed):
            if self._waiting.get(pending.alert.key) == pending:
                del self._waiting[pending.alert.key]
                self._delivered.pop(pending.alert.key, None)
                if pending in shown:
                    self._delivered[pending.alert.key] = pending.alert

    def standing(self) -> list[Alert]:
        """The alerts that were delivered and should still be shown."""
        return [one for one in self._delivered.values() if one.raised and one.key not in self._waiting]

    def mark_lost(self, alert: Alert) -> None:
        """Put a delivered alert back."""
        self.put(self._delivered.pop(alert.key))

    def mark_dismissed(self, key: str) -> None:
        """Miss an alert no more."""
        self._delivered.pop(key, None)


class Site:
    """A client and a courier at work."""

    def __init__(self, url: str, outbox: Any) -> None:
        self.outbox = outbox
        self.witness = Witness()
        self.client = Client(login_at(url), self.witness, now)
        self.courier = Courier(outbox, self.client, self.witness)

    def put(self, *alerts: Alert) -> None:
        """Put alerts in and say so."""
        self.outbox.put(*alerts)
        self.courier.poke()

    async def until(self, predicate: Callable[[Witness], object]) -> None:
        """Wait until a predicate of what was told holds."""
        await self.witness.until(predicate)

    @property
    def delivered(self) -> list[Alert]:
        """What was proven, in order."""
        return [given for given, _ in self.witness.proofs]


@asynccontextmanager
async def _at_work(url: str, outbox: Any = None) -> AsyncIterator[Site]:
    """Run client and courier; whatever they raise fails the test."""
    site = Site(url, outbox if outbox is not None else Outbox())
    tasks = [asyncio.create_task(site.client.run()), asyncio.create_task(site.courier.run())]
    try:
        yield site
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Client and courier try again without delay."""
    for module in ("borgwatch.truenas.client", "borgwatch.service.courier"):
        monkeypatch.setattr(f"{module}.back_off", lambda: itertools.repeat(0.01))


def _of(number: int, text: str = "failed", **more: Any) -> Alert:
    return alert(f"{text} {number}", key=f"borgwatch:nas1:job{number}:backup", **more)


def _texts(nas: Simulator) -> set[str]:
    return {entry["args"]["name"] for entry in nas.alerts}


@pytest.mark.parametrize("release", [OLD, NEW])
async def test_alerts_are_delivered_in_order_and_struck_off(release: str) -> None:
    async with simulator(release) as nas, _at_work(nas.url) as site:
        given = [_of(number) for number in range(5)]
        site.put(*given)
        await site.until(lambda witness: len(witness.proofs) == 5)

        assert site.delivered == given
        assert _texts(nas) == {f"failed {number}" for number in range(5)}
        assert site.outbox.pending() == []


async def test_what_waits_at_the_start_is_delivered_without_a_poke() -> None:
    outbox = Outbox()
    outbox.put(_of(1))
    async with Simulator(NEW) as nas, _at_work(nas.url, outbox) as site:
        await site.until(lambda witness: witness.proofs)


async def test_the_newest_state_of_a_key_is_delivered_alone() -> None:
    outbox = Outbox()
    for number in range(1000):
        outbox.put(_of(number % 3, f"take {number}:"))
    async with Simulator(NEW) as nas, _at_work(nas.url, outbox) as site:
        await site.until(lambda witness: len(witness.proofs) == 3)

        assert len(creations(nas)) == 3
        assert _texts(nas) == {"take 999: 0", "take 997: 1", "take 998: 2"}


async def test_a_change_while_it_is_being_delivered_is_delivered_too() -> None:
    async with Simulator(NEW) as nas, _at_work(nas.url) as site:
        nas.faults.process_alerts_delay = 0.05
        site.put(_of(1))
        await nas.changed(creations)
        site.put(_of(1, "again"))
        await nas.changed(lambda nas: _texts(nas) == {"again 1"})
        await site.until(lambda _: site.outbox.pending() == [])

        assert len(nas.alerts) == 1


async def test_nothing_is_done_while_nothing_waits() -> None:
    async with Simulator(NEW) as nas, _at_work(nas.url) as site:
        await nas.changed(lambda nas: "core.subscribe" in methods(nas))
        before = len(nas.calls)
        for _ in range(3):
            site.courier.poke()
            await asyncio.sleep(0)

        assert len(nas.calls) == before


# What cannot be proven stays


@pytest.mark.parametrize("fault", ["swallow_creates", "alter_text"])
async def test_an_alert_without_a_proof_stays_in_the_outbox(fault: str) -> None:
    async with Simulator(NEW) as nas, _at_work(nas.url) as site:
        setattr(nas.faults, fault, True)
        site.put(_of(1))
        await site.until(lambda witness: witness.refusals)
        [(given, error, queue, retry_in)] = site.witness.refusals
        assert (given, queue, retry_in) == (_of(1), 1, RETRY_LATER)
        assert isinstance(error, NotShown)
        assert len(site.outbox.pending()) == 1
        assert site.witness.proofs == []

        setattr(nas.faults, fault, False)
        site.courier.reconnected()
        await site.until(lambda witness: witness.proofs)
        assert site.outbox.pending() == []


async def test_the_others_go_on_when_one_fails_for_its_own_reason() -> None:
    async with Simulator(NEW, mail=False) as nas, _at_work(nas.url) as site:
        nas.set_policy("ScrubNotStarted", "NEVER")
        bad = _of(2, level=Level.WARNING)
        site.put(_of(1), bad, _of(3))
        await site.until(lambda witness: len(witness.proofs) == 2 and witness.refusals)

        assert site.delivered == [_of(1), _of(3)]
        assert [pending.alert for pending in site.outbox.pending()] == [bad]
        assert [(given, queue) for given, _, queue, _ in site.witness.refusals] == [(bad, 1)]


async def test_a_lesser_key_keeps_everything_and_waits_long() -> None:
    async with Simulator(NEW, keys=[Key("svc", SECRET, ("READONLY_ADMIN",))]) as nas, _at_work(nas.url) as site:
        site.put(_of(1), _of(2))
        await site.until(lambda witness: len(witness.refusals) == 2)

        assert {error.verdict for _, error, _, _ in site.witness.refusals} == {Verdict.USER}
        assert {retry_in for _, _, _, retry_in in site.witness.refusals} == {RETRY_LATER}
        assert len(site.outbox.pending()) == 2
        assert creations(nas) == []


async def test_rights_that_were_given_meanwhile_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read at the login: the retry of what was refused is a new one."""
    monkeypatch.setattr("borgwatch.service.courier.RETRY_LATER", 0.2)
    async with Simulator(NEW, keys=[Key("svc", SECRET, ("READONLY_ADMIN",))]) as nas, _at_work(nas.url) as site:
        site.put(_of(1))
        await site.until(lambda witness: witness.refusals)
        nas.keys[0].roles = ("FULL_ADMIN",)
        await site.until(lambda witness: witness.proofs)

        assert _texts(nas) == {"failed 1"}
        assert len(site.witness.readies) == 2


async def test_27_without_mail_keeps_everything_and_waits_long() -> None:
    async with simulator("27-master", mail=False) as nas, _at_work(nas.url) as site:
        site.put(_of(1))
        await site.until(lambda witness: witness.refusals)

        [(_, error, _, retry_in)] = site.witness.refusals
        assert error.verdict is Verdict.USER
        assert retry_in == RETRY_LATER
        assert [pending.alert for pending in site.outbox.pending()] == [_of(1)]


async def test_27_is_mailed_once_and_again_only_when_people_are_to_be_told() -> None:
    """A mail is no alert: nothing is missed under the bell, so no new session sends it again."""
    async with simulator("27-master") as nas, _at_work(nas.url) as site:
        site.put(_of(1))
        await site.until(lambda witness: witness.proofs)
        await nas.reboot(lose_alerts=True)
        await site.until(lambda witness: len(witness.readies) == 2)
        site.put(_of(1, "failed again", renotify=False))
        await site.until(lambda witness: len(witness.proofs) == 2)
        site.put(alert("succeeded 1", key=_of(1).key, raised=False))
        await site.until(lambda witness: len(witness.proofs) == 3)

        assert [mail["subject"] for mail in nas.mails] == ["borgwatch: failed 1", "borgwatch: succeeded 1"]
        assert [proof.told for _, proof in site.witness.proofs] == [True, False, True]
        assert site.outbox.pending() == []


async def test_a_mail_server_that_is_down_is_not_given_the_same_mail_again_and_again() -> None:
    """TrueNAS keeps a mail that could not go out, and sends it later: each try would be one more, in any session."""
    refusal = {"code": -32001, "message": "Method call error", "data": {"error": 14, "reason": "Connection refused"}}
    async with simulator("27-master") as nas, _at_work(nas.url) as site:
        nas.faults.error["mail.send"] = refusal
        site.put(_of(1))
        await site.until(lambda witness: witness.refusals)
        await nas.reboot(lose_alerts=True)
        await site.until(lambda witness: len(witness.readies) == 2)
        site.put(_of(2))
        await site.until(lambda witness: len(witness.refusals) == 2)

        assert methods(nas).count("mail.send") == 2, "one for each alert"
        assert [(error.verdict, retry_in) for _, error, _, retry_in in site.witness.refusals] == [
            (Verdict.RETRY_LATER, RETRY_LATER)
        ] * 2


async def test_a_mail_that_was_taken_without_an_answer_is_not_sent_anew_in_the_next_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("borgwatch.truenas.session.JOB_TIMEOUT", 0.2)
    async with simulator("27-master") as nas, _at_work(nas.url) as site:
        nas.faults.never_answer = {"mail.send"}
        site.put(_of(1))
        await site.until(lambda witness: len(witness.readies) == 2)
        site.put(_of(2))
        await site.until(lambda witness: len(witness.readies) == 3)

        assert [mail["subject"] for mail in nas.mails] == ["borgwatch: failed 1", "borgwatch: failed 2"]


async def test_a_stop_amid_many_mails_sends_at_most_one_of_them_again() -> None:
    """Each is written down before the next goes out: unlike an alert, a mail is not left alone when it is there."""
    outbox = Outbox()
    outbox.put(*map(_of, range(5)))
    async with simulator("27-master") as nas:
        async with _at_work(nas.url, outbox):
            async with asyncio.timeout(5):
                while len(nas.mails) < 4:  # noqa: ASYNC110 - the simulator tells nobody of its mails
                    await asyncio.sleep(0)
        async with _at_work(nas.url, outbox) as site:
            await site.until(lambda _: not outbox.pending())

        assert len(nas.mails) <= 6


async def test_a_user_who_dismisses_an_alert_is_noticed_and_our_own_removals_are_not() -> None:
    async with simulator(NEW) as nas, _at_work(nas.url) as site:
        site.put(_of(1), _of(2, level=Level.WARNING), _of(3))
        await site.until(lambda witness: len(witness.proofs) == 3)
        site.put(cleared(_of(3).key), _of(1, "failed again"))
        await site.until(lambda witness: len(witness.proofs) == 5)
        for entry in nas.alerts:
            nas.dismiss(entry["uuid"])
        await site.until(lambda witness: len(witness.dismissals) == 2)

        assert set(site.witness.dismissals) == {_of(1).key, _of(2).key}


async def test_a_clearing_passes_where_an_alert_may_not_be_made() -> None:
    """A key that may only look can still prove that nothing is shown."""
    async with Simulator(NEW, keys=[Key("svc", SECRET, ("READONLY_ADMIN",))]) as nas, _at_work(nas.url) as site:
        site.put(_of(1), cleared("borgwatch:nas1:job2:backup"))
        await site.until(lambda witness: witness.proofs)

        assert [pending.alert for pending in site.outbox.pending()] == [_of(1)]


# A journal that cannot be written


class _FullDisk(Outbox):
    """An outbox that reads, but writes nothing while `is_full`; `refused` counts the attempts."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False
        self.refused = 0

    def mark_delivered(self, shown: Sequence[Pending], mailed: Sequence[Pending]) -> None:
        """Strike alerts off, if there is room for that."""
        self._write([*shown, *mailed])
        super().mark_delivered(shown, mailed)

    def mark_lost(self, alert: Alert) -> None:
        """Put a delivered alert back, if there is room for that."""
        self._write([alert])
        super().mark_lost(alert)

    def mark_dismissed(self, key: str) -> None:
        """Miss an alert no more, if there is room for that."""
        self._write([key])
        super().mark_dismissed(key)

    def _write(self, what: Sequence[object]) -> None:
        if self.is_full and what:
            self.refused += 1
            raise JournalError("the disk is full")


@asynccontextmanager
async def _kept_up(url: str, outbox: _FullDisk) -> AsyncIterator[Site]:
    """Run client and courier as the service does: what breaks on the journal is begun again."""
    site = Site(url, outbox)

    async def courier() -> None:
        while True:
            with contextlib.suppress(JournalError):
                await site.courier.run()
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(site.client.run()), asyncio.create_task(courier())]
    try:
        yield site
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _refused(outbox: _FullDisk, times: int) -> None:
    async with asyncio.timeout(5):
        while outbox.refused < times:  # noqa: ASYNC110 - the outbox tells nobody
            await asyncio.sleep(0.01)


async def test_a_mail_that_cannot_be_written_down_is_not_sent_again_at_each_try() -> None:
    """A full disk would be a mail every ten seconds, for as long as it is full."""
    outbox = _FullDisk()
    async with simulator("27-master") as nas, _kept_up(nas.url, outbox) as site:
        outbox.is_full = True
        site.put(_of(1))
        await _refused(outbox, 3)
        outbox.is_full = False
        await site.until(lambda _: not outbox.pending())

        assert [mail["subject"] for mail in nas.mails] == ["borgwatch: failed 1"]
        assert [given for given, _ in site.witness.proofs] == [_of(1)]


async def test_an_alert_that_truenas_lost_while_the_disk_was_full_is_raised_again_when_it_is_not() -> None:
    outbox = _FullDisk()
    async with simulator(NEW, rate_limit=None) as nas, _kept_up(nas.url, outbox) as site:
        site.put(_of(1))
        await site.until(lambda witness: witness.proofs)
        outbox.is_full = True
        await nas.reboot(lose_alerts=True)
        await _refused(outbox, 1)
        outbox.is_full = False

        await nas.changed(lambda nas: _texts(nas) == {"failed 1"})


async def test_a_dismissal_that_cannot_be_written_down_is_written_down_later() -> None:
    outbox = _FullDisk()
    async with simulator(NEW) as nas, _kept_up(nas.url, outbox) as site:
        site.put(_of(1))
        await site.until(lambda witness: witness.proofs)
        outbox.is_full = True
        nas.dismiss(nas.alerts[0]["uuid"])
        await _refused(outbox, 1)
        outbox.is_full = False
        site.courier.poke()
        await site.until(lambda witness: witness.dismissals)

        assert outbox.standing() == []


# Connections that come and go


@pytest.mark.parametrize("release", [OLD, NEW])
@pytest.mark.parametrize("moment", ["close_before", "close_after"])
async def test_a_loss_in_the_middle_of_a_round_loses_nothing(release: str, moment: str) -> None:
    async with simulator(release, rate_limit=None) as nas, _at_work(nas.url) as site:
        method = "core.bulk" if release == OLD else "alert.oneshot_create"
        site.put(_of(1))
        await site.until(lambda witness: witness.proofs)
        getattr(nas.faults, moment)[method] = None
        site.put(_of(2), _of(3), cleared(_of(1).key))
        await site.until(lambda witness: len(witness.proofs) == 4)

        assert _texts(nas) == {"failed 2", "failed 3"}
        assert len(nas.alerts) == 2
        assert site.outbox.pending() == []
        assert isinstance(site.witness.refusals[0][1], ConnectionLost)


async def test_an_alert_that_breaks_the_connection_each_time_keeps_no_other_from_arriving() -> None:
    async def create(stub: Stub, connection: ServerConnection, call: dict[str, Any]) -> None:
        klass, arguments = call["params"]
        if arguments["name"] == "poison 0":
            await connection.close(1011)
            return
        entry = {"uuid": arguments["id"], "klass": klass, "key": json.dumps(arguments["id"]), "args": arguments}
        stub.answers["alert.list"] = [*stub.answers["alert.list"], entry]
        await stub.reply(connection, call, None)

    async with Stub({"alert.oneshot_create": create}) as stub, _at_work(stub.url) as site:
        site.put(_of(0, "poison"), *map(_of, range(1, 40)))
        await site.until(lambda witness: len(witness.proofs) == 39)

        assert [pending.alert for pending in site.outbox.pending()] == [_of(0, "poison")]


async def test_what_was_put_in_while_truenas_was_away_arrives_on_its_return() -> None:
    nas = Simulator(NEW, rate_limit=None)
    await nas.start()
    async with _at_work(nas.url) as site:
        site.put(_of(1))
        await site.until(lambda witness: witness.proofs)
        await nas.stop()
        await site.until(lambda witness: witness.failures)
        site.put(_of(2), cleared(_of(1).key))
        site.put(_of(2, "newer"), _of(3))
        await nas.start()
        try:
            await site.until(lambda witness: len(witness.proofs) == 4)
            assert _texts(nas) == {"newer 2", "failed 3"}
        finally:
            await nas.stop()
    assert site.delivered[1:] == [cleared(_of(1).key), _of(2, "newer"), _of(3)]


async def test_no_storm_after_hours_away() -> None:
    """Hard case 33: of 10,000 changes only the newest of each key is sent."""
    outbox = Outbox()
    for number in range(10_000):
        outbox.put(_of(number % 7, f"take {number}:"))
    async with Simulator(NEW) as nas, _at_work(nas.url, outbox) as site:
        await site.until(lambda witness: len(witness.proofs) == 7)

        assert len(nas.calls) < 30


async def test_a_session_that_truenas_ended_is_replaced() -> None:
    """207 is answered on a socket that stays open: sessions last thirty days."""
    async with Simulator(NEW, rate_limit=None) as nas, _at_work(nas.url) as site:
        nas.faults.session_expires_after = 2
        site.put(_of(1))
        await site.until(lambda witness: witness.refusals)
        error = site.witness.refusals[0][1]
        assert isinstance(error, CallFailed)
        assert error.errno == 207
        nas.faults.session_expires_after = None
        await site.until(lambda witness: witness.proofs)

        assert len(site.witness.readies) >= 2
        assert methods(nas).count("auth.login_ex") >= 2


async def test_calls_that_are_never_answered_do_not_use_up_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each keeps one of twenty slots until the connection ends, so it is given up."""
    monkeypatch.setattr("borgwatch.truenas.session.JOB_TIMEOUT", 0.02)
    async with Simulator(NEW, rate_limit=None) as nas, _at_work(nas.url) as site:
        nas.faults.never_answer.add("alert.oneshot_create")
        nas.faults.swallow_creates = True
        site.put(_of(1))
        await site.until(lambda witness: len(witness.refusals) >= 25)
        assert all(isinstance(error, NoAnswer) for _, error, _, _ in site.witness.refusals)
        nas.faults.never_answer.clear()
        nas.faults.swallow_creates = False
        await site.until(lambda witness: witness.proofs)


async def test_a_slow_read_back_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The alert was made, the proof did not come: it is looked for again, and not made twice."""
    async with Simulator(NEW, rate_limit=None) as nas, _at_work(nas.url) as site:
        await site.client.session()
        monkeypatch.setitem(Connection.call.__kwdefaults__ or {}, "timeout", 0.1)
        site.put(_of(1))
        await nas.changed(creations)
        nas.faults.never_answer.add("alert.list")
        await site.until(lambda witness: witness.refusals)
        nas.faults.never_answer.clear()
        await site.until(lambda witness: witness.proofs)

        assert len(nas.alerts) == 1
        assert len(creations(nas)) == 1


@pytest.mark.parametrize("where", ["waiting for a session", "waiting for an answer", "idle"])
async def test_ending_leaves_no_task_and_no_socket(where: str) -> None:
    """ResourceWarnings are errors here."""
    before = asyncio.all_tasks()
    async with Simulator(NEW) as nas:
        nas.faults.http_status = 502 if where == "waiting for a session" else None
        nas.faults.never_answer.add("alert.list")
        running = asyncio.all_tasks()
        async with _at_work(nas.url) as site:
            if where != "idle":
                site.put(_of(1))
            if where == "waiting for a session":
                await site.until(lambda witness: witness.failures)
            elif where == "waiting for an answer":
                await nas.changed(lambda nas: methods(nas)[-1:] == ["alert.list"])
            else:
                await site.client.session()
        await nas.changed(lambda nas: nas.connections == 0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() <= running
    assert asyncio.all_tasks() == before


GARBAGE: list[Any] = [None, True, 0, "", "x", [None], [[]], [{}], {}, {"$set": []}, [{"klass": []}]]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: str(garbage)[:20])
async def test_no_answer_of_a_server_brings_the_courier_down(garbage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one make it believe that an alert was delivered."""
    monkeypatch.setattr("borgwatch.service.courier.RETRY_LATER", 0.01)
    for method in ("alert.list", "alert.oneshot_create"):
        async with Stub({method: garbage}) as stub, _at_work(stub.url) as site:
            site.put(_of(1), _of(2))
            await site.until(lambda witness: len(witness.refusals) >= 2)

            assert site.witness.proofs == []
            assert len(site.outbox.pending()) == 2


@pytest.mark.parametrize("error", [None, True, 5, "words", [], {}, {"code": "x", "data": []}], ids=str)
async def test_no_error_of_a_server_brings_the_courier_down(error: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("borgwatch.service.courier.RETRY_LATER", 0.01)

    async def answer(_: Stub, connection: ServerConnection, call: dict[str, Any]) -> None:
        await connection.send(json.dumps({"jsonrpc": "2.0", "id": call["id"], "error": error}))

    async with Stub({"alert.oneshot_create": answer}) as stub, _at_work(stub.url) as site:
        site.put(_of(1))
        await site.until(lambda witness: len(witness.refusals) >= 2)

        assert site.witness.proofs == []


class _JournalWithPut(Journal):
    def put(self, *alerts: Alert) -> None:
        """Commit alerts as the pipeline does."""
        self.commit(Change(alerts=alerts))


async def test_the_same_with_a_real_journal() -> None:
    journal = _JournalWithPut(":memory:")
    try:
        async with Simulator(NEW, rate_limit=None) as nas, _at_work(nas.url, journal) as site:
            site.put(_of(1), _of(2))
            site.put(_of(1, "newer"))
            await site.until(lambda witness: len(witness.proofs) == 2)
            assert site.delivered == [_of(2), _of(1, "newer")]
            await nas.disconnect_all(None)
            site.put(cleared(_of(1).key))
            await site.until(lambda witness: len(witness.proofs) == 3)

            assert _texts(nas) == {"failed 2"}
            assert journal.pending() == []
    finally:
        journal.close()


# What TrueNAS has lost


async def test_an_alert_that_truenas_lost_in_a_crash_is_raised_again() -> None:
    """Alerts live in its memory: a crash loses up to an hour of them."""
    async with simulator(NEW) as nas, _at_work(nas.url) as site:
        site.put(_of(1))
        await site.until(lambda witness: witness.proofs)
        await nas.reboot(lose_alerts=True)
        assert nas.alerts == []

        await site.until(lambda witness: len(witness.proofs) == 2)
        assert len(nas.alerts) == 1


@pytest.mark.parametrize("when", ["heard", "in a later session", "while nobody listened"])
async def test_31_a_dismissal_outlives_a_crash_that_loses_the_alert(when: str) -> None:
    """It is written down when it is heard, and when the next session sees it; something new is shown again."""
    journal = _JournalWithPut(":memory:")
    try:
        async with simulator(NEW, rate_limit=None) as nas, _at_work(nas.url, journal) as site:
            site.put(_of(1), _of(2))
            await site.until(lambda witness: len(witness.proofs) == 2)
            (uuid,) = (entry["uuid"] for entry in nas.alerts if entry["args"]["name"] == "failed 1")
            if when == "while nobody listened":
                nas.dismiss(uuid)
                site.courier._shown.clear()  # as if the event was lost with its connection
            if when != "heard":
                looks = methods(nas).count("alert.list")
                await nas.disconnect_all(None)
                await nas.changed(lambda nas: methods(nas).count("alert.list") > looks)
            if when == "in a later session":
                async with asyncio.timeout(5):
                    while not site.courier._shown:  # noqa: ASYNC110 - nothing tells of the end of the look
                        await asyncio.sleep(0.01)
            if when != "while nobody listened":
                nas.dismiss(uuid)
            await site.until(lambda witness: witness.dismissals == [_of(1).key])

            await nas.reboot(lose_alerts=True)
            await site.until(lambda witness: len(witness.proofs) == 3)
            assert _texts(nas) == {"failed 2"}

            site.put(_of(1, "failed anew"))
            await nas.changed(lambda nas: _texts(nas) == {"failed 2", "failed anew 1"})
    finally:
        journal.close()


async def test_an_alert_that_the_user_may_have_dismissed_is_not_raised_again() -> None:
    """Where a dismissal erases the alert, that it is gone may be the user's will."""
    async with simulator(NEW) as nas, _at_work(nas.url) as site:
        site.put(_of(1), _of(2, level=Level.WARNING))
        await site.until(lambda witness: len(witness.proofs) == 2)
        await nas.reboot(lose_alerts=True)

        await site.until(lambda witness: len(witness.proofs) == 3)
        assert [entry["klass"] for entry in nas.alerts] == ["CloudBackupTaskFailed"]


async def test_an_alert_that_the_user_hid_is_left_hidden() -> None:
    async with simulator(NEW) as nas, _at_work(nas.url) as site:
        site.put(_of(1))
        await site.until(lambda witness: witness.proofs)
        nas.dismiss(nas.alerts[0]["uuid"])
        looks = methods(nas).count("alert.list")
        await nas.reboot(lose_alerts=False)

        await nas.changed(lambda nas: methods(nas).count("alert.list") > looks)
        assert [entry["dismissed"] for entry in nas.alerts] == [True]
        assert creations(nas) == ["CloudBackupTaskFailed"]
