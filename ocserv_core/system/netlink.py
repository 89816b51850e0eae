"""Addresses, routes and MTU of TUN devices, by netlink. main only.

What every login needs goes by rtnetlink.py; pyroute2, which costs 25 MB, is imported when something rarer is asked.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator

from ..errors import StartError, SystemFailure
from ..model import AddressPair, Lease
from .rtnetlink import Network, RtSocket


class Netlink:
    """A netlink socket of main's network namespace. Made by `open`, ended by `close`."""

    def __init__(self, rtnl: RtSocket) -> None:
        self._rtnl = rtnl

    @classmethod
    async def open(cls) -> Netlink:
        """Bind the socket. Raises StartError."""
        try:
            return cls(RtSocket())
        except OSError as error:
            raise StartError(f"no netlink socket: {error.strerror or error}") from error

    async def close(self) -> None:
        """Close the socket; devices stay as they are."""
        self._rtnl.close()

    async def configure_tun(self, index: int, lease: Lease, mtu: int) -> None:
        """Bring the device up: MTU in bytes of an inner packet, server's and client's address of each family.

        IPv4 is point to point (/32 with its peer), IPv6 has the server's address and a route to the client's
        subnet. Raises SystemFailure.
        """
        with _named(f"MTU {mtu} of the TUN device"):
            self._rtnl.set_link(index, mtu=mtu, up=True)
        if lease.ipv4 is not None:
            self._add_ipv4(index, lease.ipv4)
        if lease.ipv6 is not None:
            self._add_ipv6(index, lease.ipv6)

    def _add_ipv4(self, index: int, pair: AddressPair) -> None:
        local, peer = ipaddress.IPv4Address(pair.local), ipaddress.IPv4Address(pair.remote)
        with _named(f"address {pair.local} peer {pair.remote}"):
            self._rtnl.add_address(index, local, 32, peer=peer)

    def _add_ipv6(self, index: int, pair: AddressPair) -> None:
        with _named(f"address {pair.local}"):
            self._rtnl.add_address(index, ipaddress.IPv6Address(pair.local), 128)
        subnet = ipaddress.IPv6Network((pair.remote, pair.prefix), strict=False)
        with _named(f"route {subnet}"):
            self._rtnl.add_route(index, subnet)

    async def set_mtu(self, index: int, mtu: int) -> None:
        """Change the device's MTU, in bytes of an inner packet. Raises SystemFailure."""
        with _named(f"MTU {mtu} of the TUN device"):
            self._rtnl.set_link(index, mtu=mtu)

    async def remove(self, index: int) -> None:
        """Delete the device, if it is still there. Raises SystemFailure."""
        with _named("the TUN device's end"):
            self._rtnl.delete_link(index)

    async def local_subnets(self) -> tuple[Network, ...]:
        """The networks of every address of this machine. Raises SystemFailure."""
        from pyroute2 import AsyncIPRoute
        from pyroute2.netlink.exceptions import NetlinkError

        found: dict[Network, None] = {}
        try:
            async with AsyncIPRoute() as ipr:
                async for message in await ipr.addr("dump"):
                    address, prefix = message.get_attr("IFA_ADDRESS"), message["prefixlen"]
                    if address is not None:
                        found[ipaddress.ip_network((address, prefix), strict=False)] = None
        except (OSError, NetlinkError) as error:
            raise SystemFailure(f"cannot list the addresses of this machine: {error}") from error
        return tuple(found)


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SystemFailure(f"the kernel refused {what}: {error}") from error
