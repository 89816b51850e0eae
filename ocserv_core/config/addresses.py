"""The syntaxes of addresses, networks, routes and port rules. Used by the declarations.

Everything is kept as canonical text: host bits cleared, masks as prefix lengths, IPv6 compressed. What goes to a
client or to a script in another form (192.0.2.0/255.255.255.0) is written so where it is sent.
"""

from __future__ import annotations

import ipaddress
import re

import msgspec

from .declare import Syntax

DEFAULT_ROUTE = "default"
"""The word for "everything through the tunnel". 0.0.0.0/0 is not the same: it is sent as one route among others."""


class PortRule(msgspec.Struct, frozen=True, array_like=True):
    """Traffic that is let through, or with `deny` the only traffic that is not; port 0 is any."""

    protocol: str
    port: int
    deny: bool = False

    def __str__(self) -> str:
        """As occtl shows it: `tcp(443)`, `!udp(53)`, `icmp()`."""
        return f"{'!' if self.deny else ''}{self.protocol}({self.port or ''})"


def parse_address(text: str) -> str:
    """An IPv4 or IPv6 address."""
    if text == "local":
        raise ValueError("'local' is no longer known; write the address of the DNS server")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"'{text}' is not an IP address") from None


def parse_ipv4_address(text: str) -> str:
    """An IPv4 address."""
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ValueError(f"'{text}' is not an IPv4 address like 192.0.2.7") from None


def parse_ipv6_address(text: str) -> str:
    """An IPv6 address."""
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise ValueError(f"'{text}' is not an IPv6 address like 2001:db8::7") from None


def parse_ipv4_network(text: str) -> str:
    """`192.0.2.0` (its mask stands elsewhere) or `192.0.2.0/24`, whose host bits are cleared."""
    if "/" not in text:
        return parse_ipv4_address(text)
    try:
        network = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError(f"'{text}' is not an IPv4 network like 192.0.2.0/24") from None
    if network.prefixlen == 0:
        raise ValueError(f"'{text}' is every address; write a network like 192.0.2.0/24")
    return str(network)


def parse_ipv6_network(text: str) -> str:
    """`2001:db8::` (its prefix stands elsewhere) or `2001:db8::/48`, whose host bits are cleared."""
    if "/" not in text:
        return parse_ipv6_address(text)
    try:
        network = ipaddress.IPv6Network(text, strict=False)
    except ValueError:
        raise ValueError(f"'{text}' is not an IPv6 network like 2001:db8::/48") from None
    if network.prefixlen == 0:
        raise ValueError(f"'{text}' is every address; write a network like 2001:db8::/48")
    return str(network)


def parse_netmask(text: str) -> str:
    """A dotted IPv4 mask whose ones stand together."""
    try:
        network = ipaddress.IPv4Network(f"0.0.0.0/{text}")
    except ValueError:
        network = None
    if network is None or "." not in text or str(network.netmask) != text or network.prefixlen == 0:
        raise ValueError(f"'{text}' is not a network mask like 255.255.255.0")
    return text


def parse_route(text: str) -> str:
    """`default`, `a.b.c.d/len`, `a.b.c.d/mask` or `x::/len`, as a canonical network."""
    if text == DEFAULT_ROUTE:
        return text
    return parse_subnet(text)


def parse_subnet(text: str) -> str:
    """A network with its prefix or mask, as a canonical network."""
    address, _, mask = text.partition("/")
    if not mask or ("." in mask and parse_netmask_or_none(mask) is None):
        raise ValueError(f"'{text}' is not a route; write one like 192.0.2.0/24 or 2001:db8::/32")
    try:
        return str(ipaddress.ip_network(f"{address.strip()}/{mask.strip()}", strict=False))
    except ValueError:
        raise ValueError(f"'{text}' is not a route; write one like 192.0.2.0/24 or 2001:db8::/32") from None


def parse_netmask_or_none(text: str) -> str | None:
    """A dotted mask, the empty one included; None for anything else (a host mask like 0.0.0.255 too)."""
    if text.strip() == "0.0.0.0":  # noqa: S104 (a mask, not an address to bind)
        return text
    try:
        return parse_netmask(text.strip())
    except ValueError:
        return None


_PORT_RULE = re.compile(r"(tcp|udp|sctp|icmp|icmpv6|esp)\s*\(\s*([0-9]{0,5})\s*\)", re.IGNORECASE)


def parse_port_rules(text: str) -> tuple[PortRule, ...]:
    """`tcp(443), udp(53), icmp()`, or all of it in `!(…)` for everything but these."""
    deny = text.startswith("!")
    inner = re.fullmatch(r"!\((.*)\)", text, re.DOTALL) if deny else None
    if deny and inner is None:
        raise ValueError("'!' must be followed by the rules in parentheses, like !(tcp(25), udp())")
    return tuple(_port_rule(part.strip(), deny) for part in (inner[1] if inner else text).split(","))


def _port_rule(text: str, deny: bool) -> PortRule:
    match = _PORT_RULE.fullmatch(text)
    if match is None or int(match[2] or 0) > 65535:
        raise ValueError(f"'{text}' is not a port rule like tcp(443), udp(53) or icmp()")
    return PortRule(match[1].lower(), int(match[2] or 0), deny)


ADDRESS = Syntax("IP address", parse_address)
IPV4_ADDRESS = Syntax("IPv4 address", parse_ipv4_address)
IPV6_ADDRESS = Syntax("IPv6 address", parse_ipv6_address)
IPV4_NETWORK = Syntax("IPv4 network", parse_ipv4_network)
IPV6_NETWORK = Syntax("IPv6 network", parse_ipv6_network)
NETMASK = Syntax("dotted mask", parse_netmask)
ROUTE = Syntax("route or default", parse_route)
SUBNET = Syntax("network", parse_subnet)
PORT_RULES = Syntax("protocol(port), …", parse_port_rules)
