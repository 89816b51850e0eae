"""Requests to bytes. Nothing here sends."""

from __future__ import annotations

import functools
import hashlib
import hmac
import ipaddress
import os
import struct
from dataclasses import dataclass, field

from pyrad import packet as wire
from pyrad.tools import EncodeAttr

from .numbers import MESSAGE_AUTHENTICATOR, USER_PASSWORD, dictionary

Value = str | int
Attributes = tuple[tuple[str, Value], ...]

MAX_PASSWORD = 128
"""Bytes: RFC 2865 5.2."""


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
