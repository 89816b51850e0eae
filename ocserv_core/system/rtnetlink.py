"""rtnetlink(7) requests as bytes: the few that every login needs. netlink.py says what they are for.

The kernel answers them while they are sent, so that one request takes as long as the kernel's own work (tens of
microseconds) and waits for nobody; pyroute2, which can do everything, spends half a millisecond on each.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct

_HEADER = struct.Struct("=IHHII")
_ERROR = struct.Struct("=i")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=8BI")
_ATTRIBUTE = struct.Struct("=HH")
_U32 = struct.Struct("=I")

_NLMSG_ERROR = 2
_RTM_NEWLINK, _RTM_DELLINK, _RTM_NEWADDR, _RTM_NEWROUTE = 16, 17, 20, 24
_REQUEST, _ACK, _EXCL, _CREATE = 0x1, 0x4, 0x200, 0x400
_IFLA_MTU = 4
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF = 1, 4
_IFF_UP = 1
_TABLE_MAIN, _PROTO_STATIC, _SCOPE_UNIVERSE, _SCOPE_LINK, _TYPE_UNICAST = 254, 4, 0, 253, 1
_SOL_NETLINK, _NETLINK_CAP_ACK = 270, 10
_TIMEOUT = 5.0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NO_DAD = 0x02
"""IFA_F_NODAD: the address is used at once, without duplicate detection."""


class RtSocket:
    """A netlink socket of this process's network namespace. Every method raises the kernel's OSError."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._sock.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._sock.settimeout(_TIMEOUT)
        self._sock.bind((0, 0))
        self._number = 0

    def close(self) -> None:
        """Idempotent."""
        self._sock.close()

    def set_link(self, index: int, *, mtu: int | None = None, up: bool | None = None) -> None:
        """Change the MTU (bytes), bring the device up or down; None leaves it."""
        change = 0 if up is None else _IFF_UP
        head = _LINK.pack(socket.AF_UNSPEC, 0, index, _IFF_UP if up else 0, change)
        attributes = b"" if mtu is None else _attribute(_IFLA_MTU, _U32.pack(mtu))
        self._ask(_RTM_NEWLINK, 0, head + attributes)

    def delete_link(self, index: int) -> None:
        """Delete the device with its addresses and routes; one that is gone already is no error."""
        try:
            self._ask(_RTM_DELLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise

    def add_address(self, index: int, local: Address, prefix: int, *, peer: Address | None = None) -> None:
        """Give the device an address; with a peer, of a point-to-point link. IPv6 is used at once."""
        flags = NO_DAD if local.version == 6 else 0
        head = _ADDRESS.pack(_family(local), prefix, flags, _SCOPE_UNIVERSE, index)
        attributes = _attribute(_IFA_LOCAL, local.packed) + _attribute(_IFA_ADDRESS, (peer or local).packed)
        self._ask(_RTM_NEWADDR, _CREATE | _EXCL, head + attributes)

    def add_route(self, index: int, network: Network) -> None:
        """Send a network's packets to the device."""
        family = _family(network.network_address)
        scope = _SCOPE_LINK if network.version == 4 else _SCOPE_UNIVERSE
        head = _ROUTE.pack(family, network.prefixlen, 0, 0, _TABLE_MAIN, _PROTO_STATIC, scope, _TYPE_UNICAST, 0)
        destination = _attribute(_RTA_DST, network.network_address.packed)
        self._ask(_RTM_NEWROUTE, _CREATE | _EXCL, head + destination + _attribute(_RTA_OIF, _U32.pack(index)))

    def _ask(self, kind: int, flags: int, body: bytes) -> None:
        self._number += 1
        length = _HEADER.size + len(body)
        self._sock.send(_HEADER.pack(length, kind, _REQUEST | _ACK | flags, self._number, 0) + body)
        answered, code = 0, 0
        # An answer that came after its time-out may lie before ours.
        while answered != self._number:
            answered, code = _parse_answer(self._sock.recv(4096))
        if code:
            raise OSError(-code, os.strerror(-code))


def _parse_answer(data: bytes) -> tuple[int, int]:
    """The number of the request that is answered, and 0 or the negative errno."""
    _, kind, _, number, _ = _HEADER.unpack_from(data)
    if kind != _NLMSG_ERROR:
        raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
    return number, _ERROR.unpack_from(data, _HEADER.size)[0]


def _attribute(kind: int, value: bytes) -> bytes:
    """rtnetlink(7): length and type, the value, padded to four bytes."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
