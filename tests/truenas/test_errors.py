"""Each error of a call is classified once, and said in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgwatch.truenas.errors import CALL_ERRORS, CallFailed, Verdict, call_failed, job_failed
from tests.truenas.world import SECRET

TRANSCRIPTS = Path(__file__).parents[1] / "data" / "truenas" / "transcripts"


def _recorded() -> list[dict[str, Any]]:
    """Every error object that a release answered."""
    frames = [
        json.loads(line) for path in sorted(TRANSCRIPTS.glob("*.jsonl")) for line in path.read_text().splitlines()
    ]
    return [frame["recv"]["error"] for frame in frames if "error" in frame.get("recv", {})]


RECORDED = _recorded()


def _record(part: str) -> dict[str, Any]:
    """A recorded error whose text holds a part."""
    return next(error for error in RECORDED if part in json.dumps(error))


def _made(errno: int, reason: str) -> dict[str, Any]:
    """An error as TrueNAS shapes it, where none was recorded."""
    return {"code": -32001, "message": "Method call error", "data": {"error": errno, "reason": reason, "extra": None}}


_TOO_MANY = {"code": -32000, "message": "Maximum number of concurrent calls (20) has exceeded"}
TABLE: list[tuple[dict[str, Any], Verdict, str]] = [
    # one for each row of CALL_ERRORS, in its order: the answer, the verdict, a part of the message
    (_TOO_MANY, Verdict.RETRY_NOW, "too many calls"),
    (_record("ENOTAUTHENTICATED"), Verdict.RETRY_NOW, "logging in again"),
    (_made(16, "[EBUSY] Rate Limit Exceeded"), Verdict.RETRY_LATER, "rate of logins"),
    (_made(95, "[EOPNOTSUPP] Not supported in the current mode"), Verdict.USER, "forbids API keys"),
    (_record("[EACCES] Not authorized"), Verdict.USER, "full administrator"),
    (_made(1, "[EPERM] Operation not permitted"), Verdict.USER, "full administrator"),
    (_made(22, "[EPERM] Not authorized"), Verdict.USER, "full administrator"),
    (_record("takes 3 positional arguments"), Verdict.UNSUPPORTED, "TrueNAS 27"),
    (_made(14, "[EFAULT] Alert {} is not a one-shot alert class"), Verdict.UNSUPPORTED, "no such alert"),
    (_record("Invalid alert class"), Verdict.UNSUPPORTED, "no such alert class"),
    (_made(14, "[EFAULT] You must provide an outgoing mailserver and mail server port"), Verdict.USER, "set up mail"),
    (_made(14, "[EFAULT] None of the local administrators has an e-mail address"), Verdict.USER, "an e-mail address"),
    (_made(201, "Method 'oneshot_create' not found in 'alert'"), Verdict.UNSUPPORTED, "does not offer"),
    (_record("Method does not exist"), Verdict.UNSUPPORTED, "does not have the method"),
    (_record("Field required"), Verdict.UNSUPPORTED, "other arguments"),
    (_record("may_create_auth_token"), Verdict.RETRY_NOW, "may_create_auth_token"),
]


@pytest.mark.parametrize("row", range(len(CALL_ERRORS)))
def test_each_row_of_the_table_is_met_by_an_answer(row: int) -> None:
    """The first row that fits decides; no row is in the shadow of one above it."""
    error, verdict, says = TABLE[row]

    failed = call_failed("alert.oneshot_create", error)

    assert failed.verdict is verdict is CALL_ERRORS[row].verdict
    assert says in str(failed)
    assert CALL_ERRORS[row].says in str(failed)


def test_the_table_of_this_test_is_as_long_as_the_real_one() -> None:
    assert len(TABLE) == len(CALL_ERRORS)


@pytest.mark.parametrize("error", RECORDED, ids=lambda error: str(error["code"]))
def test_every_recorded_error_is_said_in_one_line(error: dict[str, Any]) -> None:
    message = str(call_failed("core.ping", error))

    assert message.isprintable()
    assert message.startswith("core.ping: ")


@pytest.mark.parametrize("code", [-32600, -32603, -32700, 0, 7])
def test_an_unknown_error_is_tried_again(code: int) -> None:
    assert call_failed("m", {"code": code, "message": "whatever"}).verdict is Verdict.RETRY_NOW


def test_a_failed_job_is_classified_by_its_text() -> None:
    """On 25.04 a job's error is all there is."""
    assert job_failed("m", "[EPERM] Not authorized").verdict is Verdict.USER
    assert job_failed("m", "[EFAULT] Invalid alert class: 'X'").verdict is Verdict.UNSUPPORTED
    assert job_failed("m", None).verdict is Verdict.RETRY_NOW


def test_what_a_server_says_cannot_break_out_of_the_line() -> None:
    failed = call_failed("m", _made(22, "one\ntwo\x1b[2J\u202ethree\r" + "x" * 10_000))

    assert str(failed).isprintable()
    assert len(str(failed)) < 600


def test_an_api_key_that_a_server_repeats_is_not_repeated() -> None:
    failed = call_failed("auth.login_ex", _made(22, f"bad value {SECRET!r}"))

    assert SECRET[2:] not in f"{failed} {failed.reason} {failed!r}"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["code", "data", "message", "error", "reason"]), inner)
    ),
)


@given(_JSON)
def test_an_error_of_any_shape_makes_an_exception(error: Any) -> None:
    assert isinstance(call_failed("m", error), CallFailed)
    assert isinstance(job_failed("m", error), CallFailed)
