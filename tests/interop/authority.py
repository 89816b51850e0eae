"""An authority that issues client certificates, good and bad ones, as files of a lab for openconnect."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .lab import Lab

DAY = dt.timedelta(days=1)
CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)

CN, UID, OU = "2.5.4.3", "0.9.2342.19200300.100.1.1", "2.5.4.11"
"""As cert-user-oid and cert-group-oid have them."""


@dataclass(frozen=True)
class Card:
    """A client's certificate and key, in files."""

    name: str
    cert_file: str
    key_file: str
    serial: int

    @property
    def words(self) -> tuple[str, str]:
        """openconnect's."""
        return f"--certificate={self.cert_file}", f"--sslkey={self.key_file}"


class Authority:
    """A CA of a lab. `parent`: it is an intermediate one of that."""

    def __init__(self, lab: Lab, name: str = "ca", parent: Authority | None = None) -> None:
        self._lab = lab
        self.name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = parent or self
        builder = _builder(self._subject, issuer._subject, self._key, DAY)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = builder.add_extension(basic, critical=True).sign(issuer._key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(Encoding.PEM).decode()
        self.file = lab.write(f"{name}.pem", self.pem)

    def issue(
        self,
        *users: str,
        uids: Sequence[str] = (),
        groups: Sequence[str] = (),
        emails: Sequence[str] = (),
        usage: Sequence[x509.ObjectIdentifier] = CLIENT,
        lasts: dt.timedelta = DAY,
        begins: dt.timedelta = -DAY,
        raw: bytes = b"",
        chain: str = "",
    ) -> Card:
        """A certificate with these common names, user ids, OUs and addresses. raw: stands instead of the common name,
        of as many bytes, in whatever coding. chain: PEM that is sent with it."""
        key = ec.generate_private_key(ec.SECP256R1())
        pairs = [(NameOID.COMMON_NAME, user) for user in users]
        pairs += [(NameOID.USER_ID, uid) for uid in uids]
        pairs += [(NameOID.ORGANIZATIONAL_UNIT_NAME, group) for group in groups]
        # A name of more than 64 characters breaks X.509's own bound, which is what a test wants.
        subject = x509.Name([x509.NameAttribute(oid, value, _validate=False) for oid, value in pairs])
        builder = _builder(subject, self._subject, key, lasts, begins)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        if emails:
            names = x509.SubjectAlternativeName([x509.RFC822Name(email) for email in emails])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        if raw:
            certificate = self._altered(certificate, users[0].encode(), raw)
        return self._write(certificate, key, chain)

    def _altered(self, certificate: x509.Certificate, name: bytes, raw: bytes) -> x509.Certificate:
        """With other bytes in its subject, signed again."""
        assert len(name) == len(raw)
        body = certificate.tbs_certificate_bytes.replace(name, raw)
        signature = self._key.sign(body, ec.ECDSA(hashes.SHA256()))
        ecdsa_with_sha256 = bytes.fromhex("300a06082a8648ce3d040302")
        return x509.load_der_x509_certificate(
            _tagged(0x30, body + ecdsa_with_sha256 + _tagged(0x03, b"\0" + signature))
        )

    def _write(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, chain: str) -> Card:
        name = f"{self.name}-{certificate.serial_number:x}"
        pem = certificate.public_bytes(Encoding.PEM).decode() + chain
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        cert_file = self._lab.write(f"{name}.cert", pem)
        return Card(name, cert_file, self._lab.write(f"{name}.key", secret), certificate.serial_number)

    def revoke(self, *cards: Card, lasts: dt.timedelta = DAY, file: str = "crl.pem") -> str:
        """A list of revoked certificates that is valid for so long; its path."""
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateRevocationListBuilder(self._subject, now - 2 * DAY, now + lasts)
        for card in cards:
            entry = x509.RevokedCertificateBuilder(card.serial, now - DAY)
            builder = builder.add_revoked_certificate(entry.build())
        return self._lab.write(file, builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM).decode())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    lasts: dt.timedelta,
    begins: dt.timedelta = -DAY,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    serial = x509.random_serial_number()
    return x509.CertificateBuilder(issuer, subject, key.public_key(), serial, now + begins, now + lasts)


def _tagged(tag: int, content: bytes) -> bytes:
    """DER; more than 127 bytes of content have their length in two more."""
    if len(content) < 128:
        return bytes((tag, len(content))) + content
    return bytes((tag, 0x82)) + len(content).to_bytes(2, "big") + content
