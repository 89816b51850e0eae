"""DTLS with the real client: which ciphers, when it is offered, what a broken path does to it, who gets an answer."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time

import pytest

from .client import DTLS_UP, Client
from .lab import GATEWAY4, GATEWAY6, SERVER4, SERVER6, Lab
from .network import Namespace
from .path import TCP_FROM_SERVER, TCP_TO_SERVER, UDP_FROM_SERVER, UDP_TO_SERVER, Capture, Path
from .server import Server
from .traffic import Echo, Pinging, arrives_whole, connected, echoed, pinging

ENCRYPTED_HANDSHAKE = "@th,64,8 22 @th,88,16 1"
"""In nft's words: a record of type handshake in epoch 1, which is a Finished."""

COMES_ANEW = "DTLS: the client comes from another address now"


def _dtls_cipher(server: Server, client: Client) -> str:
    """As occtl shows it."""
    (user,) = [user for user in server.show("users") if user["IPv4"] == client.address4]
    return str(user.get("DTLS cipher", ""))


# ---- what is agreed upon ------------------------------------------------------------------------------------------


def test_dtls_is_up_and_occtl_tells_its_cipher(lab: Lab) -> None:
    server = lab.start_server(udp_port=443)
    client = lab.connect()
    cipher = client.await_dtls()
    assert cipher == "(DTLS1.2)-(PSK)-(AES-256-GCM)"
    assert server.log.find(rf"ocserv-worker\[alice\].* DTLS: {re.escape(cipher)}$")
    assert _dtls_cipher(server, client) == cipher
    assert f"DTLS cipher: {cipher}" in server.occtl("show", "user", "alice").stdout
    assert " (AES-256-GCM) " in server.occtl("show", "users").stdout


@pytest.mark.parametrize("address", [SERVER4, SERVER6])
def test_packets_go_by_dtls(lab: Lab, address: str) -> None:
    lab.start_server(udp_port=443)
    client = lab.connect(server=address)
    client.await_dtls()
    path = Path(lab.namespace)
    datagrams = [path.to_server(UDP_TO_SERVER), path.from_server(UDP_FROM_SERVER)]
    segments = [path.to_server(TCP_TO_SERVER), path.from_server(TCP_FROM_SERVER)]
    assert arrives_whole(client.host, lab.namespace, GATEWAY4, 1_000_000)
    assert arrives_whole(lab.namespace, client.host, client.address6, 1_000_000)
    assert all(rule.bytes > 1_000_000 for rule in datagrams)
    assert not any(rule.packets for rule in segments)


@pytest.mark.parametrize("cipher", ["AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305", "AES-128-CBC"])
def test_the_ciphers_of_tls_priorities_are_those_of_dtls(lab: Lab, cipher: str) -> None:
    priorities = f"NORMAL:-CIPHER-ALL:+{cipher}:-VERS-TLS1.3"
    server = lab.start_server(udp_port=443, tls_priorities=priorities)
    client = lab.connect()
    assert client.await_dtls().startswith(f"(DTLS1.2)-(PSK)-({cipher})")
    assert _dtls_cipher(server, client) == client.await_dtls()
    assert client.reaches(GATEWAY4)
    assert client.reaches(GATEWAY6)


@pytest.mark.parametrize(("match", "cipher"), [(False, "AES-256-CBC"), (True, "AES-128-GCM")])
def test_match_tls_dtls_ciphers_makes_dtls_follow_tls(lab: Lab, match: bool, cipher: str) -> None:
    # TLS 1.3 has no CBC: its first cipher is not that of DTLS 1.2.
    priorities = "NORMAL:-CIPHER-ALL:+AES-256-CBC:+AES-128-GCM:%SERVER_PRECEDENCE"
    lab.start_server(udp_port=443, tls_priorities=priorities, match_tls_dtls_ciphers=match, dtls_legacy=False)
    client = lab.connect()
    assert client.output.find(r"ciphersuite \(TLS1.3\).*\(AES-128-GCM\)")
    assert f"({cipher})" in client.await_dtls()
    assert client.reaches(GATEWAY4)


NEW_SUITES = {
    "ECDHE-RSA-AES256-GCM-SHA384": "(DTLS1.2)-(ECDHE-RSA)-(AES-256-GCM)",
    "ECDHE-RSA-AES128-GCM-SHA256": "(DTLS1.2)-(ECDHE-RSA)-(AES-128-GCM)",
    "AES256-GCM-SHA384": "(DTLS1.2)-(RSA)-(AES-256-GCM)",
    "AES128-GCM-SHA256": "(DTLS1.2)-(RSA)-(AES-128-GCM)",
    "DHE-RSA-AES256-SHA": "(DTLS1.2)-(DHE-CUSTOM)-(AES-256-CBC)-(SHA1)",
    "DHE-RSA-AES128-SHA": "(DTLS1.2)-(DHE-CUSTOM)-(AES-128-CBC)-(SHA1)",
    "AES256-SHA": "(DTLS1.2)-(RSA)-(AES-256-CBC)-(SHA1)",
    "AES128-SHA": "(DTLS1.2)-(RSA)-(AES-128-CBC)-(SHA1)",
}
OLD_SUITES = {
    "OC-DTLS1_2-AES256-GCM": "(DTLS1.2)-(RSA)-(AES-256-GCM)",
    "OC-DTLS1_2-AES128-GCM": "(DTLS1.2)-(RSA)-(AES-128-GCM)",
    "DHE-RSA-AES256-SHA": "(DTLS0.9)-(DHE-CUSTOM)-(AES-256-CBC)-(SHA1)",
    "DHE-RSA-AES128-SHA": "(DTLS0.9)-(DHE-CUSTOM)-(AES-128-CBC)-(SHA1)",
    "AES256-SHA": "(DTLS0.9)-(RSA)-(AES-256-CBC)-(SHA1)",
    "AES128-SHA": "(DTLS0.9)-(RSA)-(AES-128-CBC)-(SHA1)",
}


@pytest.mark.parametrize(
    ("words", "suites"),
    [(("--dtls12-ciphers",), NEW_SUITES), (("--dtls12-ciphers", "NONE", "--dtls-ciphers"), OLD_SUITES)],
    ids=["X-DTLS12-CipherSuite", "X-DTLS-CipherSuite"],
)
def test_every_legacy_suite_carries_packets_of_every_size(
    lab: Lab, words: tuple[str, ...], suites: dict[str, str]
) -> None:
    server = lab.start_server(udp_port=443, dtls_psk=False)
    clients = {suite: lab.login("alice", *words, suite) for suite in suites}
    for suite, cipher in suites.items():
        client = clients[suite].await_connected(40)
        assert client.await_dtls() == cipher
        assert _dtls_cipher(server, client) == cipher
        assert client.host.ping(GATEWAY4, size=client.mtu - 28, fragment=False), suite
        assert arrives_whole(client.host, lab.namespace, GATEWAY6, 200_000), suite
        assert arrives_whole(lab.namespace, client.host, client.address4, 200_000), suite


def test_without_psk_the_client_s_master_secret_is_used(lab: Lab) -> None:
    lab.start_server(udp_port=443, dtls_psk=False)
    client = lab.connect("alice", "--dump-http-traffic")
    assert client.output.find("X-DTLS-Master-Secret: ")
    assert client.output.find("^X-DTLS12-CipherSuite: ECDHE-RSA-AES256-GCM-SHA384")
    assert client.await_dtls() == "(DTLS1.2)-(ECDHE-RSA)-(AES-256-GCM)"


@pytest.mark.parametrize(
    "options",
    [{"no_udp": True}, {"udp_port": 0}, {"dtls_psk": False, "dtls_legacy": False}],
    ids=["no-udp", "udp-port", "neither-form"],
)
def test_dtls_that_is_off_is_not_offered(lab: Lab, options: dict[str, bool | int]) -> None:
    server = lab.start_server(**{"udp_port": 443, **options})
    client = lab.connect()
    assert not client.output.find("^X-DTLS-")
    assert client.reaches(GATEWAY4)
    assert "(no-dtls)" in server.occtl("show", "users").stdout


def test_a_client_without_dtls_has_its_tunnel(lab: Lab) -> None:
    lab.start_server(udp_port=443)
    client = lab.connect("alice", "--no-dtls")
    assert not client.output.find("^X-DTLS-")
    assert client.reaches(GATEWAY4)


# ---- a path that breaks -------------------------------------------------------------------------------------------


def test_blocked_udp_is_left_for_tls_and_taken_up_again(lab: Lab) -> None:
    lab.start_server(udp_port=443, dpd=2, switch_to_tcp_timeout=1)
    client = lab.connect()
    client.await_dtls()
    path = Path(lab.namespace)
    with pinging(client.host, GATEWAY4) as pings:
        pings.await_more(10)
        unblock = path.block_udp()
        blocked = time.monotonic()
        client.output.wait_for("DTLS Dead Peer Detection detected dead peer")
        took = time.monotonic() - blocked
        pings.await_more(10)
        unblock()
        client.await_dtls(times=2)
        pings.await_more(10)
        sent, lost = pings.stop()
    assert lost <= (took + 0.5) / 0.02, f"{lost} of {sent}"
    assert not client.output.find("^script: done reconnect")
    datagrams = path.to_server(UDP_TO_SERVER)
    assert client.host.ping(GATEWAY4)
    assert datagrams.packets


def test_the_server_s_own_packets_go_by_tls_after_switch_to_tcp_timeout(lab: Lab) -> None:
    lab.start_server(udp_port=443, dpd=10, switch_to_tcp_timeout=1)
    client = lab.connect()
    client.await_dtls()
    seen = Capture(client.host, "tun0")
    path = Path(lab.namespace)
    path.block_udp()
    pings = Pinging(lab.namespace, client.address4)
    # Long before DPD says so. No answer can come back by DTLS.
    seen.wait_for(lambda packet: packet.is_icmp and not packet.sent, 5)
    pings.destroy()
    seen.close()


def test_a_rekey_by_a_new_tunnel_loses_few_pings_and_dtls_comes_with_it(lab: Lab) -> None:
    server = lab.start_server(udp_port=443, rekey_time=3)
    client = lab.connect()
    client.await_dtls()
    with pinging(client.host, GATEWAY4) as pings:
        client.output.wait_for("CSTP rekey due")
        client.await_reconnected()
        client.await_dtls(times=2)
        pings.await_more(10)
        sent, lost = pings.stop()
    assert lost <= 2, f"{lost} of {sent}"
    assert len(server.pids_of("ocserv-worker")) == 1


def test_a_dtls_rekey_that_the_client_does_not_do_stops_nothing(lab: Lab) -> None:
    # With `ssl` and TLS 1.3 the server renews TLS by KeyUpdate. DTLS is the client's to begin anew, ten seconds later:
    # openconnect says that it is due, and does not.
    lab.start_server(udp_port=443, rekey_time=1, rekey_method="ssl")
    client = lab.connect()
    client.await_dtls()
    with pinging(client.host, GATEWAY4) as pings:
        client.output.wait_for("DTLS rekey due")
        pings.await_more(50)
        _, lost = pings.stop()
    assert not lost
    assert not client.output.find("^script: done reconnect")


@pytest.mark.parametrize("psk", [True, False])
def test_a_lost_finished_of_the_server_is_said_again(lab: Lab, psk: bool) -> None:
    lab.start_server(udp_port=443, dtls_psk=psk)
    path = Path(lab.namespace)
    lost = path.from_server(f"{UDP_FROM_SERVER} {ENCRYPTED_HANDSHAKE} limit rate 1/day burst 1 packets", "drop")
    client = lab.login()
    client.output.wait_for("DTLS initialised")
    client.await_dtls(3)
    assert lost.packets == 1
    assert client.await_connected().reaches(GATEWAY4)


# ---- addresses that change ----------------------------------------------------------------------------------------


def test_two_clients_behind_one_nat_have_dtls_each(lab: Lab) -> None:
    server = lab.start_server(udp_port=443)
    router = lab.router()
    router.masquerade()
    clients = [lab.connect(user, host=lab.host(router)) for user in ("alice", "bob")]
    for client in clients:
        client.await_dtls()
        assert arrives_whole(client.host, lab.namespace, GATEWAY4, 300_000)
        assert arrives_whole(lab.namespace, client.host, client.address4, 300_000)
    assert {user["Remote IP"] for user in server.show("users")} == {router.address4}
    assert all(_dtls_cipher(server, client) for client in clients)


def test_a_nat_that_forgets_its_mappings_stops_nobody(lab: Lab) -> None:
    server = lab.start_server(udp_port=443)
    router = lab.router()
    router.masquerade()
    alice, bob = [lab.connect(user, host=lab.host(router)) for user in ("alice", "bob")]
    for client in (alice, bob):
        client.await_dtls()
    datagrams = Path(lab.namespace).to_server(UDP_TO_SERVER)
    with pinging(alice.host, GATEWAY4) as of_alice, pinging(bob.host, GATEWAY4) as of_bob:
        router.forget_mappings()
        server.log.wait_for(COMES_ANEW, times=2)
        for pings in (of_alice, of_bob):
            pings.await_more(10)
            _, lost = pings.stop()
            assert lost <= 10
    assert datagrams.packets > 20
    for client in (alice, bob):
        assert client.output.count(DTLS_UP) == 1
        assert arrives_whole(lab.namespace, client.host, client.address4, 300_000)


def test_a_client_that_moves_goes_on_by_dtls_from_its_new_address(lab: Lab) -> None:
    server = lab.start_server(udp_port=443)
    client = lab.connect("alice", "--force-dpd=3")
    client.await_dtls()
    addresses = client.addresses
    with pinging(client.host, GATEWAY4):
        client.host.take_address(99)
        client.await_dtls(times=2)
        client.await_reconnected(30)
        client.await_dtls(times=3)
    assert client.reaches(GATEWAY4)
    assert client.addresses == addresses
    (user,) = server.show("users")
    assert user["Remote IP"] == client.host.address4


# ---- who gets an answer -------------------------------------------------------------------------------------------


def _hello(app_id: bytes, random: bytes) -> bytes:
    """A ClientHello of DTLS 1.2 as openconnect sends it, as far as a peek looks."""
    rest = b"\0\0\x02\x00\xa9\x01\0"
    body = b"\xfe\xfd" + random + bytes([len(app_id)]) + app_id + rest
    size = len(body).to_bytes(3, "big")
    handshake = b"\x01" + size + b"\0\0" + b"\0\0\0" + size + body
    return b"\x16\xfe\xff" + bytes(8) + len(handshake).to_bytes(2, "big") + handshake


def _app_id(client: Client) -> bytes:
    return bytes.fromhex(client.output.wait_for("^X-DTLS-App-ID: (.*)$")[1])


def test_nobody_gets_an_answer_who_is_not_awaited(lab: Lab) -> None:
    lab.start_server(udp_port=443)
    app_id = _app_id(lab.connect())
    stranger = lab.host()
    wire = Capture(stranger, "eth0")
    with stranger.open_socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for datagram in (
            _hello(os.urandom(32), os.urandom(32)),
            _hello(app_id, bytes(32)),
            _hello(b"", os.urandom(32)),
            b"\x17\xfe\xfd" + bytes(8) + b"\0\x40" + os.urandom(64),
            b"\x15\xfe\xfd" + bytes(8) + b"\0\x02\x02\x28",
            os.urandom(1200),
            b"\x16",
            b"",
        ):
            sock.sendto(datagram, (SERVER4, 443))
    # Datagrams are read in their order: with the next client's hello those before it are done with.
    lab.connect("bob").await_dtls()
    packets = wire.seen()
    assert sum(packet.sent and packet.is_udp for packet in packets) == 8
    assert not [packet for packet in packets if not packet.sent and (packet.is_udp or packet.is_icmp)]


def test_a_stranger_who_repeats_a_hello_does_not_disturb_its_owner(lab: Lab) -> None:
    server = lab.start_server(udp_port=443)
    client = lab.connect()
    client.await_dtls()
    app_id = _app_id(client)
    stranger = lab.host()
    with stranger.open_socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pinging(client.host, GATEWAY4) as pings:
        for _ in range(50):
            sock.sendto(_hello(app_id, os.urandom(32)), (SERVER4, 443))
        pings.await_more(20)
        _, lost = pings.stop()
    assert not lost
    assert server.pids_of("ocserv-worker")
    assert client.output.count(DTLS_UP) == 1


# ---- bytes --------------------------------------------------------------------------------------------------------


def _quiet(namespace: Namespace) -> None:
    """Devices that it gets have no IPv6, so that nothing is sent that nobody meant."""
    namespace.run("sysctl", "-w", "net.ipv6.conf.default.disable_ipv6=1").check_returncode()


def _counted_by(client: Client) -> tuple[int, int]:
    """What the client has sent and received in bytes, as its device counts them."""
    (link,) = json.loads(client.host.run("ip", "-json", "-statistics", "link", "show", "tun0").stdout)
    return link["stats64"]["tx"]["bytes"], link["stats64"]["rx"]["bytes"]


def _await_counters(server: Server, expected: tuple[int, int]) -> None:
    """Until occtl shows just these RX and TX."""
    deadline = time.monotonic() + 5
    while (shown := [(int(user["RX"]), int(user["TX"])) for user in server.show("users")]) != [expected]:
        assert time.monotonic() < deadline, f"{shown}, not {expected}"


def _talk(lab: Lab, client: Client) -> None:
    """Packets of all sizes both ways, of which none is lost."""
    with connected(client.host, lab.namespace, GATEWAY4) as (near, far):
        assert all(Echo(near, far).exchange(size) for size in (1, 300, 4096, 20_000))
    sizes = range(0, client.mtu - 28, 100)
    assert echoed(client.host, GATEWAY4, sizes) == list(sizes)


def test_bytes_are_exact_after_a_worker_s_sudden_death_and_totals_go_on(lab: Lab) -> None:
    _quiet(lab.namespace)
    server = lab.start_server(udp_port=443, ipv6_network=())
    host = lab.host()
    _quiet(host)
    client = lab.connect(host=host)
    client.await_dtls()
    _talk(lab, client)
    first = _counted_by(client)
    _await_counters(server, first)
    os.kill(server.pid_of("ocserv-worker"), signal.SIGKILL)
    client.await_reconnected()
    ended = server.log.wait_for(r"user 'alice' disconnected .*rx: (\d+), tx: (\d+)")
    assert (int(ended[1]), int(ended[2])) == first
    client.await_dtls(times=2)
    _talk(lab, client)
    both = _counted_by(client)
    _await_counters(server, (both[0] - first[0], both[1] - first[1]))
    client.disconnect()
    server.await_disconnected("alice", times=2)
    status = server.show("status")
    assert (status["raw_rx"], status["raw_tx"]) == both
