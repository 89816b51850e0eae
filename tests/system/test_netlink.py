"""TUN devices get their addresses, routes and MTU; each test in a network namespace of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ocserv_core.errors import SystemFailure
from ocserv_core.model import AddressPair, Lease
from ocserv_core.system.netlink import Netlink
from ocserv_core.system.tun import open_tun

from .forked import in_netns, needs_tun

LEASE = Lease(AddressPair("192.0.2.1", "192.0.2.7", 24), AddressPair("2001:db8::1", "2001:db8:0:1::1", 64))


def ip(*words: str) -> Any:
    """The answer of `ip -json WORDS`."""
    return json.loads(subprocess.run(("ip", "-json", *words), capture_output=True, check=True).stdout or "[]")


def with_netlink(action: Callable[[Netlink], Awaitable[Any]]) -> Any:
    """The result of `action` in a namespace, with an open Netlink."""

    async def run() -> Any:
        netlink = await Netlink.open()
        try:
            return await action(netlink)
        finally:
            await netlink.close()

    return in_netns(lambda: asyncio.run(run()))


@needs_tun
class TestConfigureTun:
    def test_ipv4_is_point_to_point(self) -> None:
        async def configure(netlink: Netlink) -> Any:
            tun = open_tun("vpns")
            await netlink.configure_tun(tun.index, LEASE, 1400)
            return ip("-4", "address", "show", "dev", tun.name)[0]["addr_info"][0]

        address = with_netlink(configure)
        assert (address["local"], address["address"], address["prefixlen"]) == ("192.0.2.1", "192.0.2.7", 32)

    def test_ipv6_has_a_route_to_the_subnet_of_the_client(self) -> None:
        async def configure(netlink: Netlink) -> Any:
            tun = open_tun("vpns")
            await netlink.configure_tun(tun.index, LEASE, 1400)
            found = ip("-6", "address", "show", "dev", tun.name)[0]["addr_info"]
            routes = [route["dst"] for route in ip("-6", "route", "show", "dev", tun.name)]
            return [[entry["local"] for entry in found if entry["scope"] == "global"], routes]

        addresses, routes = with_netlink(configure)
        assert addresses == ["2001:db8::1"]
        assert "2001:db8:0:1::/64" in routes

    def test_the_device_is_up_with_its_mtu(self) -> None:
        async def configure(netlink: Netlink) -> Any:
            tun = open_tun("vpns")
            await netlink.configure_tun(tun.index, LEASE, 1321)
            return ip("link", "show", "dev", tun.name)[0]

        link = with_netlink(configure)
        assert link["mtu"] == 1321
        assert "UP" in link["flags"]

    def test_a_family_that_is_not_leased_is_not_configured(self) -> None:
        async def configure(netlink: Netlink) -> Any:
            tun = open_tun("vpns")
            await netlink.configure_tun(tun.index, Lease(ipv4=LEASE.ipv4), 1400)
            found = ip("-6", "address", "show", "dev", tun.name, "scope", "global")
            return [entry for device in found for entry in device.get("addr_info", [])]

        assert with_netlink(configure) == []

    def test_a_device_that_is_gone_is_said_in_one_line(self) -> None:
        async def configure(netlink: Netlink) -> Any:
            tun = open_tun("vpns")
            tun.close()
            with pytest.raises(SystemFailure, match="MTU 1400 of the TUN device"):
                await netlink.configure_tun(tun.index, LEASE, 1400)

        with_netlink(configure)

    def test_twenty_devices_take_a_few_milliseconds_each(self) -> None:
        async def configure(netlink: Netlink) -> float:
            started = time.perf_counter()
            for number in range(10, 30):
                lease = Lease(
                    AddressPair("192.0.2.1", f"192.0.2.{number}", 24),
                    AddressPair("2001:db8::1", f"2001:db8:0:{number}::1", 64),
                )
                await netlink.configure_tun(open_tun("vpns").index, lease, 1400)
            return (time.perf_counter() - started) / 20

        assert with_netlink(configure) < 0.050  # 1–3 ms when nothing else runs


@needs_tun
class TestTheRest:
    def test_set_mtu(self) -> None:
        async def change(netlink: Netlink) -> Any:
            tun = open_tun("vpns")
            await netlink.configure_tun(tun.index, LEASE, 1400)
            await netlink.set_mtu(tun.index, 1290)
            return ip("link", "show", "dev", tun.name)[0]["mtu"]

        assert with_netlink(change) == 1290

    def test_a_device_that_is_removed_makes_way_for_the_same_addresses(self) -> None:
        async def replace(netlink: Netlink) -> Any:
            old, new = open_tun("vpns"), open_tun("vpns")
            await netlink.configure_tun(old.index, LEASE, 1400)
            await netlink.remove(old.index)
            await netlink.remove(old.index)
            await netlink.configure_tun(new.index, LEASE, 1400)
            return [
                ip("route", "get", "192.0.2.7")[0]["dev"],
                ip("route", "get", "2001:db8:0:1::1")[0]["dev"],
                new.name,
            ]

        ipv4, ipv6, new = with_netlink(replace)
        assert (ipv4, ipv6) == (new, new)

    def test_local_subnets(self) -> None:
        async def look(netlink: Netlink) -> Any:
            ip("address", "add", "198.51.100.9/24", "dev", "lo")
            ip("link", "set", "lo", "up")
            return [str(network) for network in await netlink.local_subnets()]

        assert set(with_netlink(look)) >= {"127.0.0.0/8", "198.51.100.0/24", "::1/128"}
