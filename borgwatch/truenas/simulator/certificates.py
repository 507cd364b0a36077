"""Self-signed server certificates like those that TrueNAS makes for itself.

TrueNAS' own has CN=localhost, the SAN DNS:localhost, an RSA key of 2048 bits and 397 days to live, on every release.
"""

from __future__ import annotations

import functools
import hashlib
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Certificate", "default_certificate", "make_certificate"]

_LIFE = timedelta(days=397)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its private key."""

    pem: bytes
    der: bytes
    key_pem: bytes
    not_after: datetime

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER form, in lower-case hex."""
        return self.binding.hex()

    @property
    def binding(self) -> bytes:
        """The `tls-server-end-point` hash of RFC 5929; the certificates made here are signed with SHA-256."""
        return hashlib.sha256(self.der).digest()

    def server_context(self) -> ssl.SSLContext:
        """Return a TLS context that serves with the certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as directory:  # the ssl module loads keys from files only
            chain, key = Path(directory, "certificate.pem"), Path(directory, "key.pem")
            chain.write_bytes(self.pem)
            key.touch(mode=0o600)
            key.write_bytes(self.key_pem)
            context.load_cert_chain(chain, key)
        return context


def make_certificate(days_left: float = _LIFE.days, names: tuple[str, ...] = ("localhost",)) -> Certificate:
    """Make a certificate for names and addresses; `days_left` below 0 makes one that has expired."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    not_after = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days_left)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_after - _LIFE)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        pem=certificate.public_bytes(serialization.Encoding.PEM),
        der=certificate.public_bytes(serialization.Encoding.DER),
        key_pem=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        not_after=not_after,
    )


@functools.cache
def default_certificate() -> Certificate:
    """Return the certificate that simulators share within a process: making one takes a moment."""
    return make_certificate()


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
