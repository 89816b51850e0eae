"""CSTP frames: the plain Python model of what bridge/native does packet by packet.

The worker builds control frames and reads BYE payloads with it; tests use it as the oracle of the C code.
It knows nothing of TLS records but their border: a frame never reaches past the record that it began in.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from ..errors import ClientError
from ..model import DisconnectReason
from .clients import ClientClass

HEADER = struct.Struct(">3sBHBB")
HEADER_SIZE = HEADER.size
MAGIC = b"STF"
MAX_PAYLOAD = 16384 - HEADER_SIZE
"""Bytes of one frame's payload: a frame is one TLS record, and a record holds 16384 bytes."""


class FrameType(enum.IntEnum):
    """The types that exist (AnyConnect). Others are ignored when read and never written."""

    DATA = 0
    DPD_REQUEST = 3
    DPD_RESPONSE = 4
    DISCONNECT = 5
    KEEPALIVE = 7
    COMPRESSED = 8
    TERMINATE = 9


class ByeByte(enum.IntEnum):
    """First byte of a DISCONNECT's payload, as clients send it."""

    SERVER = 0x01
    LOCAL_ERROR = 0x70
    RECONNECT = 0x91
    USER = 0xB0
    PAUSED = 0xD1


class CstpViolation(ClientError):
    """A frame with a wrong magic, a wrong length or a non-zero last header byte."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One CSTP frame. `type` may be a number that FrameType does not name."""

    type: int
    payload: bytes = b""


def build_frame(frame_type: int, payload: bytes = b"") -> bytes:
    """The 8-byte header and the payload (≤ MAX_PAYLOAD bytes): to be written as one TLS record."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"a CSTP payload of {len(payload)} bytes does not fit in a TLS record")
    return HEADER.pack(MAGIC, 1, len(payload), frame_type, 0) + payload


def parse_record(record: bytes) -> list[Frame]:
    """All frames of one TLS record. Several whole frames are accepted; raises CstpViolation for anything else."""
    frames = []
    offset = 0
    while offset < len(record):
        frame = _parse_frame(record, offset)
        frames.append(frame)
        offset += HEADER_SIZE + len(frame.payload)
    return frames


def _parse_frame(record: bytes, offset: int) -> Frame:
    if len(record) - offset < HEADER_SIZE:
        raise CstpViolation("a CSTP header is cut short by its record")
    magic, version, length, frame_type, last = HEADER.unpack_from(record, offset)
    if magic != MAGIC or version != 1 or last != 0:
        raise CstpViolation("a CSTP header with a wrong magic")
    start = offset + HEADER_SIZE
    if len(record) - start < length:
        raise CstpViolation("a CSTP frame is longer than its record")
    return Frame(frame_type, record[start : start + length])


_BYE_REASONS: dict[int, DisconnectReason] = {
    ByeByte.USER: DisconnectReason.USER,
    ByeByte.RECONNECT: DisconnectReason.TEMPORARY,
}


def read_bye(payload: bytes) -> DisconnectReason:
    """Why a client says good-bye. An empty payload is a pause; a byte that is not understood is an error that
    keeps the cookie (0x70 and 0xd1 among them)."""
    if not payload:
        return DisconnectReason.TEMPORARY
    return _BYE_REASONS.get(payload[0], DisconnectReason.ERROR)


_SHOWS_BYE_TEXT = frozenset((ClientClass.OPENCONNECT, ClientClass.OPENCONNECT_V3))


def build_bye(client: ClientClass, text: str) -> bytes:
    """The payload of the server's DISCONNECT. openconnect prints a byte and a text; what Cisco's clients make
    of a payload is not known, so they get none (and neither do the unknown)."""
    if client not in _SHOWS_BYE_TEXT:
        return b""
    return bytes([ByeByte.SERVER]) + text.encode()[:255]
