"""Replies checked, and then their attributes read. Nothing here receives."""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
import struct
from collections.abc import Callable
from typing import TypeVar

from pyrad import packet as wire
from pyrad.packet import Packet, PacketError
from pyrad.tools import DecodeAttr

from .numbers import MESSAGE_AUTHENTICATOR, PROXY_STATE, dictionary
from .requests import Sent
from .words import flat

_log = logging.getLogger(__name__)

T = TypeVar("T")

_EXPECTED = {
    wire.AccessRequest: (wire.AccessAccept, wire.AccessReject, wire.AccessChallenge),
    wire.AccountingRequest: (wire.AccountingResponse,),
}


class Dropped(Exception):
    """A datagram is no reply to what was asked; the text says why."""


def check(sent: Sent, octets: bytes, *, signed: bool) -> Reply:
    """The reply, of which nothing is read before it is known to be the server's. signed: it must carry a
    Message-Authenticator. Dropped."""
    length = int.from_bytes(octets[2:4], "big")
    if not 20 <= length <= min(len(octets), 4096):
        raise Dropped("it is no RADIUS packet")
    octets = octets[:length]
    digest = hashlib.md5(octets[:4] + sent.authenticator + octets[20:] + sent.secret).digest()  # noqa: S324
    if not hmac.compare_digest(digest, octets[4:20]):
        raise Dropped("its authenticator is wrong: another secret, or not an answer to this request")
    if octets[0] not in _EXPECTED[sent.octets[0]]:
        raise Dropped(f"it has the code {octets[0]}, which is no answer to this request")
    reply = decode(octets, sent.secret)
    if sent.octets[0] == wire.AccessRequest:
        _check_access(sent, reply, signed=signed)
    return Reply(reply)


def _check_access(sent: Sent, reply: Packet, *, signed: bool) -> None:
    if dict.__contains__(reply, MESSAGE_AUTHENTICATOR):
        if not reply.verify_message_authenticator(original_authenticator=sent.authenticator):
            raise Dropped("its Message-Authenticator is wrong")
    elif signed:
        raise Dropped(
            "no Message-Authenticator (CVE-2024-3596). Let the server send it, or say "
            "require-message-authenticator=no where the way to it is safe"
        )
    # We send none, so one that comes back is somebody else's: the mark of that attack.
    if dict.__contains__(reply, PROXY_STATE):
        raise Dropped("it has a Proxy-State that was not sent")


def decode(octets: bytes, secret: bytes) -> Packet:
    """A packet's attributes, taken apart and not read. Dropped."""
    try:
        return Packet(secret=secret, dict=dictionary(), packet=octets)
    except PacketError as error:
        raise Dropped(f"it is malformed: {error}") from None


class Reply:
    """A packet whose sender is known, read one attribute at a time. A value that is malformed is left out, with a line
    in the log: what pyrad makes of it may be any of several errors."""

    def __init__(self, packet: Packet) -> None:
        self._packet = packet

    @property
    def accepted(self) -> bool:
        """Access-Accept."""
        return bool(self._packet.code == wire.AccessAccept)

    @property
    def challenges(self) -> bool:
        """Access-Challenge."""
        return bool(self._packet.code == wire.AccessChallenge)

    def names(self) -> set[str]:
        """The attributes that it has and that our dictionary knows."""
        return {name for name in self._packet.keys() if isinstance(name, str)}  # noqa: SIM118 (by their names)

    def texts(self, name: str) -> list[str]:
        """As text: strings, addresses, and prefixes in their usual form. A string that is no UTF-8 is left out."""
        return self._read(name, _as_text)

    def numbers(self, name: str) -> list[int]:
        """As numbers."""
        return self._read(name, _as_number)

    def octets(self, code: int) -> list[bytes]:
        """As they came, by the attribute's number."""
        return list(dict.get(self._packet, code, []))

    def _read(self, name: str, fit: Callable[[object], T]) -> list[T]:
        key, kind = _key(name)
        found = []
        for raw in dict.get(self._packet, key, ()):
            try:
                found.append(fit(DecodeAttr(kind, raw)))
            except (ValueError, TypeError, struct.error) as error:
                said = "radius: %s of the server is malformed and left out: 0x%s (%s)"
                _log.warning(said, name, bytes(raw[:40]).hex(), flat(str(error)))
        return found


@functools.cache
def _key(name: str) -> tuple[int | tuple[int, int], str]:
    """Under which an attribute lies in a packet, and its type."""
    attribute = dictionary()[name]
    vendor = dictionary().vendors.GetForward(attribute.vendor) if attribute.vendor else 0
    return ((vendor, attribute.code) if vendor else attribute.code), attribute.type


def _as_text(value: object) -> str:
    if isinstance(value, bytes):
        raise ValueError("no UTF-8")
    return str(value)


def _as_number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("no number")
    return value
