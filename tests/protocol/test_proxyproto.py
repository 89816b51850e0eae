"""PROXY headers of haproxy and of the specification, whole and in pieces, and what is none."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.model import Endpoint
from ocserv_core.protocol.proxyproto import (
    MAX_LINE,
    MAX_PAYLOAD,
    HeaderReader,
    ProxyAddresses,
    ProxyHeader,
    ProxyHeaderError,
    crc32c,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = ProxyAddresses(Endpoint("203.0.113.7", 51234), Endpoint("192.0.2.1", 443))
V6 = ProxyAddresses(Endpoint("2001:db8::7", 51234), Endpoint("2001:db8::1", 443))
ENDS4 = bytes.fromhex("cb007107c0000201c82201bb")
ENDS6 = bytes.fromhex("20010db800000000000000000000000720010db8000000000000000000000001c82201bb")
HELLO = b"\x16\3\1\2\0\1\0\1\xfc\3\3"


def block(payload: bytes, family: int = 0x11, version: int = 0x21) -> bytes:
    return SIGNATURE + struct.pack("!BBH", version, family, len(payload)) + payload


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def summed(payload: bytes) -> bytes:
    """With a checksum at the end of its TLVs."""
    header = block(payload + tlv(3, bytes(4)))
    return header[:-4] + crc32c(header).to_bytes(4, "big")


GOOD: dict[str, tuple[bytes, ProxyHeader]] = {
    "v1 TCP4": (b"PROXY TCP4 203.0.113.7 192.0.2.1 51234 443\r\n", ProxyHeader(V4)),
    "v1 TCP6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 443\r\n", ProxyHeader(V6)),
    "v1 TCP6, written long": (
        b"PROXY TCP6 2001:0DB8:0000:0000:0000:0000:0000:0007 2001:db8:0:0:0:0:0:1 51234 443\r\n",
        ProxyHeader(V6),
    ),
    "v1 mapped": (b"PROXY TCP6 ::ffff:203.0.113.7 ::ffff:192.0.2.1 51234 443\r\n", ProxyHeader(V4)),
    "v1 UNKNOWN": (b"PROXY UNKNOWN\r\n", ProxyHeader()),
    "v1 UNKNOWN with addresses": (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", ProxyHeader()),
    "v1 of all its length": (b"PROXY UNKNOWN " + b"x" * (MAX_LINE - 16) + b"\r\n", ProxyHeader()),
    "v2 TCP4": (block(ENDS4), ProxyHeader(V4)),
    "v2 TCP6": (block(ENDS6, 0x21), ProxyHeader(V6)),
    "v2 mapped": (
        block(bytes(10) + b"\xff\xff" + ENDS4[:4] + bytes(10) + b"\xff\xff" + ENDS4[4:], 0x21),
        ProxyHeader(V4),
    ),
    "v2 LOCAL": (block(b"", 0, 0x20), ProxyHeader(probe=True)),
    "v2 LOCAL with addresses": (block(ENDS4, 0x11, 0x20), ProxyHeader(probe=True)),
    "v2 LOCAL with anything": (block(b"?" * 9, 0xFF, 0x20), ProxyHeader(probe=True)),
    "v2 without addresses": (block(b"", 0), ProxyHeader()),
    "v2 Unix": (block(bytes(216), 0x31), ProxyHeader()),
    "v2 UDP": (block(ENDS4, 0x12), ProxyHeader()),
    "v2 of a family to come": (block(b"?" * 7, 0x41), ProxyHeader()),
    "v2 with a NOOP": (block(ENDS4 + tlv(4, bytes(5))), ProxyHeader(V4)),
    "v2 with an empty TLV": (block(ENDS4 + tlv(1, b"")), ProxyHeader(V4)),
    "v2 with a checksum": (summed(ENDS4 + tlv(1, b"h2")), ProxyHeader(V4)),
    "v2 of all its length": (block(ENDS4 + tlv(4, bytes(MAX_PAYLOAD - 15))), ProxyHeader(V4)),
}

BAD: dict[str, tuple[bytes, str]] = {
    "TLS": (HELLO, "does not begin with"),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", "does not begin with"),
    "lower case": (b"proxy TCP4", "does not begin with"),
    "v1 too long": (b"PROXY UNKNOWN " + b"x" * MAX_LINE, "more than 107"),
    "v1 too long by its CRLF": (b"PROXY UNKNOWN " + b"x" * (MAX_LINE - 15) + b"\r\n", "more than 107"),
    "v1 that is not ASCII": (b"PROXY UNKNOWN \xff\r\n", "not ASCII"),
    "v1 of nobody": (b"PROXY \r\n", "makes no sense"),
    "v1 of a new family": (b"PROXY TCP8 203.0.113.7 192.0.2.1 51234 443\r\n", "makes no sense"),
    "v1 with two spaces": (b"PROXY TCP4  203.0.113.7 192.0.2.1 51234 443\r\n", "makes no sense"),
    "v1 with a word more": (b"PROXY TCP4 203.0.113.7 192.0.2.1 51234 443 x\r\n", "makes no sense"),
    "v1 families mixed": (b"PROXY TCP4 2001:db8::7 192.0.2.1 51234 443\r\n", "not of TCP4"),
    "v1 with a name": (b"PROXY TCP4 localhost 192.0.2.1 51234 443\r\n", "not of TCP4"),
    "v1 with an interface": (b"PROXY TCP6 fe80::1%eth0 2001:db8::1 51234 443\r\n", "proper"),
    "v1 port too large": (b"PROXY TCP4 203.0.113.7 192.0.2.1 65536 443\r\n", "proper"),
    "v1 port with zeros": (b"PROXY TCP4 203.0.113.7 192.0.2.1 0051234 443\r\n", "proper"),
    "v1 port below 0": (b"PROXY TCP4 203.0.113.7 192.0.2.1 -1 443\r\n", "proper"),
    "v1 port and a newline": (b"PROXY TCP4 203.0.113.7 192.0.2.1 51234 443\n\r\n", "proper"),
    "v2 too long": (block(bytes(MAX_PAYLOAD + 1)), "more than 8192"),
    "v2 of version 1": (block(ENDS4, version=0x11), "version and command"),
    "v2 with a new command": (block(ENDS4, version=0x22), "version and command"),
    "v2 too short": (block(ENDS4[:-1]), "too short"),
    "v2 TCP6 too short": (block(ENDS4, 0x21), "too short"),
    "v2 with half a TLV's head": (block(ENDS4 + b"\4\0"), "half a TLV"),
    "v2 with half a TLV": (block(ENDS4 + tlv(4, bytes(5))[:-1]), "half a TLV"),
    "v2 with a wrong checksum": (summed(ENDS4)[:-1] + b"?", "checksum is wrong"),
    "v2 with a short checksum": (block(ENDS4 + tlv(3, b"abc")), "checksum is wrong"),
    "v2 with two checksums": (summed(summed(ENDS4)[16:]), "checksum"),
}


def read(data: bytes, sizes: list[int]) -> tuple[ProxyHeader | None, int]:
    """The header, and how many bytes were taken for it, where `data` comes in pieces of these sizes."""
    reader, at, size = HeaderReader(), 0, iter(sizes)
    while reader.header is None and at < len(data):
        taken = reader.take(data[at : at + next(size, len(data))])
        assert taken > 0
        at += taken
    return reader.header, at


@pytest.mark.parametrize("name", GOOD)
def test_a_header_is_read_and_no_byte_after_it(name: str) -> None:
    data, header = GOOD[name]
    assert read(data + HELLO, []) == (header, len(data))


@pytest.mark.parametrize("name", GOOD)
def test_it_may_come_byte_by_byte(name: str) -> None:
    data, header = GOOD[name]
    assert read(data + HELLO, [1] * len(data)) == (header, len(data))


@pytest.mark.parametrize("name", GOOD)
def test_half_of_it_is_waited_for(name: str) -> None:
    data, _ = GOOD[name]
    assert read(data[:-1], []) == (None, len(data) - 1)


@pytest.mark.parametrize("name", BAD)
def test_what_is_none_is_refused_and_why(name: str) -> None:
    data, why = BAD[name]
    with pytest.raises(ProxyHeaderError, match=why):
        read(data + HELLO, [])


def test_the_sum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of every table of CRCs


addresses4 = st.ip_addresses(v=4).map(str)
addresses6 = st.ip_addresses(v=6).filter(lambda ip: int(ip) >> 32 != 0xFFFF).map(str)
ports = st.integers(0, 65535)


@given(st.data(), st.sampled_from(["TCP4", "TCP6"]), ports, ports, st.lists(st.integers(1, 40)))
def test_both_versions_say_the_same(data: st.DataObject, family: str, port: int, own: int, sizes: list[int]) -> None:
    ips = addresses4 if family == "TCP4" else addresses6
    source, destination = data.draw(ips), data.draw(ips)
    expected = ProxyHeader(ProxyAddresses(Endpoint(source, port), Endpoint(destination, own)))
    line = f"PROXY {family} {source} {destination} {port} {own}\r\n".encode()
    assert read(line + HELLO, sizes) == (expected, len(line))
    packed = b"".join(_packed(ip) for ip in (source, destination)) + struct.pack("!HH", port, own)
    binary = summed(packed) if family == "TCP4" else block(packed, 0x21)
    assert read(binary + HELLO, sizes) == (expected, len(binary))


def _packed(ip: str) -> bytes:
    return ipaddress.ip_address(ip).packed


@given(st.binary(max_size=400), st.lists(st.integers(1, 100)))
def test_junk_is_refused_or_waited_for_in_pieces_as_whole(data: bytes, sizes: list[int]) -> None:
    assert outcome(data, sizes) == outcome(data, [])


def outcome(data: bytes, sizes: list[int]) -> object:
    """What comes of it."""
    try:
        return read(data, sizes)
    except ProxyHeaderError as error:
        return str(error)
