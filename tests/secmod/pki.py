"""Keys and certificates for the tests, made once."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

KINDS = ("rsa", "p256", "p384", "p521", "ed25519")
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vpn.example")])
_DIGESTS: dict[str, hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512] = {
    "SHA224": hashes.SHA224(),
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}
_FROM = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@cache
def key(kind: str) -> Key:
    """One key of each kind."""
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    if kind in curves:
        return ec.generate_private_key(curves[kind])
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ed448":
        return ed448.Ed448PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048)


def key_pem(kind: str, pin: bytes | None = None, *, old: bool = False) -> bytes:
    """As a file; `old` is the form of OpenSSL before PKCS #8, whose encryption stands in the head."""
    form = serialization.PrivateFormat.TraditionalOpenSSL if old else serialization.PrivateFormat.PKCS8
    lock = serialization.BestAvailableEncryption(pin) if pin else serialization.NoEncryption()
    return key(kind).private_bytes(serialization.Encoding.PEM, form, lock)


def pem_of(some_key: Key) -> bytes:
    """As a file that is not encrypted."""
    return some_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@cache
def certificate_pem(kind: str, digest: str = "SHA256") -> bytes:
    """Its self-signed certificate."""
    signer = key(kind)
    built = (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(signer.public_key())
        .serial_number(1)
        .not_valid_before(_FROM)
        .not_valid_after(_FROM + dt.timedelta(days=36500))
        .sign(signer, None if kind.startswith("ed") else _DIGESTS[digest])
    )
    return built.public_bytes(serialization.Encoding.PEM)


def write_pair(folder: Path, kind: str, pin: bytes | None = None) -> tuple[str, str]:
    """Key and certificate as files: their paths."""
    key_file, certificate_file = folder / f"{kind}-key.pem", folder / f"{kind}-cert.pem"
    key_file.write_bytes(key_pem(kind, pin))
    certificate_file.write_bytes(certificate_pem(kind))
    return str(key_file), str(certificate_file)
