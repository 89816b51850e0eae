"""native/packet.c against its model."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.bridge._native import ffi, lib

from ..packet_model import (
    ACK,
    DF,
    HOP_BY_HOP,
    ICMP,
    MORE,
    SYN,
    TCP,
    UDP,
    Ip,
    Parsed,
    Tcp,
    conversation,
    inverse,
    ones_sum,
    parse,
    sums_hold,
    udp,
)
from ..strategies import STEPS

V4, V6 = Ip(), Ip("2001:db8::1", "2001:db8:1::7")
PACKETS = STEPS.map(lambda step: conversation([step])[0])


def native_parse(packet: bytes) -> Parsed | None:
    data = ffi.new("uint8_t[]", packet) if packet else ffi.NULL
    f = lib.oc_parse_flow_packet(data, len(packet))
    assert f.size == len(packet)
    return Parsed(packet, f.version, f.protocol, f.ip, f.headers) if f.protocol else None


def native_sums_hold(packet: bytes) -> bool:
    data = ffi.new("uint8_t[]", packet)
    f = ffi.new("struct oc_flow_packet *", lib.oc_parse_flow_packet(data, len(packet)))
    return bool(lib.oc_sums_hold(data, f))


# ---- checksums --------------------------------------------------------------------------------------------------


@given(st.binary(max_size=400), st.integers(0, 0xFFFF), st.integers(0, 7))
def test_sums_are_the_model_s_wherever_the_data_lies(data: bytes, before: int, shift: int) -> None:
    memory = ffi.new("uint8_t[]", bytes(shift) + data)
    expected = ones_sum(before.to_bytes(2, "big") + data)
    assert lib.oc_sum(memory + shift, len(data), before) == expected


def test_the_longest_packet_of_ones_does_not_overflow() -> None:
    data = b"\xff" * 65535
    assert lib.oc_sum(ffi.new("uint8_t[]", data), len(data), 0xFFFF) == ones_sum(data) | ones_sum(b"\xff")


@given(PACKETS)
def test_the_pseudo_header_is_the_model_s(packet: bytes) -> None:
    p = parse(packet)
    if p is not None:
        data = ffi.new("uint8_t[]", packet)
        assert lib.oc_pseudo_sum(data, p.protocol, len(packet) - p.ip) == ones_sum(p.pseudo)


def test_an_ip_checksum_is_put_whatever_was_there() -> None:
    packet = Ip(extension=b"\x94\x04\0\0").around(ICMP, b"")
    data = ffi.new("uint8_t[]", packet[:10] + b"\xaa\xbb" + packet[12:])
    lib.oc_put_ip_sum(data, 24)
    assert bytes(ffi.buffer(data, 24)) == packet


# ---- what a packet is -------------------------------------------------------------------------------------------


@given(PACKETS)
def test_packets_are_read_as_the_model_reads_them(packet: bytes) -> None:
    assert native_parse(packet) == parse(packet)


@given(PACKETS, st.data())
def test_bent_packets_are_read_as_the_model_reads_them(packet: bytes, data: st.DataObject) -> None:
    bent = bytearray(packet)
    for _ in range(data.draw(st.integers(1, 3))):
        bent[data.draw(st.integers(0, min(len(bent) - 1, 60)))] = data.draw(st.integers(0, 255))
    cut = bytes(bent[: data.draw(st.integers(0, len(bent)))])
    assert native_parse(cut) == parse(cut)
    p = parse(cut)
    if p is not None:
        assert native_sums_hold(cut) == sums_hold(p)


@given(PACKETS)
def test_checksums_are_judged_as_the_model_does(packet: bytes) -> None:
    p = parse(packet)
    if p is not None:
        assert native_sums_hold(packet) == sums_hold(p)


NO_FLOW = {
    "fragment": Tcp().on(Ip(fragment=MORE), b"x" * 40),
    "last fragment": Tcp().on(Ip(fragment=5), b"x" * 40),
    "ip options": Tcp().on(Ip(extension=b"\1\1\1\1"), b"x"),
    "extension header": Tcp().on(Ip("::1", "::2", extension=HOP_BY_HOP), b"x"),
    "icmp": V4.around(ICMP, bytes(30)),
    "trailer": Tcp().on(V4, b"x") + b"\0",
    "cut": Tcp().on(V6, b"x")[:-1],
    "tcp header too short": V4.around(TCP, bytes(12) + b"\x40" + bytes(20)),
    "tcp header too long": V4.around(TCP, bytes(12) + b"\xf0" + bytes(20)),
    "udp length": V4.around(UDP, bytes(4) + b"\0\7" + bytes(3)),
    "version 5": b"\x55" + Tcp().on(V4, b"x")[1:],
    "runt": b"\x45\0\0\5\0",
    "nothing": b"",
}


@pytest.mark.parametrize("packet", NO_FLOW.values(), ids=NO_FLOW)
def test_what_is_no_plain_segment_has_no_protocol(packet: bytes) -> None:
    assert native_parse(packet) is None


def test_a_udp_datagram_without_a_checksum_holds_none() -> None:
    packet = udp(V4, b"data")
    assert native_sums_hold(packet)
    assert not native_sums_hold(packet[:26] + b"\0\0" + packet[28:])


# ---- whose it is ------------------------------------------------------------------------------------------------

OURS, LINK_LOCAL, FOREIGN = lib.OC_SOURCE_OURS, lib.OC_SOURCE_LINK_LOCAL, lib.OC_SOURCE_FOREIGN


def judge(packet: bytes, *networks: str) -> int:
    array = ffi.new("struct oc_network[]", max(len(networks), 1))
    for entry, text in zip(array, networks, strict=False):
        network = ipaddress.ip_network(text)
        entry.version, entry.bits = network.version, network.prefixlen
        packed = network.network_address.packed
        for at, byte in enumerate(packed):
            entry.address[at] = byte
    data = ffi.new("uint8_t[]", packet) if packet else ffi.NULL
    return int(lib.oc_judge_source(data, len(packet), array, len(networks)))


def of(source: str) -> bytes:
    destination = "198.51.100.7" if "." in source else "2001:db8:1::7"
    return Tcp(flags=SYN | ACK).on(Ip(source, destination, fragment=DF), b"")


@pytest.mark.parametrize(
    ("source", "networks", "expected"),
    [
        ("192.0.2.1", ("192.0.2.1/32",), OURS),
        ("192.0.2.2", ("192.0.2.1/32",), FOREIGN),
        ("10.9.127.255", ("192.0.2.1/32", "10.9.0.0/17"), OURS),
        ("10.9.128.0", ("192.0.2.1/32", "10.9.0.0/17"), FOREIGN),
        ("203.0.113.9", ("0.0.0.0/0",), OURS),
        ("2001:db8::1", ("2001:db8::1/128",), OURS),
        ("2001:db8::2", ("2001:db8::1/128", "0.0.0.0/0"), FOREIGN),
        ("2001:db8:0:4::", ("2001:db8::/62",), FOREIGN),
        ("2001:db8:0:3:ffff::", ("2001:db8::/62",), OURS),
        ("fe80::1", ("2001:db8::/62",), LINK_LOCAL),
        ("febf::1", (), LINK_LOCAL),
        ("fec0::1", (), FOREIGN),
        ("::", (), LINK_LOCAL),
        ("fe80::1", ("fe80::/10",), OURS),
        ("169.254.1.1", ("192.0.2.1/32",), FOREIGN),
    ],
)
def test_a_source_is_judged_by_the_networks(source: str, networks: tuple[str, ...], expected: int) -> None:
    assert judge(of(source), *networks) == expected


@pytest.mark.parametrize("packet", [b"", b"\x45" * 19, b"\x60" * 39, b"\x75" * 60], ids=["nothing", "4", "6", "7"])
def test_what_has_no_address_is_foreign(packet: bytes) -> None:
    assert judge(packet, "0.0.0.0/0", "::/0") == FOREIGN


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128))
def test_networks_match_as_python_s_do(
    source: ipaddress.IPv4Address | ipaddress.IPv6Address,
    network: ipaddress.IPv4Address | ipaddress.IPv6Address,
    bits: int,
) -> None:
    allowed = ipaddress.ip_network(f"{network}/{min(bits, network.max_prefixlen)}", strict=False)
    assert (judge(of(str(source)), str(allowed)) == OURS) == (source in allowed)


# ---- whether somebody uses the tunnel ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("packet", "data"),
    [
        (Tcp().on(V4, b""), True),
        (udp(V6, b""), True),
        (V4.around(ICMP, bytes(8)), False),
        (V4.around(2, bytes(8)), False),
        (V6.around(58, bytes(8)), False),
        (Ip("::1", "::2", extension=HOP_BY_HOP).around(58, bytes(8)), False),
        (Ip("::1", "::2", extension=HOP_BY_HOP).around(TCP, bytes(20)), True),
        (b"\x45", False),
        (b"\x10" * 60, False),
    ],
)
def test_what_is_a_user_s(packet: bytes, data: bool) -> None:
    assert bool(lib.oc_is_data(ffi.new("uint8_t[]", packet), len(packet))) == data


def test_the_model_s_checksums_are_right_by_a_known_packet() -> None:
    captured = bytes.fromhex(
        "450000546ad9400040017b35c6336432c6336401080057fe34d200015fcf036b000000003c210d00000000001011121314151617"
        "18191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637"
    )
    assert ones_sum(captured[:20]) == 0xFFFF
    assert inverse(ones_sum(captured[20:22] + captured[24:])) == int.from_bytes(captured[22:24], "big")
