"""What a session may take: bytes a second, a priority, a buffer; and what a client that reads nothing can do."""

from __future__ import annotations

import re
import socket
import time

import pytest

from .client import Client
from .hostile import DPD_REQUEST, DPD_RESPONSE, TlsClient
from .lab import GATEWAY4, SERVER4, SERVER6, Lab
from .path import TCP_FROM_SERVER, UDP_FROM_SERVER, Capture, Path
from .server import Server
from .traffic import Echo, arrives_whole, connected, pinging

CHANNELS = pytest.mark.parametrize("words", [(), ("--no-dtls",)], ids=["dtls", "tls"])

RATE = 200_000
BURST = 32_768
"""Bytes that a bucket holds at least."""


def _counted(server: Server) -> tuple[int, int]:
    (user,) = server.show("users")
    return int(user["RX"]), int(user["TX"])


def _limited(lab: Lab, words: tuple[str, ...]) -> tuple[Server, Client]:
    server = lab.start_server(udp_port=443, rx_data_per_sec=RATE, tx_data_per_sec=RATE)
    return server, lab.connect("alice", *words)


@CHANNELS
@pytest.mark.parametrize("direction", ["rx", "tx"])
def test_a_transfer_is_as_fast_as_the_limit_and_pings_stay_quick(
    lab: Lab, words: tuple[str, ...], direction: str
) -> None:
    server, client = _limited(lab, words)
    ways = {"rx": (client.host, lab.namespace, GATEWAY4), "tx": (lab.namespace, client.host, client.address4)}
    with pinging(client.host, GATEWAY4, 0.05) as pings:
        before, began = _counted(server), time.monotonic()
        assert arrives_whole(*ways[direction], 500_000)
        took = time.monotonic() - began
        after = _counted(server)
        sent, lost = pings.stop()
    passed = dict(zip(("rx", "tx"), (now - then for now, then in zip(after, before, strict=True)), strict=True))
    assert RATE / 2 * took < passed[direction] < RATE * (took + 0.5) + BURST
    assert lost < sent / 4
    # Nothing waits in a queue: what is too much is dropped.
    assert pings.median < 0.05


def test_occtl_shows_the_limits(lab: Lab) -> None:
    server, _ = _limited(lab, ())
    (user,) = server.show("users")
    assert (user["Limit RX"], user["Limit TX"]) == ("200.0 kB/s", "200.0 kB/s")


def test_without_limits_a_transfer_is_fast(lab: Lab) -> None:
    lab.start_server(udp_port=443)
    client = lab.connect()
    began = time.monotonic()
    assert arrives_whole(lab.namespace, client.host, client.address4, 2_000_000)
    assert time.monotonic() - began < 2_000_000 / RATE / 2


# ---- sockets ------------------------------------------------------------------------------------------------------


@CHANNELS
def test_net_priority_in_hexadecimal_is_the_tos_byte_of_both_channels(lab: Lab, words: tuple[str, ...]) -> None:
    lab.start_server(udp_port=443, net_priority="0x48")
    client = lab.connect("alice", *words)
    wire = Capture(lab.namespace, "bridge")
    assert client.host.ping(GATEWAY4)
    sent = wire.wait_for(lambda packet: packet.sent and (packet.is_tcp if words else packet.is_udp))
    assert sent.tos == 0x48
    wire.close()


@pytest.mark.parametrize("address", [SERVER4, SERVER6])
def test_a_small_net_priority_is_that_of_both_sockets(lab: Lab, address: str) -> None:
    lab.start_server(udp_port=443, net_priority=5)
    client = lab.connect(server=address)
    client.await_dtls()
    path = Path(lab.namespace)
    datagrams = path.from_server(f"{UDP_FROM_SERVER} meta priority 0:5")
    assert client.host.ping(GATEWAY4)
    assert datagrams.packets
    other = lab.connect("bob", "--no-dtls", server=address)
    segments = path.from_server(f"{TCP_FROM_SERVER} meta priority 0:5")
    assert other.host.ping(GATEWAY4)
    assert segments.packets


def test_output_buffer_is_the_send_buffer_of_tcp_in_packets(lab: Lab) -> None:
    lab.start_server(udp_port=443, output_buffer=10)
    client = lab.connect("alice", "--no-dtls")
    # The kernel keeps twice of what it is told.
    assert f"tb{2 * 10 * 1500}," in lab.namespace.run("ss", "-tmn", "dst", client.host.address4).stdout
    assert arrives_whole(lab.namespace, client.host, client.address4, 3_000_000)


def test_without_output_buffer_the_kernel_chooses(lab: Lab) -> None:
    lab.start_server(udp_port=443)
    client = lab.connect("alice", "--no-dtls")
    (size,) = re.findall(r",tb(\d+),", lab.namespace.run("ss", "-tmn", "dst", client.host.address4).stdout)
    assert int(size) > 40_000


# ---- a client that does not read ----------------------------------------------------------------------------------


class _Deaf:
    """A client with a tunnel, which reads nothing while it is flooded."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.client = TlsClient(lab.host())
        answer = self.client.connect(self.client.login("alice", lab.passwords["alice"]))
        assert answer.status == 200
        self.address = answer.headers["x-cstp-address"]

    def flood(self, count: int = 20_000) -> None:
        """28 MB of datagrams from the server's side."""
        with self._lab.namespace.open_socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((self.address, 9))
            for _ in range(count):
                sock.send(bytes(1390))

    def answers(self) -> bool:
        """Whether its worker answers a DPD, behind all that waited."""
        self.client.send_frame(DPD_REQUEST, b"are you there")
        while True:
            kind, payload = self.client.read_frame()
            if kind == DPD_RESPONSE:
                return payload == b"are you there"


def _resident(pid: int) -> int:
    """Bytes."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def test_a_client_that_reads_nothing_takes_no_memory_and_hinders_nobody(lab: Lab) -> None:
    server = lab.start_server(udp_port=443, ipv6_network=())
    deaf = _Deaf(lab)
    worker = server.pid_of("ocserv-worker")
    deaf.flood(2000)
    before = _resident(worker)
    bob = lab.connect("bob")
    with connected(bob.host, lab.namespace, GATEWAY4) as (near, far), pinging(bob.host, GATEWAY4) as pings:
        deaf.flood()
        assert Echo(near, far).exchange(100_000)
        _, lost = pings.stop()
    assert not lost
    assert _resident(worker) - before < 1_000_000
    assert deaf.answers()


def test_a_client_that_reads_nothing_can_be_ended(lab: Lab) -> None:
    server = lab.start_server(udp_port=443, ipv6_network=())
    deaf = _Deaf(lab)
    deaf.flood(5000)
    assert server.occtl("disconnect", "user", "alice").returncode == 0
    server.await_disconnected("alice", timeout=5)
    _Deaf(lab).flood(5000)
    server.stop()
