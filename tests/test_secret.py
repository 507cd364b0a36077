from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import traceback

import msgspec
import pytest

from borgwatch.secret import Secret

SECRET = Secret("hunter2")


def test_only_reveal_gives_it_away() -> None:
    assert SECRET.reveal() == "hunter2"


def test_printing_shows_a_mask() -> None:
    shown = [repr(SECRET), str(SECRET), f"{SECRET}", "%s" % SECRET, "{!r}".format(SECRET), str([SECRET])]  # noqa: UP031, UP032 - every way

    assert shown == ["***"] * 5 + ["[***]"]


@pytest.mark.parametrize("write", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode, vars, dir])
def test_nothing_that_copies_or_writes_sees_it(write: object) -> None:
    assert callable(write)
    try:
        found = write(SECRET)
    except TypeError as error:
        found = error

    assert "hunter2" not in str(found)


def test_a_dataclass_that_holds_it_cannot_be_taken_apart() -> None:
    @dataclasses.dataclass
    class Holder:
        key: Secret

    assert "hunter2" not in repr(Holder(SECRET))
    with pytest.raises(TypeError, match="a secret is not to be written anywhere"):
        dataclasses.asdict(Holder(SECRET))


def test_a_traceback_does_not_show_it() -> None:
    error = ValueError(SECRET)

    assert traceback.format_exception_only(error)[0] == "ValueError: ***\n"


def test_secrets_are_compared_by_what_they_hold() -> None:
    assert Secret("hunter2") == SECRET
    assert Secret("hunter3") != SECRET
    assert SECRET != "hunter2"
    assert len({SECRET, Secret("hunter2")}) == 1
    assert (bool(SECRET), bool(Secret(""))) == (True, False)
