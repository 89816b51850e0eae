"""A tunnel carries packets: both families, every size, both ways."""

from __future__ import annotations

import ipaddress

from .lab import GATEWAY4, GATEWAY6, SERVER6, Lab
from .traffic import arrives_whole

IP4_ICMP = 28
IP6_ICMP = 48
"""Bytes of the headers around a ping's payload."""


def test_a_client_connects_and_both_families_answer(lab: Lab) -> None:
    lab.start_server()
    client = lab.connect()
    assert client.address4.startswith("198.51.100.")
    assert client.address6.startswith("2001:db8:1::")
    assert client.host.ping(GATEWAY4)
    assert client.host.ping(GATEWAY6)


def test_the_server_reaches_a_client(lab: Lab) -> None:
    lab.start_server()
    client = lab.connect()
    assert lab.namespace.run("ping", "-c", "1", "-W", "2", client.address4).returncode == 0
    assert lab.namespace.run("ping", "-c", "1", "-W", "2", client.address6).returncode == 0


def test_a_client_connects_over_ipv6(lab: Lab) -> None:
    lab.start_server()
    client = lab.connect(server=SERVER6)
    assert client.host.ping(GATEWAY4)
    assert client.host.ping(GATEWAY6)


def test_a_server_without_ipv6_gives_ipv4_alone(lab: Lab) -> None:
    lab.start_server(ipv6_network=())
    client = lab.connect()
    assert client.host.ping(GATEWAY4)
    assert "INTERNAL_IP6_ADDRESS" not in client.environment


def test_the_client_hears_dns_domain_and_routes(lab: Lab) -> None:
    lab.start_server(
        dns=("192.0.2.53", "2001:db8::53"),
        nbns="192.0.2.54",
        default_domain="example.com",
        route=("203.0.113.0/24", "2001:db8:2::/48"),
        no_route="203.0.113.128/25",
        split_dns="example.com",
    )
    told = lab.connect().environment
    assert set(told["INTERNAL_IP4_DNS"].split()) == {"192.0.2.53", "2001:db8::53"}
    assert told["INTERNAL_IP4_NBNS"] == "192.0.2.54"
    assert told["CISCO_DEF_DOMAIN"] == "example.com"
    assert told["CISCO_SPLIT_DNS"] == "example.com"
    assert (told["CISCO_SPLIT_INC"], told["CISCO_SPLIT_INC_0_ADDR"]) == ("1", "203.0.113.0")
    assert (told["CISCO_SPLIT_EXC"], told["CISCO_SPLIT_EXC_0_ADDR"]) == ("1", "203.0.113.128")
    assert told["CISCO_IPV6_SPLIT_INC_0_ADDR"] == "2001:db8:2::"


def test_a_client_gets_a_subnet_of_its_own(lab: Lab) -> None:
    lab.start_server(ipv6_network="2001:db8:1::/48", ipv6_subnet_prefix=64)
    pools = {"LAB_NETWORK6": "2001:db8:1::/48"}
    first, second = lab.connect("alice", environment=pools), lab.connect("bob", environment=pools)
    subnets = [ipaddress.IPv6Interface(c.environment["INTERNAL_IP6_NETMASK"]).network for c in (first, second)]
    assert {subnet.prefixlen for subnet in subnets} == {64}
    assert not subnets[0].overlaps(subnets[1])
    behind = str(subnets[0][0x1234])
    device = first.environment["TUNDEV"]
    first.host.run("ip", "address", "add", f"{behind}/128", "dev", device, "nodad")
    assert lab.namespace.run("ping", "-c", "1", "-W", "2", behind).returncode == 0


def test_a_user_gets_the_same_addresses_again(lab: Lab) -> None:
    server = lab.start_server()
    before = lab.connect("alice")
    before.disconnect()
    server.await_disconnected("alice")
    lab.connect("bob")
    assert lab.connect("alice").addresses == before.addresses


def test_a_packet_fills_one_segment_of_tcp(lab: Lab) -> None:
    lab.start_server()
    assert lab.connect().mtu == 1500 - 20 - 32 - 22 - 8  # IP, TCP with time stamps, TLS 1.3's record, CSTP


def test_a_packet_of_exactly_the_mtu_passes_and_one_byte_more_does_not(lab: Lab) -> None:
    lab.start_server()
    client = lab.connect()
    fits4, fits6 = client.mtu - IP4_ICMP, client.mtu - IP6_ICMP
    assert client.host.ping(GATEWAY4, size=fits4, fragment=False)
    assert client.host.ping(GATEWAY6, size=fits6, fragment=False)
    assert not client.host.ping(GATEWAY4, size=fits4 + 1, fragment=False)
    assert not client.host.ping(GATEWAY6, size=fits6 + 1, fragment=False)


def test_both_ends_agree_on_the_mtu(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect()
    (user,) = server.show("users")
    device = lab.namespace.run("ip", "-o", "link", "show", user["Device"]).stdout
    assert f" mtu {client.mtu} " in device


def test_an_mtu_that_is_configured_holds(lab: Lab) -> None:
    lab.start_server(mtu=1300)
    client = lab.connect()
    assert client.mtu <= 1300
    assert client.host.ping(GATEWAY4, size=client.mtu - IP4_ICMP, fragment=False)


def test_a_packet_longer_than_the_mtu_passes_in_fragments(lab: Lab) -> None:
    lab.start_server()
    client = lab.connect()
    assert client.host.ping(GATEWAY4, size=8000)
    assert client.host.ping(GATEWAY6, size=8000)


def test_five_megabytes_arrive_whole_both_ways_over_ipv4(lab: Lab) -> None:
    lab.start_server()
    client = lab.connect()
    assert arrives_whole(client.host, lab.namespace, GATEWAY4)
    assert arrives_whole(lab.namespace, client.host, client.address4)


def test_five_megabytes_arrive_whole_both_ways_over_ipv6(lab: Lab) -> None:
    lab.start_server()
    client = lab.connect()
    assert arrives_whole(client.host, lab.namespace, GATEWAY6)
    assert arrives_whole(lab.namespace, client.host, client.address6)


def test_the_bytes_are_counted(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect()
    assert arrives_whole(client.host, lab.namespace, GATEWAY4, 1_000_000)
    client.disconnect()
    ended = server.log.wait_for(r"user 'alice' disconnected .*rx: (\d+), tx: (\d+)")
    assert 1_000_000 < int(ended[1]) < 1_200_000
    assert 0 < int(ended[2]) < 200_000


def test_the_device_goes_with_the_client(lab: Lab) -> None:
    server = lab.start_server()
    client = lab.connect()
    assert "vpns" in lab.namespace.run("ip", "-o", "link").stdout
    client.disconnect()
    server.await_disconnected("alice")
    assert "vpns" not in lab.namespace.run("ip", "-o", "link").stdout
