"""native/coalesce.c: what is gathered is what was given, and only what may be is gathered."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocserv_core.bridge._native import lib

from ..native_segments import Coalescer, apart, gather
from ..packet_model import (
    ACK,
    FLOWS,
    PSH,
    TCP,
    TWISTS,
    UDP,
    Ip,
    Step,
    Tcp,
    Vnet,
    conversation,
    gathered_vnet,
    groups,
    on_the_wire,
    udp,
    unsummed,
    without_idle_ident,
)
from ..strategies import CONVERSATIONS

TCP4, TCP6, UDP4, UDP6 = 0, 1, 2, 3


def counts(packets: list[bytes], **options: bool) -> list[int]:
    return [packets for packets, _ in gather(packets, **options).counted]


def alike(packets: list[bytes]) -> list[bytes]:
    return [without_idle_ident(packet) for packet in packets]


# ---- the property -----------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(CONVERSATIONS)
def test_segments_of_what_was_gathered_are_what_was_given(packets: list[bytes]) -> None:
    """In order and byte for byte, but for the identification of packets that may not be fragmented."""
    assert alike(list(apart(gather(packets).written))) == alike(packets)


@settings(max_examples=300, deadline=None)
@given(CONVERSATIONS)
def test_the_kernel_would_make_the_same_of_it(packets: list[bytes]) -> None:
    made = [one for vnet, packet in gather(packets).written for one in on_the_wire(vnet, packet)]
    assert alike(made) == alike(packets)


@settings(max_examples=300, deadline=None)
@given(CONVERSATIONS, st.booleans(), st.booleans())
def test_what_may_be_gathered_is_and_nothing_else(packets: list[bytes], tcp: bool, udp: bool) -> None:
    assert counts(packets, tcp=tcp, udp=udp) == groups(packets, tcp, udp)


@settings(max_examples=200, deadline=None)
@given(CONVERSATIONS)
def test_a_gathered_packet_is_what_the_kernel_wants_to_read(packets: list[bytes]) -> None:
    c = gather(packets)
    for (vnet, packet), (count, _) in zip(c.written, c.counted, strict=True):
        if count == 1:
            assert vnet == Vnet()
        else:
            assert vnet == gathered_vnet(packet, vnet.gso_size)
            assert packet == unsummed(packet)


@settings(max_examples=200, deadline=None)
@given(CONVERSATIONS, st.data())
def test_wherever_packets_come_from_they_are_gathered_alike(packets: list[bytes], data: st.DataObject) -> None:
    c = Coalescer()
    for packet in packets:
        prefix = data.draw(st.sampled_from([0, 1, 8]))
        if data.draw(st.booleans()):
            c.drop(bytes(data.draw(st.integers(0, 300))), prefix)
        data.draw(st.sampled_from([c.place, c.bring]))(packet, prefix)
    assert alike(list(apart(c.end()))) == alike(packets)
    assert [count for count, _ in c.counted] == groups(packets)
    assert sum(size for _, size in c.counted) == sum(map(len, packets))


# ---- by example -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flow", range(len(FLOWS)))
def test_a_run_is_one_write(flow: int) -> None:
    packets = conversation([Step(flow, 1000)] * 9 + [Step(flow, 300)])
    assert counts(packets) == [10]


@pytest.mark.parametrize("twist", [t for t in TWISTS if t not in ("df", "no sum", "hop by hop", "label")])
def test_an_odd_packet_in_a_run_of_tcp_is_not_gathered(twist: str) -> None:
    packets = conversation([Step(TCP4, 1000)] * 3 + [Step(TCP4, 1000, twist)] + [Step(TCP4, 1000)] * 3)
    expected = {"psh": [4, 3], "ident": [7], "gap": [3, 4]}.get(twist, [3, 1, 3])
    assert counts(packets) == expected


@pytest.mark.parametrize("twist", ["corrupt", "no sum", "ttl", "tos", "hop by hop", "label", "other"])
def test_an_odd_packet_in_a_run_of_udp_is_not_gathered(twist: str) -> None:
    flow = UDP6 if twist in ("hop by hop", "label") else UDP4
    packets = conversation([Step(flow, 500)] * 3 + [Step(flow, 500, twist)] + [Step(flow, 500)] * 3)
    assert counts(packets) == [3, 1, 3]


def test_a_corrupt_first_packet_gets_no_right_checksum() -> None:
    packets = conversation([Step(TCP4, 1000, "corrupt"), Step(TCP4, 1000), Step(TCP4, 1000)])
    assert counts(packets) == [1, 2]
    assert gather(packets).written[0] == (Vnet(), packets[0])


def test_identifications_count_where_a_router_may_fragment() -> None:
    packets = conversation([Step(4, 1000)] * 2 + [Step(4, 1000, "ident")] + [Step(4, 1000)])
    assert counts(packets) == [2, 2]


def test_acknowledgements_alone_are_not_gathered() -> None:
    assert counts(conversation([Step(TCP4, 0)] * 4)) == [1, 1, 1, 1]


def test_a_longer_packet_begins_anew() -> None:
    assert counts(conversation([Step(TCP4, 500), Step(TCP4, 501), Step(TCP4, 501)])) == [1, 2]


@pytest.mark.parametrize(("flow", "header"), [(TCP4, 40), (TCP6, 60)])
def test_a_gathered_packet_is_never_longer_than_a_packet_can_be(flow: int, header: int) -> None:
    whole = (65535 - header) // 1360
    assert counts(conversation([Step(flow, 1360)] * (whole + 3))) == [whole, 3]


def test_udp_is_gathered_up_to_the_kernel_s_limit() -> None:
    assert counts(conversation([Step(UDP4, 100)] * 70)) == [lib.OC_UDP_SEGMENTS, 6]


def test_numbers_wrap() -> None:
    payload = bytes(1000)
    packets = [Tcp(seq=0xFFFFFF00 + i * 1000).on(Ip(ident=0xFFFF + i & 0xFFFF, fragment=0), payload) for i in range(3)]
    assert counts(packets) == [3]
    assert list(apart(gather(packets).written)) == packets


def test_push_ends_a_write_and_is_kept() -> None:
    packets = conversation([Step(TCP4, 1000)] * 2 + [Step(TCP4, 1000, "psh"), Step(TCP4, 1000)])
    c = gather(packets)
    assert c.counted[0][0] == 3
    assert c.written[0][1][33] == ACK | PSH


@pytest.mark.parametrize(("protocol", "options"), [(TCP, {"tcp": False}), (UDP, {"udp": False})])
def test_what_the_device_does_not_take_is_not_gathered(protocol: int, options: dict[str, bool]) -> None:
    for flow in (TCP4, TCP6, UDP4, UDP6):
        expected = [1, 1, 1] if FLOWS[flow][0] == protocol else [3]
        assert counts(conversation([Step(flow, 1000)] * 3), **options) == expected


def test_the_longest_packet_that_can_come_passes() -> None:
    packet = bytes([0x45]) + bytes(lib.OC_PLACED_MAX - 9)
    assert gather([packet, packet]).written == [(Vnet(), packet)] * 2


def test_two_ways_to_write_a_checksum_of_zero_are_one() -> None:
    """0x0000 and 0xffff are the same sum: a TCP segment that says the latter comes out with the former."""
    first = Tcp().on(Ip(), bytes(1000))
    second = next(
        p
        for p in (Tcp(seq=1001).on(Ip(), bytes(998) + i.to_bytes(2, "big")) for i in range(65536))
        if p[36:38] == b"\0\0"
    )
    odd = second[:36] + b"\xff\xff" + second[38:]
    made = list(apart(gather([first, odd]).written))
    assert alike(made) == alike([first, second])


def test_a_datagram_and_a_segment_of_one_shape_stay_apart() -> None:
    packets = [udp(Ip(), bytes(1000)), Tcp().on(Ip(), bytes(1000)), udp(replace(Ip(), ttl=3), bytes(1000))]
    assert counts(packets) == [1, 1, 1]


@pytest.mark.parametrize("size", [1, 2, 8, 12, 39, 40, 41, 47, 48, 49])
@pytest.mark.parametrize("prefix", [1, 8])
def test_payloads_shorter_than_their_headers_are_gathered(size: int, prefix: int) -> None:
    packets = conversation([Step(TCP4, size)] * 20)
    c = Coalescer()
    for packet in packets:
        c.place(packet, prefix)
    assert alike(list(apart(c.end()))) == alike(packets)
    assert [count for count, _ in c.counted] == [20]
