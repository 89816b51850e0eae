"""Versions of TLS, cipher suites and server keys, each with traffic through the tunnel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .lab import GATEWAY4, GATEWAY6, Lab
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


@pytest.fixture(params=["RSA", "RSA-PSS", "ECDSA", "ED25519"])
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
