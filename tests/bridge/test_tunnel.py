"""The whole way of packets: segment → seal → open → gather → segment gives the same packets back, squeezed or not."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import given, settings

from ocserv_core.bridge.pump import PumpOptions
from ocserv_core.model import Offloads

from ..system.forked import in_child
from .dtls_peers import SUITES, shake_over
from .native_segments import gather
from .packet_model import FLOWS, UDP, Step, conversation, on_the_wire, without_idle_ident
from .peers import NORMAL, TLS12
from .refusals import NUMBERS, refuse_long_writes
from .strategies import CONVERSATIONS
from .tunnels import End, both_ends, settle

PRIORITIES = {
    "tls13": f"{NORMAL}:-CIPHER-ALL:+AES-256-GCM:-VERS-TLS1.2",
    "tls13-chacha": f"{NORMAL}:-CIPHER-ALL:+CHACHA20-POLY1305:-VERS-TLS1.2",
    "tls12": f"{TLS12}:-CIPHER-ALL:+AES-128-GCM",
    "tls12-cbc": f"{TLS12}:-CIPHER-ALL:+AES-256-CBC:+SHA1",
}
CHANNELS = [*PRIORITIES, *(f"dtls-{suite}" for suite in SUITES)]
AT_ONCE = 50
"""Packets: no more than a UDP socket on loopback holds."""


@contextmanager
def tunnel(channel: str, compression: str, offloads: Offloads) -> Iterator[tuple[End, End]]:
    options = PumpOptions(
        offloads=offloads, tls_compression=compression, dtls_compression=compression, no_compress_limit=0
    )
    with ExitStack() as stack:
        ours, client = stack.enter_context(both_ends(PRIORITIES.get(channel, NORMAL), options))
        if channel.startswith("dtls-"):
            join_by_dtls(stack, ours, client, SUITES[channel.removeprefix("dtls-")])
        yield ours, client


def join_by_dtls(stack: ExitStack, ours: End, client: End, priorities: str) -> None:
    """Over loopback, until both ends use it."""
    socks = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
    for sock in socks:
        sock.bind(("127.0.0.1", 0))
    for sock, other in zip(socks, reversed(socks), strict=True):
        sock.connect(other.getsockname())
    sessions = shake_over(socks[0], socks[1], priorities)
    slots = [end.pump.attach(session) for end, session in zip((ours, client), sessions, strict=True)]
    for end, slot, hearer in ((client, slots[1], ours), (ours, slots[0], client)):
        assert slot is not None
        assert end.pump.send_datagram(slot, 7) == 0
        hearer.run()
        assert hearer.pump.active is not None


def test_the_server_that_goes_to_tls_for_a_while_leaves_the_client_by_dtls() -> None:
    options = PumpOptions()
    with ExitStack() as stack:
        ours, client = stack.enter_context(both_ends(NORMAL, options))
        join_by_dtls(stack, ours, client, SUITES["aes256"])
        ours.pump.deactivate()
        packets = conversation([Step(0, 100)])
        assert alike(carry(ours, client, packets)) == alike(packets)
        assert ours.pump.active is None
        assert client.pump.active is not None
        # Its own packets, by DTLS, bring the server back.
        assert alike(carry(client, ours, packets)) == alike(packets)
        assert ours.pump.active is not None


def carry(begin: End, end: End, packets: list[bytes]) -> list[bytes]:
    """What comes out, of what goes in as the kernel would give it."""
    written = []
    for at in range(0, len(packets), AT_ONCE):
        begin.feed_gathered(*gather(packets[at : at + AT_ONCE]).written)
        settle(begin, end)
        written += end.written()
    return [packet for vnet, whole in written for packet in on_the_wire(vnet, whole)]


def alike(packets: list[bytes]) -> list[bytes]:
    return [without_idle_ident(packet) for packet in packets]


@pytest.mark.parametrize("compression", ["", "oc-lz4", "lzs"])
@pytest.mark.parametrize("channel", CHANNELS)
def test_packets_come_out_as_they_went_in(channel: str, compression: str) -> None:
    """In order and byte for byte, but for the identification of packets that may not be fragmented (RFC 6864 4.1)."""
    with tunnel(channel, compression, Offloads()) as (ours, client):

        @settings(max_examples=15, deadline=None)
        @given(CONVERSATIONS, CONVERSATIONS)
        def same(up: list[bytes], down: list[bytes]) -> None:
            before = ours.pump.traffic
            assert alike(carry(client, ours, up)) == alike(up)
            assert alike(carry(ours, client, down)) == alike(down)
            after = ours.pump.traffic
            assert after.rx_packets - before.rx_packets == len(up)
            assert after.rx_bytes - before.rx_bytes == sum(map(len, up))
            assert after.tx_packets - before.tx_packets == len(down)
            assert after.tx_bytes - before.tx_bytes == sum(map(len, down))

        same()
        assert ours.pump.dropped.total == client.pump.dropped.total == 0
        if channel.startswith("dtls-"):
            assert ours.pump.active is not None
            assert client.pump.active is not None


@pytest.mark.parametrize("channel", ["tls13", "dtls-aes256"])
@pytest.mark.parametrize("offloads", [Offloads(False, False), Offloads(True, False), Offloads(False, True)], ids=str)
def test_what_the_device_does_not_take_gathered_comes_apart(channel: str, offloads: Offloads) -> None:
    with tunnel(channel, "", offloads) as (ours, client):

        @settings(max_examples=15, deadline=None)
        @given(CONVERSATIONS)
        def same(up: list[bytes]) -> None:
            assert alike(carry(client, ours, up)) == alike(up)

        same()


@pytest.mark.skipif(not NUMBERS, reason="needs the numbers of this machine's system calls")
@pytest.mark.parametrize("flow", [0, 1, 2, 3])
def test_a_kernel_that_refuses_gathered_packets_gets_them_one_by_one(flow: int) -> None:
    def child() -> list[object]:
        with tunnel("tls13", "", Offloads()) as (ours, client):
            refuse_long_writes(errno.EINVAL, 2000)
            packets = conversation([Step(flow, 1000)] * 30)
            first, second = carry(client, ours, packets), carry(client, ours, packets)
            right = alike(first) == alike(second) == alike(packets)
            traffic = ours.pump.traffic
            gathered = ours.pump._pump.gathered
            return [right, traffic.rx_packets, traffic.rx_bytes == 2 * sum(map(len, packets)), ours.pump.dropped.total,
                    gathered.tcp, gathered.udp]  # fmt: skip

    udp = FLOWS[flow][0] == UDP
    assert in_child(child) == [True, 60, True, 0, int(udp), int(not udp)]


def test_a_device_of_plain_packets_carries_the_same() -> None:
    options = PumpOptions()
    with ExitStack() as stack:
        ours, client = stack.enter_context(both_ends(NORMAL, options))
        join_by_dtls(stack, ours, client, SUITES["aes256"])

        @settings(max_examples=15, deadline=None)
        @given(CONVERSATIONS)
        def same(up: list[bytes]) -> None:
            came = []
            for at in range(0, len(up), AT_ONCE):
                client.feed(*up[at : at + AT_ONCE])
                settle(client, ours)
                came += ours.packets()
            assert came == up

        same()
