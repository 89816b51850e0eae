"""How a message lies in a datagram, and what is refused."""

from __future__ import annotations

import array
import contextlib
import os
import socket
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ocserv_core.errors import PeerLost, PeerViolation
from ocserv_core.ipc.messages import (
    MAX_MESSAGE,
    FromMainToSecmod,
    FromSecmodToWorker,
    FromWorkerToMain,
    FromWorkerToSecmod,
    Sign,
    SignReply,
)
from ocserv_core.ipc.wire import LARGE, MAX_FDS, Wire
from ocserv_core.system.memfd import sealed_memfd

from .pairs import ends, open_descriptors, settled_descriptors, socket_pair, some_descriptor

Ends = tuple[socket.socket, socket.socket]
SIGN = Sign("v", 0, "ED25519", b"text")
__all__ = ["ends"]


@pytest.fixture(autouse=True)
def no_descriptor_leaks() -> Iterator[None]:
    """Whatever a test does with descriptors, none is left over."""
    before = settled_descriptors()
    yield
    assert open_descriptors() == before


def wire(*, trusted: bool = False) -> Wire[FromWorkerToSecmod]:
    return Wire(FromWorkerToSecmod, accept_large=trusted)


def send_raw(sock: socket.socket, data: bytes, fds: tuple[int, ...] = ()) -> None:
    """A datagram as a peer that keeps no rule would send it; the descriptors are given away."""
    sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
    for fd in fds:
        os.close(fd)


def fill(sock: socket.socket, message: Sign) -> None:
    """Send until there is no room."""
    for _ in range(10000):
        wire().send(sock, message, [])


def violation(sock: socket.socket, *, trusted: bool = False) -> str:
    """What is said against the next datagram."""
    with pytest.raises(PeerViolation) as caught:
        wire(trusted=trusted).receive(sock)
    return str(caught.value)


def test_a_message_goes_through(ends: Ends) -> None:
    wire().send(ends[0], SIGN, [])
    assert wire().receive(ends[1]).message == SIGN


def test_its_descriptors_come_with_it_and_do_not_survive_exec(ends: Ends) -> None:
    fd = some_descriptor()
    wire().send(ends[0], SIGN, [fd])
    (received,) = wire().receive(ends[1]).fds
    assert (os.fstat(received).st_ino, os.get_inheritable(received)) == (os.fstat(fd).st_ino, False)
    os.close(fd)
    os.close(received)


def test_a_large_message_goes_through_to_an_end_that_trusts(ends: Ends) -> None:
    large = Sign("v", 0, "ED25519", bytes(MAX_MESSAGE))
    wire().send(ends[0], large, [])
    assert wire(trusted=True).receive(ends[1]).message == large


def test_a_large_message_keeps_its_descriptors(ends: Ends) -> None:
    fd = some_descriptor()
    wire().send(ends[0], Sign("v", 0, "ED25519", bytes(MAX_MESSAGE)), [fd])
    (received,) = wire(trusted=True).receive(ends[1]).fds
    assert os.fstat(received).st_ino == os.fstat(fd).st_ino
    os.close(fd)
    os.close(received)


def test_a_large_message_is_refused_where_the_peer_is_not_trusted(ends: Ends) -> None:
    wire().send(ends[0], Sign("v", 0, "ED25519", bytes(MAX_MESSAGE)), [])
    assert violation(ends[1]) == "a large message is not permitted from this peer"


def test_a_large_message_without_its_memory_is_refused(ends: Ends) -> None:
    send_raw(ends[0], LARGE)
    assert violation(ends[1], trusted=True) == "a large message is not permitted from this peer"


def test_memory_that_is_not_sealed_is_refused(ends: Ends) -> None:
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.write(fd, msgspec.msgpack.encode(SIGN))
    send_raw(ends[0], LARGE, (fd,))
    assert violation(ends[1], trusted=True) == "a memfd is not sealed"


def test_memory_that_is_no_memory_is_refused(ends: Ends) -> None:
    send_raw(ends[0], LARGE, (os.open("/dev/null", os.O_RDONLY),))
    assert violation(ends[1], trusted=True) == "a descriptor that should be a sealed memfd is none"


def test_nonsense_in_large_memory_is_refused(ends: Ends) -> None:
    send_raw(ends[0], LARGE, (some_descriptor(), sealed_memfd("test", b"\xff")))
    assert "undecodable" in violation(ends[1], trusted=True)


def test_a_message_of_another_pair_is_refused(ends: Ends) -> None:
    wire().send(ends[0], SignReply(b"signature"), [])
    assert "undecodable" in violation(ends[1])


def test_bytes_after_the_message_are_refused(ends: Ends) -> None:
    send_raw(ends[0], msgspec.msgpack.encode(SIGN) + b"\x00")
    assert "undecodable" in violation(ends[1])


def test_a_field_of_another_type_is_refused(ends: Ends) -> None:
    send_raw(ends[0], msgspec.msgpack.encode(["Sign", "v", "0", "ED25519", b""]))
    assert "undecodable" in violation(ends[1])


@pytest.mark.parametrize("kept", range(1, 12))
def test_a_message_that_is_cut_short_is_refused(ends: Ends, kept: int) -> None:
    send_raw(ends[0], msgspec.msgpack.encode(SIGN)[:kept])
    assert "undecodable" in violation(ends[1])


def test_text_that_is_no_utf8_is_refused(ends: Ends) -> None:
    send_raw(ends[0], msgspec.msgpack.encode(SIGN).replace(b"ED25519", b"ED255\xff\xfe"))
    assert "undecodable" in violation(ends[1])


@pytest.mark.parametrize("inner", [b"\x91", b"\x81"])
def test_nests_without_end_are_refused(ends: Ends, inner: bytes) -> None:
    # ClientInfo has four fields; the fifth is skipped by the decoder, however deep it is.
    client = b"\x95\xa0\xa0\xa0\xa0" + inner * 20000
    send_raw(ends[0], b"\x95\xa8AuthInit\xa1v\xa1u\xa1g" + client)
    assert "undecodable" in violation(ends[1])


def test_a_datagram_longer_than_permitted_is_refused(ends: Ends) -> None:
    send_raw(ends[0], bytes(MAX_MESSAGE + 2), (some_descriptor(),))
    assert violation(ends[1]) == "a message was longer than permitted"


def test_more_descriptors_than_any_message_has_are_refused(ends: Ends) -> None:
    send_raw(ends[0], msgspec.msgpack.encode(SIGN), tuple(some_descriptor() for _ in range(MAX_FDS + 3)))
    assert violation(ends[1]) == "a message was longer than permitted"


def test_descriptors_of_an_undecodable_message_are_closed(ends: Ends) -> None:
    send_raw(ends[0], b"\xff", (some_descriptor(), some_descriptor()))
    violation(ends[1])


def test_the_end_of_the_peer_is_told(ends: Ends) -> None:
    ends[0].close()
    with pytest.raises(PeerLost):
        wire().receive(ends[1])


def test_sending_to_a_peer_that_is_gone_is_told(ends: Ends) -> None:
    ends[1].close()
    with pytest.raises(PeerLost):
        wire().send(ends[0], SIGN, [])


def test_an_empty_datagram_is_the_end_and_its_descriptors_are_closed(ends: Ends) -> None:
    send_raw(ends[0], b"", (some_descriptor(),))
    with pytest.raises(PeerLost):
        wire().receive(ends[1])


def test_a_full_queue_is_told(ends: Ends) -> None:
    with pytest.raises(BlockingIOError):
        fill(ends[0], SIGN)


def test_a_large_message_that_finds_no_room_leaves_no_memory_behind(ends: Ends) -> None:
    with pytest.raises(BlockingIOError):
        fill(ends[0], Sign("v", 0, "ED25519", bytes(MAX_MESSAGE)))


@pytest.mark.parametrize("incoming", [FromWorkerToSecmod, FromWorkerToMain, FromMainToSecmod, FromSecmodToWorker])
@settings(max_examples=60, deadline=None)
@given(data=st.binary(min_size=1, max_size=300))
@example(data=b"\xc1")
@example(data=b"\x91" * 300)
def test_bytes_of_any_kind_are_a_violation_and_nothing_else(incoming: object, data: bytes) -> None:
    with socket_pair() as (one, other):
        send_raw(one, data)
        with pytest.raises(PeerViolation):
            Wire[object](incoming, accept_large=True).receive(other)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(["Sign", "AuthInit", "CliStats", "Nothing"]), fields=st.lists(PLAIN, max_size=8))
def test_a_message_of_any_fields_is_decoded_or_a_violation(name: str, fields: list[object]) -> None:
    with socket_pair() as (one, other):
        send_raw(one, msgspec.msgpack.encode([name, *fields]))
        with contextlib.suppress(PeerViolation):
            assert type(wire().receive(other).message).__name__ == name
