"""native/segment.c against what the kernel itself would put on the wire."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ..native_segments import segments
from ..packet_model import (
    ACK,
    CWR,
    FIN,
    GSO_ECN,
    GSO_NONE,
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP_L4,
    HOP_BY_HOP,
    NEEDS_CSUM,
    PACKET_MAX,
    PSH,
    TCP,
    UDP,
    Ip,
    Tcp,
    Vnet,
    gathered_vnet,
    on_the_wire,
    parse,
    sums_hold,
    udp,
    unsummed,
)

V4, V6 = Ip(), Ip("2001:db8::1", "2001:db8:1::7")
TIMESTAMPS = b"\1\1\x08\x0a" + bytes(range(8))


def payload(n: int) -> bytes:
    return (bytes(range(251)) * (n // 251 + 1))[:n]


@st.composite
def gso(draw: st.DrawFn) -> tuple[Vnet, bytes]:
    """A packet of many as the kernel gives it."""
    ip = replace(draw(st.sampled_from([V4, V6])), ident=draw(st.sampled_from([0, 7, 0xFFFE])))
    size = draw(st.integers(1, 6000))
    if draw(st.booleans()):
        flags = draw(st.sampled_from([ACK, ACK | PSH, ACK | FIN | PSH, ACK | CWR, ACK | CWR | PSH]))
        seq = draw(st.sampled_from([1, 0xFFFFFF00]))
        packet = Tcp(seq=seq, flags=flags, options=draw(st.sampled_from([b"", TIMESTAMPS]))).on(ip, payload(size))
    else:
        packet = udp(ip, payload(size))
    each = draw(st.integers(max(size // 64, 1), size + 100))
    vnet = gathered_vnet(packet, each)
    if draw(st.booleans()):
        vnet = replace(vnet, gso_type=vnet.gso_type | GSO_ECN)
    return vnet, unsummed(packet)


@given(gso())
def test_segments_are_the_kernel_s(one: tuple[Vnet, bytes]) -> None:
    assert segments(*one) == on_the_wire(*one)


@given(gso())
def test_segments_have_right_checksums_and_all_of_the_payload(one: tuple[Vnet, bytes]) -> None:
    made = segments(*one)
    assert made is not None
    parsed = [parse(packet) for packet in made]
    assert all(p is not None and sums_hold(p) for p in parsed)
    whole = parse(one[1])
    assert whole is not None
    assert b"".join(p.payload for p in parsed if p) == whole.payload


def test_flags_are_said_once() -> None:
    packet = Tcp(flags=ACK | CWR | FIN | PSH).on(V4, payload(2500))
    made = [parse(one) for one in segments(gathered_vnet(packet, 1000), unsummed(packet)) or []]
    assert [p.flags for p in made if p] == [ACK | CWR, ACK, ACK | FIN | PSH]


def test_numbers_wrap() -> None:
    packet = Tcp(seq=0xFFFFFFFF).on(replace(V4, ident=0xFFFF), payload(300))
    made = [parse(one) for one in segments(gathered_vnet(packet, 100), unsummed(packet)) or []]
    assert [(p.seq, p.ident) for p in made if p] == [(0xFFFFFFFF, 0xFFFF), (99, 0), (199, 1)]


def test_the_longest_packet_is_cut() -> None:
    packet = Tcp(options=TIMESTAMPS).on(V6, payload(PACKET_MAX - 72))
    vnet = gathered_vnet(packet, 1368)
    assert segments(vnet, unsummed(packet)) == on_the_wire(vnet, unsummed(packet))


def test_extension_headers_stay_before_each_segment() -> None:
    ip = replace(V6, extension=HOP_BY_HOP)
    packet = Tcp().on(ip, payload(250))
    field = 48 + 16
    pseudo = Ip.pseudo(V6, TCP, len(packet) - 48)
    partial = sum(int.from_bytes(pseudo[i : i + 2], "big") for i in range(0, len(pseudo), 2))
    partial = (partial & 0xFFFF) + (partial >> 16)
    packet = packet[:field] + partial.to_bytes(2, "big") + packet[field + 2 :]
    vnet = Vnet(NEEDS_CSUM, GSO_TCPV6, 68, 100, 48, 16)
    assert segments(vnet, packet) == on_the_wire(vnet, packet)


def test_all_ipv4_options_fit() -> None:
    packet = Tcp(options=b"\1" * 40).on(replace(V4, extension=b"\1" * 40), payload(250))
    vnet = Vnet(NEEDS_CSUM, GSO_TCPV4, 120, 100, 60, 16)
    made = segments(vnet, packet)
    assert made is not None
    assert [len(one) for one in made] == [220, 220, 170]


# ---- one packet -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packet", [Tcp().on(V4, b"odd"), udp(V6, b"x"), b"\x45" + bytes(19)])
def test_a_packet_without_anything_left_undone_is_itself(packet: bytes) -> None:
    assert segments(Vnet(), packet) == [packet]


@pytest.mark.parametrize("packet", [Tcp().on(V4, b"odd"), Tcp().on(V6, b""), udp(V4, b"x"), udp(V6, b"even")])
def test_a_checksum_that_was_left_to_us_is_made(packet: bytes) -> None:
    vnet = replace(gathered_vnet(packet, 0), gso_type=GSO_NONE)
    assert segments(vnet, unsummed(packet)) == [packet]


def test_a_udp_checksum_is_never_zero() -> None:
    packet = next(p for p in (udp(V4, i.to_bytes(2, "big")) for i in range(65536)) if p[26:28] == b"\xff\xff")
    vnet = replace(gathered_vnet(packet, 0), gso_type=GSO_NONE)
    assert segments(vnet, unsummed(packet)) == [packet]
    assert segments(replace(vnet, gso_type=GSO_UDP_L4, gso_size=2), unsummed(packet)) == [packet]


# ---- what is refused --------------------------------------------------------------------------------------------

GOOD = Tcp().on(V4, payload(300))
GOOD_VNET = gathered_vnet(GOOD, 100)

REFUSED = {
    "runt": (Vnet(), GOOD[:19]),
    "too long": (Vnet(), bytes([0x45]) + bytes(PACKET_MAX)),
    "kind": (replace(GOOD_VNET, gso_type=3), GOOD),
    "version": (replace(GOOD_VNET, gso_type=GSO_TCPV6), GOOD),
    "no size": (replace(GOOD_VNET, gso_size=0), GOOD),
    "no checksum": (replace(GOOD_VNET, flags=0), GOOD),
    "start": (replace(GOOD_VNET, csum_start=24), GOOD),
    "start behind the end": (replace(GOOD_VNET, csum_start=len(GOOD)), GOOD),
    "start far behind": (replace(GOOD_VNET, csum_start=0xFFFF), GOOD),
    "field": (replace(GOOD_VNET, csum_offset=6), GOOD),
    "length": (GOOD_VNET, GOOD + b"\0"),
    "header longer than the packet": (GOOD_VNET, GOOD[:2] + b"\0\x2c" + GOOD[4:32] + b"\xf0" + GOOD[33:44]),
    "header too short": (GOOD_VNET, GOOD[:32] + b"\x40" + GOOD[33:]),
    "no payload": (GOOD_VNET, Tcp().on(V4, b"")),
    "neither version": (replace(GOOD_VNET, gso_type=GSO_UDP_L4, csum_start=40, csum_offset=6), b"\x50" + bytes(3) +
                        b"\0\x64" + bytes(134)),
    "one, field behind the end": (Vnet(NEEDS_CSUM, GSO_NONE, 0, 0, len(GOOD) - 1, 0), GOOD),
    "one, start behind the end": (Vnet(NEEDS_CSUM, GSO_NONE, 0, 0, len(GOOD), 0), GOOD),
    "one, sum over the edge": (Vnet(NEEDS_CSUM, GSO_NONE, 0, 0, 0xFFFF, 0xFFFF), GOOD),
}  # fmt: skip


@pytest.mark.parametrize(("vnet", "packet"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_what_its_header_says_is_refused(vnet: Vnet, packet: bytes) -> None:
    assert segments(vnet, packet) is None


@given(
    st.builds(
        Vnet,
        st.integers(0, 3),
        st.sampled_from([GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, 3, GSO_ECN | GSO_TCPV4]),
        st.integers(0, 200),
        st.integers(0, 300),
        st.sampled_from([0, 19, 20, 24, 40, 48, 60, 299, 65535]),
        st.sampled_from([6, 16, 0, 65535]),
    ),
    st.sampled_from([GOOD, Tcp().on(V6, payload(80)), udp(V4, payload(99)), udp(V6, b"")]),
    st.data(),
)
def test_whatever_the_header_says_nothing_else_is_written(vnet: Vnet, packet: bytes, data: st.DataObject) -> None:
    bent = bytearray(packet)
    bent[data.draw(st.integers(0, min(60, len(bent) - 1)))] = data.draw(st.integers(0, 255))
    made = segments(vnet, bytes(bent))
    assert made is None or all(len(one) <= len(packet) for one in made)


def test_udp_is_cut_too() -> None:
    packet = udp(V6, payload(1001))
    made = segments(gathered_vnet(packet, 500), unsummed(packet))
    assert made is not None
    assert [len(one) for one in made] == [548, 548, 49]
    assert {one[6] for one in made} == {UDP}
