"""Frames: whatever comes in is read or refused, and an answer is taken once, by its number."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borgwatch.truenas.rpc import MAX_FRAME_OUT, Answer, Calls, Notice, ProtocolError

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
_FRAMES = st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error"]), _VALUES)


def _waiting(calls: int = 1) -> Calls:
    """Make calls that wait for their answers; their numbers count from 1."""
    waiting = Calls()
    for _ in range(calls):
        waiting.request("core.ping", ())
    return waiting


@given(st.text() | st.binary())
def test_receive_takes_any_text_or_refuses_it(frame: str | bytes) -> None:
    """Nothing but `ProtocolError` is ever raised."""
    with contextlib.suppress(ProtocolError):
        _waiting().receive(frame)


@given(_FRAMES)
def test_receive_takes_any_object_or_refuses_it(value: dict[str, Any]) -> None:
    """The same for JSON objects with the members that JSON-RPC has, of any type."""
    try:
        read = _waiting().receive(json.dumps(value))
    except ProtocolError:
        return
    assert read is None or isinstance(read, Answer | Notice)
    if isinstance(read, Answer):
        assert type(value["id"]) is int
        assert value["id"] == read.id == 1


@pytest.mark.parametrize(
    "frame",
    ["", "{", "[]", "null", "1", '"text"', "[" * 100_000, "1" * 5000, b"\xff\xfe", '{"id": 1}', '{"jsonrpc": "2.0"}'],
    ids=lambda frame: repr(frame[:12]),
)
def test_what_is_no_json_rpc_is_refused(frame: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        _waiting().receive(frame)


def test_an_answer_is_taken_once() -> None:
    calls = _waiting()
    frame = '{"jsonrpc": "2.0", "id": 1, "result": "pong"}'

    assert calls.receive(frame) == Answer(1, "pong")
    assert calls.receive(frame) is None


@pytest.mark.parametrize("number", [2, 0, -1, 10**30, 1.0, "1", True, None, [1], {"$date": 1}], ids=repr)
def test_an_answer_with_another_number_is_nobodys(number: Any) -> None:
    """`true` and 1.0 are no numbers of calls, though Python takes them for 1."""
    calls = _waiting()

    assert calls.receive(json.dumps({"jsonrpc": "2.0", "id": number, "result": None})) is None
    assert calls.receive('{"id": 1, "result": 5}') == Answer(1, 5)


@given(st.permutations(range(1, 8)))
def test_answers_are_matched_in_any_order(order: list[int]) -> None:
    calls = _waiting(7)

    read = [calls.receive(json.dumps({"id": number, "result": f"of {number}"})) for number in order]

    assert read == [Answer(number, f"of {number}") for number in order]


def test_nobody_waits_for_a_forgotten_call() -> None:
    calls = _waiting()
    calls.forget(1)

    assert calls.receive('{"id": 1, "result": null}') is None


def test_numbers_are_never_used_again() -> None:
    calls = _waiting()
    calls.forget(1)

    assert calls.request("core.ping", ())[0] == 2


def test_a_call_is_one_json_rpc_object() -> None:
    number, frame = Calls().request("alert.dismiss", ("a-uuid",))

    assert json.loads(frame) == {"jsonrpc": "2.0", "id": number, "method": "alert.dismiss", "params": ["a-uuid"]}


def test_a_call_that_truenas_would_cut_the_connection_for_is_not_sent() -> None:
    """TrueNAS closes with 1009 above 65,536 characters."""
    calls = Calls()
    _, frame = calls.request("m", ("",))
    room = MAX_FRAME_OUT - len(frame)

    assert len(calls.request("m", ("x" * room,))[1]) == MAX_FRAME_OUT
    with pytest.raises(ProtocolError, match="65537"):
        calls.request("m", ("x" * (room + 1),))
