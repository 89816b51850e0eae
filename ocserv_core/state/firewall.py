"""What a restricted client may reach: `restrict-user-to-routes` and `restrict-user-to-ports` as a list of rules,
of which the first that matches a packet of the client decides. Used by main; system/nftables.py says it to the kernel.

Order and meaning are those of the C server's firewall script: answers, the client's DNS servers, ports, routes.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from ..config.addresses import PortRule
from ..config.session import SessionConfig

DNS_PORT = 53

_FAMILY = {"icmp": 4, "icmpv6": 6}
"""The protocols that one family alone has."""

_WITH_PORTS = frozenset(("tcp", "udp", "sctp"))


class Verdict(enum.Enum):
    """What becomes of a packet. ROUTES: the rules of the second list decide."""

    ACCEPT = "accept"
    REJECT = "reject"
    ROUTES = "routes"


@dataclass(frozen=True, slots=True)
class Rule:
    """What is said matches together; what is not said matches everything. family: 4 or 6. network: of the
    destination. port: 0 for any. answers: packets of connections that others began, and errors that belong to one."""

    verdict: Verdict
    family: int = 0
    protocol: str = ""
    port: int = 0
    network: str = ""
    answers: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """Both lists end with a rule that matches everything. `routes` is empty where no rule of `first` leads there."""

    first: tuple[Rule, ...]
    routes: tuple[Rule, ...] = ()


def is_restricted(config: SessionConfig) -> bool:
    """Whether this session needs rules at all."""
    return config.restrict_user_to_routes or bool(config.restrict_user_to_ports)


def rules_of(config: SessionConfig) -> Rules:
    """The rules of a session that is restricted."""
    before = (Rule(Verdict.ACCEPT, answers=True), *_dns(config.dns))
    ports, routes = config.restrict_user_to_ports, tuple(_routes(config))
    if not ports or denies(ports):
        return Rules((*before, *(_port(Verdict.REJECT, rule) for rule in ports), *routes))
    on = Verdict.ROUTES if config.restrict_user_to_routes else Verdict.ACCEPT
    allowed = (_port(on, rule) for rule in ports)
    first = (*before, *allowed, Rule(Verdict.REJECT))
    return Rules(first, routes if on is Verdict.ROUTES else ())


def denies(ports: Iterable[PortRule]) -> bool:
    """Whether the rules say what is shut: as with the C server one `!(…)` turns all of them."""
    return any(rule.deny for rule in ports)


def _dns(servers: Iterable[str]) -> Iterable[Rule]:
    for server in servers:
        for protocol in ("udp", "tcp"):
            yield Rule(Verdict.ACCEPT, _version(server), protocol, DNS_PORT, server)


def _port(verdict: Verdict, rule: PortRule) -> Rule:
    port = rule.port if rule.protocol in _WITH_PORTS else 0
    return Rule(verdict, _FAMILY.get(rule.protocol, 0), rule.protocol, port)


def _routes(config: SessionConfig) -> Iterable[Rule]:
    """Without routes everything is the client's, but for what it must not reach."""
    if config.restrict_user_to_routes:
        yield from _networks(Verdict.REJECT, config.no_routes)
        yield from _networks(Verdict.ACCEPT, config.routes)
    yield Rule(Verdict.REJECT if config.restrict_user_to_routes and config.routes else Verdict.ACCEPT)


def _networks(verdict: Verdict, networks: Iterable[str]) -> Iterable[Rule]:
    parsed = [ipaddress.ip_network(network, strict=False) for network in networks]
    for four in ipaddress.collapse_addresses(n for n in parsed if isinstance(n, ipaddress.IPv4Network)):
        yield Rule(verdict, 4, network=str(four))
    for six in ipaddress.collapse_addresses(n for n in parsed if isinstance(n, ipaddress.IPv6Network)):
        yield Rule(verdict, 6, network=str(six))


def _version(address: str) -> int:
    return 6 if ":" in address else 4
