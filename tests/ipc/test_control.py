from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.errors import PeerLost, PeerViolation
from ocserv_core.ipc import control
from ocserv_core.model import AddressPair, Lease, SessionId, Traffic

ALICE = control.UserEntry(
    id=77,
    state=control.UserState.CONNECTED,
    vhost="default",
    remote_ip="192.0.2.7",
    local_ip="192.0.2.1",
    connected_at=1.5,
    lease=Lease(ipv4=AddressPair("198.51.100.1", "198.51.100.2", 24)),
    traffic=Traffic(1, 2, 3, 4),
    sid=SessionId("s" * 28),
)


@pytest.mark.parametrize(
    "request_",
    [
        control.ShowStatus(),
        control.ShowUser("alice"),
        control.ShowId(-1),
        control.DisconnectUser("alice", terminate=True),
        control.ShowBans(points=True),
        control.Unban("192.0.2.9"),
        control.Reload(),
    ],
)
def test_a_request_arrives_as_it_was_sent(request_: control.Request) -> None:
    assert control.parse_request(control.build_frame(request_)[4:]) == request_


def test_a_reply_arrives_as_it_was_sent() -> None:
    reply = control.UserTable((ALICE,))
    assert control.parse_reply(control.build_frame(reply)[4:]) == reply


def test_a_frame_begins_with_its_body_s_length() -> None:
    frame = control.build_frame(control.Done(ok=True))
    assert frame[:4] == len(frame[4:]).to_bytes(4, "big")


def test_a_reply_is_no_request() -> None:
    with pytest.raises(PeerViolation):
        control.parse_request(control.build_frame(control.Done(ok=True))[4:])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_violation(body: bytes) -> None:
    try:
        control.parse_request(body)
    except PeerViolation:
        return


def test_a_request_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(PeerViolation, match="4096 are allowed"):
        control.build_frame(control.ShowUser("x" * 5000), control.MAX_REQUEST)


def test_the_asker_gets_the_reply() -> None:
    occtl, main = socket.socketpair()
    with occtl, main:
        main.sendall(control.build_frame(control.Done(ok=False, text="ocserv.conf:3: no")))
        assert control.ask(occtl, control.Reload()) == control.Done(ok=False, text="ocserv.conf:3: no")
        assert control.parse_request(control.read_frame(main)) == control.Reload()


def test_a_server_that_dies_in_its_reply_is_lost() -> None:
    occtl, main = socket.socketpair()
    with occtl:
        main.sendall(b"\0\0\0\x09half")
        main.close()
        with pytest.raises(PeerLost):
            control.read_frame(occtl)


def _receive(data: bytes) -> bytes:
    async def script() -> bytes:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await control.receive_frame(reader)

    return asyncio.run(script())


def test_main_reads_one_frame() -> None:
    assert control.parse_request(_receive(control.build_frame(control.Stop()) + b"rest")) == control.Stop()


def test_main_refuses_a_length_past_the_limit() -> None:
    with pytest.raises(PeerViolation):
        _receive(b"\0\0\x10\x01")


def test_main_notices_a_client_that_went_away() -> None:
    with pytest.raises(PeerLost):
        _receive(b"\0\0\0\x10abc")


@pytest.mark.parametrize("body", [b"\x92\xa8ShowUser\xa1\xff", b"\x92\xa8ShowUser" + b"\x91" * 4000])
def test_bytes_that_upset_a_decoder_are_a_violation(body: bytes) -> None:
    with pytest.raises(PeerViolation):
        control.parse_request(body)
