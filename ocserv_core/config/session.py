"""SessionConfig: what is in force for one session, made of its vhost's options and of what is said of its user.

Made by main when a session opens; the worker gets it in AuthCookieReply. Nothing else looks at both sources.
"""

from __future__ import annotations

import ipaddress
from typing import TypeVar

import msgspec

from .addresses import DEFAULT_ROUTE, PortRule
from .user import UserOptions
from .values import RekeyMethod, Seconds
from .vhost import VhostOptions

T = TypeVar("T")


class SessionConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The settings of one session. Networks are canonical with their prefix, "" for a family without a pool;
    times are seconds, 0 for off. Empty `routes` mean that all traffic goes through the tunnel."""

    ipv4_network: str = ""
    ipv6_network: str = ""
    ipv6_subnet_prefix: int = 128
    predictable_ips: bool = True
    explicit_ipv4: str | None = None
    explicit_ipv6: str | None = None
    routes: tuple[str, ...] = ()
    no_routes: tuple[str, ...] = ()
    iroutes: tuple[str, ...] = ()
    restrict_user_to_routes: bool = False
    restrict_user_to_ports: tuple[PortRule, ...] = ()
    dns: tuple[str, ...] = ()
    nbns: tuple[str, ...] = ()
    split_dns: tuple[str, ...] = ()
    default_domain: str = ""
    tunnel_all_dns: bool = False
    hostname: str | None = None
    keepalive: Seconds = 32400
    dpd: Seconds = 90
    mobile_dpd: Seconds = 1800
    idle_timeout: Seconds = 0
    mobile_idle_timeout: Seconds = 0
    session_timeout: Seconds = 0
    stats_report_time: Seconds = 0
    rekey_time: Seconds = 172800
    rekey_method: RekeyMethod = "new-tunnel"
    mtu: int = 0
    no_udp: bool = False
    rx_data_per_sec: int = 0
    tx_data_per_sec: int = 0
    net_priority: str = ""
    output_buffer: int = 0
    switch_to_tcp_timeout: Seconds = 25
    compression: bool = False
    no_compress_limit: int = 256
    client_bypass_protocol: bool = False
    max_same_clients: int = 0
    deny_roaming: bool = False
    user_profile: str = ""
    banner: str = ""
    custom_headers: tuple[str, ...] = ()
    proxy_url: str = ""
    listen_host_is_dyndns: bool = False


_OF_VHOST = (
    "predictable_ips",
    "default_domain",
    "rekey_time",
    "rekey_method",
    "output_buffer",
    "switch_to_tcp_timeout",
    "compression",
    "no_compress_limit",
    "banner",
    "custom_headers",
    "proxy_url",
    "listen_host_is_dyndns",
)
"""What only the vhost can say."""

_OF_USER = ("explicit_ipv4", "explicit_ipv6", "iroutes", "hostname")
"""What only the user's own configuration can say."""

_OF_BOTH = (
    "ipv6_subnet_prefix",
    "restrict_user_to_routes",
    "restrict_user_to_ports",
    "dns",
    "nbns",
    "split_dns",
    "keepalive",
    "dpd",
    "idle_timeout",
    "session_timeout",
    "stats_report_time",
    "mtu",
    "no_udp",
    "rx_data_per_sec",
    "tx_data_per_sec",
    "net_priority",
    "client_bypass_protocol",
    "max_same_clients",
    "deny_roaming",
    "user_profile",
)
"""What the user's own configuration replaces where it says anything; the rest has a rule of its own below."""


def effective(vhost: VhostOptions, overlay: UserOptions | None, exposed: tuple[str, ...] = ()) -> SessionConfig:
    """The settings of a session. Values and whole lists of `overlay` go before the vhost's. exposed: networks behind
    clients, to which each gets routes but to its own."""
    user = overlay or UserOptions()
    plain = {name: getattr(vhost, name) for name in _OF_VHOST}
    plain |= {name: getattr(user, name) for name in _OF_USER}
    plain |= {name: _first(getattr(user, name), getattr(vhost, name)) for name in _OF_BOTH}
    return SessionConfig(
        **plain,
        ipv4_network=_ipv4_network(vhost, user),
        ipv6_network=_ipv6_network(vhost, user),
        routes=_with_exposed(_routes(vhost, user.routes, vhost.routes), exposed, user.iroutes),
        no_routes=_routes(vhost, user.no_routes, vhost.no_routes),
        tunnel_all_dns=DEFAULT_ROUTE in user.routes or _first(user.tunnel_all_dns, vhost.tunnel_all_dns),
        mobile_dpd=_first(user.mobile_dpd, vhost.mobile_dpd or vhost.dpd),
        mobile_idle_timeout=_mobile_idle_timeout(vhost, user),
    )


CHANGEABLE = ("idle_timeout", "session_timeout", "stats_report_time", "rx_data_per_sec", "tx_data_per_sec")
"""What may change while a session is up."""


def overlaid(session: SessionConfig, overlay: UserOptions) -> SessionConfig:
    """The settings of a session with other values for what may change."""
    said = {name: value for name in CHANGEABLE if (value := getattr(overlay, name)) is not None}
    return msgspec.structs.replace(session, **said)


def _first(wish: T | None, otherwise: T) -> T:
    return otherwise if wish is None or wish == () else wish


def _routes(vhost: VhostOptions, own: tuple[str, ...], shared: tuple[str, ...]) -> tuple[str, ...]:
    """The C server sends no route at all where `default` is among them: everything is the default route."""
    routes = own + shared if vhost.append_routes and own else own or shared
    return () if DEFAULT_ROUTE in routes else routes


def _with_exposed(routes: tuple[str, ...], exposed: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    """Where everything goes through the tunnel, a route to a part of it would shut out the rest."""
    if not routes:
        return ()
    return (*routes, *(route for route in exposed if route not in own and route not in routes))


def _mobile_idle_timeout(vhost: VhostOptions, user: UserOptions) -> Seconds:
    wish = _first(user.mobile_idle_timeout, vhost.mobile_idle_timeout)
    return _first(wish, _first(user.idle_timeout, vhost.idle_timeout))


def _ipv4_network(vhost: VhostOptions, user: UserOptions) -> str:
    network = user.ipv4_network or vhost.ipv4_network
    mask = _ipv4_mask(user) or _ipv4_mask(vhost)
    if not network or not mask:
        return ""
    return str(ipaddress.IPv4Network(f"{network.partition('/')[0]}/{mask}", strict=False))


def _ipv4_mask(options: VhostOptions | UserOptions) -> str:
    """The mask that goes with a network; draft.py forgets an older one when a network brings its own."""
    return options.ipv4_netmask or (options.ipv4_network or "").partition("/")[2]


def _ipv6_network(vhost: VhostOptions, user: UserOptions) -> str:
    network = user.ipv6_network or vhost.ipv6_network
    own = (user.ipv6_network or "").partition("/")[2]
    prefix = own or str(vhost.ipv6_prefix or "") or vhost.ipv6_network.partition("/")[2]
    if not network or not prefix:
        return ""
    return str(ipaddress.IPv6Network(f"{network.partition('/')[0]}/{prefix}", strict=False))
