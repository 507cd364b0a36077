"""Which certificate is trusted: the decision (pure), and the TLS context that goes with it.

TrueNAS makes its own certificate by default: self-signed, for `localhost`, valid for 397 days and renewed when
fewer than five are left. So a certificate that fits no authority is the normal case at home, and what protects the
key then is to know the certificate: by file, by fingerprint, or by having seen it before (`pin`).
"""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.x509 import Certificate as Read

__all__ = ["Certificate", "Pin", "PinVerdict", "ends_soon", "judge_pin", "pin_of", "tls_context"]

RENEWAL_WINDOW = timedelta(days=7)
"""How long before its end a pinned certificate may give way to another: TrueNAS renews in the last five days."""

ANNOUNCED_BEFORE = timedelta(days=21)
"""How long before its end a certificate is spoken of: time to act before TrueNAS renews its own."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that a server showed: its fingerprint (SHA-256, hex) and its last moment.

    `end_point` is the digest that ties a login to it (`tls-server-end-point`, RFC 5929 section 4.1).
    """

    fingerprint: str
    not_after: datetime
    end_point: bytes = b""

    @classmethod
    def from_der(cls, der: bytes) -> Certificate:
        """Read a certificate in DER; raises ValueError for anything else."""
        from cryptography import x509  # noqa: PLC0415 - 8 MB, for those who speak TLS

        try:
            read = x509.load_der_x509_certificate(der)
            return cls(sha256(der).hexdigest(), read.not_valid_after_utc, _end_point(read, der))
        except x509.InvalidVersion as error:
            raise ValueError(str(error)) from None


def _end_point(certificate: Read, der: bytes) -> bytes:
    """Digest a certificate with the algorithm of its signature, or with SHA-256 where that is too weak or unknown."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - as above

    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    name = algorithm.name if algorithm is not None else "sha256"
    return hashlib.new(name if name in ("sha384", "sha512", "sha224") else "sha256", der).digest()


@dataclass(frozen=True, slots=True)
class Pin:
    """A certificate that was trusted when it was seen first."""

    fingerprint: str
    not_after: datetime
    seen: datetime


class PinVerdict(Enum):
    """What a certificate means when another may be pinned."""

    FIRST = auto()
    SAME = auto()
    RENEWED = auto()
    REFUSED = auto()


def judge_pin(pinned: Pin | None, shown: Certificate, now: datetime) -> PinVerdict:
    """Compare the certificate shown with the one pinned.

    Another certificate is taken only in the last days of the pinned one, when TrueNAS makes a new one by itself.
    """
    if pinned is None:
        return PinVerdict.FIRST
    if pinned.fingerprint == shown.fingerprint:
        return PinVerdict.SAME
    in_window = pinned.not_after - RENEWAL_WINDOW <= now <= pinned.not_after
    return PinVerdict.RENEWED if in_window else PinVerdict.REFUSED


def ends_soon(shown: Certificate, now: datetime) -> bool:
    """Say whether a certificate should be spoken of before it ends."""
    return shown.not_after - now < ANNOUNCED_BEFORE


def pin_of(shown: Certificate, now: datetime) -> Pin:
    """Make a pin of a certificate."""
    return Pin(shown.fingerprint, shown.not_after, now.astimezone(UTC))


def tls_context(*, verify: bool, ca_file: Path | None) -> ssl.SSLContext:
    """Make a client context: verified by the system's authorities or by `ca_file`, or not at all.

    Raises OSError or ssl.SSLError where `ca_file` cannot be used.
    """
    if verify:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    else:  # without the authorities: they are not asked, and take 3 MB and most of the time of connecting
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
