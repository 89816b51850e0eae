"""Packets in bulk, where segmentation and checksums are the kernel's: each arrives as it was sent, on every channel and
whatever the kernel refuses."""

from __future__ import annotations

import json
import random

import pytest

from .lab import GATEWAY4, GATEWAY6, POOL4, POOL6, SERVER4, SERVER6, Lab
from .traffic import MEGABYTE, arrives_whole, datagrams_arrive, echoed

IP4_ICMP = 28
IP6_ICMP = 48
SPOOFED = "198.51.100.250"

CHANNELS = pytest.mark.parametrize("words", [(), ("--no-dtls",)], ids=["dtls", "tls"])


@CHANNELS
def test_twenty_megabytes_arrive_whole_both_ways(lab: Lab, words: tuple[str, ...]) -> None:
    lab.start_server(udp_port=443)
    client = lab.connect("alice", *words)
    for gateway, address in ((GATEWAY4, client.address4), (GATEWAY6, client.address6)):
        assert arrives_whole(client.host, lab.namespace, gateway, 20 * MEGABYTE)
        assert arrives_whole(lab.namespace, client.host, address, 20 * MEGABYTE)


def test_bulk_arrives_whole_in_a_tunnel_over_ipv6(lab: Lab) -> None:
    lab.start_server(udp_port=443)
    client = lab.connect(server=SERVER6)
    client.await_dtls()
    assert arrives_whole(client.host, lab.namespace, GATEWAY6, 10 * MEGABYTE)
    assert arrives_whole(lab.namespace, client.host, client.address4, 10 * MEGABYTE)


SIZES = {
    "mixed": [random.Random(number).randrange(4, 1400) for number in range(1500)],
    "equal": [700] * 1500,
    "equal-with-short-ends": [1200 if number % 8 else 37 for number in range(1500)],
    "fragmented": [9000] * 100,
}


@CHANNELS
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_bursts_of_datagrams_arrive_whole_both_ways(lab: Lab, words: tuple[str, ...], sizes: list[int]) -> None:
    lab.start_server(udp_port=443)
    client = lab.connect("alice", *words)
    burst = 4 if sizes[0] > 2000 else 32
    for gateway, address in ((GATEWAY4, client.address4), (GATEWAY6, client.address6)):
        assert datagrams_arrive(client.host, lab.namespace, gateway, sizes, burst=burst) == len(sizes)
        assert datagrams_arrive(lab.namespace, client.host, address, sizes, burst=burst) == len(sizes)


@CHANNELS
def test_a_ping_of_every_size_comes_back(lab: Lab, words: tuple[str, ...]) -> None:
    lab.start_server(udp_port=443)
    client = lab.connect("alice", *words)
    sizes4, sizes6 = range(client.mtu - IP4_ICMP + 1), range(client.mtu - IP6_ICMP + 1)
    assert echoed(client.host, GATEWAY4, sizes4) == list(sizes4)
    assert echoed(client.host, GATEWAY6, sizes6) == list(sizes6)
    assert echoed(lab.namespace, client.address4, sizes4) == list(sizes4)


# ---- a kernel that refuses ----------------------------------------------------------------------------------------

REFUSING = """\
import errno, fcntl, struct
from ocserv_core.system import tun

class Refusing:
    def ioctl(self, fd, request, argument):
        if request == tun._TUNSETIFF and {vnet} and struct.unpack_from("16xH", argument)[0] & tun._IFF_VNET_HDR:
            raise OSError(errno.EINVAL, "refused")
        if request == tun._TUNSETOFFLOAD and argument & {offloads}:
            raise OSError(errno.EINVAL, "refused")
        return fcntl.ioctl(fd, request, argument)

tun.fcntl = Refusing()
"""
"""A kernel that knows no vnet headers, or not these offloads."""


def _read_from_device(lab: Lab) -> int:
    """How many packets, or super-packets, the server has read from the client's device."""
    (link,) = json.loads(lab.namespace.run("ip", "-json", "-statistics", "link", "show", "vpns0").stdout)
    return int(link["stats64"]["tx"]["packets"])


@pytest.mark.parametrize(
    ("vnet", "offloads", "segmented"),
    [(False, 0, True), (True, 0, False), (False, 0x60, True), (False, 0x7F, False)],
    ids=["none-refused", "no-vnet", "no-udp-segmentation", "no-offload"],
)
def test_a_tun_that_is_refused_something_carries_all_the_same(
    lab: Lab, vnet: bool, offloads: int, segmented: bool
) -> None:
    lab.start_altered(REFUSING.format(vnet=vnet, offloads=offloads), udp_port=443)
    client = lab.connect()
    client.await_dtls()
    assert ("vnet_hdr off" in lab.namespace.run("ip", "-details", "link", "show", "vpns0").stdout) == vnet
    assert arrives_whole(lab.namespace, client.host, client.address6, 5 * MEGABYTE)
    # TCP makes super-packets of two segments at least (tcp_min_tso_segs), and larger ones as the rate grows.
    assert (_read_from_device(lab) < 5 * MEGABYTE // client.mtu) == segmented
    assert arrives_whole(client.host, lab.namespace, GATEWAY4)
    assert datagrams_arrive(client.host, lab.namespace, GATEWAY6, SIZES["mixed"]) == len(SIZES["mixed"])
    assert datagrams_arrive(lab.namespace, client.host, client.address4, SIZES["equal"]) == len(SIZES["equal"])


# ---- whose packets ------------------------------------------------------------------------------------------------


@CHANNELS
def test_packets_from_an_address_that_is_not_the_client_s_are_dropped_and_counted(
    lab: Lab, words: tuple[str, ...]
) -> None:
    server = lab.start_server(udp_port=443)
    client = lab.connect("alice", *words)
    client.host.run("ip", "address", "add", f"{SPOOFED}/32", "dev", "tun0").check_returncode()
    pings = client.host.run("ping", "-c", "3", "-i", "0.1", "-W", "1", "-I", SPOOFED, GATEWAY4)
    assert "3 packets transmitted, 0 received" in pings.stdout
    assert client.host.ping(GATEWAY4)
    client.disconnect()
    server.log.wait_for(r"packets thrown away: .*\b3 foreign")


def test_what_a_host_says_of_itself_on_the_link_is_no_news(lab: Lab) -> None:
    server = lab.start_server(udp_port=443)
    client = lab.connect()
    client.await_dtls()
    client.host.run("ping", "-6", "-c", "3", "-i", "0.1", "-W", "1", "ff02::2%tun0")
    assert client.host.ping(GATEWAY6)
    client.disconnect()
    server.await_disconnected("alice")
    assert not server.log.find("thrown away")


# ---- too long -----------------------------------------------------------------------------------------------------


def test_who_sends_too_long_a_packet_to_a_client_hears_the_mtu(lab: Lab) -> None:
    lab.start_server(udp_port=443)
    client = lab.connect()
    client.await_dtls()
    lab.namespace.run("sysctl", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1").check_returncode()
    neighbour = lab.host()
    neighbour.route(POOL4, SERVER4)
    neighbour.route(POOL6, SERVER6)
    client.host.run("ip", "route", "add", neighbour.address4, "dev", "tun0").check_returncode()
    client.host.run("ip", "-6", "route", "add", neighbour.address6, "dev", "tun0").check_returncode()
    for address, header, said in (
        (client.address4, IP4_ICMP, "Frag needed and DF set"),
        (client.address6, IP6_ICMP, "Packet too big"),
    ):
        assert neighbour.ping(address, size=client.mtu - header, fragment=False)
        refused = neighbour.run("ping", "-c", "1", "-W", "2", "-M", "do", "-s", str(client.mtu - header + 1), address)
        assert said in refused.stdout
        assert f"mtu = {client.mtu}" in refused.stdout or f"mtu={client.mtu}" in refused.stdout
        assert arrives_whole(neighbour, client.host, address)
        assert arrives_whole(client.host, neighbour, neighbour.address6 if ":" in address else neighbour.address4)
