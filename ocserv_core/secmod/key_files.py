"""A `server-key` opened, in its file or in its token, and matched to its certificate: before anything changes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from ..errors import ConfigError
from ..system.token_keys import TokenFailure, TokenKey, is_token_url, without_pin
from .keys import AnyKey, PrivateKey

MAX_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a key lies, which certificate it must match, and the lines that say so (for errors)."""

    key_path: str
    certificate_path: str
    file: str
    line: int
    certificate_line: int


@dataclass(frozen=True, slots=True)
class Pins:
    """What opens the keys of a vhost: the PIN or password of a key, and that of a TPM's storage root key."""

    key: bytes | None = field(default=None, repr=False)
    srk: bytes | None = field(default=None, repr=False)


def load_key(source: KeySource, pins: Pins) -> AnyKey:
    """Open and check one key. ConfigError: it is not there, wrong PIN, unknown kind, or another certificate's key."""
    return _open_in_token(source, pins) if is_token_url(source.key_path) else _load_file(source, pins.key)


def _open_in_token(source: KeySource, pins: Pins) -> TokenKey:
    """Its public half may not be in the token, and so a signature proves that it is the certificate's."""
    url = without_pin(source.key_path)
    try:
        key = TokenKey(source.key_path, pins.key, pins.srk)
        if key.kind not in _PROOFS:
            raise _fault(source, f"'{url}' is not an RSA, ECDSA or Ed25519 key")
        proven = _proves(key, _certificate(source))
    except TokenFailure as failure:
        raise _fault(source, f"cannot use the key '{url}': {failure}") from None
    if not proven:
        raise _fault(source, f"the key '{url}' does not belong to '{source.certificate_path}'")
    return key


_PROOFS: Mapping[str, str] = {"rsa": "RSA-PKCS1", "ecdsa": "ECDSA", "ed25519": "ED25519"}


def _proves(key: TokenKey, certificate: x509.Certificate) -> bool:
    """Whether a signature of the key is one by the certificate's."""
    signature = key.sign(_PROOFS[key.kind], "SHA256" if key.kind != "ed25519" else "", _PROOF_DIGEST)
    digested = utils.Prehashed(hashes.SHA256())
    public = certificate.public_key()
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, _PROOF_DIGEST, padding.PKCS1v15(), digested)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, _PROOF_DIGEST, ec.ECDSA(digested))
        elif isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, _PROOF_DIGEST)
        else:
            return False
    except InvalidSignature:
        return False
    return True


_PROOF_DIGEST = hashlib.sha256(b"").digest()


def _load_file(source: KeySource, pin: bytes | None) -> PrivateKey:
    data = _read(source, source.key_path)
    try:
        # Whether p and q are primes is not looked at (tens of milliseconds each key): below it shows that it signs.
        key = serialization.load_pem_private_key(
            data, pin if b"ENCRYPTED" in data else None, unsafe_skip_rsa_key_validation=True
        )
    except TypeError:
        raise _fault(source, f"'{source.key_path}' is encrypted; give its PIN with pin-file") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _fault(source, f"cannot load the key '{source.key_path}': {_first_line(error)}") from None
    if not isinstance(key, PrivateKey):
        raise _fault(source, f"'{source.key_path}' is not an RSA, ECDSA or Ed25519 key")
    if _public(key.public_key()) != _certified(_certificate(source)):
        raise _fault(source, f"the key '{source.key_path}' does not belong to '{source.certificate_path}'")
    if not _signs(key):
        raise _fault(source, f"the key '{source.key_path}' is damaged: its signatures are wrong")
    return key


def _signs(key: PrivateKey) -> bool:
    """Whether an RSA key's private half fits its public one. The others' public half is computed when they load."""
    if not isinstance(key, rsa.RSAPrivateKey):
        return True
    scheme, digest = padding.PKCS1v15(), hashes.SHA256()
    try:
        key.public_key().verify(key.sign(b"", scheme, digest), b"", scheme, digest)
    except (InvalidSignature, ValueError):
        return False
    return True


def end_point_of(source: KeySource) -> bytes:
    """tls-server-end-point (RFC 5929 4.1) of a key's certificate: its hash by the algorithm that signed it, by SHA-256
    where that is weaker. For Ed25519, of which the RFC does not know, SHA-512 as GnuTLS has it. ConfigError."""
    certificate = _certificate(source)
    try:
        signed_by = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        signed_by = hashes.SHA256()
    if signed_by is None:
        signed_by = hashes.SHA512()
    weak = signed_by.digest_size < hashes.SHA256.digest_size
    return certificate.fingerprint(hashes.SHA256() if weak else signed_by)


def read_pin(path: str, file: str, line: int, name: str = "pin-file") -> bytes:
    """The first line of a pin-file, or of the option `name`."""
    try:
        with open(path, "rb") as handle:
            pin = handle.readline(512).rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(f"cannot read the {name} '{path}': {error.strerror}", file, line) from None
    if not pin:
        raise ConfigError(f"the {name} '{path}' is empty", file, line)
    return pin


def _certificate(source: KeySource) -> x509.Certificate:
    path = source.certificate_path
    at = replace(source, line=source.certificate_line)
    try:
        return x509.load_pem_x509_certificate(_read(at, path))
    except ValueError as error:
        raise _fault(at, f"cannot load the certificate '{path}': {_first_line(error)}") from None


def _certified(certificate: x509.Certificate) -> bytes:
    try:
        return _public(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return b""


def _public(key: object) -> bytes:
    """The key's numbers alone: an RSA-PSS certificate's parameters are not part of its private key. Nothing for a
    kind of key that is not served."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return f"{numbers.n:x}:{numbers.e:x}".encode()
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        return b""
    encoding = serialization.Encoding.DER
    return key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def _read(source: KeySource, path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as handle:
            return handle.read(MAX_FILE)
    except OSError as error:
        raise _fault(source, f"cannot read '{path}': {error.strerror}") from None


def _fault(source: KeySource, text: str) -> ConfigError:
    return ConfigError(text, source.file, source.line)


def _first_line(error: Exception) -> str:
    """Without the library's advice to programmers ("See https://cryptography.io/…")."""
    return str(error).partition("\n")[0].partition(". See http")[0] or type(error).__name__
