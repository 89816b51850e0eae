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
from pyrad.packet import Packet, PacketError
from pyrad.tools import DecodeAttr, EncodeAttr

from .words import flat

_log = logging.getLogger(__name__)

T = TypeVar("T")

Value = str | int
Attributes = tuple[tuple[str, Value], ...]

USER_PASSWORD, STATE, CLASS, PROXY_STATE, MESSAGE_AUTHENTICATOR = 2, 24, 25, 33, 80

MAX_PASSWORD = 128
"""Bytes: RFC 2865 5.2."""

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

    octets: bytes = field(repr=False)
    secret: bytes = field(repr=False)

    @property
    def authenticator(self) -> bytes:
        """By which its reply is signed."""
        return self.octets[4:20]


class Dropped(Exception):
    """A datagram is no reply to what was asked; the text says why."""


def build(request: Request, number: int, secret: bytes, now: float, own_ip: str) -> Sent:
    """The request for one server. `number` is its identifier, own_ip the address that names us where the request
    names none. ValueError where a value does not fit an attribute."""
    names = {name for name, _ in request.attributes}
    more = () if names & {"NAS-IP-Address", "NAS-IPv6-Address"} else nas_attributes(own_ip)
    attributes = b"".join(_encoded(name, value) for name, value in (*more, *request.attributes))
    attributes += b"".join(_attribute(code, octets) for code, octets in request.octets)
    if request.password is None:
        delay = min(max(0, int(now - request.happened)), 2**32 - 1)
        return Sent(
            _signed(wire.AccountingRequest, number, _encoded("Acct-Delay-Time", delay) + attributes, secret), secret
        )
    authenticator = os.urandom(16)
    password = _attribute(USER_PASSWORD, _hidden(_octets(request.password), authenticator, secret))
    return Sent(_authenticated(number, authenticator, password + attributes, secret), secret)


def _signed(code: int, number: int, attributes: bytes, secret: bytes) -> bytes:
    """RFC 2866 3: the authenticator is a digest of all the rest."""
    head = struct.pack("!BBH", code, number, 20 + len(attributes))
    return head + hashlib.md5(head + bytes(16) + attributes + secret).digest() + attributes  # noqa: S324


def _authenticated(number: int, authenticator: bytes, attributes: bytes, secret: bytes) -> bytes:
    """An Access-Request. The Message-Authenticator comes first: what stands before it could be of somebody else's
    making (CVE-2024-3596)."""
    head = struct.pack("!BBH", wire.AccessRequest, number, 38 + len(attributes)) + authenticator
    unsigned = _attribute(MESSAGE_AUTHENTICATOR, bytes(16))
    return head + unsigned[:2] + hmac.digest(secret, head + unsigned + attributes, "md5") + attributes


def _octets(password: str) -> bytes:
    try:
        return password.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        # Its own text would show a part of the password.
        raise ValueError("the password is no text") from None


def _hidden(password: bytes, authenticator: bytes, secret: bytes) -> bytes:
    """RFC 2865 5.2: blocks of 16 octets under a stream of digests."""
    if len(password) > MAX_PASSWORD:
        raise ValueError(f"a password of {len(password)} bytes is longer than RADIUS can carry ({MAX_PASSWORD})")
    padded = password.ljust(max(16, -(-len(password) // 16) * 16), b"\0")
    hidden, last = b"", authenticator
    for start in range(0, len(padded), 16):
        mask = hashlib.md5(secret + last).digest()  # noqa: S324
        last = bytes(a ^ b for a, b in zip(padded[start : start + 16], mask, strict=True))
        hidden += last
    return hidden


@functools.lru_cache(maxsize=4096)
def _encoded(name: str, value: Value) -> bytes:
    attribute = dictionary()[name]
    known = attribute.values.HasForward(value)
    return _attribute(
        attribute.code, attribute.values.GetForward(value) if known else EncodeAttr(attribute.type, value)
    )


def _attribute(code: int, octets: bytes) -> bytes:
    if len(octets) > 253:
        raise ValueError(f"a value of {len(octets)} bytes is longer than an attribute can be (253)")
    return bytes((code, len(octets) + 2)) + octets


@functools.lru_cache(maxsize=256)
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
