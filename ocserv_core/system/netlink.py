"""Addresses, routes and MTU of TUN devices, by netlink. main only: pyroute2 costs 25 MB.

Three requests configure a device (four where clients get IPv6 subnets); each is awaited, none blocks the loop.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Awaitable
from typing import Any

from ..errors import StartError, SystemFailure
from ..model import AddressPair, Lease

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_IFA_F_NODAD = 0x02


class Netlink:
    """A netlink socket of main's network namespace. Made by `open`, ended by `close`."""

    def __init__(self, ipr: Any) -> None:  # pyroute2 has no types
        self._ipr = ipr

    @classmethod
    async def open(cls) -> Netlink:
        """Bind the socket. Raises StartError."""
        from pyroute2 import AsyncIPRoute

        try:
            ipr = AsyncIPRoute()
            await ipr.setup_endpoint()
        except OSError as error:
            raise StartError(f"no netlink socket: {error.strerror or error}") from error
        return cls(ipr)

    async def close(self) -> None:
        """Close the socket; devices stay as they are."""
        self._ipr.close()

    async def configure_tun(self, index: int, lease: Lease, mtu: int) -> None:
        """Bring the device up: MTU in bytes of an inner packet, server's and client's address of each family.

        IPv4 is point to point (/32 with its peer), IPv6 likewise, or with a route to the client's subnet. Raises
        SystemFailure.
        """
        await self._ask(f"MTU {mtu} of the TUN device", self._ipr.link("set", index=index, mtu=mtu, state="up"))
        if lease.ipv4 is not None:
            await self._add_ipv4(index, lease.ipv4)
        if lease.ipv6 is not None:
            await self._add_ipv6(index, lease.ipv6)

    async def _add_ipv4(self, index: int, pair: AddressPair) -> None:
        request = self._ipr.addr("add", index=index, local=pair.local, address=pair.remote, prefixlen=32)
        await self._ask(f"address {pair.local} peer {pair.remote}", request)

    async def _add_ipv6(self, index: int, pair: AddressPair) -> None:
        """The same server address stands on every TUN device: duplicate detection would only delay it."""
        subnet = ipaddress.IPv6Network((pair.remote, pair.prefix), strict=False)
        # The kernel routes a peer by itself, but only a single address.
        peer = pair.remote if pair.prefix == 128 else pair.local
        request = self._ipr.addr("add", index=index, local=pair.local, address=peer, prefixlen=128, flags=_IFA_F_NODAD)
        await self._ask(f"address {pair.local} peer {peer}", request)
        if pair.prefix != 128:
            await self._ask(f"route {subnet}", self._ipr.route("add", dst=str(subnet), oif=index))

    async def set_mtu(self, index: int, mtu: int) -> None:
        """Change the device's MTU, in bytes of an inner packet. Raises SystemFailure."""
        await self._ask(f"MTU {mtu} of the TUN device", self._ipr.link("set", index=index, mtu=mtu))

    async def remove(self, index: int) -> None:
        """Delete the device, if it is still there. Raises SystemFailure."""
        try:
            socket.if_indextoname(index)
        except OSError:
            return  # gone with its last descriptor, as it should be
        try:
            await self._ipr.link("del", index=index)
        except _netlink_error() as error:
            if error.args[0] != errno.ENODEV:
                raise SystemFailure(f"the kernel keeps the TUN device: {error}") from error

    async def local_subnets(self) -> tuple[Network, ...]:
        """The networks of every address of this machine. Raises SystemFailure."""
        found: dict[Network, None] = {}
        try:
            async for message in await self._ipr.addr("dump"):
                address, prefix = message.get_attr("IFA_ADDRESS"), message["prefixlen"]
                if address is not None:
                    found[ipaddress.ip_network((address, prefix), strict=False)] = None
        except (OSError, _netlink_error()) as error:
            raise SystemFailure(f"cannot list the addresses of this machine: {error}") from error
        return tuple(found)

    async def _ask(self, what: str, request: Awaitable[Any]) -> None:
        try:
            await request
        except (OSError, _netlink_error()) as error:
            raise SystemFailure(f"the kernel refused {what}: {error}") from error


def _netlink_error() -> type[Exception]:
    from pyroute2.netlink.exceptions import NetlinkError

    kind: type[Exception] = NetlinkError
    return kind
