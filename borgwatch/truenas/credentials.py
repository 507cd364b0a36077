"""The one place that lets the API key out, and only onto a connection that does not harm it.

TrueNAS 25.04 and later revoke a plain key that arrives over an unencrypted connection from another host, at the
first try. So a key can be had only as login parameters for a `Link`, and a link is what the socket says of itself:
no setting, redirect, name or server reply has a say in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from borgwatch.secret import Secret
from borgwatch.truenas.errors import InsecureTransport
from borgwatch.truenas.rpc import Sealed
from borgwatch.truenas.scram import ScramClient

__all__ = ["ApiKey", "Link"]


@dataclass(frozen=True, slots=True)
class Link:
    """How an open connection runs: encrypted or not, and to which IP address (or over a Unix socket)."""

    encrypted: bool
    peer: str
    unix: bool = False

    @property
    def keeps_secrets(self) -> bool:
        """Whether a plain key may travel.

        TrueNAS also counts loopback as secure (25.04 to 27). But what looks like loopback from here may be the near
        end of a tunnel or a published port, and the key would be revoked at the far one: that is not worth it, for
        TLS is spoken wherever TrueNAS is.
        """
        return self.encrypted or self.unix


class ApiKey:
    """An API key that is shown to nobody but TrueNAS."""

    __slots__ = ("__secret",)

    def __init__(self, secret: Secret) -> None:
        self.__secret = secret

    def __repr__(self) -> str:
        return "ApiKey(***)"

    def login(self, username: str, link: Link) -> dict[str, Any]:
        """Make the parameters of `auth.login_ex`; raises `InsecureTransport` where the key would be harmed."""
        return {
            "mechanism": "API_KEY_PLAIN",
            "username": username,
            "api_key": self._for(link),
            "login_options": {"user_info": True},
        }

    def login_without_name(self, link: Link) -> Sealed:
        """Make the parameter of `auth.login_with_api_key`, which finds the user by the key."""
        return self._for(link)

    def scram(self, username: str, end_point: bytes) -> ScramClient:
        """Begin a login that proves the key without sending it: safe on any link (TrueNAS 26 and later).

        `end_point` ties it to the server's certificate; empty on a connection without one.
        """
        number = self.__secret.reveal().partition("-")[0]
        secret = Sealed(self.__secret.reveal().partition("-")[2])
        return ScramClient(f"{username}:{number}", secret, end_point)

    def _for(self, link: Link) -> Sealed:
        if not link.keeps_secrets:
            raise InsecureTransport(
                f"the connection to {link.peer} is not encrypted: TrueNAS would revoke the API key at once, so it"
                " was not sent. Use wss://, and NOTIFY_TRUENAS_VERIFY_SSL=pin if the certificate is TrueNAS' own"
            )
        return Sealed(self.__secret.reveal())
