"""Keys in a real token of SoftHSM. A login to a token is the whole process's: each run here has one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ocserv_core.system.token_keys import is_token_url, without_pin
from tests.secmod import pki
from tests.tokens import PIN, Token, needs_softhsm, url_of

PROGRAM = """\
import json, sys
from ocserv_core.system.token_keys import TokenFailure, TokenKey

def run(url, pin=None, calls=()):
    key = TokenKey(url, pin and pin.encode())
    yield key.kind
    for name, *words in calls:
        words = [bytes.fromhex(word[1:]) if word[:1] == "=" else word for word in words]
        try:
            yield getattr(key, name)(*words).hex()
        except TokenFailure as failure:
            yield str(failure)
try:
    print(json.dumps(list(run(*json.loads(sys.argv[1])))))
except TokenFailure as failure:
    print(json.dumps([str(failure)]))
"""

DIGEST = bytes(range(32))


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    folder = tmp_path_factory.mktemp("token")
    made = Token(folder)
    for kind in ("rsa", "p256", "ed25519"):
        made.add(kind, pki.write_pair(folder, kind)[0])
    return made


def told(token: Token, *words: object) -> list[str]:
    """What a process of its own hears from the token."""
    argv = [sys.executable, "-c", PROGRAM, json.dumps(words)]
    environment = {**os.environ, **token.environment}
    ran = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30, env=environment)
    assert PIN not in ran.stdout + ran.stderr
    return list(json.loads(ran.stdout))


def hexed(data: bytes) -> str:
    return "=" + data.hex()


def sign(family: str, digest: str = "SHA256", data: bytes = DIGEST) -> list[str]:
    return ["sign", family, digest, hexed(data)]


@needs_softhsm
@pytest.mark.parametrize(("label", "kind"), [("rsa", "rsa"), ("p256", "ecdsa"), ("ed25519", "ed25519")])
def test_a_key_is_opened_with_the_pin_and_its_kind_is_known(token: Token, label: str, kind: str) -> None:
    assert told(token, url_of(label), PIN) == [kind]


@needs_softhsm
def test_the_pin_may_stand_in_the_url(token: Token) -> None:
    assert told(token, f"{url_of('rsa')}?pin-value={PIN}") == ["rsa"]


@needs_softhsm
@pytest.mark.parametrize(
    ("url", "pin", "said"),
    [
        (url_of("rsa"), "1111", "the PIN is wrong"),
        (url_of("rsa"), "1" * 5000, "the PIN is wrong"),
        (url_of("rsa"), None, "it needs its PIN; give key-pin or pin-file"),
        (url_of("rsa", "another"), PIN, "there is no such token; `p11tool --list-tokens` lists those that are there"),
        (
            url_of("another"),
            PIN,
            "the token has no such key; `p11tool --login --list-privkeys` lists those that it has",
        ),
        ("pkcs11:nonsense", PIN, "GnuTLS does not understand this address"),
    ],
)
def test_what_is_wrong_is_said(token: Token, url: str, pin: str | None, said: str) -> None:
    assert told(token, url, pin) == [said]


def test_a_tpm_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    argv = [
        sys.executable,
        "-c",
        PROGRAM,
        json.dumps(["tpmkey:uuid=7f468c16-cb7f-11e1-824d-b3a4f4b20343;storage=user"]),
    ]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30, cwd=tmp_path)
    (said,) = json.loads(ran.stdout)
    assert said
    assert "\n" not in said


@needs_softhsm
def test_what_a_token_refuses_does_not_spoil_what_comes_after(token: Token) -> None:
    bad = [["decrypt", hexed(bytes(number))] for number in (0, 1, 255, 257)] + [["decrypt", hexed(b"\xff" * 256)]]
    kind, *made_up, refused, good, again = told(
        token, url_of("rsa"), PIN, [*bad, sign("RSA-PSS", data=b"short"), sign("RSA-PKCS1"), sign("RSA-PKCS1")]
    )
    assert kind == "rsa"
    assert [len(bytes.fromhex(text)) for text in made_up] == [48] * len(bad)
    assert len(set(made_up)) == len(bad)
    assert refused.startswith("PKCS #11")
    assert len(bytes.fromhex(good)) == 256
    assert again == good


@needs_softhsm
def test_an_algorithm_of_another_kind_is_refused(token: Token) -> None:
    _, refused, signature = told(token, url_of("p256"), PIN, [sign("RSA-PSS"), sign("ECDSA")])
    assert refused == "Some constraint limits were reached."
    assert bytes.fromhex(signature)


@pytest.mark.parametrize(
    ("path", "is_one"), [("pkcs11:token=a", True), ("tpmkey:uuid=1", True), ("/etc/pkcs11:", False), ("key.pem", False)]
)
def test_a_url_is_told_from_a_file(path: str, *, is_one: bool) -> None:
    assert is_token_url(path) is is_one


def test_a_url_is_shown_without_its_pin() -> None:
    assert without_pin("pkcs11:object=a?pin-value=1234&module-name=b") == "pkcs11:object=a?pin-value=…&module-name=b"
