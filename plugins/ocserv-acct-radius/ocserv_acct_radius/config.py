"""`session-config = "radius[…]"`, or `groupconfig=true` in an auth or acct line: what the server said of a user when it
accepted him, as options of ocserv.conf. It asks nobody: the attributes are in the session."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from ocserv_core.plugin import BackendContext, Options, Session, hookimpl

from .options import check_names
from .words import flat

_log = logging.getLogger(__name__)

POOL = ("255.255.255.254", "255.255.255.255")
"""Framed-IP-Address that means: of the server's pool, or as the user wants (RFC 2865 5.8)."""

_KB = 1000
"""What Roaring Penguin's limits count in the C server."""

Attribute = str | int | list[str]
Line = tuple[str, str]


class RadiusConfig:
    """The back end. Options: those of `auth`; none is needed."""

    ocserv_api = (1, 0)

    def __init__(self, options: Mapping[str, str], _context: BackendContext) -> None:
        check_names(options)

    @hookimpl
    async def ocserv_session_config(self, session: Session) -> Options:
        """The attributes of its Access-Accept as options. What is malformed is left out, with a line in the log."""
        return options_of(session.attributes, session.username)


def options_of(attributes: Mapping[str, Attribute], user: str, *, zeros: bool = False) -> dict[str, str | list[str]]:
    """By the names of ocserv.conf; of several values for one option that has one, the first of TABLE counts. zeros:
    say also that there is no limit (0); else the vhost's own limit stays."""
    options: dict[str, str | list[str]] = {}
    for name, translate in TABLE:
        for value in _values(attributes.get(name)):
            try:
                lines = list(translate(value))
            except ValueError as error:
                _log.warning("radius: %s of '%s' is left out: %s", name, user, flat(str(error)))
                continue
            for option, text in lines:
                if text != "0" or zeros:
                    _add(options, option, text)
    return options


def _values(attribute: Attribute | None) -> Iterable[str]:
    if attribute is None:
        return ()
    return attribute if isinstance(attribute, list) else (str(attribute),)


def _add(options: dict[str, str | list[str]], option: str, text: str) -> None:
    if option not in LISTS:
        options.setdefault(option, text)
        return
    several = options.setdefault(option, [])
    assert isinstance(several, list)
    if text not in several:
        several.append(text)


# ---- one attribute each -------------------------------------------------------------------------------------------


def _address(value: str) -> Iterable[Line]:
    return () if value in POOL else (("explicit-ipv4", str(ipaddress.IPv4Address(value))),)


def _mask(value: str) -> Iterable[Line]:
    # A host's own mask says nothing of the network; it comes with most addresses.
    if value == "255.255.255.255":
        return ()
    return (("ipv4-netmask", str(ipaddress.IPv4Network(f"0.0.0.0/{value}").netmask)),)


def _address6(value: str) -> Iterable[Line]:
    return (("explicit-ipv6", str(ipaddress.IPv6Address(value))),)


def _subnet6(value: str) -> Iterable[Line]:
    network = ipaddress.IPv6Network(value, strict=False)
    return ("explicit-ipv6", str(network.network_address)), ("ipv6-subnet-prefix", str(network.prefixlen))


def _route(value: str) -> Iterable[Line]:
    """`192.0.2.0/24 192.0.2.1 1`: gateway and metric are the client's matter."""
    words = list(islice(value.split(), 1))
    if not words or "/" not in words[0]:
        raise ValueError(f"'{value}' does not begin with NETWORK/PREFIX")
    return (("route", str(ipaddress.ip_network(words[0], strict=False))),)


def _dns(value: str) -> Iterable[Line]:
    return (("dns", str(ipaddress.ip_address(value))),)


def _number(option: str, convert: Callable[[int], int] = int) -> Callable[[str], Iterable[Line]]:
    """0 is no limit, for RADIUS as for the option."""

    def translate(value: str) -> Iterable[Line]:
        return ((option, str(convert(int(value)))),)

    return translate


TABLE: tuple[tuple[str, Callable[[str], Iterable[Line]]], ...] = (
    ("Framed-IP-Address", _address),
    ("Framed-IP-Netmask", _mask),
    ("Framed-IPv6-Address", _address6),
    ("Delegated-IPv6-Prefix", _subnet6),
    ("Framed-Route", _route),
    ("Framed-IPv6-Route", _route),
    ("Framed-IPv6-Prefix", _route),
    ("Route-IPv6-Information", _route),
    ("MS-Primary-DNS-Server", _dns),
    ("MS-Secondary-DNS-Server", _dns),
    ("DNS-Server-IPv6-Address", _dns),
    ("Session-Timeout", _number("session-timeout")),
    ("Idle-Timeout", _number("idle-timeout")),
    ("Acct-Interim-Interval", _number("stats-report-time")),
    ("WISPr-Bandwidth-Max-Up", _number("rx-data-per-sec", lambda bits: bits // 8)),
    ("WISPr-Bandwidth-Max-Down", _number("tx-data-per-sec", lambda bits: bits // 8)),
    ("RP-Upstream-Speed-Limit", _number("rx-data-per-sec", lambda kilobytes: kilobytes * _KB)),
    ("RP-Downstream-Speed-Limit", _number("tx-data-per-sec", lambda kilobytes: kilobytes * _KB)),
)
"""Which attribute becomes which option."""

LISTS = ("route", "dns")
"""Options that may have several values."""
