"""How large packets may be: what is agreed upon, and what a path that carries less makes of it."""

from __future__ import annotations

import re

import pytest

from .client import Client
from .lab import GATEWAY4, GATEWAY6, SERVER6, Lab
from .network import Router
from .path import Path
from .server import Server
from .traffic import arrives_whole

IP4_ICMP = 28

DTLS_OVERHEAD = 20 + 8 + 13 + 8 + 16 + 1
"""Around a packet: IPv4, UDP, a record of an AEAD, the type byte."""


def _device_mtu(lab: Lab, server: Server) -> int:
    """Of the TUN device on the server's side."""
    (user,) = server.show("users")
    found = re.search(r" mtu (\d+) ", lab.namespace.run("ip", "-oneline", "link", "show", user["Device"]).stdout)
    assert found
    return int(found[1])


def _transfers_go_on(lab: Lab, client: Client) -> None:
    for gateway, address in ((GATEWAY4, client.address4), (GATEWAY6, client.address6)):
        assert arrives_whole(lab.namespace, client.host, address, 500_000)
        assert arrives_whole(client.host, lab.namespace, gateway, 500_000)


@pytest.mark.parametrize(
    ("words", "server_address", "mtu"),
    [
        ((), "192.0.2.1", 1434),
        ((), SERVER6, 1414),
        (("--no-dtls",), "192.0.2.1", 1418),
        (("--base-mtu", "1400"), "192.0.2.1", 1334),
        (("--base-mtu", "9000"), "192.0.2.1", 1434),
        (("--mtu", "1300"), "192.0.2.1", 1434),
    ],
    ids=["dtls", "dtls-over-ipv6", "tls", "base-mtu", "large-base-mtu", "mtu-beside-base-mtu"],
)
def test_the_client_and_the_server_s_device_have_the_mtu_that_fits(
    lab: Lab, words: tuple[str, ...], server_address: str, mtu: int
) -> None:
    server = lab.start_server(udp_port=443)
    client = lab.connect("alice", *words, server=server_address)
    assert client.output.find(f"^X-CSTP-MTU: {mtu}$")
    # Over IPv6 openconnect takes twelve bytes less than would fit, and does not try more.
    assert client.mtu == mtu - (12 if server_address == SERVER6 else 0)
    assert _device_mtu(lab, server) == mtu
    assert client.host.ping(GATEWAY4, size=client.mtu - IP4_ICMP, fragment=False)
    assert arrives_whole(lab.namespace, client.host, client.address6, 500_000)
    (user,) = server.show("users")
    assert user["MTU"] == str(mtu)


def test_the_option_mtu_is_that_of_the_link(lab: Lab) -> None:
    server = lab.start_server(udp_port=443, mtu=1400)
    client = lab.connect()
    assert client.mtu == 1400 - DTLS_OVERHEAD
    assert _device_mtu(lab, server) == client.mtu
    assert client.output.find("^X-CSTP-Base-MTU: 1400$")
    _transfers_go_on(lab, client)


def test_ipv6_is_not_given_where_its_packets_do_not_fit(lab: Lab) -> None:
    server = lab.start_server(udp_port=443, mtu=1300)
    client = lab.connect()
    assert client.mtu == 1300 - DTLS_OVERHEAD
    assert "INTERNAL_IP6_ADDRESS" not in client.environment
    assert _device_mtu(lab, server) == client.mtu
    assert arrives_whole(client.host, lab.namespace, GATEWAY4, 500_000)
    assert arrives_whole(lab.namespace, client.host, client.address4, 500_000)


def test_a_cipher_with_longer_records_lowers_the_mtu_of_both_ends(lab: Lab) -> None:
    server = lab.start_server(udp_port=443, tls_priorities="NORMAL:-CIPHER-ALL:+AES-256-CBC:-VERS-TLS1.3")
    client = lab.connect()
    assert "AES-256-CBC" in client.await_dtls()
    assert client.output.find("^X-CSTP-MTU: 1434$")
    assert client.mtu == 1418
    server.log.wait_for("the tunnel's MTU is 1418")
    _transfers_go_on(lab, client)
    assert _device_mtu(lab, server) == 1418


# ---- a path that carries less -------------------------------------------------------------------------------------

NARROW = 1400
CARRIED = NARROW - DTLS_OVERHEAD


def _behind(lab: Lab) -> Router:
    router = lab.router()
    router.masquerade()
    return router


def test_a_narrow_path_that_says_nothing_is_found_out(lab: Lab) -> None:
    server = lab.start_server(udp_port=443, try_mtu_discovery=True)
    router = _behind(lab)
    router.narrow(NARROW, silent=True)
    client = lab.connect(host=lab.host(router))
    client.await_dtls()
    assert client.mtu == CARRIED
    # While the server still looks for it.
    _transfers_go_on(lab, client)
    server.log.wait_for(r"the tunnel's MTU is 13(2[6-9]|3[0-4])$")
    _transfers_go_on(lab, client)
    assert CARRIED - 8 <= _device_mtu(lab, server) <= CARRIED


def test_a_narrow_path_that_says_so_is_known_at_once(lab: Lab) -> None:
    server = lab.start_server(udp_port=443, try_mtu_discovery=True)
    router = _behind(lab)
    router.narrow(NARROW)
    client = lab.connect(host=lab.host(router))
    client.await_dtls()
    server.log.wait_for(f"the tunnel's MTU is {CARRIED}$", 5)
    assert server.log.count("the tunnel's MTU is") == 1
    _transfers_go_on(lab, client)
    assert _device_mtu(lab, server) == CARRIED


def test_a_path_that_becomes_narrow_and_says_so_is_followed(lab: Lab) -> None:
    server = lab.start_server(udp_port=443, try_mtu_discovery=True)
    router = _behind(lab)
    client = lab.connect(host=lab.host(router))
    client.await_dtls()
    assert arrives_whole(lab.namespace, client.host, client.address4, 500_000)
    router.narrow(NARROW)
    assert arrives_whole(lab.namespace, client.host, client.address4, 500_000, patience=5)
    server.log.wait_for(f"the tunnel's MTU is {CARRIED}$", 5)
    assert _device_mtu(lab, server) == CARRIED


def test_without_discovery_packets_go_in_fragments_where_the_path_says_so(lab: Lab) -> None:
    server = lab.start_server(udp_port=443)
    router = _behind(lab)
    client = lab.connect(host=lab.host(router))
    client.await_dtls()
    router.narrow(NARROW)
    assert arrives_whole(lab.namespace, client.host, client.address4, 500_000)
    assert arrives_whole(client.host, lab.namespace, GATEWAY4, 500_000)
    assert _device_mtu(lab, server) == 1434
    assert client.output.count("Established DTLS") == 1


def test_a_path_too_narrow_for_ipv6_leaves_the_packets_to_tls(lab: Lab) -> None:
    server = lab.start_server(udp_port=443, try_mtu_discovery=True)
    router = _behind(lab)
    router.narrow(1300)
    client = lab.connect(host=lab.host(router))
    client.await_dtls()
    server.log.wait_for("the tunnel's MTU is 1280$", 5)
    datagrams = Path(lab.namespace).from_server("udp sport 443")
    assert arrives_whole(lab.namespace, client.host, client.address6, 300_000)
    assert datagrams.bytes < 30_000
