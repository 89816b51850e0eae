"""How the keys of `server-key` are read and matched to their certificates."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from ocserv_core.errors import ConfigError
from ocserv_core.secmod.key_files import KeySource, Pins, end_point_of, load_key, read_pin
from ocserv_core.secmod.keys import KeyRing
from tests.tokens import PIN, Token, needs_softhsm, url_of

from . import pki

TEXT = b"what a handshake signs"


def source(key: str, certificate: str) -> KeySource:
    return KeySource(key, certificate, "o.conf", 7, 6)


def fault(key: str, certificate: str, pin: bytes | None = None) -> str:
    """What is said against a pair."""
    with pytest.raises(ConfigError) as caught:
        load_key(source(key, certificate), Pins(pin))
    return str(caught.value)


@pytest.mark.parametrize("kind", pki.KINDS)
def test_a_pair_is_loaded(tmp_path: Path, kind: str) -> None:
    assert type(load_key(source(*pki.write_pair(tmp_path, kind)), Pins())) is type(pki.key(kind))


def test_an_encrypted_key_is_loaded_with_its_pin(tmp_path: Path) -> None:
    load_key(source(*pki.write_pair(tmp_path, "p256", b"1234")), Pins(b"1234"))


def test_the_old_form_of_an_encrypted_key_is_loaded_too(tmp_path: Path) -> None:
    key, certificate = pki.write_pair(tmp_path, "rsa")
    Path(key).write_bytes(pki.key_pem("rsa", b"1234", old=True))
    load_key(source(key, certificate), Pins(b"1234"))


def test_a_pin_does_not_hinder_a_key_that_needs_none(tmp_path: Path) -> None:
    load_key(source(*pki.write_pair(tmp_path, "p256")), Pins(b"1234"))


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
    whole = pki.key("rsa")
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
    loaded = load_key(source(key, certificate), Pins())
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


# ---- tokens

IN_TOKEN = """\
import hashlib, sys
from ocserv_core.errors import ConfigError
from ocserv_core.secmod.key_files import KeySource, Pins, load_key
from ocserv_core.secmod.keys import KeyRefused, KeyRing

url, certificate, *pin = sys.argv[1:]
try:
    key = load_key(KeySource(url, certificate, "o.conf", 7, 6), Pins(pin[0].encode() if pin else None))
except ConfigError as error:
    print(error)
else:
    ring = KeyRing.of(KeyRing([key]).export())
    for algorithm, data in (("RSA-PKCS1-SHA256", b"short"), ("ECDSA-SHA256", bytes(32)), ("RSA-PSS-SHA256", bytes(32))):
        try:
            print(len(ring.sign(0, algorithm, data)))
        except KeyRefused as refusal:
            print(refusal)
    print(ring.in_token(0), ring.in_token(1), repr(ring.export()), repr(Pins(b"secret")))
"""


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    folder = tmp_path_factory.mktemp("token")
    made = Token(folder)
    for kind in ("rsa", "p256", "ed25519"):
        made.add(kind, pki.write_pair(folder, kind)[0])
    return made


def told(token: Token, *words: str) -> list[str]:
    """A process of its own: who has logged in to a token stays so."""
    argv = [sys.executable, "-c", IN_TOKEN, *words]
    environment = {**os.environ, **token.environment}
    ran = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30, env=environment)
    assert PIN not in ran.stdout
    return ran.stdout.splitlines()


@needs_softhsm
def test_a_key_in_a_token_works_where_its_certificate_is_the_right_one(token: Token, tmp_path: Path) -> None:
    _, certificate = pki.write_pair(tmp_path, "rsa")
    assert told(token, url_of("rsa"), certificate, PIN) == [
        "a digest of 5 bytes",
        "not a key for ECDSA",
        "256",
        "True False (SignerKey(…),) Pins()",
    ]


@needs_softhsm
@pytest.mark.parametrize("kind", ["p256", "ed25519"])
def test_other_kinds_prove_their_certificate_too(token: Token, tmp_path: Path, kind: str) -> None:
    _, certificate = pki.write_pair(tmp_path, kind)
    assert told(token, url_of(kind), certificate, PIN)[-1].startswith("True")


@needs_softhsm
@pytest.mark.parametrize(("label", "other"), [("rsa", "p256"), ("p256", "rsa"), ("p256", "p384"), ("ed25519", "ed448")])
def test_a_token_s_key_of_another_certificate_is_told(token: Token, tmp_path: Path, label: str, other: str) -> None:
    _, certificate = pki.write_pair(tmp_path, other)
    said = told(token, url_of(label), certificate, PIN)
    assert said == [f"o.conf:7: the key '{url_of(label)}' does not belong to '{certificate}'"]


@needs_softhsm
def test_a_wrong_pin_of_a_token_is_told_and_not_shown(token: Token, tmp_path: Path) -> None:
    _, certificate = pki.write_pair(tmp_path, "rsa")
    (said,) = told(token, url_of("rsa") + "?pin-value=1470", certificate)
    assert said == f"o.conf:7: cannot use the key '{url_of('rsa')}?pin-value=…': the PIN is wrong"
