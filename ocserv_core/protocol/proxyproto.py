"""The PROXY header (HAProxy's protocol, versions 1 and 2) that a balancer puts before a client's first byte.

The worker peeks at what has come and offers it to `HeaderReader`, which says how many of these bytes are the header's:
they alone may be taken from the socket, for the next one is TLS's.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import ClientError
from ..model import Endpoint

MAX_LINE = 107
"""Bytes of a v1 line with its CRLF, which is why 108 are enough of a buffer (proxy-protocol.txt, 2.1)."""

MAX_PAYLOAD = 8192
"""Bytes of a v2 header after its first 16: room for a certificate among the TLVs."""

MAX_HEADER = 16 + MAX_PAYLOAD

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V1 = b"PROXY "
_FIXED = struct.Struct("!12sBBH")
_LOCAL, _PROXY = 0, 1
_TLV = struct.Struct("!BH")
_CRC32C = 3

_FAMILIES: dict[str, type[ipaddress.IPv4Address | ipaddress.IPv6Address]] = {
    "TCP4": ipaddress.IPv4Address,
    "TCP6": ipaddress.IPv6Address,
}
_PORT = re.compile(r"0|[1-9][0-9]{0,4}")


class ProxyHeaderError(ClientError):
    """This connection does not begin with a PROXY header."""


class ProxyAddresses(NamedTuple):
    """Both ends of the client's connection, as the balancer saw them."""

    remote: Endpoint
    local: Endpoint


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """`addresses` is None where the balancer tells none: the connection's own count. `probe`: the balancer speaks for
    itself (LOCAL), which is how it looks after our health."""

    addresses: ProxyAddresses | None = None
    probe: bool = False


class HeaderReader:
    """Reads one header, in as many pieces as it comes. `header` is there when it is complete."""

    def __init__(self) -> None:
        self.header: ProxyHeader | None = None
        self._data = b""

    def take(self, data: bytes) -> int:
        """How many of the next bytes belong to the header, 1 at least while it is incomplete and `data` is not empty.
        ProxyHeaderError."""
        seen = self._data + data
        end = _end_of(seen)
        taken = len(data) if end is None else end - len(self._data)
        self._data = seen[: len(self._data) + taken]
        if end is not None:
            self.header = _parse(self._data)
        return taken


def _end_of(seen: bytes) -> int | None:
    """The length of the header that `seen` begins with; None where that is not known yet, or it is longer."""
    if seen.startswith(_V1):
        return _end_of_line(seen)
    if seen.startswith(_SIGNATURE):
        return _end_of_block(seen)
    if not (_V1.startswith(seen) or _SIGNATURE.startswith(seen)):
        raise ProxyHeaderError("it does not begin with a PROXY header")
    return None


def _end_of_line(seen: bytes) -> int | None:
    end = seen.find(b"\r\n", 0, MAX_LINE)
    if end >= 0:
        return end + 2
    if len(seen) >= MAX_LINE:
        raise ProxyHeaderError(f"a PROXY line of more than {MAX_LINE} bytes")
    return None


def _end_of_block(seen: bytes) -> int | None:
    if len(seen) < _FIXED.size:
        return None
    payload: int = _FIXED.unpack_from(seen)[3]
    if payload > MAX_PAYLOAD:
        raise ProxyHeaderError(f"a PROXY header of {payload} bytes, more than {MAX_PAYLOAD}")
    end = _FIXED.size + payload
    return end if len(seen) >= end else None


def _parse(header: bytes) -> ProxyHeader:
    return _parse_line(header) if header.startswith(_V1) else _parse_block(header)


# ---- version 1


def _parse_line(header: bytes) -> ProxyHeader:
    try:
        words = header[len(_V1) : -2].decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise ProxyHeaderError("a PROXY line that is not ASCII") from None
    if words[0] == "UNKNOWN":
        return ProxyHeader()  # "the receiver must ignore anything presented before the CRLF"
    if len(words) != 5 or words[0] not in _FAMILIES:
        raise ProxyHeaderError("a PROXY line that makes no sense")
    family, source, destination, source_port, destination_port = words
    return ProxyHeader(
        ProxyAddresses(_endpoint(family, source, source_port), _endpoint(family, destination, destination_port))
    )


def _endpoint(family: str, address: str, port: str) -> Endpoint:
    if not _PORT.fullmatch(port) or int(port) > 0xFFFF or "%" in address:
        raise ProxyHeaderError("a PROXY line without proper addresses and ports")
    try:
        return Endpoint(_canonical(_FAMILIES[family](address)), int(port))
    except ValueError:
        raise ProxyHeaderError(f"a PROXY line whose addresses are not of {family}") from None


def _canonical(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)


# ---- version 2


class _Family(NamedTuple):
    address: type[ipaddress.IPv4Address | ipaddress.IPv6Address]
    ends: struct.Struct


_OVER_TCP = {
    0x11: _Family(ipaddress.IPv4Address, struct.Struct("!4s4sHH")),
    0x21: _Family(ipaddress.IPv6Address, struct.Struct("!16s16sHH")),
}


def _parse_block(header: bytes) -> ProxyHeader:
    _, version, family, _ = _FIXED.unpack_from(header)
    if version >> 4 != 2 or version & 0x0F not in (_LOCAL, _PROXY):
        raise ProxyHeaderError(f"a PROXY header with version and command 0x{version:02x}")
    if version & 0x0F == _LOCAL:
        # "the receiver must use the real connection endpoints and must discard the protocol block"
        return ProxyHeader(probe=True)
    known = _OVER_TCP.get(family)
    if known is None:
        return ProxyHeader()  # Unix sockets, datagrams, or not said: there is no address that would mean anything
    if len(header) < _FIXED.size + known.ends.size:
        raise ProxyHeaderError("a PROXY header that is too short for its addresses")
    _check_tlvs(header, _FIXED.size + known.ends.size)
    source, destination, source_port, destination_port = known.ends.unpack_from(header, _FIXED.size)
    return ProxyHeader(
        ProxyAddresses(
            Endpoint(_canonical(known.address(source)), source_port),
            Endpoint(_canonical(known.address(destination)), destination_port),
        )
    )


def _check_tlvs(header: bytes, at: int) -> None:
    """Their lengths, and the checksum over the whole header where there is one: they say nothing else to us."""
    checked = False
    while at < len(header):
        if at + _TLV.size > len(header):
            raise ProxyHeaderError("a PROXY header with half a TLV")
        kind, size = _TLV.unpack_from(header, at)
        at += _TLV.size
        if at + size > len(header):
            raise ProxyHeaderError("a PROXY header with half a TLV")
        if kind == _CRC32C:
            if checked:
                raise ProxyHeaderError("a PROXY header with two checksums")
            _check_sum(header, at, size)
            checked = True
        at += size


def _check_sum(header: bytes, at: int, size: int) -> None:
    """2.2.3: the sum is taken with its own four bytes as zeros."""
    if size != 4 or crc32c(header[:at] + bytes(4) + header[at + 4 :]) != int.from_bytes(header[at : at + 4], "big"):
        raise ProxyHeaderError("a PROXY header whose checksum is wrong")


def _crc_row(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC_TABLE = tuple(_crc_row(byte) for byte in range(256))


def crc32c(data: bytes) -> int:
    """RFC 4960, appendix B: Castagnoli's polynomial, which no module of Python has."""
    rest = 0xFFFFFFFF
    for byte in data:
        rest = rest >> 8 ^ _CRC_TABLE[(rest ^ byte) & 0xFF]
    return rest ^ 0xFFFFFFFF
