"""Rules in the kernel: put in place, counted, removed; each test in a network namespace of its own."""

from __future__ import annotations

import re
import subprocess

import pytest

from ocserv_core.config.addresses import parse_port_rules
from ocserv_core.config.session import SessionConfig
from ocserv_core.errors import SystemFailure
from ocserv_core.state.firewall import rules_of
from ocserv_core.system.nftables import Nftables, add_client, remove_client, remove_table

from .forked import in_netns, needs_root

RULES = rules_of(
    SessionConfig(
        restrict_user_to_ports=parse_port_rules("tcp(443), udp(), sctp(7), icmp(), icmpv6(), esp()"),
        restrict_user_to_routes=True,
        routes=("192.0.2.0/24", "192.0.3.7/32", "2001:db8::/32"),
        no_routes=("192.0.2.128/25",),
        dns=("192.0.2.53", "2001:db8::53"),
    )
)


def listed() -> str:
    return subprocess.run(("nft", "list", "ruleset"), capture_output=True, text=True, check=True).stdout


def chain(text: str, name: str) -> list[str]:
    found = re.search(rf"chain {name} {{\n(.*?)\n\t}}", text, re.DOTALL)
    assert found, text
    return [line.strip() for line in found[1].splitlines()]


@needs_root
def test_a_client_s_rules_are_as_they_were_said() -> None:
    def act() -> str:
        Nftables().run(add_client("ocserv_test", "vpns0_7", 7, RULES))
        return listed()

    text = in_netns(act)
    assert "7 : goto vpns0_7" in text
    assert chain(text, "forward")[1:] == ["iif vmap @clients"]
    assert chain(text, "vpns0_7") == [
        "ct state related accept",
        "ct state established ct direction reply accept",
        "ip daddr 192.0.2.53 udp dport 53 accept",
        "ip daddr 192.0.2.53 tcp dport 53 accept",
        "ip6 daddr 2001:db8::53 udp dport 53 accept",
        "ip6 daddr 2001:db8::53 tcp dport 53 accept",
        "tcp dport 443 goto vpns0_7-routes",
        "meta l4proto udp goto vpns0_7-routes",
        "sctp dport 7 goto vpns0_7-routes",
        # nft leaves out the family, which the kernel has.
        "meta l4proto icmp goto vpns0_7-routes",
        "meta l4proto ipv6-icmp goto vpns0_7-routes",
        "meta l4proto esp goto vpns0_7-routes",
        "reject",
    ]
    assert chain(text, "vpns0_7-routes") == [
        "ip daddr 192.0.2.128/25 reject with icmp port-unreachable",
        "ip daddr 192.0.2.0/24 accept",
        "ip daddr 192.0.3.7 accept",
        "ip6 daddr 2001:db8::/32 accept",
        "reject",
    ]


@needs_root
def test_of_two_clients_one_goes_and_the_other_stays() -> None:
    def act() -> str:
        nftables = Nftables()
        for index in (7, 8):
            nftables.run(add_client("ocserv_test", f"vpns_{index}", index, RULES))
        nftables.run(remove_client("ocserv_test", "vpns_7", 7, RULES))
        return listed()

    text = in_netns(act)
    assert "vpns_7" not in text
    assert "elements = { 8 : goto vpns_8 }" in text
    assert chain(text, "forward")[1:] == ["iif vmap @clients"]


@needs_root
def test_a_table_is_removed_with_all_that_is_in_it_and_no_other() -> None:
    def act() -> str:
        nftables = Nftables()
        nftables.run(remove_table("ocserv_test"))
        nftables.run(add_client("ocserv_test", "vpns_7", 7, RULES))
        nftables.run(add_client("ocserv_other", "vpns_7", 9, RULES))
        nftables.run(remove_table("ocserv_test"))
        return listed()

    text = in_netns(act)
    assert "ocserv_test" not in text
    assert "table inet ocserv_other" in text


@needs_root
def test_a_transaction_that_is_refused_leaves_nothing_and_says_why() -> None:
    def act() -> tuple[str, str]:
        nftables = Nftables()
        commands = [*add_client("ocserv_test", "vpns_7", 7, RULES), *remove_client("ocserv_test", "none", 1, RULES)]
        with pytest.raises(SystemFailure) as caught:
            nftables.run(commands)
        return str(caught.value), listed()

    said, text = in_netns(act)
    assert said.startswith("the kernel refused the firewall's rules: ")
    assert "\n" not in said
    assert text == ""


def test_where_the_library_is_missing_the_package_is_named() -> None:
    with pytest.raises(SystemFailure, match=r"^libnothing.so is missing; install libnftables1$"):
        Nftables("libnothing.so")
