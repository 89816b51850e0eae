"""Requests to bytes, replies checked, attributes read: all that touches pyrad. Bytes in, bytes out; no I/O."""

from __future__ import annotations

import functools
import hashlib
import hmac
import ipaddress
import logging
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pyrad import packet as wire
from pyrad.dictionary import Dictionary
from pyrad.packet import AcctPacket, AuthPacket, Packet, PacketError
from pyrad.tools import DecodeAttr

from .words import flat

_log = logging.getLogger(__name__)

T = TypeVar("T")

Value = str | int
Attributes = tuple[tuple[str, Value], ...]

STATE, CLASS, PROXY_STATE, MESSAGE_AUTHENTICATOR = 24, 25, 33, 80

_EXPECTED = {
    wire.AccessRequest: (wire.AccessAccept, wire.AccessReject, wire.AccessChallenge),
    wire.AccountingRequest: (wire.AccountingResponse,),
}


@functools.cache
def dictionary() -> Dictionary:
    """Ours, read once."""
    # What pyrad logs is of no use to an administrator, and holds packets.
    logging.getLogger("pyrad").setLevel(logging.CRITICAL)
    return Dictionary(os.path.join(os.path.dirname(__file__), "dictionary"))


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, before it is known which server is asked and with which secret. `octets` are attributes that are
    sent as they came. With a password it is an Access-Request, else an Accounting-Request of what happened at
    `happened` (time.time())."""

    attributes: Attributes
    octets: tuple[tuple[int, bytes], ...] = ()
    password: str | None = field(default=None, repr=False)
    happened: float = 0.0

    @property
    def changes(self) -> bool:
        """Whether it is another one each time it is sent: Acct-Delay-Time grows, and with it identifier and
        authenticator change (RFC 2866 5.2)."""
        return self.password is None


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it was sent once: what its reply is checked by."""

    packet: Packet = field(repr=False)
    octets: bytes = field(repr=False)


class Dropped(Exception):
    """A datagram is no reply to what was asked; the text says why."""


def build(request: Request, number: int, secret: bytes, now: float, own_ip: str) -> Sent:
    """The request for one server. `number` is its identifier, own_ip the address that names us where the request
    names none. ValueError where a value does not fit an attribute."""
    if request.password is not None:
        packet = AuthPacket(wire.AccessRequest, number, secret, os.urandom(16), dict=dictionary())
        # First: what stands before it in a reply could be of somebody else's making (CVE-2024-3596).
        packet.add_message_authenticator()
        packet["User-Password"] = packet.PwCrypt(request.password.encode(errors="surrogateescape"))
    else:
        packet = AcctPacket(wire.AccountingRequest, number, secret, dict=dictionary())
        packet["Acct-Delay-Time"] = min(max(0, int(now - request.happened)), 2**32 - 1)
    names = {name for name, _ in request.attributes}
    more = () if names & {"NAS-IP-Address", "NAS-IPv6-Address"} else nas_attributes(own_ip)
    for name, value in (*more, *request.attributes):
        packet.AddAttribute(name, value)
    # By number: pyrad would take octets that begin with "0x" for hexadecimal text.
    for code, octets in request.octets:
        packet.setdefault(code, []).append(octets)
    return Sent(packet, packet.RequestPacket())


def nas_attributes(ip: str) -> Attributes:
    """The attribute that says by an address which server this is; none for ""."""
    if not ip:
        return ()
    address = ipaddress.ip_address(ip.partition("%")[0])
    return (("NAS-IP-Address" if address.version == 4 else "NAS-IPv6-Address", str(address)),)


def check(sent: Sent, octets: bytes, *, signed: bool) -> Reply:
    """The reply, of which nothing is read before it is known to be the server's. signed: it must carry a
    Message-Authenticator. Dropped."""
    length = int.from_bytes(octets[2:4], "big")
    if not 20 <= length <= min(len(octets), 4096):
        raise Dropped("it is no RADIUS packet")
    octets = octets[:length]
    digest = hashlib.md5(octets[:4] + sent.packet.authenticator + octets[20:] + sent.packet.secret).digest()  # noqa: S324
    if not hmac.compare_digest(digest, octets[4:20]):
        raise Dropped("its authenticator is wrong: another secret, or not an answer to this request")
    if octets[0] not in _EXPECTED[sent.packet.code]:
        raise Dropped(f"it has the code {octets[0]}, which is no answer to this request")
    reply = decode(octets, sent.packet.secret)
    if sent.packet.code == wire.AccessRequest:
        _check_access(sent.packet, reply, signed=signed)
    return Reply(reply)


def _check_access(request: Packet, reply: Packet, *, signed: bool) -> None:
    if dict.__contains__(reply, MESSAGE_AUTHENTICATOR):
        if not reply.verify_message_authenticator(original_authenticator=request.authenticator):
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
        attribute = dictionary()[name]
        vendor = dictionary().vendors.GetForward(attribute.vendor) if attribute.vendor else 0
        found = []
        for raw in dict.get(self._packet, (vendor, attribute.code) if vendor else attribute.code, []):
            try:
                found.append(fit(DecodeAttr(attribute.type, raw)))
            except (ValueError, TypeError, struct.error) as error:
                said = "radius: %s of the server is malformed and left out: 0x%s (%s)"
                _log.warning(said, name, bytes(raw[:40]).hex(), flat(str(error)))
        return found


def _as_text(value: object) -> str:
    if isinstance(value, bytes):
        raise ValueError("no UTF-8")
    return str(value)


def _as_number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("no number")
    return value
