"""Kerberos over HTTPS (MS-KKDCP): the one DER structure in which a client posts its message, and gets the answer.

    KDC-PROXY-MESSAGE ::= SEQUENCE {
        kerb-message    [0] OCTET STRING,          -- with the 4-byte length that Kerberos has over TCP
        target-domain   [1] GeneralString OPTIONAL,
        dclocator-hint  [2] INTEGER OPTIONAL }

What the message says is for the key server to read. Raises nothing but HttpViolation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import HttpViolation

MAX_KDC_MESSAGE = 47 * 1024
"""Octets of a client's message: what fits a message to secmod."""

MAX_REALM = 255

_SEQUENCE, _OCTETS, _TEXT = 0x30, 0x04, 0x1B
_MESSAGE, _DOMAIN, _HINT = 0xA0, 0xA1, 0xA2
_LENGTH = 4
_MAX_LENGTH_OCTETS = 3


@dataclass(frozen=True, slots=True)
class KdcMessage:
    """A Kerberos message with its length, and the realm that it is for ("" where the client does not say)."""

    message: bytes = field(repr=False)
    realm: str = ""


def parse_kdc_message(body: bytes) -> KdcMessage:
    """The body of a POST. HttpViolation."""
    inside, rest = _take(body, _SEQUENCE)
    if rest:
        raise _violation("octets behind it")
    wrapped, rest = _take(inside, _MESSAGE)
    message = _only(wrapped, _OCTETS)
    realm = ""
    if rest and rest[0] == _DOMAIN:
        wrapped, rest = _take(rest, _DOMAIN)
        realm = _read_realm(_only(wrapped, _TEXT))
    if rest:
        _, rest = _take(rest, _HINT)
    if rest:
        raise _violation("a field that is not known")
    if len(message) > MAX_KDC_MESSAGE:
        raise HttpViolation(413, f"a Kerberos message of {len(message)} octets")
    if len(message) <= _LENGTH or int.from_bytes(message[:_LENGTH]) != len(message) - _LENGTH:
        raise _violation("a Kerberos message whose length is another one")
    return KdcMessage(message, realm)


def build_kdc_reply(message: bytes) -> bytes:
    """The body of the answer."""
    return _build(_SEQUENCE, _build(_MESSAGE, _build(_OCTETS, message)))


def build_kdc_message(message: bytes, realm: str = "") -> bytes:
    """What a client posts."""
    domain = _build(_DOMAIN, _build(_TEXT, realm.encode())) if realm else b""
    return _build(_SEQUENCE, _build(_MESSAGE, _build(_OCTETS, message)) + domain)


def _read_realm(text: bytes) -> str:
    if len(text) > MAX_REALM or not text.isascii() or not text.decode().isprintable():
        raise _violation("a realm that is too long or not printable")
    return text.decode()


def _only(data: bytes, tag: int) -> bytes:
    value, rest = _take(data, tag)
    if rest:
        raise _violation("octets behind a value")
    return value


def _take(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """The value of the first element, which must have this tag, and what follows it."""
    if len(data) < 2 or data[0] != tag:
        raise _violation(f"no element {tag:#04x} where one must be")
    length, at = data[1], 2
    if length >= 0x80:
        at += length - 0x80
        if not 0 < length - 0x80 <= _MAX_LENGTH_OCTETS or at > len(data):
            raise _violation("a length that cannot be")
        length = int.from_bytes(data[2:at])
    if at + length > len(data):
        raise _violation("it is cut off")
    return data[at : at + length], data[at + length :]


def _build(tag: int, value: bytes) -> bytes:
    length = len(value)
    if length < 0x80:
        return bytes((tag, length)) + value
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 + len(octets))) + octets + value


def _violation(what: str) -> HttpViolation:
    return HttpViolation(400, f"not a KDC-PROXY-MESSAGE: {what}")
