"""What the clients say of themselves."""

from __future__ import annotations

import pytest

from benchmarks.clients import CannotMeasure, Channel, Tunnel, cipher_in, parse_own

LOG = """\
Connected to HTTPS on 198.51.100.1 with ciphersuite (TLS1.3)-(ECDHE-SECP256R1)-(ECDSA-SECP256R1-SHA256)-(AES-256-GCM)
CSTP connected. DPD 90, Keepalive 300
Established DTLS connection (using GnuTLS). Ciphersuite (DTLS1.2)-(PSK)-(AES-256-GCM).
Configured as 192.0.2.244, with SSL connected and DTLS connected
"""


@pytest.mark.parametrize(
    ("channel", "cipher"),
    [
        ("dtls", "(DTLS1.2)-(PSK)-(AES-256-GCM)"),
        ("tls", "(TLS1.3)-(ECDHE-SECP256R1)-(ECDSA-SECP256R1-SHA256)-(AES-256-GCM)"),
    ],
)
def test_openconnect_names_its_ciphers(channel: Channel, cipher: str) -> None:
    assert cipher_in(LOG, channel) == cipher


def test_a_tunnel_without_dtls_has_no_cipher_there() -> None:
    assert cipher_in("Configured as 192.0.2.244, with SSL connected and DTLS disabled\n", "dtls") == ""


def test_the_own_client_says_all_in_one_line() -> None:
    tunnel = parse_own("up own-ocsc 203.0.113.35 1434 dtls AES-256-GCM", 7, "a server", "dtls")
    assert tunnel == Tunnel(7, "own-ocsc", "203.0.113.35", 1434)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "up own-ocsc 203.0.113.35 1434",
        "refused by the server",
        "up own-ocsc 203.0.113.35 1434 tls AES-256-GCM",
        "up own-ocsc 203.0.113.35 1434 dtls AES-128-GCM",
    ],
)
def test_another_line_is_no_tunnel(line: str) -> None:
    with pytest.raises(CannotMeasure, match="a server"):
        parse_own(line, 7, "a server", "dtls")
