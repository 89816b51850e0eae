"""What the keys sign and decrypt, and what they refuse."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from ocserv_core.bridge.callbacks import ALGORITHMS as ASKED
from ocserv_core.secmod.keys import ALGORITHMS, KeyRefused, KeyRing, PrivateKey

from . import pki

TEXT = b"what a handshake signs"


def private(kind: str) -> PrivateKey:
    found = pki.key(kind)
    assert isinstance(found, PrivateKey)
    return found


def ring(*kinds: str) -> KeyRing:
    return KeyRing([private(kind) for kind in kinds])


def digest_of(name: str) -> tuple[bytes, hashes.HashAlgorithm]:
    """The digest of TEXT by an algorithm's name, and what cryptography calls it."""
    algorithm = {"SHA1": hashes.SHA1(), "SHA256": hashes.SHA256(), "SHA384": hashes.SHA384(), "SHA512": hashes.SHA512()}
    short = name.rpartition("-")[2]
    return hashlib.new(short, TEXT).digest(), algorithm[short]


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name.startswith("RSA-PKCS1")])
def test_rsa_signs_as_pkcs1(name: str) -> None:
    digest, algorithm = digest_of(name)
    signature = ring("rsa").sign(0, name, digest)
    public = private("rsa").public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(signature, digest, padding.PKCS1v15(), utils.Prehashed(algorithm))


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name.startswith("RSA-PSS")])
def test_rsa_signs_as_pss_with_a_salt_of_the_digest_s_length(name: str) -> None:
    digest, algorithm = digest_of(name)
    signature = ring("rsa").sign(0, name, digest)
    salted = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
    public = private("rsa").public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(signature, digest, salted, utils.Prehashed(algorithm))


@pytest.mark.parametrize("kind", ["p256", "p384", "p521"])
@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name.startswith("ECDSA")])
def test_every_curve_signs_every_digest(kind: str, name: str) -> None:
    digest, algorithm = digest_of(name)
    signature = ring(kind).sign(0, name, digest)
    public = private(kind).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signature, digest, ec.ECDSA(utils.Prehashed(algorithm)))


def test_ed25519_signs_the_whole_text() -> None:
    public = private("ed25519").public_key()
    assert isinstance(public, ed25519.Ed25519PublicKey)
    public.verify(ring("ed25519").sign(0, "ED25519", TEXT), TEXT)


def test_keys_are_known_by_their_number() -> None:
    public = private("ed25519").public_key()
    assert isinstance(public, ed25519.Ed25519PublicKey)
    public.verify(ring("rsa", "ed25519").sign(1, "ED25519", TEXT), TEXT)


def test_what_the_bridge_may_ask_for_is_known_but_raw_rsa() -> None:
    assert set(ASKED) - set(ALGORITHMS) <= {"RSA-PKCS1-RAW"}


@pytest.mark.parametrize(
    "name", ["RSA-PKCS1-RAW", "RSA-RAW", "RSA", "", "rsa-pkcs1-sha256", "RSA-PSS-SHA1", "ECDSA-MD5"]
)
def test_an_algorithm_that_is_not_in_the_table_is_refused(name: str) -> None:
    with pytest.raises(KeyRefused, match="unknown algorithm"):
        ring("rsa").sign(0, name, hashlib.sha256(TEXT).digest())


@pytest.mark.parametrize("number", [-1, 1, 2**63])
def test_a_key_that_is_not_there_is_refused(number: int) -> None:
    with pytest.raises(KeyRefused, match="there is no key"):
        ring("rsa").sign(number, "RSA-PKCS1-SHA256", hashlib.sha256(TEXT).digest())


@pytest.mark.parametrize(
    ("kind", "name"),
    [("rsa", "ECDSA-SHA256"), ("rsa", "ED25519"), ("p256", "RSA-PSS-SHA256"), ("ed25519", "ECDSA-SHA256")],
)
def test_an_algorithm_of_another_kind_of_key_is_refused(kind: str, name: str) -> None:
    with pytest.raises(KeyRefused, match=r"not an? "):
        ring(kind).sign(0, name, hashlib.sha256(TEXT).digest())


@pytest.mark.parametrize("name", ["RSA-PKCS1-SHA256", "RSA-PSS-SHA384"])
@pytest.mark.parametrize("length", [0, 20, 31, 257])
def test_a_digest_of_another_length_is_refused(name: str, length: int) -> None:
    with pytest.raises(KeyRefused):
        ring("rsa").sign(0, name, bytes(length))


def test_a_premaster_secret_is_decrypted() -> None:
    public = private("rsa").public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    assert ring("rsa").decrypt(0, public.encrypt(b"s" * 48, padding.PKCS1v15())) == b"s" * 48


def test_a_wrong_padding_is_no_error_that_could_be_told_from_a_right_one() -> None:
    keys = ring("rsa")
    # Any length is possible, and none at all as well.
    made_up = [keys.decrypt(0, bytes(255) + bytes([number])) for number in range(2, 20)]
    assert len(set(made_up)) > 1
    assert keys.decrypt(0, bytes(255) + b"\x02") == made_up[0]


def test_a_ciphertext_of_another_length_is_refused() -> None:
    with pytest.raises(KeyRefused):
        ring("rsa").decrypt(0, bytes(255))


@pytest.mark.parametrize("kind", ["p256", "ed25519"])
def test_only_rsa_decrypts(kind: str) -> None:
    with pytest.raises(KeyRefused, match="not an RSA key"):
        ring(kind).decrypt(0, bytes(256))


@pytest.mark.parametrize("kind", pki.KINDS)
def test_a_ring_is_the_same_in_another_process_and_shows_nothing_on_the_way(kind: str) -> None:
    sent = ring(kind).export()
    assert KeyRing.of(sent).export() == sent
    assert repr(sent) == "(SignerKey(…),)"
