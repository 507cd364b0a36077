"""The key leaves only on a link that does not harm it, and is shown by nothing."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from borgwatch.secret import Secret
from borgwatch.truenas.credentials import ApiKey, Link
from borgwatch.truenas.errors import InsecureTransport
from tests.truenas.test_address import ELSEWHERE, LOOPBACK
from tests.truenas.world import SECRET


def _key() -> ApiKey:
    return ApiKey(Secret(SECRET))


SAFE = [
    *(Link(encrypted=True, peer=peer) for peer in [*LOOPBACK, *ELSEWHERE]),
    Link(encrypted=False, peer="", unix=True),
]
UNSAFE = [Link(encrypted=False, peer=peer) for peer in [*LOOPBACK, *ELSEWHERE]]


@pytest.mark.parametrize("link", SAFE, ids=str)
def test_a_key_leaves_on_a_link_that_keeps_secrets(link: Link) -> None:
    assert json.loads(json.dumps(_key().login("root", link)))["api_key"] == SECRET
    assert json.dumps(_key().login_without_name(link)) == json.dumps(SECRET)


@pytest.mark.parametrize("link", UNSAFE, ids=str)
def test_a_key_does_not_leave_on_a_link_that_harms_it(link: Link) -> None:
    for leave in (lambda: _key().login("root", link), lambda: _key().login_without_name(link)):
        with pytest.raises(InsecureTransport, match=r"Use wss://") as caught:
            leave()
        assert SECRET[2:] not in str(caught.value)


PRINTERS: dict[str, Any] = {
    "repr": repr,
    "str": str,
    "format": lambda thing: f"{thing} {thing!r} {thing!s} {thing!a}",
    "percent": lambda thing: "%s %r" % (thing, thing),  # noqa: UP031 - old code prints so
    "inside a container": lambda thing: repr([{"key": (thing,)}]),
    "dir": lambda thing: repr(dir(thing)),
}


@pytest.mark.parametrize("name", PRINTERS)
def test_no_way_of_printing_shows_a_key(name: str) -> None:
    """Neither the key nor the parameters of a login that were made of it."""
    link = Link(encrypted=True, peer="192.168.1.5")
    login = _key().login("root", link)
    scram = _key().scram("root", b"")
    for thing in (_key(), Secret(SECRET), login, login["api_key"], _key().login_without_name(link), scram, vars(scram)):
        assert SECRET[2:] not in PRINTERS[name](thing)


@pytest.mark.parametrize("take", [pickle.dumps, copy.deepcopy, vars, json.dumps], ids=lambda take: take.__name__)
def test_a_key_cannot_be_taken_out_of_its_holder(take: Any) -> None:
    with pytest.raises(TypeError):
        take(_key())
    with pytest.raises(TypeError):
        take(Secret(SECRET))


def test_a_key_has_no_attributes_to_look_at_or_to_change() -> None:
    with pytest.raises(AttributeError):
        _key().secret  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError):
        _key().link = None  # type: ignore[attr-defined]


def test_a_link_cannot_be_made_safe_afterwards() -> None:
    with pytest.raises(AttributeError):
        Link(encrypted=False, peer="8.8.8.8").encrypted = True  # type: ignore[misc]
