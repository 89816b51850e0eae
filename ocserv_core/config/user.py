"""UserOptions: the options that may also stand in a group's or a user's own file.

Every field is "not set" by default (None, or an empty tuple); what is set overlays the vhost's value
(session.effective). vhost.py has the same fields with the server's defaults and takes their declarations from here.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from . import addresses, values
from .declare import Option, Repeat, options_of
from .values import Seconds


class UserOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a back end or a file says of one user or group. None and () mean: as the vhost has it."""

    # ---- addresses and routes ----

    ipv4_network: Annotated[
        str | None,
        Option(addresses.IPV4_NETWORK, "The pool of IPv4 addresses for clients. A prefix sets the netmask too."),
    ] = None
    ipv4_netmask: Annotated[
        str | None, Option(addresses.NETMASK, "The mask of ipv4-network, where that has no prefix.")
    ] = None
    ipv6_network: Annotated[
        str | None, Option(addresses.IPV6_NETWORK, "The pool of IPv6 addresses for clients, with its prefix.")
    ] = None
    ipv6_subnet_prefix: Annotated[
        int | None,
        Option(
            values.number(11, 128),
            "The prefix of what each client gets of ipv6-network; must be longer than the network's own.",
        ),
    ] = None
    explicit_ipv4: Annotated[
        str | None,
        Option(addresses.IPV4_ADDRESS, "Always this IPv4 address; 0.0.0.0 means none at all."),
    ] = None
    explicit_ipv6: Annotated[
        str | None, Option(addresses.IPV6_ADDRESS, "Always this IPv6 address; :: means none at all.")
    ] = None
    routes: Annotated[
        tuple[str, ...],
        Option(
            addresses.ROUTE,
            "A network that the client reaches through the tunnel. With none, or with `default`, all traffic goes"
            " through it. 0.0.0.0/0 is sent as a route like any other and does not mean `default`.",
            name="route",
            repeat=Repeat.APPEND,
        ),
    ] = ()
    no_routes: Annotated[
        tuple[str, ...],
        Option(
            addresses.ROUTE,
            "A network that the client must not reach through the tunnel.",
            name="no-route",
            repeat=Repeat.APPEND,
        ),
    ] = ()
    iroutes: Annotated[
        tuple[str, ...],
        Option(
            addresses.SUBNET,
            "A network behind the client, to which the server routes while he is connected.",
            name="iroute",
            repeat=Repeat.APPEND,
        ),
    ] = ()
    restrict_user_to_routes: Annotated[
        bool | None,
        Option(values.BOOLEAN, "Let the client reach its routes only, by the kernel's firewall (nftables)."),
    ] = None
    restrict_user_to_ports: Annotated[
        tuple[addresses.PortRule, ...],
        Option(
            addresses.PORT_RULES,
            "Let the client reach these ports only, or with `!(…)` everything but these.",
            repeat=Repeat.APPEND,
            extends=True,
        ),
    ] = ()

    # ---- names ----

    dns: Annotated[
        tuple[str, ...],
        Option(
            addresses.ADDRESS,
            "A DNS server for the client.",
            repeat=Repeat.APPEND,
            aliases=("ipv4-dns", "ipv6-dns"),
        ),
    ] = ()
    nbns: Annotated[
        tuple[str, ...],
        Option(
            addresses.ADDRESS,
            "A NetBIOS (WINS) server for the client.",
            repeat=Repeat.APPEND,
            aliases=("ipv4-nbns", "ipv6-nbns"),
        ),
    ] = ()
    split_dns: Annotated[
        tuple[str, ...],
        Option(
            values.TEXT,
            "A domain for which the client asks the DNS servers above; with none, it asks them for everything.",
            repeat=Repeat.APPEND,
        ),
    ] = ()
    tunnel_all_dns: Annotated[
        bool | None,
        Option(
            values.BOOLEAN,
            "Tell the client to send every DNS query through the tunnel. Always so where the user's own routes say"
            " `default`.",
        ),
    ] = None
    hostname: Annotated[
        str | None, Option(values.text_of("name", 63), "The name given to the client instead of its own word.")
    ] = None

    # ---- times ----

    keepalive: Annotated[Seconds | None, Option(values.SECONDS, "How often the client sends a keepalive.")] = None
    dpd: Annotated[
        Seconds | None,
        Option(
            values.SECONDS,
            "Dead peer detection: how long a silent peer is waited for before it is asked. After three times that"
            " the connection ends. 0 turns it off.",
        ),
    ] = None
    mobile_dpd: Annotated[
        Seconds | None, Option(values.SECONDS, "As dpd, for mobile clients. For a vhost, 0 means: as dpd.")
    ] = None
    idle_timeout: Annotated[
        Seconds | None, Option(values.SECONDS, "Disconnect a client without traffic after this time; 0 never does.")
    ] = None
    mobile_idle_timeout: Annotated[
        Seconds | None, Option(values.SECONDS, "As idle-timeout, for mobile clients; unset means: as idle-timeout.")
    ] = None
    session_timeout: Annotated[
        Seconds | None,
        Option(
            values.SECONDS,
            "Disconnect a session this long after its first login, reconnects included; 0 never does.",
        ),
    ] = None
    stats_report_time: Annotated[
        Seconds | None,
        Option(values.SECONDS, "How often a client's traffic is reported to accounting; 0: at its end only."),
    ] = None

    # ---- the tunnel ----

    mtu: Annotated[
        int | None, Option(values.number(0, 65535), "The upper bound of the link's MTU in bytes; 0 leaves it open.")
    ] = None
    no_udp: Annotated[bool | None, Option(values.BOOLEAN, "Offer no DTLS to the client.")] = None
    rx_data_per_sec: Annotated[
        int | None,
        Option(values.number(), "Bytes a second taken from the client; 0 is unlimited."),
    ] = None
    tx_data_per_sec: Annotated[
        int | None,
        Option(values.number(), "Bytes a second sent to the client; 0 is unlimited."),
    ] = None
    net_priority: Annotated[
        str | None,
        Option(
            values.NET_PRIORITY,
            "The priority of the client's packets: a socket priority, or in hexadecimal a TOS byte.",
        ),
    ] = None
    client_bypass_protocol: Annotated[
        bool | None,
        Option(values.BOOLEAN, "Let the client send an address family past the tunnel for which it got no address."),
    ] = None

    # ---- the session ----

    max_same_clients: Annotated[
        int | None,
        Option(values.number(), "How many sessions a user may have at once, over all vhosts; 0 is unlimited."),
    ] = None
    deny_roaming: Annotated[
        bool | None, Option(values.BOOLEAN, "Accept a cookie only from the address that logged in.")
    ] = None
    user_profile: Annotated[
        str | None,
        Option(
            values.FILE, "The AnyConnect profile (XML) that is offered to clients; sought below `chroot-dir` first."
        ),
    ] = None


USER = options_of(UserOptions)
