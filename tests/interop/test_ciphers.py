"""Versions of TLS, cipher suites and server keys, each with traffic through the tunnel."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..bridge.pki import issue, ocsp_response
from .certificates import make_certificate, pin_of
from .hostile import TlsClient
from .lab import GATEWAY4, GATEWAY6, Lab
from .server import OCSERV
from .traffic import MEGABYTE, arrives_whole

SUITES = {
    "TLS 1.3, AES-256-GCM": ("NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM", r"TLS1\.3.*AES-256-GCM"),
    "TLS 1.3, AES-128-GCM": ("NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM", r"TLS1\.3.*AES-128-GCM"),
    "TLS 1.3, ChaCha20": (
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305",
        r"TLS1\.3.*CHACHA20-POLY1305",
    ),
    "TLS 1.3, AES-128-CCM": ("NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-CCM", r"TLS1\.3.*AES-128-CCM"),
    "TLS 1.2, AES-256-GCM": ("NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM", r"TLS1\.2.*AES-256-GCM"),
    "TLS 1.2, AES-128-GCM": ("NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM", r"TLS1\.2.*AES-128-GCM"),
    "TLS 1.2, ChaCha20": (
        "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+CHACHA20-POLY1305",
        r"TLS1\.2.*CHACHA20-POLY1305",
    ),
    "TLS 1.2, AES-256-CBC": ("NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-CBC", r"TLS1\.2.*AES-256-CBC"),
}


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_carries_a_megabyte_both_ways(lab: Lab, suite: str) -> None:
    priorities, negotiated = SUITES[suite]
    lab.start_server(tls_priorities=f'"{priorities}"')
    client = lab.connect()
    assert client.output.find(f"Connected to HTTPS .*{negotiated}"), client.output.tail()
    assert client.host.ping(GATEWAY6)
    assert arrives_whole(client.host, lab.namespace, GATEWAY4, MEGABYTE)
    assert arrives_whole(lab.namespace, client.host, client.address4, MEGABYTE)


@pytest.fixture(params=["RSA", "RSA-PSS", "ECDSA", "P-384", "P-521", "ED25519"])
def lab_with_key(request: pytest.FixtureRequest) -> Iterator[Lab]:
    lab = Lab(certificate=request.param)
    try:
        yield lab
    finally:
        lab.close()


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_key_signs_handshakes(lab_with_key: Lab, version: str) -> None:
    lab_with_key.start_server(tls_priorities=f'"NORMAL:-VERS-ALL:+VERS-TLS{version}"')
    client = lab_with_key.connect()
    assert client.output.find(rf"Connected to HTTPS .*TLS{version}")
    assert client.host.ping(GATEWAY4)


@pytest.mark.parametrize("option", ["pin_file", "key_pin"])
def test_an_encrypted_key_is_opened_with_its_pin(lab: Lab, option: str) -> None:
    pin = "the pin of the key"
    words = ("openssl", "pkcs8", "-topk8", "-in", lab.key_file, "-passout", f"pass:{pin}", "-out", lab.path("enc.pem"))
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    given = lab.write("pin", f"{pin}\n") if option == "pin_file" else pin
    server = lab.start_server(server_key=lab.path("enc.pem"), log_level=9, **{option: given})
    assert lab.connect().host.ping(GATEWAY4)
    assert pin not in server.log.text


def test_the_ocsp_response_is_stapled(lab: Lab, tmp_path: Path) -> None:
    authority = issue("CA", ca=True)
    leaf = issue("vpn.example", by=authority)
    files = {"cert.pem": leaf.pem, "key.pem": leaf.key_pem, "ocsp.der": ocsp_response(leaf, authority)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    certificate, key, response = (str(tmp_path / name) for name in files)
    lab.start_server(server_cert=certificate, server_key=key, ocsp_response=response)
    seen = lab.host().run("openssl", "s_client", "-status", "-connect", "192.0.2.1:443").stdout
    assert "OCSP Response Status: successful" in seen
    assert "Cert Status: good" in seen


def test_rsa_key_exchange_is_decrypted_by_secmod() -> None:
    lab = Lab(certificate="RSA")
    try:
        lab.start_server(tls_priorities='"NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA"')
        client = lab.connect()
        assert client.output.find(r"Connected to HTTPS .*\(RSA\)"), client.output.tail()
        assert client.host.ping(GATEWAY4)
    finally:
        lab.close()


def test_a_client_that_has_no_common_version_is_turned_away(lab: Lab) -> None:
    server = lab.start_server(tls_priorities='"NORMAL:-VERS-ALL:+VERS-TLS1.3"')
    host = lab.host()
    old = host.run("openssl", "s_client", "-tls1_2", "-connect", "192.0.2.1:443")
    assert old.returncode != 0
    server.log.wait_for("the client is cut off")
    assert lab.connect().host.ping(GATEWAY4)


def test_a_tls_1_2_session_is_resumed_on_the_same_host_alone(lab: Lab) -> None:
    lab.start_server(tls_priorities='"NORMAL:-VERS-ALL:+VERS-TLS1.2"')
    home, elsewhere = lab.host(), lab.host()
    first = TlsClient(home)
    first.post("")
    session = first.socket.session
    first.close()
    assert session is not None
    assert not session.has_ticket
    for host, resumed in ((home, True), (elsewhere, False)):
        again = TlsClient(host, context=first.socket.context, session=session)
        assert again.socket.session_reused is resumed
        again.close()


def test_a_tls_1_2_session_is_not_resumed_at_another_vhost(lab: Lab) -> None:
    path = lab.configure(tls_priorities='"NORMAL:-VERS-ALL:+VERS-TLS1.2"')
    with open(path, "a", encoding="utf-8") as file:
        file.write("[vhost:two.example]\nbanner = the same certificate, and another vhost\n")
    lab.run_server([*OCSERV, "-f", "--log-stderr", "-c", path], lab.path("occtl.sock")).await_listening()
    host = lab.host()
    first = TlsClient(host, name="one.example")
    first.post("")
    session = first.socket.session
    first.close()
    for name, resumed in (("one.example", True), ("two.example", False)):
        again = TlsClient(host, context=first.socket.context, session=session, name=name)
        assert again.socket.session_reused is resumed
        again.close()


def test_two_certificates_serve_each_client_the_one_that_it_knows(lab: Lab, tmp_path: Path) -> None:
    key, certificate = make_certificate(str(tmp_path), "RSA")
    lab.start_server(server_cert=(lab.cert_file, certificate), server_key=(lab.key_file, key))
    for priority, pin in (("SIGN-ECDSA-SECP256R1-SHA256", lab.pin), ("SIGN-RSA-PSS-RSAE-SHA256", pin_of(certificate))):
        host = lab.host()
        shown = host.run(
            *("gnutls-cli", "--insecure", "--priority", f"NORMAL:-SIGN-ALL:+{priority}", "192.0.2.1"), stdin=""
        )
        assert pin.removeprefix("pin-sha256:") in shown.stdout, shown.stdout + shown.stderr


def test_the_name_of_the_server_chooses_the_vhost(lab: Lab, tmp_path: Path) -> None:
    key, certificate = make_certificate(str(tmp_path), "RSA")
    path = lab.configure(banner="the default one")
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"[vhost:two.example]\nserver-cert = {certificate}\nserver-key = {key}\nbanner = the second one\n")
    lab.run_server([*OCSERV, "-f", "--log-stderr", "-c", path], lab.path("occtl.sock")).await_listening()
    for name, pin, banner in (("one", lab.pin, "the default one"), ("two", pin_of(certificate), "the second one")):
        client = lab.connect_by_name(f"{name}.example", pin=pin)
        assert client.environment["CISCO_BANNER"] == banner
        assert client.host.ping(GATEWAY4)
