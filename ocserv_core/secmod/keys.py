"""The private keys of the virtual hosts, at work: in secmod, and in its signers (signer.py), whom nobody else gives
them to.

`sign` knows a closed table of algorithms; raw RSA, which would sign anything, is not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from ..ipc.messages import Decrypt, Sign, SignerKey
from ..system.token_keys import TokenFailure, TokenKey

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
AnyKey = PrivateKey | TokenKey

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


_TOKEN_KINDS = {"RSA-PKCS1": "rsa", "RSA-PSS": "rsa", "ECDSA": "ecdsa", "ED25519": "ed25519"}


class KeyRing:
    """The keys of one vhost, numbered in the order of its `server-key` lines."""

    def __init__(self, keys: Sequence[AnyKey]) -> None:
        self._keys = tuple(keys)

    def sign(self, number: int, algorithm: str, data: bytes) -> bytes:
        """A signature over a digest (over the whole text for Ed25519). KeyRefused where it cannot be."""
        if algorithm not in ALGORITHMS:
            raise KeyRefused(f"unknown algorithm '{algorithm}'")
        family, digest = ALGORITHMS[algorithm]
        key = self._key(number)
        try:
            if isinstance(key, TokenKey):
                return _sign_in_token(key, family, digest, data)
            return _SIGNERS[family](key, digest, data)
        except (ValueError, UnsupportedAlgorithm, TokenFailure) as error:
            raise KeyRefused(f"{algorithm}: {error}") from None

    def decrypt(self, number: int, data: bytes) -> bytes:
        """An RSA premaster secret. A wrong padding gives random bytes, not an error (implicit rejection)."""
        key = self._key(number)
        if isinstance(key, TokenKey) and key.kind == "rsa":
            return key.decrypt(data)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise KeyRefused("not an RSA key")
        try:
            return key.decrypt(data, padding.PKCS1v15())
        except ValueError as error:
            raise KeyRefused(f"decryption: {error}") from None

    def in_token(self, number: int) -> bool:
        """Whether this key takes as long as its token takes."""
        return 0 <= number < len(self._keys) and isinstance(self._keys[number], TokenKey)

    @property
    def has_tokens(self) -> bool:
        """Whether one of them does."""
        return any(isinstance(key, TokenKey) for key in self._keys)

    def files(self) -> list[tuple[int, PrivateKey]]:
        """Those that are not in a token, with their numbers."""
        return [(number, key) for number, key in enumerate(self._keys) if not isinstance(key, TokenKey)]

    def export(self) -> tuple[SignerKey, ...]:
        """For a signer."""
        return tuple(_export(key) for key in self._keys)

    @classmethod
    def of(cls, exported: Sequence[SignerKey]) -> KeyRing:
        """What `export` gave, in another process. TokenFailure."""
        return cls([_import(key) for key in exported])

    def _key(self, number: int) -> AnyKey:
        if not 0 <= number < len(self._keys):
            raise KeyRefused(f"there is no key {number}")
        return self._keys[number]


def use_key(rings: Mapping[str, KeyRing], asked: Sign | Decrypt) -> tuple[bytes, str]:
    """What a worker asks for; or nothing, and why it was refused."""
    ring = rings.get(asked.vhost)
    if ring is None:
        return b"", "unknown vhost"
    try:
        if isinstance(asked, Sign):
            return ring.sign(asked.key, asked.algorithm, asked.data), ""
        return ring.decrypt(asked.key, asked.data), ""
    except KeyRefused as refusal:
        return b"", str(refusal)


def rehearse(rings: Mapping[str, KeyRing]) -> None:
    """Use a key of each kind in all ways: the library imports some of itself only then, which a process that sees no
    files could not do. Keys in tokens are left alone."""
    kinds = {type(key): (name, number) for name, ring in rings.items() for number, key in ring.files()}
    for vhost, number in kinds.values():
        for algorithm, (_, digest) in ALGORITHMS.items():
            size = _HASHES[digest].digest_size if digest else 1
            use_key(rings, Sign(vhost, number, algorithm, bytes(size)))
        use_key(rings, Decrypt(vhost, number, b""))


def _sign_in_token(key: TokenKey, family: str, digest: str, data: bytes) -> bytes:
    if key.kind != _TOKEN_KINDS[family]:
        raise KeyRefused(f"not a key for {family}")
    # A token may take any length, and sign what is no digest.
    if digest and len(data) != _HASHES[digest].digest_size:
        raise KeyRefused(f"a digest of {len(data)} bytes")
    return key.sign(family, digest, data)


def _export(key: AnyKey) -> SignerKey:
    if isinstance(key, TokenKey):
        return SignerKey(token=key.parts)
    form = serialization.PrivateFormat.PKCS8
    return SignerKey(key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption()))


def _import(exported: SignerKey) -> AnyKey:
    if exported.token is not None:
        return TokenKey(*exported.token)
    key = serialization.load_der_private_key(exported.der, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, PrivateKey)
    return key
