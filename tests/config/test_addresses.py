"""The syntaxes of addresses, networks, routes and port rules."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.config import addresses
from ocserv_core.config.addresses import (
    PortRule,
    parse_address,
    parse_ipv4_address,
    parse_ipv4_network,
    parse_ipv6_address,
    parse_ipv6_network,
    parse_netmask,
    parse_port_rules,
    parse_route,
    parse_subnet,
)
from ocserv_core.config.declare import Syntax

from .texts import refusal

SYNTAXES = [value for value in vars(addresses).values() if isinstance(value, Syntax)]


@pytest.mark.parametrize(("text", "canonical"), [("192.0.2.1", "192.0.2.1"), ("2001:DB8:0::1", "2001:db8::1")])
def test_addresses_are_canonical(text: str, canonical: str) -> None:
    assert parse_address(text) == canonical


def test_the_word_local_is_not_known_for_dns() -> None:
    with pytest.raises(ValueError, match="'local' is no longer known"):
        parse_address("local")


@pytest.mark.parametrize("text", ["", "192.0.2", "192.0.2.1/32", "dns.example"])
def test_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="is not an IP address"):
        parse_address(text)


def test_families_are_not_mixed_up() -> None:
    with pytest.raises(ValueError, match="is not an IPv4 address like"):
        parse_ipv4_address("::1")
    with pytest.raises(ValueError, match="is not an IPv6 address like"):
        parse_ipv6_address("192.0.2.1")


@pytest.mark.parametrize(("text", "canonical"), [("192.0.2.7/24", "192.0.2.0/24"), ("192.0.2.0", "192.0.2.0")])
def test_ipv4_networks(text: str, canonical: str) -> None:
    assert parse_ipv4_network(text) == canonical


@pytest.mark.parametrize("text", ["192.0.2.0/33", "192.0.2/24", "0.0.0.0/0", "2001:db8::/48", "x"])
def test_no_ipv4_networks(text: str) -> None:
    with pytest.raises(ValueError, match=r"like 192\.0\.2"):
        parse_ipv4_network(text)


@pytest.mark.parametrize(("text", "canonical"), [("2001:db8::9/48", "2001:db8::/48"), ("2001:db8::", "2001:db8::")])
def test_ipv6_networks(text: str, canonical: str) -> None:
    assert parse_ipv6_network(text) == canonical


@pytest.mark.parametrize("text", ["2001:db8::/129", "::/0", "192.0.2.0/24", "x"])
def test_no_ipv6_networks(text: str) -> None:
    with pytest.raises(ValueError, match="like 2001:db8::"):
        parse_ipv6_network(text)


def test_netmasks() -> None:
    assert parse_netmask("255.255.254.0") == "255.255.254.0"


@pytest.mark.parametrize("text", ["", "24", "255.0.255.0", "0.0.0.255", "0.0.0.0"])
def test_no_netmasks(text: str) -> None:
    with pytest.raises(ValueError, match="is not a network mask like"):
        parse_netmask(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("default", "default"),
        ("198.51.100.7/24", "198.51.100.0/24"),
        ("198.51.100.0/255.255.255.0", "198.51.100.0/24"),
        ("2001:DB8::1/32", "2001:db8::/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("0.0.0.0/0.0.0.0", "0.0.0.0/0"),
    ],
)
def test_routes_are_canonical(text: str, canonical: str) -> None:
    assert parse_route(text) == canonical


@pytest.mark.parametrize(
    "text", ["", "198.51.100.0", "198.51.100.0/33", "198.51.100.0/0.0.0.255", "2001:db8::/129", "Default", "/24", "x/y"]
)
def test_no_routes(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a route; write one like 192\.0\.2\.0/24"):
        parse_route(text)


def test_a_network_behind_a_client_is_never_everything() -> None:
    with pytest.raises(ValueError, match="is not a route"):
        parse_subnet("default")


def test_port_rules() -> None:
    assert parse_port_rules("tcp(443), UDP( 53 ), icmp()") == (
        PortRule("tcp", 443),
        PortRule("udp", 53),
        PortRule("icmp", 0),
    )


def test_negated_port_rules() -> None:
    assert parse_port_rules("!(tcp(25), esp())") == (PortRule("tcp", 25, True), PortRule("esp", 0, True))


@pytest.mark.parametrize("text", ["", "tcp", "tcp(x)", "tcp(70000)", "gre()", "tcp(1) udp(2)", "tcp(1),"])
def test_no_port_rules(text: str) -> None:
    with pytest.raises(ValueError, match="is not a port rule like"):
        parse_port_rules(text)


def test_a_negation_needs_parentheses() -> None:
    with pytest.raises(ValueError, match="must be followed by the rules in parentheses"):
        parse_port_rules("!tcp(25)")


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_mask_and_prefix_are_the_same_route(number: int, prefix: int) -> None:
    network = ipaddress.IPv4Network((number, prefix), strict=False)
    address = ipaddress.IPv4Address(number)
    assert parse_route(f"{address}/{prefix}") == parse_route(f"{address}/{network.netmask}") == str(network)


@given(st.sampled_from(SYNTAXES), st.text(alphabet=st.sampled_from("0123456789abf.:/()!tcp, "), max_size=30))
def test_a_syntax_refuses_with_a_sentence_or_not_at_all(syntax: Syntax, text: str) -> None:
    assert refusal(syntax.parse, text) is None or "'" in str(refusal(syntax.parse, text))


@pytest.mark.parametrize("text", ["tcp(443)", "icmp()", "sctp(1)"])
def test_a_port_rule_is_shown_as_it_was_written(text: str) -> None:
    assert [str(rule) for rule in parse_port_rules(f"{text}")] == [text]
    assert [str(rule) for rule in parse_port_rules(f"!({text})")] == [f"!{text}"]
