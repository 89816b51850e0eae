"""What the child checks of a request, and in which order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocserv_acct_radius.coa_child import canonical
from ocserv_acct_radius.coa_packets import (
    MAX_REMEMBERED,
    REMEMBERED,
    Memory,
    ask,
    build_answer,
    check_age,
    verify,
)
from ocserv_acct_radius.coa_words import ErrorCause
from ocserv_acct_radius.replies import Dropped
from pyrad.packet import AcctPacket, CoAPacket, CoARequest, DisconnectRequest
from radius_world import KEY, attribute


def request(code: int = DisconnectRequest, /, **octets: bytes) -> bytes:
    """Signed by KEY; attributes by number, `a1=b"bob"`."""
    packet = CoAPacket(code, 7, KEY)
    for name, value in octets.items():
        packet[int(name[1:])] = [value]
    return bytes(packet.RequestPacket())


def stamped(at: int) -> bytes:
    return request(a1=b"bob", a55=at.to_bytes(4, "big"))


def dropped(octets: bytes, secret: bytes = KEY) -> str:
    with pytest.raises(Dropped) as why:
        verify(octets, secret)
    return str(why.value)


@given(st.binary(max_size=100))
def test_any_bytes_are_dropped(octets: bytes) -> None:
    dropped(octets)


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_signed_request_in_which_one_octet_is_another_is_dropped(place: int, change: int) -> None:
    octets = bytearray(request(a1=b"bob", a44=b"a" * 28))
    octets[place % len(octets)] ^= change
    dropped(bytes(octets))


@given(st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=30)), max_size=10))
def test_whatever_a_client_signs_is_read_or_dropped(attributes: list[tuple[int, bytes]]) -> None:
    packet = CoAPacket(CoARequest, 7, KEY)
    for code, value in attributes:
        packet.setdefault(code, []).append(value)
    octets = bytes(packet.RequestPacket())
    try:
        asked = ask(verify(octets, KEY), 1, "192.0.2.9")
    except Dropped:
        return
    assert asked.client == "192.0.2.9"


def test_padding_is_ignored() -> None:
    assert verify(request(a1=b"bob") + bytes(9), KEY)["User-Name"] == ["bob"]


def test_another_kind_of_request_is_dropped() -> None:
    assert "code 4" in dropped(bytes(AcctPacket(id=7, secret=KEY).RequestPacket()))


def test_a_message_authenticator_that_is_wrong_is_dropped() -> None:
    assert "Message-Authenticator" in dropped(request(a1=b"bob", a80=bytes(16)))


@pytest.mark.parametrize("off", [-300, 0, 300])
def test_a_request_of_this_moment(off: int) -> None:
    check_age(verify(stamped(1000 + off), KEY), 1000.0, 300, required=True)


@pytest.mark.parametrize(("off", "said"), [(-301, "-301 s off"), (301, "+301 s off")])
def test_a_request_of_another_time_is_dropped(off: int, said: str) -> None:
    with pytest.raises(Dropped) as why:
        check_age(verify(stamped(1000 + off), KEY), 1000.0, 300, required=False)
    assert f"its Event-Timestamp is {said}, more than coa-window allows (300 s)" in str(why.value)


def test_a_time_may_be_required() -> None:
    check_age(verify(request(a1=b"bob"), KEY), 1000.0, 300, required=False)
    with pytest.raises(Dropped, match="no Event-Timestamp"):
        check_age(verify(request(a1=b"bob"), KEY), 1000.0, 300, required=True)


def test_what_is_asked() -> None:
    octets = request(CoARequest, a44=b"sid", a27=(60).to_bytes(4, "big"), a32=b"vpn", a33=b"x")
    asked = ask(verify(octets, KEY), 5, "192.0.2.9")
    assert (asked.number, asked.disconnect, asked.client) == (5, False, "192.0.2.9")
    assert (asked.names, asked.changes) == ({"Acct-Session-Id": "sid"}, {"Session-Timeout": 60})
    assert (asked.nas_identifier, asked.unsupported) == ("vpn", "")


@pytest.mark.parametrize(
    ("octets", "name"),
    [({"a11": b"filter"}, "Filter-Id"), ({"a8": b"xx"}, "Framed-IP-Address"), ({"a200": b"x"}, "200")],
)
def test_what_means_nothing_here_is_named(octets: dict[str, bytes], name: str) -> None:
    assert ask(verify(request(a1=b"bob", **octets), KEY), 1, "").unsupported == name


def test_an_answer_is_signed_and_has_its_cause() -> None:
    packet = verify(request(a1=b"bob", a33=b"state"), KEY)
    refused = build_answer(packet, ErrorCause.SESSION_CONTEXT_NOT_FOUND)
    assert refused[0] == 42
    assert attribute(101, (503).to_bytes(4, "big")) in refused
    assert attribute(33, b"state") in refused
    asked = CoAPacket(DisconnectRequest, 7, KEY)
    asked[1], asked[33] = [b"bob"], [b"state"]
    asked.RequestPacket()
    assert asked.VerifyReply(asked.CreateReply(packet=refused), refused)


def test_an_answer_is_remembered_for_a_while() -> None:
    memory = Memory()
    key = ("192.0.2.9", 7, b"authenticator")
    assert not memory.seen(key, 100.0)
    assert memory.seen(key, 100.0)
    assert memory.answer(key) is None
    memory.note(key, b"answer")
    assert memory.seen(key, 100.0 + REMEMBERED)
    assert memory.answer(key) == b"answer"
    assert not memory.seen(key, 100.1 + REMEMBERED)


def test_what_the_window_would_let_in_again_is_remembered() -> None:
    """A stamp may lie a window ahead of our clock, and is good until it lies a window behind."""
    memory = Memory()
    key = ("192.0.2.9", 7, b"authenticator")
    assert not memory.seen(key, 100.0, window=300)
    assert memory.seen(key, 100.0 + 600.0, window=300)
    assert not memory.seen(key, 100.1 + 600.0, window=300)


def test_what_is_remembered_has_an_end() -> None:
    memory = Memory()
    for number in range(MAX_REMEMBERED + 1):
        memory.seen(("", 0, number.to_bytes(4, "big")), 0.0)
    assert not memory.seen(("", 0, bytes(4)), 0.0)
    assert memory.seen(("", 0, MAX_REMEMBERED.to_bytes(4, "big")), 0.0)


def test_an_ipv4_address_is_one_though_it_came_by_ipv6() -> None:
    assert canonical("::ffff:192.0.2.9") == "192.0.2.9"
    assert canonical("fe80::1%eth0") == "fe80::1"
