"""Which certificate is trusted; and that nothing is sent to one that is not."""

from __future__ import annotations

import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from borgwatch.truenas.connection import Trust
from borgwatch.truenas.errors import NotTrusted, Verdict
from borgwatch.truenas.session import open_session
from borgwatch.truenas.simulator import Simulator, default_certificate, make_certificate
from borgwatch.truenas.trust import Certificate, Pin, PinVerdict, judge_pin, tls_context
from tests.truenas.world import Pins, Stub, Told, login_at, now

END = datetime(2027, 1, 31, 12, 0, tzinfo=UTC)
PINNED = Pin("a" * 64, END, END - timedelta(days=397))
SAME, OTHER = Certificate("a" * 64, END), Certificate("b" * 64, END + timedelta(days=390))


@pytest.mark.parametrize(
    ("pinned", "shown", "left", "verdict"),
    [
        # pinned, shown, time left until the pinned one ends: what follows
        (None, OTHER, timedelta(days=300), PinVerdict.FIRST),
        (None, OTHER, timedelta(days=-300), PinVerdict.FIRST),
        (PINNED, SAME, timedelta(days=300), PinVerdict.SAME),
        (PINNED, SAME, timedelta(days=3), PinVerdict.SAME),
        (PINNED, SAME, timedelta(days=-3), PinVerdict.SAME),
        (PINNED, OTHER, timedelta(days=300), PinVerdict.REFUSED),
        (PINNED, OTHER, timedelta(days=7, seconds=1), PinVerdict.REFUSED),
        (PINNED, OTHER, timedelta(days=7), PinVerdict.RENEWED),
        (PINNED, OTHER, timedelta(days=5), PinVerdict.RENEWED),
        (PINNED, OTHER, timedelta(0), PinVerdict.RENEWED),
        (PINNED, OTHER, timedelta(seconds=-1), PinVerdict.REFUSED),
        (PINNED, OTHER, timedelta(days=-300), PinVerdict.REFUSED),
    ],
)
def test_judge_pin(pinned: Pin | None, shown: Certificate, left: timedelta, verdict: PinVerdict) -> None:
    assert judge_pin(pinned, shown, END - left) is verdict


def test_a_certificate_is_read() -> None:
    made = make_certificate(days_left=10)

    assert Certificate.from_der(made.der) == Certificate(made.fingerprint, made.not_after, made.binding)


RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PSS = padding.PSS(padding.MGF1(hashes.SHA384()), padding.PSS.DIGEST_LENGTH)


@pytest.mark.parametrize(
    ("key", "algorithm", "padded", "digest"),
    [
        (RSA, hashes.SHA256(), None, "sha256"),
        (RSA, hashes.SHA224(), None, "sha224"),
        (RSA, hashes.SHA384(), None, "sha384"),
        (RSA, hashes.SHA512(), None, "sha512"),
        (RSA, hashes.SHA384(), PSS, "sha384"),
        (RSA, hashes.SHA3_384(), None, "sha256"),
        (ec.generate_private_key(ec.SECP384R1()), hashes.SHA512(), None, "sha512"),
        (ed25519.Ed25519PrivateKey.generate(), None, None, "sha256"),
    ],
)
def test_the_end_point_is_digested_as_the_certificate_was_signed(
    key: Any, algorithm: Any, padded: Any, digest: str
) -> None:
    """RFC 5929, section 4.1."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, END - timedelta(days=397), END)
    der = builder.sign(key, algorithm, rsa_padding=padded).public_bytes(serialization.Encoding.DER)

    assert Certificate.from_der(der).end_point == hashlib.new(digest, der).digest()


_WEAK = [hashes.MD5(), hashes.SHA1()]  # noqa: S303 - named so that they are not used


@pytest.mark.parametrize("weak", [*_WEAK, UnsupportedAlgorithm("unknown")])
def test_the_end_point_is_never_digested_weakly(weak: Any) -> None:
    """Such certificates can no longer be made; the digest of their signature must be read, though."""
    made = default_certificate()
    shown = mock.Mock(not_valid_after_utc=made.not_after)
    signed = {"side_effect": weak} if isinstance(weak, Exception) else {"return_value": weak}
    type(shown).signature_hash_algorithm = mock.PropertyMock(**signed)
    with mock.patch.object(x509, "load_der_x509_certificate", return_value=shown):
        assert Certificate.from_der(made.der).end_point == made.binding


@pytest.mark.parametrize("der", [b"", b"not a certificate", b"\x30\x03\x02\x01\x05"])
def test_what_is_no_certificate_is_refused(der: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Certificate.from_der(der)


def test_a_certificate_of_an_impossible_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library has an exception of its own for it, which is no ValueError."""

    def load(_: bytes) -> None:
        raise x509.InvalidVersion("2 is not a valid X509 version", 2)

    monkeypatch.setattr(x509, "load_der_x509_certificate", load)

    with pytest.raises(ValueError, match="version"):
        Certificate.from_der(b"")


def test_authorities_are_read_only_where_they_are_asked() -> None:
    """They take memory and most of the time of connecting."""
    assert tls_context(verify=False, ca_file=None).cert_store_stats()["x509"] == 0


def test_no_context_speaks_old_tls() -> None:
    for verify in (True, False):
        assert tls_context(verify=verify, ca_file=None).minimum_version is ssl.TLSVersion.TLSv1_2


async def _refused(nas: Simulator, trust: Trust, *, url: str | None = None) -> str:
    """Try to open a session, which must fail with nothing sent; returns the message."""
    with pytest.raises(NotTrusted) as caught:
        await open_session(login_at(url or nas.url, trust=trust), now, on_pin=Told())
    assert caught.value.verdict is Verdict.USER
    assert nas.calls == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def _let_in(nas: Simulator, trust: Trust) -> Told:
    told = Told()
    session = await open_session(login_at(nas.url, trust=trust), now, on_pin=told)
    await session.connection.close()
    assert session.is_full_admin
    return told


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    """TrueNAS' own certificate, exported."""
    path = tmp_path / "truenas.pem"
    path.write_bytes(default_certificate().pem)
    return path


async def test_the_own_certificate_is_refused_by_the_systems_authorities_with_remedies() -> None:
    async with Simulator() as nas:
        message = await _refused(nas, Trust())

    assert "self-signed" in message or "self signed" in message
    for remedy in ("NOTIFY_TRUENAS_VERIFY_SSL=pin", "NOTIFY_TRUENAS_FINGERPRINT", "NOTIFY_TRUENAS_CA_FILE"):
        assert remedy in message


async def test_the_exported_certificate_with_the_name_in_it_is_accepted(ca_file: Path) -> None:
    async with Simulator() as nas:
        await _let_in(nas, Trust(ca_file=ca_file, server_name="localhost"))


async def test_a_name_that_is_not_in_the_certificate_is_refused_with_the_remedy(ca_file: Path) -> None:
    async with Simulator() as nas:
        message = await _refused(nas, Trust(ca_file=ca_file))

    assert "not valid for '127.0.0.1'" in message
    assert "NOTIFY_TRUENAS_SERVER_NAME" in message


async def test_another_certificate_than_the_exported_one_is_refused(ca_file: Path) -> None:
    async with Simulator(certificate=make_certificate()) as nas:
        await _refused(nas, Trust(ca_file=ca_file, server_name="localhost"))


async def test_an_expired_certificate_is_refused_and_called_so(tmp_path: Path) -> None:
    expired = make_certificate(days_left=-1)
    (tmp_path / "old.pem").write_bytes(expired.pem)
    async with Simulator(certificate=expired) as nas:
        message = await _refused(nas, Trust(ca_file=tmp_path / "old.pem", server_name="localhost"))

    assert "expired" in message


@pytest.mark.parametrize(
    "content", [None, b"", b"rubbish", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
async def test_a_certificate_file_that_cannot_be_used_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    async with Simulator() as nas:
        assert str(path) in await _refused(nas, Trust(ca_file=path))


async def test_the_right_fingerprint_is_accepted() -> None:
    async with Simulator() as nas:
        await _let_in(nas, Trust(verify=False, fingerprint=nas.fingerprint))


async def test_a_wrong_fingerprint_is_refused_and_names_the_yearly_renewal() -> None:
    async with Simulator() as nas:
        message = await _refused(nas, Trust(verify=False, fingerprint=make_certificate().fingerprint))

    assert nas.fingerprint in message
    assert "once a year" in message
    assert "NOTIFY_TRUENAS_FINGERPRINT" in message


async def test_a_fingerprint_beside_verification_is_asked_for_too(ca_file: Path) -> None:
    async with Simulator() as nas:
        await _refused(nas, Trust(ca_file=ca_file, server_name="localhost", fingerprint="0" * 64))
        await _let_in(nas, Trust(ca_file=ca_file, server_name="localhost", fingerprint=nas.fingerprint))


async def test_without_verification_any_certificate_is_accepted() -> None:
    async with Simulator(certificate=make_certificate(days_left=-1)) as nas:
        await _let_in(nas, Trust(verify=False))


async def test_the_first_certificate_is_pinned_and_told_once() -> None:
    pins = Pins()
    async with Simulator() as nas:
        assert (await _let_in(nas, Trust(verify=False, pins=pins))).verdicts == [PinVerdict.FIRST]
        assert (await _let_in(nas, Trust(verify=False, pins=pins))).verdicts == []

        [(host, pin)] = pins.kept.items()
        assert host == nas.url.removeprefix("wss://")
        assert (pin.fingerprint, pin.not_after) == (nas.fingerprint, nas.certificate.not_after)


async def test_another_certificate_on_the_same_port_is_refused() -> None:
    """Somebody in between: not a byte goes to them."""
    pins = Pins()
    async with Simulator() as nas:
        await _let_in(nas, Trust(verify=False, pins=pins))
        port = int(nas.url.rpartition(":")[2])
    before = dict(pins.kept)
    async with Simulator(port=port, certificate=make_certificate()) as other:
        message = await _refused(other, Trust(verify=False, pins=pins))

    assert other.fingerprint in message
    assert "NOTIFY_TRUENAS_FINGERPRINT" in message
    assert pins.kept == before


async def test_a_renewed_certificate_is_pinned_and_told() -> None:
    """TrueNAS makes a new one in the last five days of the old."""
    pins = Pins()
    async with Simulator(certificate=make_certificate(days_left=4)) as nas:
        await _let_in(nas, Trust(verify=False, pins=pins))
        port = int(nas.url.rpartition(":")[2])
    async with Simulator(port=port, certificate=make_certificate()) as renewed:
        assert (await _let_in(renewed, Trust(verify=False, pins=pins))).verdicts == [PinVerdict.RENEWED]
        assert [pin.fingerprint for pin in pins.kept.values()] == [renewed.fingerprint]
    async with Simulator(port=port, certificate=make_certificate(days_left=4)) as old:
        await _refused(old, Trust(verify=False, pins=pins))


async def test_pins_of_different_hosts_do_not_mix() -> None:
    pins = Pins()
    async with Simulator() as one, Simulator(certificate=make_certificate()) as other:
        for nas in (one, other, one, other):
            await _let_in(nas, Trust(verify=False, pins=pins))

    assert len(pins.kept) == 2


async def test_a_pin_is_kept_before_the_key_goes_out() -> None:
    """If it cannot be kept, the key stays."""

    class Full(Pins):
        def set_pin(self, host: str, pin: Pin) -> None:
            raise OSError(28, "No space left on device", f"{host}-{pin.fingerprint}")

    async with Simulator() as nas:
        with pytest.raises(OSError, match="No space left"):
            await open_session(login_at(nas.url, trust=Trust(verify=False, pins=Full())), now, on_pin=Told())

        assert nas.calls == []
        await nas.changed(lambda nas: nas.connections == 0)


@pytest.mark.parametrize("name", ["nas..lan", ".lan", "x" * 64 + ".lan", "x." * 130, "a b", "\0a"])
async def test_a_server_name_that_cannot_be_is_refused_and_named(name: str, ca_file: Path) -> None:
    async with Simulator() as nas:
        message = await _refused(nas, Trust(ca_file=ca_file, server_name=name))

    assert "NOTIFY_TRUENAS_SERVER_NAME" in message


async def test_connections_to_those_not_trusted_are_closed() -> None:
    async with Stub() as stub:
        for trust in (Trust(), Trust(verify=False, fingerprint="0" * 64)):
            with pytest.raises(NotTrusted):
                await open_session(login_at(stub.url, trust=trust), now, on_pin=Told())

        assert stub.calls == []
