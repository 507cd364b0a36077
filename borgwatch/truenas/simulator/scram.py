"""The server's side of a SCRAM login with an API key, as 26 and later do it. Pure but for the random nonce and salt.

SCRAM-SHA-512 after RFC 5802, with two peculiarities: the name is `<username>:<key id>`, and the nonces are bytes, so
that the combined nonce is the encoding of both decoded ones joined. Over TLS a client may bind the login to the
server's certificate (`p=tls-server-end-point`, RFC 5929); the server does not insist on it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

__all__ = ["Exchange", "ScramRefused", "Verifier", "read_name"]

_HASH = "sha512"
_CHANNEL_BINDING = "p=tls-server-end-point,,"
_NO_BINDING = "n,,"


class ScramRefused(Exception):
    """The client's message is malformed or its proof is wrong."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """What the server keeps of a secret."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    @classmethod
    def derive(cls, secret: str, iterations: int) -> Verifier:
        """Derive the verifier of a secret: slow on purpose."""
        salt = secrets.token_bytes(16)
        salted = hashlib.pbkdf2_hmac(_HASH, secret.encode(), salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", _HASH)
        return cls(salt, iterations, hashlib.sha512(client_key).digest(), hmac.digest(salted, b"Server Key", _HASH))


@dataclass(slots=True)
class Exchange:
    """One login under way: begun with the client's first message, ended by `finish`.

    `certificate_hash` is that of the server's certificate where the connection is TLS, otherwise None: then a binding
    that the client claims cannot be checked.
    """

    client_first: str
    verifier: Verifier
    certificate_hash: bytes | None
    _nonce: str = field(init=False)

    def __post_init__(self) -> None:
        client_nonce = _decode(_attributes(_bare(self.client_first))["r"])
        self._nonce = base64.b64encode(client_nonce + secrets.token_bytes(32)).decode()

    @property
    def server_first(self) -> str:
        """The server's first message."""
        salt = base64.b64encode(self.verifier.salt).decode()
        return f"r={self._nonce},s={salt},i={self.verifier.iterations}"

    def finish(self, client_final: str) -> str:
        """Return the server's final message, or raise `ScramRefused`."""
        without_proof, separator, proof = client_final.rpartition(",p=")
        values = _attributes(without_proof)
        if not separator or values.get("r") != self._nonce or _decode(values.get("c", "")) != self._binding():
            raise ScramRefused("The final message does not continue the first")
        message = ",".join((_bare(self.client_first), self.server_first, without_proof)).encode()
        signature = hmac.digest(self.verifier.stored_key, message, _HASH)
        proved = _decode(proof)
        if len(proved) != len(signature):
            raise ScramRefused("A proof of the wrong length")
        client_key = bytes(a ^ b for a, b in zip(proved, signature, strict=True))
        if not hmac.compare_digest(hashlib.sha512(client_key).digest(), self.verifier.stored_key):
            raise ScramRefused("Wrong proof")
        return "v=" + base64.b64encode(hmac.digest(self.verifier.server_key, message, _HASH)).decode()

    def _binding(self) -> bytes:
        header = _header(self.client_first)
        bound = self.certificate_hash if header == _CHANNEL_BINDING else None
        return header.encode() + (bound or b"")


def read_name(client_first: str) -> tuple[str, str]:
    """Return username and key id of the client's first message."""
    username, separator, key_id = _attributes(_bare(client_first)).get("n", "").rpartition(":")
    if not separator:
        raise ScramRefused("The name is not <username>:<key id>")
    return username, key_id


def _header(client_first: str) -> str:
    for header in (_NO_BINDING, _CHANNEL_BINDING):
        if client_first.startswith(header):
            return header
    raise ScramRefused("Neither `n,,` nor `p=tls-server-end-point,,`")


def _bare(client_first: str) -> str:
    bare = client_first.removeprefix(_header(client_first))
    if not {"n", "r"} <= _attributes(bare).keys():
        raise ScramRefused("The first message lacks its name or nonce")
    return bare


def _attributes(message: str) -> dict[str, str]:
    return {part[:1]: part[2:] for part in message.split(",") if part[1:2] == "="}


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ScramRefused(f"Not base64: {error}") from None
