"""Server keys and self-signed certificates of every kind that the server can serve."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import os
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_CURVES = {"ECDSA": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def make_certificate(folder: str, kind: str) -> tuple[str, str]:
    """Write key.pem and cert.pem of "ECDSA" (P-256), "P-384", "P-521", "RSA", "RSA-PSS" or "ED25519" to `folder`;
    their paths."""
    key_file, cert_file = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
    if kind == "RSA-PSS":
        _make_rsa_pss(key_file, cert_file)
        return key_file, cert_file
    key = _make_key(kind)
    with open(key_file, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with open(cert_file, "wb") as file:
        file.write(_self_signed(key).public_bytes(Encoding.PEM))
    return key_file, cert_file


def pin_of(cert_file: str) -> str:
    """openconnect's --servercert: SHA-256 of the public key (RFC 7469)."""
    # Not by `cryptography`, which turns an RSA-PSS key into an RSA key.
    pem = subprocess.run(
        ["openssl", "x509", "-in", cert_file, "-pubkey", "-noout"], check=True, capture_output=True, timeout=60
    ).stdout
    info = base64.b64decode(b"".join(pem.splitlines()[1:-1]))
    return "pin-sha256:" + base64.b64encode(hashlib.sha256(info).digest()).decode()


def _make_key(kind: str) -> PrivateKey:
    if kind == "RSA":
        return rsa.generate_private_key(65537, 2048)
    if kind == "ED25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(_CURVES[kind])


def _self_signed(key: PrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vpn.example")])
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    names = x509.SubjectAlternativeName([x509.DNSName("vpn.example")])
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.add_extension(names, critical=False).sign(key, digest)


def _make_rsa_pss(key_file: str, cert_file: str) -> None:
    """A key that may be used for RSA-PSS alone; `cryptography` cannot write one."""
    for words in (
        ["genpkey", "-quiet", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key_file],
        [
            "req",
            "-x509",
            "-new",
            "-key",
            key_file,
            "-sha256",
            "-subj",
            "/CN=vpn.example",
            "-days",
            "2",
            "-out",
            cert_file,
        ],
    ):
        subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)
