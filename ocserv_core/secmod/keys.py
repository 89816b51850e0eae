"""The private keys of the virtual hosts. They are loaded here and leave this process in no form.

`sign` knows a closed table of algorithms; raw RSA, which would sign anything, is not in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from ..errors import ConfigError

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

MAX_FILE = 1024 * 1024

_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "SHA1": hashes.SHA1(),  # noqa: S303 (TLS 1.2 clients that know no better; the priorities decide)
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}


class KeyRefused(Exception):
    """A request that the keys do not serve: unknown key or algorithm, or a digest of the wrong length."""


def _sign_pkcs1(key: PrivateKey, digest: str, data: bytes) -> bytes:
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyRefused("not an RSA key")
    return key.sign(data, padding.PKCS1v15(), utils.Prehashed(_HASHES[digest]))


def _sign_pss(key: PrivateKey, digest: str, data: bytes) -> bytes:
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyRefused("not an RSA key")
    algorithm = _HASHES[digest]
    salted = padding.PSS(padding.MGF1(algorithm), padding.PSS.DIGEST_LENGTH)
    return key.sign(data, salted, utils.Prehashed(algorithm))


def _sign_ecdsa(key: PrivateKey, digest: str, data: bytes) -> bytes:
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyRefused("not an elliptic-curve key")
    return key.sign(data, ec.ECDSA(utils.Prehashed(_HASHES[digest])))


def _sign_ed25519(key: PrivateKey, _digest: str, data: bytes) -> bytes:
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise KeyRefused("not an Ed25519 key")
    return key.sign(data)


_SIGNERS: Mapping[str, Callable[[PrivateKey, str, bytes], bytes]] = {
    "RSA-PKCS1": _sign_pkcs1,
    "RSA-PSS": _sign_pss,
    "ECDSA": _sign_ecdsa,
    "ED25519": _sign_ed25519,
}

ALGORITHMS: Mapping[str, tuple[str, str]] = {
    **{f"{family}-{digest}": (family, digest) for family in ("RSA-PKCS1", "ECDSA") for digest in _HASHES},
    **{f"RSA-PSS-{digest}": ("RSA-PSS", digest) for digest in ("SHA256", "SHA384", "SHA512")},
    "ED25519": ("ED25519", ""),
}
"""Every name that a Sign may carry → its family and its digest."""


class KeyRing:
    """The keys of one vhost, numbered in the order of its `server-key` lines."""

    def __init__(self, keys: Sequence[PrivateKey]) -> None:
        self._keys = tuple(keys)

    def sign(self, number: int, algorithm: str, data: bytes) -> bytes:
        """A signature over a digest (over the whole text for Ed25519). KeyRefused where it cannot be."""
        if algorithm not in ALGORITHMS:
            raise KeyRefused(f"unknown algorithm '{algorithm}'")
        family, digest = ALGORITHMS[algorithm]
        try:
            return _SIGNERS[family](self._key(number), digest, data)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyRefused(f"{algorithm}: {error}") from None

    def decrypt(self, number: int, data: bytes) -> bytes:
        """An RSA premaster secret. A wrong padding gives random bytes, not an error (implicit rejection)."""
        key = self._key(number)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise KeyRefused("not an RSA key")
        try:
            return key.decrypt(data, padding.PKCS1v15())
        except ValueError as error:
            raise KeyRefused(f"decryption: {error}") from None

    def _key(self, number: int) -> PrivateKey:
        if not 0 <= number < len(self._keys):
            raise KeyRefused(f"there is no key {number}")
        return self._keys[number]


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a key lies, which certificate it must match, and the lines that say so (for errors)."""

    key_path: str
    certificate_path: str
    file: str
    line: int
    certificate_line: int


def load_key(source: KeySource, pin: bytes | None) -> PrivateKey:
    """Read and check one key. ConfigError: unreadable, wrong PIN, unknown kind, or another certificate's key."""
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


def read_pin(path: str, file: str, line: int) -> bytes:
    """The first line of a pin-file."""
    try:
        with open(path, "rb") as handle:
            pin = handle.readline(512).rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(f"cannot read the pin-file '{path}': {error.strerror}", file, line) from None
    if not pin:
        raise ConfigError(f"the pin-file '{path}' is empty", file, line)
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
