"""Keys and certificates for tests, and a Signer that holds the keys as secmod would."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.x509 import ocsp

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}

DAY = dt.timedelta(days=1)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


@functools.cache
def make_key(kind: str) -> Key:
    """ "RSA", "P-256", "P-384", "P-521", "ED25519"."""
    if kind == "RSA":
        return rsa.generate_private_key(65537, 2048)
    if kind == "ED25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(CURVES[kind])


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(encoding, form, serialization.NoEncryption())


def _digest(key: Key) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def issue(
    name: str | Sequence[tuple[x509.ObjectIdentifier, str]],
    kind: str = "P-256",
    *,
    by: Issued | None = None,
    ca: bool = False,
    emails: Sequence[str] = (),
    days: int = 1,
) -> Issued:
    """A certificate for `name` (a common name, or attributes), signed by `by` or by itself."""
    key = make_key(kind)
    attributes = [(x509.NameOID.COMMON_NAME, name)] if isinstance(name, str) else name
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - 2 * DAY)
        .not_valid_after(now() + days * DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if emails:
        names: list[x509.GeneralName] = [x509.DNSName("host.example"), *map(x509.RFC822Name, emails)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signing_key = by.key if by else key
    return Issued(builder.sign(signing_key, _digest(signing_key)), key)


def crl_of(ca: Issued, *revoked: Issued, encoding: serialization.Encoding = serialization.Encoding.PEM) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(ca.certificate.subject)
    builder = builder.last_update(now() - DAY).next_update(now() + DAY)
    for issued in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(issued.certificate.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(now() - DAY).build())
    return builder.sign(ca.key, _digest(ca.key)).public_bytes(encoding)


def ocsp_response(leaf: Issued, ca: Issued, *, age: dt.timedelta = DAY) -> bytes:
    """“good” for `leaf`, in DER, as it was said so long ago."""
    builder = ocsp.OCSPResponseBuilder().add_response(
        leaf.certificate,
        ca.certificate,
        hashes.SHA256(),
        ocsp.OCSPCertStatus.GOOD,
        now() - age,
        now() + DAY,
        None,
        None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, ca.certificate)
    return builder.sign(ca.key, _digest(ca.key)).public_bytes(serialization.Encoding.DER)


class KeyHolder:
    """A Signer with the keys in hand; `asked` records what it was asked for."""

    def __init__(self, *keys: Key) -> None:
        self.keys = keys
        self.asked: list[tuple[str, int, str]] = []

    def sign(self, vhost: str, key: int, algorithm: str, data: bytes) -> bytes:
        self.asked.append((vhost, key, algorithm))
        return sign_with(self.keys[key], algorithm, data)

    def decrypt(self, vhost: str, key: int, data: bytes) -> bytes:
        self.asked.append((vhost, key, "decrypt"))
        private = self.keys[key]
        assert isinstance(private, rsa.RSAPrivateKey)
        return private.decrypt(data, padding.PKCS1v15())


def sign_with(key: Key, algorithm: str, data: bytes) -> bytes:
    """What secmod's table of algorithms says."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        assert algorithm == "ED25519"
        return key.sign(data)
    digest: hashes.HashAlgorithm = {
        "SHA1": hashes.SHA1(),
        "SHA256": hashes.SHA256(),
        "SHA384": hashes.SHA384(),
        "SHA512": hashes.SHA512(),
    }[algorithm.rsplit("-", 1)[1]]
    assert len(data) == digest.digest_size
    if isinstance(key, ec.EllipticCurvePrivateKey):
        assert algorithm.startswith("ECDSA-")
        return key.sign(data, ec.ECDSA(utils.Prehashed(digest)))
    if algorithm.startswith("RSA-PSS-"):
        pss = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
        return key.sign(data, pss, utils.Prehashed(digest))
    assert algorithm.startswith("RSA-PKCS1-")
    return key.sign(data, padding.PKCS1v15(), utils.Prehashed(digest))
