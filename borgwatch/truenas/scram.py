"""SCRAM-SHA-512 as TrueNAS 26 and later take it for API keys: messages in, messages out, no I/O.

The key proves itself without being sent, and the server must prove that it knows the key, too. Differences from
RFC 5802, as 26.0.0-BETA.1 and later have them: nonces are bytes, base64 on the wire, and the combined nonce is the
concatenation of the bytes, encoded anew; the name is `<user name>:<number of the key>`, the password the part of
the key behind the dash. With `tls-server-end-point` channel binding (BETA.3 and later) the login is tied to the
server's certificate, so that nobody in between can pass it on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable

__all__ = ["ScramClient", "ScramError"]

NONCE_BYTES = 32
_ITERATIONS = range(50_000, 5_000_001)  # what TrueNAS' own client accepts
_DIGITS = 10  # a number of iterations has fewer; Python reads no number of thousands of digits
_BINDING = "tls-server-end-point"


class ScramError(ValueError):
    """The server's message is not as it must be, or the server does not know the key."""


class ScramClient:
    """One login. Call `first`, then `final` with the server's first message, then `verify` with its last.

    `binding` is the digest of the server's certificate (see `Certificate.end_point`), or empty for none.
    `final` takes about a second of processor time, by the number of iterations that the server asks for.
    """

    def __init__(
        self, name: str, password: str, binding: bytes = b"", *, random: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._password = password
        self._header = (f"p={_BINDING},," if binding else "n,,").encode()
        self._binding = binding
        self._nonce = random(NONCE_BYTES)
        escaped = name.replace("=", "=3D").replace(",", "=2C")
        self._first_bare = f"n={escaped},r={_encode(self._nonce)}"
        self._server_signature = b""

    def first(self) -> str:
        """The client's first message."""
        return self._header.decode() + self._first_bare

    def final(self, server_first: str) -> str:
        """The client's final message; raises `ScramError` for a server that must not be answered."""
        fields = _fields(server_first)
        nonce, salt = _decode(fields.get("r", "")), _decode(fields.get("s", ""))
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise ScramError("the server did not take up our nonce")
        if not salt:
            raise ScramError("the server sent no salt")
        count = fields.get("i", "")
        iterations = int(count) if count.isascii() and count.isdecimal() and len(count) < _DIGITS else 0
        if iterations not in _ITERATIONS:
            raise ScramError(f"the server asks for {count[:_DIGITS]!a} iterations")
        without_proof = f"c={_encode(self._header + self._binding)},r={_encode(nonce)}"
        try:
            message = f"{self._first_bare},{server_first},{without_proof}".encode()
        except UnicodeEncodeError:
            raise ScramError("the server's message is not Unicode") from None
        salted = hashlib.pbkdf2_hmac("sha512", self._password.encode(), salt, iterations)
        client_key = _mac(salted, b"Client Key")
        signature = _mac(hashlib.sha512(client_key).digest(), message)
        proof = bytes(one ^ other for one, other in zip(client_key, signature, strict=True))
        self._server_signature = _mac(_mac(salted, b"Server Key"), message)
        return f"{without_proof},p={_encode(proof)}"

    def verify(self, server_final: str) -> None:
        """Check that the server knows the key as well; raises `ScramError` if it does not."""
        shown = _decode(_fields(server_final).get("v", ""))
        if not self._server_signature or not hmac.compare_digest(shown, self._server_signature):
            raise ScramError("the server could not prove that it knows the API key")


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha512")


def _fields(message: str) -> dict[str, str]:
    return {part[0]: part[2:] for part in message.split(",") if part[1:2] == "="}


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ScramError("the server's message is not base64") from None
