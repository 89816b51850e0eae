"""What a restricted client may reach, decided by the first rule that matches; and the same in words."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.config.addresses import PortRule, parse_port_rules
from ocserv_core.config.session import SessionConfig
from ocserv_core.state.firewall import Rule, Rules, Verdict, is_restricted, rules_of

NETWORKS = ("192.0.2.0/24", "192.0.2.0/25", "198.51.100.0/24", "2001:db8::/32", "2001:db8:1::/48")
ADDRESSES = ("192.0.2.1", "192.0.2.200", "198.51.100.1", "203.0.113.1", "2001:db8::1", "2001:db8:1::1", "2001:db9::1")
PROTOCOLS = ("tcp", "udp", "sctp", "esp", "icmp", "icmpv6", "gre")


class Packet(NamedTuple):
    """What a client sends, first of its connection."""

    to: str
    protocol: str
    port: int = 0


def matches(rule: Rule, packet: Packet) -> bool:
    address = ipaddress.ip_address(packet.to)
    return (
        not rule.answers
        and rule.family in (0, address.version)
        and rule.protocol in ("", packet.protocol)
        and rule.port in (0, packet.port)
        and (not rule.network or address in ipaddress.ip_network(rule.network))
    )


def passes(rules: Rules, packet: Packet) -> bool:
    """As the kernel goes through them."""
    verdict = next(rule.verdict for rule in rules.first if matches(rule, packet))
    if verdict is Verdict.ROUTES:
        verdict = next(rule.verdict for rule in rules.routes if matches(rule, packet))
    return verdict is Verdict.ACCEPT


def may_reach(config: SessionConfig, packet: Packet) -> bool:
    """The same in words."""
    address = ipaddress.ip_address(packet.to)

    def is_in(networks: tuple[str, ...]) -> bool:
        return any(address in ipaddress.ip_network(network) for network in networks)

    def is_named(rule: PortRule) -> bool:
        with_port = rule.protocol in ("tcp", "udp", "sctp")
        right_family = {"icmp": 4, "icmpv6": 6}.get(rule.protocol, address.version) == address.version
        return rule.protocol == packet.protocol and right_family and (not with_port or rule.port in (0, packet.port))

    if packet.to in config.dns and packet.protocol in ("udp", "tcp") and packet.port == 53:
        return True
    ports = config.restrict_user_to_ports
    named = any(map(is_named, ports))
    if named if any(rule.deny for rule in ports) else ports and not named:
        return False
    if not config.restrict_user_to_routes:
        return True
    return not is_in(config.no_routes) and (not config.routes or is_in(config.routes))


PORTS = st.lists(st.builds(PortRule, st.sampled_from(PROTOCOLS[:-1]), st.sampled_from((0, 53, 443)), st.booleans()))
CONFIGS = st.builds(
    SessionConfig,
    restrict_user_to_routes=st.booleans(),
    restrict_user_to_ports=PORTS.map(tuple),
    routes=st.lists(st.sampled_from(NETWORKS), unique=True).map(tuple),
    no_routes=st.lists(st.sampled_from(NETWORKS), unique=True).map(tuple),
    dns=st.lists(st.sampled_from(ADDRESSES), unique=True).map(tuple),
)
PACKETS = st.builds(Packet, st.sampled_from(ADDRESSES), st.sampled_from(PROTOCOLS), st.sampled_from((53, 80, 443)))


@given(CONFIGS, PACKETS)
def test_the_rules_say_what_the_sentences_say(config: SessionConfig, packet: Packet) -> None:
    assert passes(rules_of(config), packet) == may_reach(config, packet)


@given(CONFIGS)
def test_every_list_ends_with_a_rule_for_all_the_rest(config: SessionConfig) -> None:
    rules = rules_of(config)
    lists = [rules.first, *([rules.routes] if rules.routes else [])]
    assert all(last == Rule(last.verdict) for *_, last in lists)
    assert bool(rules.routes) == any(rule.verdict is Verdict.ROUTES for rule in rules.first)


@given(CONFIGS)
def test_answers_always_pass(config: SessionConfig) -> None:
    assert rules_of(config).first[0] == Rule(Verdict.ACCEPT, answers=True)


@pytest.mark.parametrize(
    ("config", "restricted"),
    [
        (SessionConfig(routes=("192.0.2.0/24",)), False),
        (SessionConfig(restrict_user_to_routes=True), True),
        (SessionConfig(restrict_user_to_ports=parse_port_rules("tcp(1)")), True),
    ],
)
def test_who_needs_rules(config: SessionConfig, *, restricted: bool) -> None:
    assert is_restricted(config) == restricted


def test_networks_that_lie_within_another_or_side_by_side_are_one_rule() -> None:
    routes = ("192.0.2.0/25", "192.0.2.128/25", "192.0.2.7/32", "2001:db8::/32")
    rules = rules_of(SessionConfig(restrict_user_to_routes=True, routes=routes)).first
    assert [rule.network for rule in rules if rule.network] == ["192.0.2.0/24", "2001:db8::/32"]
