"""Options, login, rights: what each release answers, and what is made of it."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from borgwatch.truenas.errors import CallFailed, LoginRefused, NoAnswer, TrueNASError, Verdict
from borgwatch.truenas.session import Session, open_session
from borgwatch.truenas.simulator import PROFILES, Key, Simulator
from tests.truenas.conftest import Shorten
from tests.truenas.world import (
    NEW,
    OLD,
    RELEASES,
    SECRET,
    Stub,
    Told,
    login_at,
    methods,
    now,
    session_at,
    session_with,
    simulator,
)

ROOT = Key("root", SECRET)
ALL = list(PROFILES)
_BY_SCRAM = ["auth.mechanism_choices", "auth.login_ex", "auth.login_ex"]
LOGIN = {
    "25.04.0": ["auth.login_ex"],
    "25.04.2.6": ["auth.login_ex"],
    "25.10.0": ["auth.mechanism_choices", "auth.login_ex"],
    "25.10.6": ["auth.mechanism_choices", "auth.login_ex"],
    "26.0.0-BETA.3": _BY_SCRAM,
    "27-master": _BY_SCRAM,
}
"""The calls of a login that is let in, by release."""
LOOKS = ["system.version", "alert.list_categories"]
"""What a full administrator's session looks at then."""


async def _refused(nas: Simulator | Stub, **login: Any) -> TrueNASError:
    with pytest.raises(TrueNASError) as caught:
        await open_session(login_at(nas.url, **login), now, on_pin=Told())
    assert str(caught.value).isprintable()
    assert SECRET[2:] not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("release", ALL)
async def test_a_full_administrators_key_is_let_in(release: str) -> None:
    async with simulator(release) as nas:
        async with session_with(nas) as session:
            assert session.is_full_admin
            assert session.username == "root"
            assert session.release == PROFILES[release].version.removeprefix("TrueNAS-")
            assert session.waits_for_jobs is PROFILES[release].legacy_jobs_option

        assert methods(nas) == ["core.set_options", *LOGIN[release], *LOOKS]


@pytest.mark.parametrize("release", ALL)
async def test_options_are_set_before_the_login_as_truenas_needs_them(release: str) -> None:
    async with simulator(release) as nas, session_with(nas):
        options = {"legacy_jobs": False, "private_methods": True, "py_exceptions": False}
        assert nas.calls[0] == ("core.set_options", [options])


@pytest.mark.parametrize("release", ALL)
async def test_a_wrong_key_is_refused(release: str) -> None:
    async with simulator(release) as nas:
        error = await _refused(nas, key="1-" + "z" * 64)

    assert isinstance(error, LoginRefused)
    assert "login as root refused" in str(error)
    assert "wrong" in str(error)


@pytest.mark.parametrize("release", ALL)
@pytest.mark.parametrize("username", [None, "root"])
async def test_a_revoked_key_is_refused(release: str, username: str | None) -> None:
    """AUTH_ERR on 25.04.0 and 26, an error about the run state on those between: the same to the user."""
    async with simulator(release, keys=[Key("root", SECRET, revoked=True), Key("root", "2-" + "t" * 64)]) as nas:
        error = await _refused(nas, username=username)

    assert isinstance(error, LoginRefused)
    assert "revoked" in str(error)


@pytest.mark.parametrize("release", ALL)
async def test_a_deleted_key_is_refused(release: str) -> None:
    async with simulator(release, keys=[Key("root", "2-" + "t" * 64)]) as nas:
        assert isinstance(await _refused(nas), LoginRefused)


@pytest.mark.parametrize("release", ALL)
async def test_an_expired_key_is_called_expired_or_revoked(release: str) -> None:
    async with simulator(release, keys=[Key("root", SECRET, expired=True)]) as nas:
        error = await _refused(nas)

    assert isinstance(error, LoginRefused)
    assert "expired" in str(error)
    assert "ws://" in str(error)


@pytest.mark.parametrize("release", ALL)
async def test_a_configured_user_without_this_key_is_refused_and_no_other_is_tried(release: str) -> None:
    async with simulator(release, keys=[ROOT, Key("borg", "2-" + "t" * 64)]) as nas:
        error = await _refused(nas, username="borg")

        assert isinstance(error, LoginRefused)
        assert "login as borg refused" in str(error)
        assert "auth.login_with_api_key" not in methods(nas)


@pytest.mark.parametrize("release", ALL)
async def test_a_configured_user_is_logged_in_by_name(release: str) -> None:
    async with simulator(release, keys=[Key("borg", SECRET)]) as nas:
        async with session_with(nas, username="borg") as session:
            assert session.username == "borg"
            assert session.is_full_admin

        assert methods(nas) == ["core.set_options", *LOGIN[release], *LOOKS]


@pytest.mark.parametrize("release", ALL)
@pytest.mark.parametrize("root_has_a_key", [False, True])
async def test_without_a_name_the_owner_is_found_by_the_key(release: str, *, root_has_a_key: bool) -> None:
    others = [Key("root", "2-" + "t" * 64)] if root_has_a_key else []
    async with simulator(release, keys=[Key("borg", SECRET), *others]) as nas:
        async with session_with(nas) as session:
            assert session.username == "borg"
            assert session.is_full_admin

        as_root = LOGIN[
            release
        ]  # SCRAM is refused at its first message, twice: bound to the certificate, and to nothing
        owner = ["auth.login_with_api_key", "auth.me"]
        assert methods(nas) == ["core.set_options", *as_root, *owner, *LOOKS]


@pytest.mark.parametrize("release", ALL)
async def test_roles_are_read_and_a_lesser_key_is_let_in(release: str) -> None:
    """It may look at alerts; what it may not do is said when an alert is to be made."""
    async with (
        simulator(release, keys=[Key("svc", SECRET, ("READONLY_ADMIN",))]) as nas,
        session_with(nas) as session,
    ):
        assert not session.is_full_admin
        assert "ALERT_LIST_READ" in session.roles


TOO_MANY = {
    "code": -32001, "message": "Method call error", "data": {"error": 16, "reason": "[EBUSY] Rate Limit Exceeded"},
}  # fmt: skip


@pytest.mark.parametrize("release", ALL)
@pytest.mark.parametrize("username", [None, "root"])
async def test_too_many_logins_are_not_followed_by_more(release: str, username: str | None) -> None:
    """Neither with another user nor in another way, and from 25.10 on the question for the ways is one of them."""
    async with simulator(release) as nas:
        nas.faults.rate_limited = True
        nas.faults.rate_limit_pause = 0.0
        error = await _refused(nas, username=username)

        assert error.verdict is Verdict.RETRY_LATER
        assert "Rate Limit" in str(error)
        assert methods(nas) == ["core.set_options", LOGIN[release][0]]


@pytest.mark.parametrize("release", ALL)
@pytest.mark.parametrize("username", [None, "root"])
async def test_too_many_logins_at_the_login_itself(release: str, username: str | None) -> None:
    async with simulator(release) as nas:
        nas.faults.error["auth.login_ex"] = TOO_MANY
        error = await _refused(nas, username=username)

        assert error.verdict is Verdict.RETRY_LATER
        assert methods(nas)[-1] == "auth.login_ex"
        assert methods(nas).count("auth.login_ex") == 1
        assert "auth.login_with_api_key" not in methods(nas)


async def test_too_many_logins_while_the_owner_is_sought() -> None:
    async with simulator("26.0.0-BETA.3", keys=[Key("borg", SECRET)]) as nas:
        nas.faults.error["auth.login_with_api_key"] = TOO_MANY
        assert (await _refused(nas)).verdict is Verdict.RETRY_LATER


@pytest.mark.parametrize("release", [OLD, NEW, "26.0.0-BETA.3"])
async def test_the_standby_node_of_a_pair_names_the_active_one(release: str) -> None:
    """And the key is not tried there in another way."""
    async with simulator(release) as nas:
        nas.faults.ha_redirect = ["https://10.0.0.2"]
        error = await _refused(nas)
        assert "auth.login_with_api_key" not in methods(nas)

    assert isinstance(error, LoginRefused)
    assert "standby" in str(error)
    assert "https://10.0.0.2" in str(error)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"response_type": "DENIED"}, "may not use the API"),
        ({"response_type": "OTP_REQUIRED", "username": "root"}, "one-time password"),
        ({"response_type": "SCRAM_RESPONSE"}, "SCRAM_RESPONSE"),
        ({"response_type": None}, "None"),
        ({"response_type": ["SUCCESS"]}, "SUCCESS"),
        ({"response_type": "x\ny\x1b" + "z" * 100_000}, "x y"),
        ({"response_type": "REDIRECT", "urls": ["u" * 100_000]}, "standby"),
        ({"response_type": "REDIRECT"}, "standby"),
        ({}, "None"), (None, "None"), (True, "None"), ("SUCCESS", "None"), ([], "None"), (1, "None"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
async def test_any_other_answer_to_a_login_is_a_refusal_in_one_line(answer: Any, says: str) -> None:
    async with Stub({"auth.login_ex": answer, "auth.login_with_api_key": False}) as stub:
        error = await _refused(stub)

        assert "auth.login_with_api_key" not in stub.calls

    assert isinstance(error, LoginRefused)
    assert says in str(error)
    assert len(str(error)) < 1000


async def test_keys_forbidden_by_a_security_mode_are_the_users_business() -> None:
    """STIG mode: no quick tries, each of them is audited."""
    async with Simulator(NEW) as nas:
        nas.faults.error["auth.login_ex"] = {
            "code": -32001, "message": "Method call error", "data": {"error": 95, "reason": "[EOPNOTSUPP] Not allowed"},
        }  # fmt: skip
        error = await _refused(nas)

    assert error.verdict is Verdict.USER
    assert "STIG" in str(error)


USERS: list[Any] = [
    None, True, 1, "root", [], {}, {"pw_name": None}, {"privilege": None}, {"privilege": []},
    {"privilege": {"roles": None}}, {"privilege": {"roles": 5}}, {"privilege": {"roles": {"$set": None}}},
    {"privilege": {"roles": {"$set": "FULL_ADMIN"}}}, {"privilege": {"roles": {"$set": [None, 1, {}, []]}}},
]  # fmt: skip


@pytest.mark.parametrize("user", USERS, ids=json.dumps)
async def test_a_user_of_any_shape_is_a_user_without_rights(user: Any) -> None:
    answer = {"response_type": "SUCCESS", "user_info": user, "authenticator": "LEVEL_1"}
    async with Stub({"auth.login_ex": answer}) as stub, session_at(stub.url) as session:
        assert not session.is_full_admin
        assert session.username == "root"


async def test_roles_may_come_as_a_plain_list() -> None:
    answer = {"response_type": "SUCCESS", "user_info": {"privilege": {"roles": ["FULL_ADMIN"]}}}
    async with Stub({"auth.login_ex": answer}) as stub, session_at(stub.url) as session:
        assert session.is_full_admin


@pytest.mark.parametrize("version", [None, 5, ["x"], {}, "26\n\x1b[2J" + "x" * 100_000], ids=lambda v: str(v)[:10])
async def test_a_version_of_any_shape_is_only_for_people(version: Any) -> None:
    async with Stub({"system.version": version}) as stub, session_at(stub.url) as session:
        assert len(session.release) <= 100
        assert session.release.isprintable()


@pytest.mark.parametrize("name", ["a\nb\x1b", "x" * 100_000])
async def test_a_user_name_of_any_shape_is_fit_to_be_printed(name: str) -> None:
    user = {"pw_name": name, "privilege": {"roles": {"$set": []}}}
    answer = {"response_type": "SUCCESS", "user_info": user}
    async with Stub({"auth.login_ex": answer}) as stub, session_at(stub.url) as session:
        assert session.username.isprintable()
        assert len(session.username) <= 100


@pytest.mark.parametrize(
    "options", [None, [], True, {}, {"legacy_jobs": True}, {"legacy_jobs": 0}, {"legacy_jobs": None}]
)
async def test_only_the_option_answered_as_off_counts_as_off(options: Any) -> None:
    async with Stub({"core.set_options": options}) as stub, session_at(stub.url) as session:
        assert not session.waits_for_jobs


@pytest.mark.parametrize("release", [NEW, "26.0.0-BETA.3"])
@pytest.mark.parametrize("method", ["core.set_options", "auth.mechanism_choices", "auth.login_ex", "system.version"])
async def test_a_login_that_is_never_answered_ends(release: str, method: str, call_timeout: Shorten) -> None:
    call_timeout(2.0 if method == "system.version" else 0.2)  # the proof before it takes its time on a busy machine
    async with simulator(release) as nas:
        nas.faults.never_answer.add(method)
        error = await _refused(nas)

        assert isinstance(error, NoAnswer)
        assert method in str(error)
        await nas.changed(lambda nas: nas.connections == 0)


# Jobs


async def test_a_number_is_never_taken_for_a_result() -> None:
    """Were `legacy_jobs` still on, every call of a job would be answered with one."""
    async with Stub({"alert.oneshot_create": 118}) as stub, session_at(stub.url) as session:
        with pytest.raises(NoAnswer, match=r"number of a job \(118\)"):
            await session.run_job("alert.oneshot_create", "ScrubNotStarted", {})


OLD_OPTIONS = {"core.set_options": None, "core.bulk": 118}


@pytest.mark.parametrize(
    ("jobs", "error", "says"),
    [
        ([], NoAnswer, "not there any more"),
        (None, NoAnswer, "not there any more"),
        ({}, NoAnswer, "not there any more"),
        ([None], NoAnswer, "not there any more"),
        ([{"state": "SUCCESS"}], NoAnswer, "without saying how"),
        ([{"state": "SUCCESS", "result": []}], NoAnswer, "without saying how"),
        ([{"state": "SUCCESS", "result": [None]}], NoAnswer, "without saying how"),
        ([{"state": "SUCCESS", "result": {"error": None}}], NoAnswer, "without saying how"),
        (
            [{"state": "SUCCESS", "result": [{"error": "[EFAULT] Invalid alert class: 'X'"}]}],
            CallFailed,
            "Invalid alert",
        ),
        ([{"state": "FAILED", "error": "[EPERM] Not authorized"}], CallFailed, "full administrator"),
        ([{"state": "FAILED"}], CallFailed, "no reason given"),
        ([{"state": "ABORTED", "error": None}], CallFailed, "no reason given"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_job_of_25_04_that_did_not_plainly_succeed_is_an_error(
    jobs: Any, error: type[Exception], says: str
) -> None:
    async with Stub({**OLD_OPTIONS, "core.get_jobs": jobs}) as stub, session_at(stub.url) as session:
        with pytest.raises(error, match=says.replace("[", r"\[")):
            await session.run_job("alert.oneshot_create", "ScrubNotStarted", {})


@pytest.mark.parametrize("number", [None, "118", 1.5, [], {}], ids=repr)
async def test_a_bulk_without_a_number_started_nothing(number: Any) -> None:
    async with Stub({**OLD_OPTIONS, "core.bulk": number}) as stub, session_at(stub.url) as session:
        with pytest.raises(NoAnswer, match="started no job"):
            await session.run_job("alert.oneshot_create", "ScrubNotStarted", {})


async def test_a_job_that_never_ends_is_given_up(call_timeout: Shorten) -> None:
    call_timeout(0.3)
    jobs = [{"id": 118, "state": "RUNNING"}]
    async with Stub({**OLD_OPTIONS, "core.get_jobs": jobs}) as stub, session_at(stub.url) as session:
        with pytest.raises(NoAnswer, match=r"did not end within 0\.3 s"):
            await session.run_job("alert.oneshot_create", "ScrubNotStarted", {})

        assert 2 <= stub.calls.count("core.get_jobs") < 10


async def test_jobs_of_25_04_go_one_at_a_time() -> None:
    """More than a few at a time would be merged by TrueNAS, and texts lost."""
    async with Simulator(OLD) as nas, session_with(nas) as session:
        texts = [f"text {number}" for number in range(8)]
        async with asyncio.TaskGroup() as tasks:
            for text in texts:
                tasks.create_task(_create(session, text))

        assert sorted(entry["args"] for entry in nas.alerts) == texts
        between = [method for method in methods(nas) if method in ("core.bulk", "core.get_jobs")]
        assert all(pair != ("core.bulk", "core.bulk") for pair in itertools.pairwise(between))


async def _create(session: Session, text: str) -> None:
    await session.run_job("alert.oneshot_create", "ScrubNotStarted", {"pool": f"borgwatch:{text}", "text": text})


@pytest.mark.parametrize("release", RELEASES)
async def test_a_failed_job_is_an_error_on_every_release(release: str) -> None:
    """25.04 answers with a number and lists the failure within a successful bulk job."""
    async with simulator(release) as nas, session_with(nas) as session:
        with pytest.raises(CallFailed, match="Invalid alert class") as caught:
            await session.run_job("alert.oneshot_create", "CustomAlert", {"title": "t"})

        assert caught.value.verdict is Verdict.UNSUPPORTED


async def test_a_login_that_is_closed_with_words_cannot_break_the_line() -> None:
    async def close(_: Stub, connection: ServerConnection, __: dict[str, Any]) -> None:
        await connection.close(1008, "You are\nnot \x1b[2Jallowed")

    async with Stub({"auth.login_ex": close}) as stub:
        error = await _refused(stub)

    assert "code 1008, You are not" in str(error)
