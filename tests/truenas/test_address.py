"""Addresses: whatever a user writes, host and port are taken from it and nothing else."""

from __future__ import annotations

import pytest

from borgwatch.truenas.address import is_loopback, parse_address


@pytest.mark.parametrize(
    ("text", "url", "was_plain"),
    [
        ("wss://nas.lan", "wss://nas.lan/api/current", False),
        ("nas.lan", "wss://nas.lan/api/current", False),
        ("nas.lan:8443", "wss://nas.lan:8443/api/current", False),
        ("WSS://NAS.lan/", "wss://nas.lan/api/current", False),
        ("https://nas.lan/ui/dashboard?x=1#top", "wss://nas.lan/api/current", False),
        ("wss://nas.lan:444/websocket?token=abc", "wss://nas.lan:444/api/current", False),
        ("wss://nas.lan/api/v25.04.0", "wss://nas.lan/api/current", False),
        ("http://nas.lan/api/v2.0", "wss://nas.lan/api/current", True),
        ("ws://nas.lan", "wss://nas.lan/api/current", True),
        ("ws://nas.lan:80", "wss://nas.lan/api/current", True),
        ("ws://nas.lan:8080/x", "wss://nas.lan:8080/api/current", True),
        ("wss://[fd00::1]:444", "wss://[fd00::1]:444/api/current", False),
        ("  wss://192.168.1.5  ", "wss://192.168.1.5/api/current", False),
    ],
)
def test_the_url_is_always_that_of_the_current_api_over_tls(text: str, url: str, was_plain: bool) -> None:
    """Paths, queries and fragments of the user are not used."""
    address = parse_address(text)

    assert address.url(tls=True) == url
    assert address.was_plain is was_plain


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no host"),
        ("wss://", "no host"),
        ("wss:///api", "no host"),
        ("ftp://nas", "cannot begin with ftp://"),
        ("unix://", "by its absolute path"),
        ("unix:middlewared.sock", "by its absolute path"),
        ("wss://user:pass@nas", "NOTIFY_TRUENAS_API_KEY"),
        ("wss://user@nas", "NOTIFY_TRUENAS_API_KEY"),
        ("wss://nas:99999", "is not an address"),
        ("wss://nas:x", "is not an address"),
        ("wss://[::1", "is not an address"),
        ("wss://na s", "no valid host"),
        ("wss://<host>", "no valid host"),
        ("wss://nas..lan", "no valid host"),
        ("wss://.lan", "no valid host"),
        (f"wss://{'a' * 64}.lan", "no valid host"),
        (f"wss://{'a.' * 130}", "no valid host"),
        ("wss://nas\0", "no valid host"),
    ],
)
def test_an_address_that_cannot_be_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        parse_address(text)

    assert "pass" not in str(caught.value).replace("password", "")


def test_a_unix_socket_is_named_by_its_path() -> None:
    address = parse_address("unix:///run/middleware/middlewared.sock")

    assert address.unix == str(address) == "/run/middleware/middlewared.sock"


LOOPBACK = ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "::1%lo"]
ELSEWHERE = [
    "", "localhost", "::", "10.0.0.1", "172.17.0.1", "192.168.1.5", "169.254.0.1", "8.8.8.8", "fe80::1%eth0",
    "fd00::1", "2001:db8::1", "::ffff:192.168.1.5", "127.0.0.1.nip.io", "127.1", "2130706433", "0x7f000001",
    " 127.0.0.1", "127.0.0.1:80", "[::1]", "0.0.0.0",  # noqa: S104 - an address to judge
]  # fmt: skip


@pytest.mark.parametrize("ip", LOOPBACK)
def test_loopback_addresses(ip: str) -> None:
    assert is_loopback(ip)


@pytest.mark.parametrize("ip", ELSEWHERE)
def test_anything_else_is_not_loopback(ip: str) -> None:
    """In doubt it is not: names, private ranges, short or numeric spellings."""
    assert not is_loopback(ip)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("ws://localhost", True),
        ("ws://127.0.0.1:81", True),
        ("ws://[::1]", True),
        ("ws://localhost.evil.test", False),
        ("ws://localhost.", False),
        ("ws://127.1", False),
        ("ws://nas", False),
        ("ws://127.0.0.1.evil.test", False),
    ],
)
def test_which_addresses_name_this_very_machine(text: str, local: bool) -> None:
    assert parse_address(text).is_loopback is local
