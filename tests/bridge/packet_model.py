"""Inner packets in plain Python, from the RFCs, and what the kernel makes of gathered ones: the oracle of
native/packet.c, segment.c and coalesce.c."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

TCP, UDP, ICMP = 6, 17, 1
FIN, SYN, PSH, ACK, URG, CWR = 0x01, 0x02, 0x08, 0x10, 0x20, 0x80
DF, MORE, EVIL = 0x4000, 0x2000, 0x8000

NEEDS_CSUM = 1
GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, GSO_ECN = 0, 1, 4, 5, 0x80
UDP_SEGMENTS = 64
PACKET_MAX = 65535


def ones_sum(data: bytes) -> int:
    """RFC 1071: 16-bit words in network order, an odd last byte is a high one."""
    words: tuple[int, ...] = struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2))
    total = sum(words)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def inverse(total: int) -> int:
    return total ^ 0xFFFF


# ---- building ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ip:
    """An IP header; extension: IPv6's extension headers, or IPv4's options, as they stand."""

    source: str = "192.0.2.1"
    destination: str = "198.51.100.7"
    tos: int = 0
    ttl: int = 64
    ident: int = 0
    fragment: int = DF
    extension: bytes = b""
    label: int = 0

    @property
    def version(self) -> int:
        return ipaddress.ip_address(self.source).version

    @property
    def addresses(self) -> bytes:
        return ipaddress.ip_address(self.source).packed + ipaddress.ip_address(self.destination).packed

    def pseudo(self, protocol: int, size: int) -> bytes:
        if self.version == 4:
            return self.addresses + struct.pack("!BBH", 0, protocol, size)
        return self.addresses + struct.pack("!IHBB", size, 0, 0, protocol)

    def around(self, protocol: int, body: bytes) -> bytes:
        return self._v4(protocol, body) if self.version == 4 else self._v6(protocol, body)

    def _v4(self, protocol: int, body: bytes) -> bytes:
        size = 20 + len(self.extension)
        first = struct.pack("!BBHHH", 0x40 | size // 4, self.tos, size + len(body), self.ident, self.fragment)
        last = self.addresses + self.extension
        total = inverse(ones_sum(first + bytes([self.ttl, protocol]) + last))
        return first + struct.pack("!BBH", self.ttl, protocol, total) + last + body

    def _v6(self, protocol: int, body: bytes) -> bytes:
        # An extension header's own first byte names what follows it; the one before names the extension.
        extension = bytes([protocol]) + self.extension[1:] if self.extension else b""
        following = self.extension[0] if self.extension else protocol
        word = 6 << 28 | self.tos << 20 | self.label
        return (
            struct.pack("!IHBB", word, len(extension) + len(body), following, self.ttl)
            + self.addresses
            + extension
            + body
        )


HOP_BY_HOP = bytes([0, 0, 1, 4, 0, 0, 0, 0])
"""For Ip.extension of IPv6: its first byte is the number of the header itself."""


def sealed(ip: Ip, protocol: int, header: bytes, payload: bytes, at: int) -> bytes:
    """The packet, with the checksum that stands `at` bytes in the TCP or UDP header."""
    body = header + payload
    total = inverse(ones_sum(ip.pseudo(protocol, len(body)) + body))
    if protocol == UDP and total == 0:
        total = 0xFFFF
    return ip.around(protocol, body[:at] + total.to_bytes(2, "big") + body[at + 2 :])


@dataclass(frozen=True)
class Tcp:
    """A TCP segment's header, without its IP header."""

    ports: tuple[int, int] = (40000, 443)
    seq: int = 1
    ack: int = 1
    flags: int = ACK
    window: int = 512
    urgent: int = 0
    options: bytes = b""
    reserved: int = 0

    def on(self, ip: Ip, payload: bytes) -> bytes:
        offset = (20 + len(self.options)) // 4 << 4 | self.reserved
        words = (*self.ports, self.seq & 0xFFFFFFFF, self.ack, offset, self.flags, self.window, 0, self.urgent)
        return sealed(ip, TCP, struct.pack("!HHIIBBHHH", *words) + self.options, payload, 16)


def udp(ip: Ip, payload: bytes, ports: tuple[int, int] = (40000, 443)) -> bytes:
    return sealed(ip, UDP, struct.pack("!HHHH", *ports, 8 + len(payload), 0), payload, 6)


# ---- reading ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parsed:
    """A plain TCP segment or UDP datagram."""

    packet: bytes
    version: int
    protocol: int
    ip: int
    headers: int

    @property
    def payload(self) -> bytes:
        return self.packet[self.headers :]

    @property
    def flags(self) -> int:
        return self.packet[self.ip + 13]

    @property
    def seq(self) -> int:
        return int.from_bytes(self.packet[self.ip + 4 : self.ip + 8], "big")

    @property
    def ident(self) -> int:
        return int.from_bytes(self.packet[4:6], "big")

    @property
    def dont_fragment(self) -> bool:
        return bool(self.packet[6] & 0x40)

    @property
    def pseudo(self) -> bytes:
        addresses = self.packet[12:20] if self.version == 4 else self.packet[8:40]
        return addresses + struct.pack("!II", len(self.packet) - self.ip, self.protocol)


def parse(packet: bytes) -> Parsed | None:
    """None for all else: fragments, IP options, extension headers, what is longer or shorter than it says."""
    if len(packet) >= 20 and packet[0] == 0x45:
        length, fragment = struct.unpack("!2xHxxH", packet[:8])
        if length != len(packet) or fragment & 0x3FFF:
            return None
        version, ip, protocol = 4, 20, packet[9]
    elif len(packet) >= 40 and packet[0] >> 4 == 6:
        if int.from_bytes(packet[4:6], "big") != len(packet) - 40:
            return None
        version, ip, protocol = 6, 40, packet[6]
    else:
        return None
    header = _transport_header(protocol, packet[ip:])
    return Parsed(packet, version, protocol, ip, ip + header) if header else None


def _transport_header(protocol: int, body: bytes) -> int:
    if protocol == UDP:
        return 8 if len(body) >= 8 and int.from_bytes(body[4:6], "big") == len(body) else 0
    if protocol != TCP or len(body) < 20:
        return 0
    size = body[12] // 16 * 4
    return size if 20 <= size <= len(body) else 0


def sums_hold(p: Parsed) -> bool:
    """Whether its checksums are right; a UDP datagram without one is not."""
    if p.version == 4 and ones_sum(p.packet[:20]) != 0xFFFF:
        return False
    if p.protocol == UDP and p.packet[p.ip + 6 : p.ip + 8] == b"\0\0":
        return False
    return ones_sum(p.pseudo + p.packet[p.ip :]) == 0xFFFF


# ---- vnet headers: what the kernel makes of a gathered packet ---------------------------------------------------


@dataclass(frozen=True)
class Vnet:
    """struct virtio_net_hdr."""

    flags: int = 0
    gso_type: int = GSO_NONE
    header: int = 0
    gso_size: int = 0
    csum_start: int = 0
    csum_offset: int = 0

    SIZE = 10

    @classmethod
    def of(cls, data: bytes) -> Vnet:
        return cls(*struct.unpack("=BBHHHH", data[:10]))

    def __bytes__(self) -> bytes:
        words = (self.flags, self.gso_type, self.header, self.gso_size, self.csum_start, self.csum_offset)
        return struct.pack("=BBHHHH", *words)


def on_the_wire(vnet: Vnet, packet: bytes) -> list[bytes]:
    """The packets that the kernel would send for this one. Fields that it overwrites are made anew from the rest."""
    if vnet.gso_type == GSO_NONE:
        return [_finished(vnet, packet)]
    start = vnet.csum_start
    tcp = vnet.gso_type & ~GSO_ECN != GSO_UDP_L4
    headers = start + (packet[start + 12] // 16 * 4 if tcp else 8)
    payload = packet[headers:]
    pieces = [payload[at : at + vnet.gso_size] for at in range(0, len(payload), vnet.gso_size)]
    made = []
    for number, piece in enumerate(pieces):
        ip = _ip_of_segment(packet[:start], number, headers - start + len(piece))
        transport = (_tcp_of_segment if tcp else _udp_of_segment)(
            packet[start:headers], piece, number * vnet.gso_size, number == 0, number == len(pieces) - 1
        )
        made.append(ip + _summed(packet, TCP if tcp else UDP, transport + piece, 16 if tcp else 6))
    return made


def _finished(vnet: Vnet, packet: bytes) -> bytes:
    if not vnet.flags & NEEDS_CSUM:
        return packet
    total = inverse(ones_sum(packet[vnet.csum_start :]))
    if total == 0 and vnet.csum_offset == 6:
        total = 0xFFFF
    field = vnet.csum_start + vnet.csum_offset
    return packet[:field] + total.to_bytes(2, "big") + packet[field + 2 :]


def _ip_of_segment(ip: bytes, number: int, body: int) -> bytes:
    if ip[0] >> 4 == 6:
        return ip[:4] + (len(ip) - 40 + body).to_bytes(2, "big") + ip[6:]
    ident = int.from_bytes(ip[4:6], "big") + number & 0xFFFF
    without = ip[:2] + struct.pack("!HH", len(ip) + body, ident) + ip[6:10] + b"\0\0" + ip[12:]
    return without[:10] + inverse(ones_sum(without)).to_bytes(2, "big") + without[12:]


def _tcp_of_segment(header: bytes, piece: bytes, offset: int, first: bool, last: bool) -> bytes:
    seq = int.from_bytes(header[4:8], "big") + offset & 0xFFFFFFFF
    flags = header[13] & ~(0 if first else CWR) & ~(0 if last else FIN | PSH)
    return header[:4] + seq.to_bytes(4, "big") + header[8:13] + bytes([flags]) + header[14:]


def _udp_of_segment(header: bytes, piece: bytes, offset: int, first: bool, last: bool) -> bytes:
    return header[:4] + (8 + len(piece)).to_bytes(2, "big") + header[6:]


def _summed(packet: bytes, protocol: int, body: bytes, at: int) -> bytes:
    addresses = packet[12:20] if packet[0] >> 4 == 4 else packet[8:40]
    without = body[:at] + b"\0\0" + body[at + 2 :]
    total = inverse(ones_sum(addresses + struct.pack("!II", len(body), protocol) + without))
    if protocol == UDP and total == 0:
        total = 0xFFFF
    return body[:at] + total.to_bytes(2, "big") + body[at + 2 :]


def gathered_vnet(packet: bytes, gso_size: int) -> Vnet:
    """What stands before a packet of many."""
    p = parse(packet)
    assert p is not None
    kinds = {(TCP, 4): GSO_TCPV4, (TCP, 6): GSO_TCPV6, (UDP, 4): GSO_UDP_L4, (UDP, 6): GSO_UDP_L4}
    offset = 16 if p.protocol == TCP else 6
    return Vnet(NEEDS_CSUM, kinds[p.protocol, p.version], p.headers, gso_size, p.ip, offset)


def unsummed(packet: bytes) -> bytes:
    """With the pseudo header's sum where the checksum belongs, as the kernel leaves it and wants it."""
    p = parse(packet)
    assert p is not None
    at = p.ip + (16 if p.protocol == TCP else 6)
    return packet[:at] + ones_sum(p.pseudo).to_bytes(2, "big") + packet[at + 2 :]


# ---- which packets are gathered ---------------------------------------------------------------------------------


def groups(packets: Iterable[bytes], tcp: bool = True, udp: bool = True) -> list[int]:
    """How many of the packets go to the TUN in each write."""
    counts: list[int] = []
    group: list[Parsed] = []
    for packet in packets:
        p = parse(packet)
        if group and p is not None and _continues(group, p):
            group.append(p)
            counts[-1] += 1
        else:
            group = [p] if p is not None and _may_begin(p, tcp, udp) else []
            counts.append(1)
        if group and _ends(group):
            group = []
    return counts


def _may_begin(p: Parsed, tcp: bool, udp: bool) -> bool:
    return bool(p.payload) and sums_hold(p) and (tcp if p.protocol == TCP else udp)


def _ends(group: Sequence[Parsed]) -> bool:
    first, last = group[0], group[-1]
    size = first.headers + sum(len(p.payload) for p in group)
    pushed = last.protocol == TCP and bool(last.flags & PSH)
    return len(last.payload) < len(first.payload) or pushed or size + len(first.payload) > PACKET_MAX


def _continues(group: Sequence[Parsed], p: Parsed) -> bool:
    first = group[0]
    same_shape = (p.version, p.protocol, p.headers) == (first.version, first.protocol, first.headers)
    if not same_shape or not 0 < len(p.payload) <= len(first.payload) or not sums_hold(p):
        return False
    follows = _tcp_follows if p.protocol == TCP else _udp_follows
    return _same_path(group, p) and follows(group, p)


def _same_path(group: Sequence[Parsed], p: Parsed) -> bool:
    first = group[0]
    if p.version == 6:
        return _same(first, p, (0, 4), (6, 40))
    in_order = p.dont_fragment or p.ident == first.ident + len(group) & 0xFFFF
    return _same(first, p, (0, 2), (6, 10), (12, 20)) and in_order


def _same(a: Parsed, b: Parsed, *ranges: tuple[int, int]) -> bool:
    return all(a.packet[begin:end] == b.packet[begin:end] for begin, end in ranges)


def _tcp_follows(group: Sequence[Parsed], p: Parsed) -> bool:
    first, at = group[0], p.ip
    plain = all(q.flags & ~PSH == ACK and not q.packet[q.ip + 12] & 15 for q in (first, p))
    said_alike = _same(first, p, (at, at + 4), (at + 8, at + 13), (at + 14, at + 16), (at + 18, p.headers))
    return plain and said_alike and p.seq == first.seq + sum(len(q.payload) for q in group) & 0xFFFFFFFF


def _udp_follows(group: Sequence[Parsed], p: Parsed) -> bool:
    return len(group) < UDP_SEGMENTS and _same(group[0], p, (p.ip, p.ip + 4))


def without_idle_ident(packet: bytes) -> bytes:
    """The identification of a packet that is never fragmented says nothing (RFC 6864 4.1), and gathering counts it
    anew: 0 here, where the header's checksum is right."""
    p = parse(packet)
    if p is None or p.version != 4 or not p.dont_fragment or ones_sum(packet[:20]) != 0xFFFF:
        return packet
    without = packet[:4] + b"\0\0" + packet[6:10] + b"\0\0" + packet[12:20]
    return without[:10] + inverse(ones_sum(without)).to_bytes(2, "big") + packet[12:]


# ---- packets for tests ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One packet of a conversation: of which flow, how long its payload is, and what is odd about it."""

    flow: int
    size: int
    twist: str = ""


FLOWS = (
    (TCP, Ip(), (40000, 443)),
    (TCP, Ip("2001:db8::1", "2001:db8:1::7"), (40000, 443)),
    (UDP, Ip(), (5000, 4433)),
    (UDP, Ip("2001:db8::1", "2001:db8:1::7"), (5000, 4433)),
    (TCP, Ip(fragment=0), (40001, 443)),
    (UDP, Ip(fragment=0), (5001, 4433)),
)

IP_TWISTS: dict[str, dict[str, Any]] = {
    "tos": {"tos": 3},
    "ttl": {"ttl": 63},
    "df": {"fragment": DF},
    "may fragment": {"fragment": 0},
    "fragment": {"fragment": MORE},
    "evil": {"fragment": EVIL | DF},
    "other": {"destination": "198.51.100.8"},
    "ip options": {"extension": b"\x94\x04\0\0"},
    "hop by hop": {"extension": HOP_BY_HOP},
    "label": {"label": 7},
}
TCP_TWISTS: dict[str, dict[str, Any]] = {
    "psh": {"flags": ACK | PSH},
    "fin": {"flags": ACK | FIN},
    "syn": {"flags": SYN},
    "cwr": {"flags": ACK | CWR},
    "urg": {"flags": ACK | URG, "urgent": 3},
    "ack": {"ack": 77},
    "window": {"window": 99},
    "urgent": {"urgent": 1},
    "reserved": {"reserved": 1},
    "options": {"options": b"\1\1\x08\x0a" + bytes(8)},
    "other options": {"options": b"\1\1\x08\x0a" + bytes(7) + b"\1"},
}
BYTE_TWISTS = ("corrupt", "bad ip", "trailer", "cut", "no sum")
TWISTS = (*IP_TWISTS, *TCP_TWISTS, *BYTE_TWISTS, "gap", "ident")


def conversation(steps: Iterable[Step]) -> list[bytes]:
    """The packets, each flow's in sequence."""
    state = {number: [1, 100] for number in range(len(FLOWS))}  # sequence, identification
    return [_packet_of(step, state[step.flow]) for step in steps]


def _packet_of(step: Step, state: list[int]) -> bytes:
    protocol, ip, ports = FLOWS[step.flow]
    state[0] += 5 if step.twist == "gap" else 0
    state[1] += 5 if step.twist == "ident" else 0
    ip = replace(ip, ident=state[1] & 0xFFFF)
    if not (ip.version == 6 and step.twist in ("other", "ip options")) and not (
        ip.version == 4 and step.twist == "hop by hop"
    ):
        ip = replace(ip, **IP_TWISTS.get(step.twist, {}))
    payload = (bytes(range(251)) * (step.size // 251 + 2))[state[0] % 7 :][: step.size]
    if protocol == TCP:
        header = replace(Tcp(ports, state[0], **TCP_TWISTS.get(step.twist, {})))
        packet = header.on(ip, payload)
    else:
        packet = udp(ip, payload, ports)
    state[0] += len(payload)
    state[1] += 1
    return _bent(packet, step.twist, 40 if ip.version == 6 else 20)


def _bent(packet: bytes, twist: str, ip: int) -> bytes:
    match twist:
        case "corrupt":
            return packet[:-1] + bytes([packet[-1] ^ 1])
        case "bad ip":
            return packet[:8] + bytes([packet[8] ^ 1]) + packet[9:]
        case "trailer":
            return packet + b"\0"
        case "cut":
            return packet[:-1]
        case "no sum":
            return packet[: ip + 6] + b"\0\0" + packet[ip + 8 :]
    return packet
