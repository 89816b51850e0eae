"""Attributes of an Access-Accept to options of ocserv.conf, read as the server reads them."""

from __future__ import annotations

import pytest
from ocserv_acct_radius.config import Attribute, RadiusConfig, options_of
from radius_world import CONTEXT, session

from ocserv_core.config.build import read_user_options
from tests.loop import on_loop


def options(**attributes: Attribute) -> dict[str, str | list[str]]:
    """Of attributes whose names are written with `_`; the server must be able to read them."""
    found = options_of({name.replace("_", "-"): value for name, value in attributes.items()}, "bob")
    read_user_options(found, "a test")
    return found


def test_addresses_of_a_users_own() -> None:
    assert options(Framed_IP_Address="198.51.100.9", Framed_IP_Netmask="255.255.255.0") == {
        "explicit-ipv4": "198.51.100.9",
        "ipv4-netmask": "255.255.255.0",
    }
    assert options(Framed_IPv6_Address="2001:db8::9") == {"explicit-ipv6": "2001:db8::9"}


@pytest.mark.parametrize("address", ["255.255.255.254", "255.255.255.255"])
def test_an_address_that_means_the_pool(address: str) -> None:
    assert options(Framed_IP_Address=address, Framed_IP_Netmask="255.255.255.255") == {}


def test_a_prefix_is_the_clients_subnet() -> None:
    assert options(Delegated_IPv6_Prefix="2001:db8:aa00::/56") == {
        "explicit-ipv6": "2001:db8:aa00::",
        "ipv6-subnet-prefix": "56",
    }


def test_an_address_goes_before_that_of_the_prefix() -> None:
    found = options(Framed_IPv6_Address="2001:db8:aa00::7", Delegated_IPv6_Prefix="2001:db8:aa00::/56")
    assert found == {"explicit-ipv6": "2001:db8:aa00::7", "ipv6-subnet-prefix": "56"}


def test_routes_of_every_kind() -> None:
    found = options(
        Framed_Route=["192.0.2.0/24 0.0.0.0 1", "203.0.113.0/255.255.255.0", "192.0.2.0/24"],
        Framed_IPv6_Route=["2001:db8:1::/48 :: 1"],
        Framed_IPv6_Prefix=["2001:db8:2::/64"],
        Route_IPv6_Information=["2001:db8:3::/64"],
    )
    networks6 = ["2001:db8:1::/48", "2001:db8:2::/64", "2001:db8:3::/64"]
    assert found == {"route": ["192.0.2.0/24", "203.0.113.0/24", *networks6]}


def test_dns_servers_of_both_families() -> None:
    found = options(
        MS_Primary_DNS_Server="192.0.2.53",
        MS_Secondary_DNS_Server="192.0.2.54",
        DNS_Server_IPv6_Address=["2001:db8::53"],
    )
    assert found == {"dns": ["192.0.2.53", "192.0.2.54", "2001:db8::53"]}


def test_times() -> None:
    found = options(Session_Timeout=3600, Idle_Timeout=600, Acct_Interim_Interval=60)
    assert found == {"session-timeout": "3600", "idle-timeout": "600", "stats-report-time": "60"}


def test_zero_is_no_limit_and_is_not_said() -> None:
    assert options(Session_Timeout=0, Idle_Timeout=0, WISPr_Bandwidth_Max_Up=7) == {}


def test_rates_are_bits_for_one_vendor_and_kilobytes_for_the_other() -> None:
    assert options(WISPr_Bandwidth_Max_Up=8_000_000, RP_Downstream_Speed_Limit=500) == {
        "rx-data-per-sec": "1000000",
        "tx-data-per-sec": "500000",
    }


def test_of_two_vendors_the_first_counts() -> None:
    assert options(WISPr_Bandwidth_Max_Up=8000, RP_Upstream_Speed_Limit=9) == {"rx-data-per-sec": "1000"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Framed-Route", ["somewhere"]),
        ("Framed-Route", [""]),
        ("Framed-Route", ["192.0.2.0/33 0.0.0.0 1"]),
        ("Framed-IPv6-Route", ["2001:db8::/129"]),
        ("Framed-IP-Address", "192.0.2"),
        ("Framed-IP-Netmask", "255.0.255.0"),
    ],
)
def test_what_is_malformed_is_left_out_and_told(name: str, value: Attribute, caplog: pytest.LogCaptureFixture) -> None:
    assert options_of({name: value, "Session-Timeout": 60}, "bob") == {"session-timeout": "60"}
    assert f"radius: {name} of 'bob' is left out" in caplog.text


def test_the_hook_reads_the_session_and_asks_nobody() -> None:
    async def dialogue() -> None:
        found = await RadiusConfig({}, CONTEXT).ocserv_session_config(session({"Session-Timeout": 60}))
        assert found == {"session-timeout": "60"}

    on_loop(dialogue())


def test_a_user_of_another_back_end_has_nothing() -> None:
    assert options_of({}, "bob") == {}
