"""Frames as they were captured, and as they must be refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.errors import ClientError
from ocserv_core.model import DisconnectReason
from ocserv_core.protocol.clients import ClientClass
from ocserv_core.protocol.cstp import (
    MAX_PAYLOAD,
    CstpViolation,
    Frame,
    FrameType,
    build_bye,
    build_frame,
    parse_record,
    read_bye,
)

CAPTURED = [
    ("5354460100000300", FrameType.DPD_REQUEST, b""),
    ("5354460100000400", FrameType.DPD_RESPONSE, b""),
    ("535446010008030001020368656c6c6f", FrameType.DPD_REQUEST, b"\x01\x02\x03hello"),
    ("535446010008040001020368656c6c6f", FrameType.DPD_RESPONSE, b"\x01\x02\x03hello"),
    ("5354460100000700", FrameType.KEEPALIVE, b""),
    ("5354460100000500", FrameType.DISCONNECT, b""),
    ("53544601000d05000149646c652054696d656f7574", FrameType.DISCONNECT, b"\x01Idle Timeout"),
    ("5354460100120500b041626f727465642062792063616c6c6572", FrameType.DISCONNECT, b"\xb0Aborted by caller"),
    ("53544601000f0500b05365727665722072657175657374", FrameType.DISCONNECT, b"\xb0Server request"),
    (
        "53544601001d0500915265636f6e6e656374696e67207468652056504e2074756e6e656c2e",
        FrameType.DISCONNECT,
        b"\x91Reconnecting the VPN tunnel.",
    ),
    ("5354460100000900", FrameType.TERMINATE, b""),
    (
        "53544601003000006000000000083afffe80000000000000bc5a53e98c210ea6ff0200000000000000000000000000028500d22b00000000",
        FrameType.DATA,
        bytes.fromhex(
            "6000000000083afffe80000000000000bc5a53e98c210ea6ff0200000000000000000000000000028500d22b00000000"
        ),
    ),
    (
        "53544601004c0000600000000024000100000000000000000000000000000000ff0200000000000000000000000000163a000502000001008f006f890000000104000000ff0200000000000000000001ff000001",
        FrameType.DATA,
        bytes.fromhex(
            "600000000024000100000000000000000000000000000000ff020000000000000000000000000016"
            "3a000502000001008f006f890000000104000000ff0200000000000000000001ff000001"
        ),
    ),
]


@pytest.mark.parametrize(("wire", "frame_type", "payload"), CAPTURED)
def test_captured_frames_are_read(wire: str, frame_type: FrameType, payload: bytes) -> None:
    assert parse_record(bytes.fromhex(wire)) == [Frame(frame_type, payload)]


@pytest.mark.parametrize(("wire", "frame_type", "payload"), CAPTURED)
def test_captured_frames_are_written(wire: str, frame_type: FrameType, payload: bytes) -> None:
    assert build_frame(frame_type, payload).hex() == wire


def test_several_whole_frames_in_a_record_are_read() -> None:
    record = build_frame(FrameType.DATA, b"one") + build_frame(FrameType.KEEPALIVE) + build_frame(FrameType.DATA, b"2")
    assert [frame.payload for frame in parse_record(record)] == [b"one", b"", b"2"]


def test_an_unknown_type_is_a_frame() -> None:
    assert parse_record(bytes.fromhex("5354460100000600")) == [Frame(6)]


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param("5354580100000300", id="magic"),
        pytest.param("5354460200000300", id="version"),
        pytest.param("5354460100000301", id="last byte"),
        pytest.param("53544601000503006162", id="longer than its record"),
        pytest.param("53544601000003", id="half a header"),
        pytest.param("5354460100000300ff", id="a byte behind"),
    ],
)
def test_frames_that_are_refused(wire: str) -> None:
    with pytest.raises(CstpViolation):
        parse_record(bytes.fromhex(wire))


def test_a_frame_fits_in_a_record() -> None:
    assert len(build_frame(FrameType.DATA, bytes(MAX_PAYLOAD))) == 16384


def test_a_larger_frame_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="16377 bytes"):
        build_frame(FrameType.DATA, bytes(MAX_PAYLOAD + 1))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", DisconnectReason.TEMPORARY),
        (b"\x91Reconnecting the VPN tunnel.", DisconnectReason.TEMPORARY),
        (b"\xb0Aborted by caller", DisconnectReason.USER),
        (b"\xb0", DisconnectReason.USER),
        (b"\xd1", DisconnectReason.ERROR),
        (b"\x70", DisconnectReason.ERROR),
        (b"\x00", DisconnectReason.ERROR),
    ],
)
def test_why_a_client_leaves(payload: bytes, reason: DisconnectReason) -> None:
    assert read_bye(payload) is reason


@pytest.mark.parametrize(
    ("client", "payload"),
    [
        (ClientClass.OPENCONNECT, b"\x01Idle Timeout"),
        (ClientClass.OPENCONNECT_V3, b"\x01Idle Timeout"),
        (ClientClass.CISCO, b""),
        (ClientClass.CISCO_IOS, b""),
        (ClientClass.UNKNOWN, b""),
    ],
)
def test_who_is_told_why(client: ClientClass, payload: bytes) -> None:
    assert build_bye(client, "Idle Timeout") == payload


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=100)), max_size=6))
def test_what_is_built_is_read(frames: list[tuple[int, bytes]]) -> None:
    record = b"".join(build_frame(frame_type, payload) for frame_type, payload in frames)
    assert parse_record(record) == [Frame(frame_type, payload) for frame_type, payload in frames]


@given(st.binary(max_size=200), st.integers(0, 200))
def test_bytes_of_any_kind_raise_nothing_else(noise: bytes, cut: int) -> None:
    for record in (noise, (build_frame(FrameType.DATA, noise) + noise)[:cut]):
        with contextlib.suppress(ClientError):
            parse_record(record)
