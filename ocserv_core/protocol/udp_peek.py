"""Whose may a datagram be? The first record's header and, of a ClientHello, the id in it; nothing is decrypted.

The one file of this room that main imports, and the only bytes of strangers that it reads: fixed offsets, bounded
lists, no answer. The id is a capability of 32 random bytes: whoever does not have it gets nothing.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

MAX_DATAGRAM = 13 + 2**14 + 2048
"""Bytes of the longest record (RFC 6347, 4.1; RFC 5246, 6.2.3)."""

MAX_ID = 32
"""Bytes of an id: a session id's (RFC 5246, 7.4.1.2)."""

MAX_EXTENSIONS = 64
"""Looked through; clients send a dozen."""

APP_ID_EXTENSION = 48018
"""openconnect 7.08 announces its X-DTLS-App-ID here, all others in the session id."""

_HANDSHAKE = 22
_CLIENT_HELLO = 1
_CONTENT_TYPES = range(20, 26)

_RECORD = struct.Struct(">BHH6xH")
"""Type, version, epoch, (sequence number,) length."""

_HELLO = struct.Struct(">B5x3s3xH32s")
"""Handshake type, (length, sequence,) fragment's offset, (its length,) version, random."""


class Hello(NamedTuple):
    """A ClientHello: a handshake begins. `id` is what it says of its connection, 1 to MAX_ID bytes."""

    id: bytes


class Record(NamedTuple):
    """A protected record of a flow that the kernel does not know: a client has got another address or port."""


class _Malformed(Exception):
    """A list is longer than what it stands in."""


def peek(datagram: bytes) -> Hello | Record | None:
    """What a datagram is; None for what nobody waits for."""
    if not _RECORD.size <= len(datagram) <= MAX_DATAGRAM:
        return None
    content_type, version, epoch, length = _RECORD.unpack_from(datagram)
    body = datagram[_RECORD.size : _RECORD.size + length]
    if content_type not in _CONTENT_TYPES or not _is_dtls(version) or not 0 < length == len(body):
        return None
    if epoch:
        return Record()
    # Without keys nothing but a ClientHello can begin or find anything.
    return _peek_hello(body) if content_type == _HANDSHAKE else None


_RANDOM = slice(_RECORD.size + _HELLO.size - 32, _RECORD.size + _HELLO.size)


def hello_random(datagram: bytes) -> bytes | None:
    """The 32 random bytes by which a ClientHello is told from another; None where it is none."""
    begins = datagram[:1] == bytes([_HANDSHAKE]) and datagram[3:5] == b"\0\0"
    if not begins or datagram[_RECORD.size : _RECORD.size + 1] != bytes([_CLIENT_HELLO]):
        return None
    random = datagram[_RANDOM]
    return random if len(random) == 32 else None


def _is_dtls(version: int) -> bool:
    """DTLS 1.x, or OpenSSL's variant from before the RFC (DTLS 0.9)."""
    return version >> 8 == 0xFE or version == 0x0100


def _peek_hello(body: bytes) -> Hello | None:
    if len(body) < _HELLO.size:
        return None
    handshake_type, offset, version, random = _HELLO.unpack_from(body)
    # A random of zeros is that of GnuTLS 3.6.3 to 3.6.12 (CVE-2020-11501): its keys are known to everybody.
    if handshake_type != _CLIENT_HELLO or any(offset) or not _is_dtls(version) or not any(random):
        return None
    lists = _Lists(body[_HELLO.size :])
    try:
        session_id = lists.vector(1)
    except _Malformed:
        return None
    announced = _announced_id(lists)
    found = session_id if announced is None else announced
    return Hello(found) if 0 < len(found) <= MAX_ID else None


def _announced_id(lists: _Lists) -> bytes | None:
    """The id in the extension; None where there is none, or the lists before it are malformed."""
    try:
        for width in (1, 2, 1):  # cookie, cipher suites, compression methods
            lists.vector(width)
        extensions = _Lists(lists.vector(2))
        for _ in range(MAX_EXTENSIONS):
            kind, value = extensions.number(2), extensions.vector(2)
            if kind == APP_ID_EXTENSION:
                return _Lists(value).vector(1)
    except _Malformed:
        pass  # also where the extensions end
    return None


class _Lists:
    """Takes numbers and vectors from the front; _Malformed where there is less than they say."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, width: int) -> int:
        """An unsigned number of `width` bytes."""
        return int.from_bytes(self._take(width), "big")

    def vector(self, width: int) -> bytes:
        """Bytes behind their length, which is a number of `width` bytes."""
        return self._take(self.number(width))

    def _take(self, count: int) -> bytes:
        start, self._at = self._at, self._at + count
        if self._at > len(self._data):
            raise _Malformed
        return self._data[start : self._at]
