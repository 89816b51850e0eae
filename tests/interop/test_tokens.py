"""Private keys in a token of SoftHSM: the real client's handshakes, a reload, the death of secmod."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tokens import PIN, Token, needs_softhsm, url_of

from .certificates import make_certificate, pin_of
from .lab import GATEWAY4, Lab
from .server import OCSERV

pytestmark = needs_softhsm


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    made = Token(tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture(params=["ECDSA", "RSA"])
def keyed(request: pytest.FixtureRequest, token: Token) -> Iterator[Lab]:
    """A lab whose key is in the token, and in no file any more."""
    lab = Lab(certificate=request.param)
    try:
        token.add("key", lab.key_file)
        Path(lab.key_file).unlink()
        yield lab
    finally:
        lab.close()


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_client_connects_where_the_key_is_in_a_token(keyed: Lab, version: str) -> None:
    priorities = f'"NORMAL:-VERS-ALL:+VERS-TLS{version}"'
    server = keyed.start_server(server_key=url_of("key"), key_pin=PIN, log_level=9, tls_priorities=priorities)
    client = keyed.connect()
    assert client.output.find(rf"Connected to HTTPS .*TLS{version}")
    assert client.host.ping(GATEWAY4)
    assert PIN not in server.log.text


def test_rsa_key_exchange_is_decrypted_in_the_token(token: Token) -> None:
    lab = Lab(certificate="RSA")
    try:
        token.add("key", lab.key_file)
        priorities = '"NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA"'
        lab.start_server(server_key=url_of("key"), pin_file=lab.write("pin", f"{PIN}\n"), tls_priorities=priorities)
        client = lab.connect()
        assert client.output.find(r"Connected to HTTPS .*\(RSA\)"), client.output.tail()
        assert client.host.ping(GATEWAY4)
    finally:
        lab.close()


def test_after_a_reload_the_token_s_key_serves_a_new_certificate(lab: Lab, token: Token) -> None:
    token.add("key", lab.key_file)
    server = lab.start_server(server_key=url_of("key"), key_pin=PIN)
    assert lab.connect("alice").host.ping(GATEWAY4)
    request = ("openssl", "req", "-x509", "-new", "-key", lab.key_file, "-subj", "/CN=renewed", "-days", "9")
    subprocess.run((*request, "-out", lab.cert_file), check=True, capture_output=True, timeout=30)
    lab.pin = pin_of(lab.cert_file)
    assert server.occtl("reload").returncode == 0
    seen = lab.host().run("openssl", "s_client", "-connect", "192.0.2.1:443").stdout
    assert re.search(r"subject=CN ?= ?renewed", seen)
    assert lab.connect("bob").host.ping(GATEWAY4)


def test_a_reload_with_a_certificate_of_another_key_changes_nothing(lab: Lab, token: Token, tmp_path: Path) -> None:
    token.add("key", lab.key_file)
    server = lab.start_server(server_key=url_of("key"), key_pin=PIN)
    (tmp_path / "other").mkdir()
    _, certificate = make_certificate(str(tmp_path / "other"), "ECDSA")
    Path(lab.cert_file).write_bytes(Path(certificate).read_bytes())
    asked = server.occtl("reload")
    assert asked.returncode == 1
    assert f"the key '{url_of('key')}' does not belong to '{lab.cert_file}'" in asked.stdout + asked.stderr
    assert lab.connect().host.ping(GATEWAY4)


def test_secmod_that_is_started_again_opens_the_token_again(lab: Lab, token: Token) -> None:
    token.add("key", lab.key_file)
    server = lab.start_server(server_key=url_of("key"), key_pin=PIN)
    server.kill_one("ocserv-sm")
    server.log.wait_for("secmod is back")
    assert lab.connect().host.ping(GATEWAY4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"server_key": url_of("key"), "key_pin": "1357"}, "the PIN is wrong"),
        ({"server_key": url_of("key")}, "it needs its PIN; give key-pin or pin-file"),
        ({"server_key": url_of("other"), "key_pin": PIN}, "the token has no such key"),
        ({"server_key": url_of("key", "none"), "key_pin": PIN}, "there is no such token"),
    ],
    ids=["wrong PIN", "no PIN", "no key", "no token"],
)
def test_what_is_wrong_is_told_at_its_line(lab: Lab, token: Token, options: dict[str, str], said: str) -> None:
    token.add("key", lab.key_file)
    file = lab.configure(**options)
    line = next(n for n, text in enumerate(Path(file).read_text().splitlines(), 1) if text.startswith("server-key"))
    ran = subprocess.run((*OCSERV, "--test-config", "-c", file), capture_output=True, text=True, timeout=30)
    assert ran.returncode == 1
    assert f"{file}:{line}: cannot use the key '{options['server_key']}': {said}" in ran.stdout + ran.stderr
    assert "1357" not in ran.stdout + ran.stderr


def test_a_tpm_that_is_not_there_is_one_clear_line(lab: Lab) -> None:
    url = "tpmkey:uuid=7f468c16-cb7f-11e1-824d-b3a4f4b20343;storage=user"
    file = lab.configure(server_key=url, srk_pin="2468")
    ran = subprocess.run((*OCSERV, "--test-config", "-c", file), capture_output=True, text=True, timeout=30)
    assert ran.returncode == 1
    told = [line for line in (ran.stdout + ran.stderr).splitlines() if "tpmkey" in line]
    assert len(told) == 1
    assert f"cannot use the key '{url}': " in told[0]
    assert "2468" not in ran.stdout + ran.stderr
