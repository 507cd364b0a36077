"""The rungs of the ladder: an alert where there can be one, else a mail, else an error that says both reasons."""

from __future__ import annotations

import pytest

from borgwatch.model import Level
from borgwatch.truenas.alerts import ClassChoice
from borgwatch.truenas.delivery import Delivered, Found, Mailed, deliver, look_again
from borgwatch.truenas.errors import CallFailed, Verdict
from borgwatch.truenas.ladder import Ladder, Rung, ladder_for
from borgwatch.truenas.mail import mail_of
from borgwatch.truenas.session import open_session
from borgwatch.truenas.simulator import PROFILES, Key, Simulator
from tests.truenas.world import (
    NEW,
    OLD,
    RELEASES,
    SECRET,
    Stub,
    Told,
    alert,
    cleared,
    creations,
    login_at,
    methods,
    now,
    session_at,
    session_with,
    simulator,
)

MAILER = Key("mailer", SECRET, ("MAIL_WRITE",))


@pytest.mark.parametrize(
    ("roles", "release", "missing", "mail_has_role", "rung"),
    [
        ({"FULL_ADMIN"}, "25.04.0", (), False, Rung.ALERT),
        ({"FULL_ADMIN"}, "26.0.0-BETA.3", (), True, Rung.ALERT),
        ({"FULL_ADMIN"}, "unknown", (), True, Rung.ALERT),
        ({"FULL_ADMIN"}, "27.0.0-MASTER-20260822", (), True, Rung.MAIL),
        ({"FULL_ADMIN"}, "28.1", (), True, Rung.MAIL),
        ({"FULL_ADMIN"}, "25.10.6", ("RsyncFailed",), True, Rung.MAIL),
        ({"MAIL_WRITE"}, "25.10.6", (), True, Rung.MAIL),
        ({"MAIL_WRITE"}, "25.04.0", (), False, Rung.NONE),
        ({"ALERT_WRITE", "READONLY_ADMIN"}, "25.10.6", (), True, Rung.NONE),
        (set(), "27.0", (), True, Rung.NONE),
    ],
)
def test_which_rung_holds(
    roles: set[str], release: str, missing: tuple[str, ...], rung: Rung, *, mail_has_role: bool
) -> None:
    ladder = ladder_for(roles, release, missing, mail_has_role=mail_has_role)

    assert ladder.rung is rung
    assert bool(ladder.no_alert) is (rung is not Rung.ALERT), "whoever gets no alerts is told why"
    assert bool(ladder.no_mail) is (rung is Rung.NONE)


@pytest.mark.parametrize("release", PROFILES)
async def test_a_session_knows_its_rung_before_the_first_alert(release: str) -> None:
    async with simulator(release) as nas, session_with(nas) as session:
        assert session.ladder.rung is (Rung.MAIL if release == "27-master" else Rung.ALERT)


async def test_a_class_that_the_release_lacks_is_noticed_at_login() -> None:
    categories = [{"id": "TASKS", "classes": [{"id": "ScrubNotStarted"}, {"id": "RsyncSuccess"}]}]
    async with Stub({"alert.list_categories": categories}) as stub, session_at(stub.url) as session:
        assert "CloudBackupTaskFailed" in session.ladder.no_alert


@pytest.mark.parametrize("categories", [None, [], {}, [None], [{"classes": None}], [{"classes": [None]}]], ids=repr)
async def test_categories_of_any_shape_are_no_reason_against_alerts(categories: object) -> None:
    async with Stub({"alert.list_categories": categories}) as stub, session_at(stub.url) as session:
        assert session.ladder == Ladder()


@pytest.mark.parametrize("release", ["25.10.0", "25.10.6", "26.0.0-BETA.3", "27-master"])
async def test_a_key_that_may_only_mail_mails(release: str) -> None:
    """From 25.10 on a key needs no full administrator for mail: the way for those who refuse to give one."""
    async with simulator(release, keys=[MAILER]) as nas, session_with(nas, username="mailer") as session:
        proof = await deliver(session, alert("Borg backup of photos failed. Look at it"))

        assert isinstance(proof, Mailed)
        [mail] = nas.mails
        assert mail["subject"] == "borgwatch: Borg backup of photos failed"
        assert "Borg backup of photos failed. Look at it" in mail["text"]
        assert creations(nas) == []


async def test_on_25_04_such_a_key_can_do_nothing_and_both_reasons_are_said() -> None:
    async with simulator(OLD, keys=[MAILER]) as nas, session_with(nas, username="mailer") as session:
        with pytest.raises(CallFailed, match=r"no full administrator.* may not send mail"):
            await deliver(session, alert())

        assert nas.mails == []


@pytest.mark.parametrize("release", RELEASES)
async def test_rights_lost_in_mid_session_lower_the_rung(release: str) -> None:
    """On 25.04 the job of `core.bulk` fails, later the call itself; a mail follows if the key may still send one."""
    async with simulator(release) as nas, session_with(nas) as session:
        nas.keys[0].roles = ("READONLY_ADMIN", "MAIL_WRITE")
        if release in ("25.04.0", "25.04.2.6"):  # mail takes a full administrator there
            with pytest.raises(CallFailed, match="more rights"):
                await deliver(session, alert())
        else:
            assert isinstance(await deliver(session, alert()), Mailed)
        assert session.ladder.rung is Rung.MAIL, "what the session was told at login still stands for mail"


async def test_a_release_that_refuses_alerts_by_its_words_lowers_the_rung() -> None:
    """Should another release do as 27: what it says counts, not its number."""
    refusal = {
        "code": -32001, "message": "Method call error",
        "data": {"error": 22, "reason": "AlertService.oneshot_create() takes 3 positional arguments but 4 were given"},
    }  # fmt: skip
    async with simulator("26.0.0-BETA.3") as nas, session_with(nas) as session:
        nas.faults.error["alert.oneshot_create"] = refusal

        first, second = await deliver(session, alert("one")), await deliver(session, alert("two"))

        assert [type(first), type(second)] == [Mailed, Mailed]
        assert methods(nas).count("alert.oneshot_create") == 1, "it is not asked again in this session"


async def test_a_class_hidden_by_policy_is_mailed_and_others_are_still_shown() -> None:
    async with simulator(NEW) as nas, session_with(nas) as session:
        nas.set_policy("CloudBackupTaskFailed", "NEVER")

        hidden = await deliver(session, alert())
        shown = await deliver(session, alert(key="borgwatch:nas1:other", level=Level.WARNING))

        assert isinstance(hidden, Mailed)
        assert "has the policy NEVER" in hidden.why
        assert isinstance(shown, Delivered)


@pytest.mark.parametrize("release", ["25.10.6", "26.0.0-BETA.3", "27-master"])
@pytest.mark.parametrize("lacking", ["server", "address"])
async def test_mail_that_is_not_set_up_is_told_with_what_to_do(release: str, lacking: str) -> None:
    async with simulator(release, keys=[MAILER], mail=lacking != "server") as nas:
        nas.set_administrator_email(None if lacking == "address" else "admin@truenas.example")
        async with session_with(nas, username="mailer") as session:
            with pytest.raises(CallFailed, match=r"set up mail in TrueNAS|give an administrator") as caught:
                await deliver(session, alert())

    assert caught.value.verdict is Verdict.USER


async def test_mail_that_truenas_is_not_allowed_to_send_is_not_taken_for_sent() -> None:
    """25.10 answers false where its own network settings forbid mail."""
    mailer = {"pw_name": "mailer", "privilege": {"roles": {"$set": ["MAIL_WRITE"]}}}
    answers = {"auth.login_ex": {"response_type": "SUCCESS", "user_info": mailer}, "mail.send": False}
    async with Stub(answers) as stub, session_at(stub.url) as session:
        with pytest.raises(CallFailed, match="not allowed to send mail"):
            await deliver(session, alert())


async def test_what_was_mailed_is_not_looked_for_under_the_bell() -> None:
    async with simulator("27-master") as nas, session_with(nas) as session:
        await deliver(session, alert())

        assert await look_again(session, [alert()]) == Found()


async def test_a_mail_holds_no_secret_and_no_control_character() -> None:
    mail = mail_of(alert("failed: ssh://u:hunter2@host/repo\x1b[2J\nSubject: x\u202e. BORG_PASSPHRASE=hush"), "why\n")

    assert "hunter2" not in str(mail)
    assert "hush" not in str(mail)
    assert mail["subject"].isprintable()
    assert "\x1b" not in mail["text"]


async def test_a_clearing_sends_no_mail_unless_people_are_to_be_told() -> None:
    async with simulator("27-master") as nas, session_with(nas) as session:
        proof = await deliver(session, alert("", raised=False, renotify=False))

        assert proof == Mailed(raised=False, why=session.ladder.no_alert, told=False)
        assert nas.mails == []


@pytest.mark.parametrize("release", RELEASES)
async def test_the_classes_are_the_users_choice(release: str) -> None:
    async with simulator(release) as nas:
        login = login_at(nas.url, key=nas.keys[0].key)
        login = type(login)(login.address, login.key, login.trust, classes=ClassChoice("RsyncFailed", "RsyncFailed"))
        session = await open_session(login, now, on_pin=Told())
        try:
            assert await deliver(session, alert()) == Delivered(True, "RsyncFailed", nas.alerts[0]["uuid"])
            assert nas.alerts[0]["level"] == "CRITICAL"
            assert await deliver(session, cleared()) == Delivered(False)
        finally:
            await session.connection.close()


async def test_after_another_choice_the_alert_of_the_old_class_goes() -> None:
    async with Simulator(NEW) as nas:
        async with session_with(nas) as session:
            await deliver(session, alert())
        login = login_at(nas.url)
        login = type(login)(login.address, login.key, login.trust, classes=ClassChoice(failure="ScrubNotStarted"))
        session = await open_session(login, now, on_pin=Told())
        try:
            await deliver(session, alert())
        finally:
            await session.connection.close()

        assert [entry["klass"] for entry in nas.alerts] == ["ScrubNotStarted"]
