"""Whether somebody answers at an IPv4 address (ICMP echo, RFC 792)."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct

from ..errors import SystemFailure

_log = logging.getLogger(__name__)

ECHO_REPLY, ECHO = 0, 8


def build_echo(ident: int, payload: bytes) -> bytes:
    """An echo request. ident: of 16 bits."""
    head = struct.pack("!BBHHH", ECHO, 0, 0, ident, 1)
    return struct.pack("!BBHHH", ECHO, 0, _checksum(head + payload), ident, 1) + payload


def is_reply(packet: bytes, ident: int, payload: bytes) -> bool:
    """Whether an IPv4 packet, as a raw socket reads it, answers that request."""
    icmp = packet[(packet[0] & 0xF) * 4 :] if packet else b""
    return len(icmp) >= 8 and icmp[0] == ECHO_REPLY and icmp[4:6] == ident.to_bytes(2, "big") and icmp[8:] == payload


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    words: tuple[int, ...] = struct.unpack(f"!{len(data) // 2}H", data)
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


async def answers(address: str, within: float) -> bool:
    """Asked once; `within` seconds are waited. Nobody answers where the kernel sends no question: an administrator may
    have a route for the pool that drops what has no device (blackhole), or a filter. SystemFailure where nothing can
    be asked at all."""
    try:
        asking = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    except OSError as error:
        raise SystemFailure(f"{address} cannot be pinged: {error.strerror}") from error
    ident, payload = int.from_bytes(os.urandom(2)), os.urandom(32)
    loop = asyncio.get_running_loop()
    try:
        with asking:
            asking.setblocking(False)
            asking.connect((address, 0))
            asking.send(build_echo(ident, payload))
            async with asyncio.timeout(within):
                while not is_reply(await loop.sock_recv(asking, 2048), ident, payload):
                    pass
    except TimeoutError:
        return False
    except OSError as error:
        _log.debug("%s is not pinged: %s", address, error.strerror)
        return False
    return True
