"""What the keys sign and decrypt, what they refuse, and how they are read."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from ocserv_core.bridge.callbacks import ALGORITHMS as ASKED
from ocserv_core.errors import ConfigError
from ocserv_core.secmod.keys import (
    ALGORITHMS,
    KeyRefused,
    KeyRing,
    KeySource,
    PrivateKey,
    end_point_of,
    load_key,
    read_pin,
)

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


# ---- files


def source(key: str, certificate: str) -> KeySource:
    return KeySource(key, certificate, "o.conf", 7, 6)


def fault(key: str, certificate: str, pin: bytes | None = None) -> str:
    """What is said against a pair."""
    with pytest.raises(ConfigError) as caught:
        load_key(source(key, certificate), pin)
    return str(caught.value)


@pytest.mark.parametrize("kind", pki.KINDS)
def test_a_pair_is_loaded(tmp_path: Path, kind: str) -> None:
    assert type(load_key(source(*pki.write_pair(tmp_path, kind)), None)) is type(pki.key(kind))


def test_an_encrypted_key_is_loaded_with_its_pin(tmp_path: Path) -> None:
    load_key(source(*pki.write_pair(tmp_path, "p256", b"1234")), b"1234")


def test_the_old_form_of_an_encrypted_key_is_loaded_too(tmp_path: Path) -> None:
    key, certificate = pki.write_pair(tmp_path, "rsa")
    Path(key).write_bytes(pki.key_pem("rsa", b"1234", old=True))
    load_key(source(key, certificate), b"1234")


def test_a_pin_does_not_hinder_a_key_that_needs_none(tmp_path: Path) -> None:
    load_key(source(*pki.write_pair(tmp_path, "p256")), b"1234")


def test_an_encrypted_key_without_its_pin_is_told(tmp_path: Path) -> None:
    key, certificate = pki.write_pair(tmp_path, "p256", b"1234")
    assert fault(key, certificate) == f"o.conf:7: '{key}' is encrypted; give its PIN with pin-file"


def test_a_wrong_pin_is_told_and_not_shown(tmp_path: Path) -> None:
    key, certificate = pki.write_pair(tmp_path, "p256", b"1234")
    said = fault(key, certificate, b"4321")
    assert said.startswith(f"o.conf:7: cannot load the key '{key}'")
    assert "4321" not in said


@pytest.mark.parametrize("other", ["p384", "rsa", "ed25519", "ed448"])
def test_a_key_of_another_certificate_is_told(tmp_path: Path, other: str) -> None:
    key, _ = pki.write_pair(tmp_path, "p256")
    _, certificate = pki.write_pair(tmp_path, other)
    assert fault(key, certificate) == f"o.conf:7: the key '{key}' does not belong to '{certificate}'"


def test_a_kind_of_key_that_no_client_knows_is_told(tmp_path: Path) -> None:
    key, certificate = pki.write_pair(tmp_path, "ed448")
    assert fault(key, certificate) == f"o.conf:7: '{key}' is not an RSA, ECDSA or Ed25519 key"


def test_an_rsa_key_that_is_damaged_is_told(tmp_path: Path) -> None:
    key, certificate = pki.write_pair(tmp_path, "rsa")
    whole = private("rsa")
    assert isinstance(whole, rsa.RSAPrivateKey)
    numbers = whole.private_numbers()
    damaged = rsa.RSAPrivateNumbers(
        p=numbers.p,
        q=numbers.q,
        d=numbers.d + 2,
        dmp1=numbers.dmp1 + 2,
        dmq1=numbers.dmq1,
        iqmp=numbers.iqmp,
        public_numbers=numbers.public_numbers,
    ).private_key(unsafe_skip_rsa_key_validation=True)
    Path(key).write_bytes(pki.pem_of(damaged))
    assert fault(key, certificate) == f"o.conf:7: the key '{key}' is damaged: its signatures are wrong"


@pytest.mark.parametrize("text", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_file_without_a_key_is_told(tmp_path: Path, text: bytes) -> None:
    key, certificate = pki.write_pair(tmp_path, "p256")
    Path(key).write_bytes(text)
    said = fault(key, certificate)
    assert said.startswith(f"o.conf:7: cannot load the key '{key}'")
    assert "://" not in said


@pytest.mark.parametrize("text", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_without_a_certificate_is_told(tmp_path: Path, text: bytes) -> None:
    key, certificate = pki.write_pair(tmp_path, "p256")
    Path(certificate).write_bytes(text)
    said = fault(key, certificate)
    assert said.startswith(f"o.conf:6: cannot load the certificate '{certificate}'")
    assert "://" not in said


@pytest.mark.parametrize("missing", [0, 1])
def test_a_file_that_is_not_there_is_told(tmp_path: Path, missing: int) -> None:
    pair = pki.write_pair(tmp_path, "p256")
    Path(pair[missing]).unlink()
    assert fault(*pair) == f"o.conf:{7 - missing}: cannot read '{pair[missing]}': No such file or directory"


def test_an_rsa_pss_certificate_and_its_key_are_a_pair(tmp_path: Path) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    request = ["req", "-x509", "-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048", "-nodes", "-subj", "/CN=a"]
    made = ["openssl", *request, "-keyout", key, "-out", certificate]
    subprocess.run(made, check=True, capture_output=True, timeout=30)
    loaded = load_key(source(key, certificate), None)
    assert KeyRing([loaded]).sign(0, "RSA-PSS-SHA256", hashlib.sha256(TEXT).digest())


def test_a_pin_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "pin").write_bytes(b"12 34\r\nmore\n")
    assert read_pin(str(tmp_path / "pin"), "o.conf", 3) == b"12 34"


def test_an_empty_pin_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "pin").write_bytes(b"\n")
    with pytest.raises(ConfigError, match=r"^o\.conf:3: the pin-file '.*' is empty$"):
        read_pin(str(tmp_path / "pin"), "o.conf", 3)


def test_a_pin_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^o\.conf:3: cannot read the pin-file"):
        read_pin(str(tmp_path / "pin"), "o.conf", 3)


@pytest.mark.parametrize(
    ("signed_by", "hashed_by"),
    [
        ("SHA256", hashes.SHA256()),
        ("SHA384", hashes.SHA384()),
        ("SHA512", hashes.SHA512()),
        ("SHA224", hashes.SHA256()),
    ],
)
def test_a_certificate_s_end_point_is_its_hash_by_what_signed_it(
    tmp_path: Path, signed_by: str, hashed_by: hashes.HashAlgorithm
) -> None:
    file = tmp_path / "cert.pem"
    file.write_bytes(pki.certificate_pem("p256", signed_by))
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    assert end_point_of(source("", str(file))) == certificate.fingerprint(hashed_by)


def test_the_end_point_of_ed25519_is_by_sha_512(tmp_path: Path) -> None:
    _, file = pki.write_pair(tmp_path, "ed25519")
    certificate = x509.load_pem_x509_certificate(Path(file).read_bytes())
    assert end_point_of(source("", file)) == certificate.fingerprint(hashes.SHA512())
