"""The answer to CONNECT: one line of HEADERS for each header, in the order in which they are sent.

The worker calls build_offer when main has opened the tunnel. A column gives the values of a header, none for a
header that is not sent; names are spelled as clients compare them, with the case.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..config.session import SessionConfig
from ..config.values import AlgorithmPriority
from ..model import Lease
from .clients import ClientClass
from .compression import choose_compression
from .connect import ConnectRequest
from .dtls import CIPHERS, CIPHERS_12, DtlsPlan, DtlsSettings, LegacyPlan, PskPlan, choose_dtls
from .http1 import one_line
from .liveness import LivenessSettings
from .mtu import MIN_IPV6, cstp_data_mtu, dtls_data_mtu, link_mtu

YEAR = 31536000
"""Seconds that mean "never" in Rekey-Time: larger ones overflow in 32-bit clients, which then rekey in a loop."""

MIN_JITTERED = 30
"""A rekey-time of at most this many seconds is announced as it is."""

DEFAULT_MTU = 1500

DTLS_REKEY_LATER = 10
"""Seconds by which the DTLS session is renewed after the TLS connection, which gives it its key."""


@dataclass(frozen=True, slots=True)
class OfferFacts:
    """What the connection adds to request and session.

    server_name: X-CSTP-Server-Name. device_mtu: of the link where `mtu` is not configured; path_mtu: TCP_INFO's,
    None where unknown; outer_ipv6: the client came by IPv6. started, now: seconds of one clock, first login and
    present. rekey_jitter: seconds (-29 to 29) to add to rekey-time. included_headers: whole lines. dtls_id: 32 fresh
    random bytes. compression_priorities: the lines of compression-algo-priority.
    """

    server_name: str
    tls_version: str
    username: str = ""
    group: str = ""
    device_mtu: int = DEFAULT_MTU
    path_mtu: int | None = None
    outer_ipv6: bool = False
    started: float = 0.0
    now: float = 0.0
    rekey_jitter: int = 0
    included_headers: tuple[str, ...] = ()
    dtls: DtlsSettings = field(default_factory=DtlsSettings)
    dtls_id: bytes = b""
    compression_priorities: tuple[AlgorithmPriority, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """What was answered. `header` ends with its empty line and goes out in one write, before any frame.

    `lease` is what the client was really told; `liveness` are the timers that it was told of, ours to keep. `dtls` is
    None where no datagram is expected. Compressions are "oc-lz4", "lzs" or "" for none.
    """

    header: bytes
    data_mtu: int
    link_mtu: int
    lease: Lease
    rekey_method: str
    liveness: LivenessSettings
    dtls: DtlsPlan | None = None
    cstp_compression: str = ""
    dtls_compression: str = ""


def build_offer(request: ConnectRequest, session: SessionConfig, lease: Lease, facts: OfferFacts) -> Offer:
    """The whole answer to a CONNECT that succeeded. A family that the client did not ask for, or that the MTU
    cannot carry, is not offered."""
    link = link_mtu(
        session.mtu or facts.device_mtu,
        client_base=request.base_mtu,
        client_mtu=request.mtu,
        path=facts.path_mtu,
        outer_ipv6=facts.outer_ipv6,
        inner_ipv6=lease.ipv6 is not None and request.wants_ipv6,
    )
    dtls = choose_dtls(request, facts.dtls, no_udp=session.no_udp)
    data = _data_mtu(link, dtls, facts)
    offered = Lease(
        ipv4=lease.ipv4 if request.wants_ipv4 else None,
        ipv6=lease.ipv6 if request.wants_ipv6 and data >= MIN_IPV6 else None,
    )
    context = Context(request, session, offered, facts, plan_rekey(session, facts), link, data, dtls)
    lines = ["HTTP/1.1 200 CONNECTED", *_lines(context)]
    return Offer(
        header=("\r\n".join(lines) + "\r\n\r\n").encode(),
        data_mtu=data,
        link_mtu=link,
        lease=offered,
        rekey_method=context.rekey.method,
        liveness=_liveness(context),
        dtls=dtls,
        cstp_compression=context.cstp_compression,
        dtls_compression=context.dtls_compression,
    )


def _data_mtu(link: int, dtls: DtlsPlan | None, facts: OfferFacts) -> int:
    """One for both channels: with DTLS its own, since most packets go there."""
    if dtls is None:
        return cstp_data_mtu(link, outer_ipv6=facts.outer_ipv6, tls_version=facts.tls_version)
    return dtls_data_mtu(link, outer_ipv6=facts.outer_ipv6, overhead=dtls.overhead)


@dataclass(frozen=True, slots=True)
class Rekey:
    """What is announced, in seconds, and after how many seconds the server itself rekeys (0: the client does)."""

    time: int
    method: str
    own_time: int = 0

    @property
    def dtls_time(self) -> int:
        """What is announced for DTLS, where the client always begins: renegotiation is refused."""
        return min((self.own_time or self.time) + DTLS_REKEY_LATER, YEAR)


def plan_rekey(session: SessionConfig, facts: OfferFacts) -> Rekey:
    """`ssl` works under TLS 1.3 alone, where the server sends the KeyUpdate and the client is told "never".
    `none` is never announced, since Cisco's client 5.1 refuses it."""
    if not session.rekey_time:
        return Rekey(YEAR, "new-tunnel")
    jitter = facts.rekey_jitter if session.rekey_time > MIN_JITTERED else 0
    time = max(1, session.rekey_time + jitter)
    if session.rekey_method == "ssl" and facts.tls_version == "TLS1.3":
        return Rekey(YEAR, "ssl", own_time=time)
    return Rekey(time, "new-tunnel")


@dataclass(frozen=True, slots=True)
class Context:
    """What the columns of the table look at."""

    request: ConnectRequest
    session: SessionConfig
    lease: Lease
    facts: OfferFacts
    rekey: Rekey
    link_mtu: int
    data_mtu: int
    dtls: DtlsPlan | None

    @property
    def cstp_compression(self) -> str:
        """The algorithm, "" for none."""
        return self._compression(self.request.cstp_encodings)

    @property
    def dtls_compression(self) -> str:
        """The algorithm, "" for none."""
        return self._compression(self.request.dtls_encodings) if self.dtls else ""

    def _compression(self, offered: tuple[str, ...]) -> str:
        if not self.session.compression:
            return ""
        return choose_compression(offered, self.facts.compression_priorities)

    @property
    def new_ipv6(self) -> bool:
        """IPv6 in the headers of today; openconnect 3 takes no IPv6 route or DNS server in any form."""
        v3 = self.request.client_class is ClientClass.OPENCONNECT_V3
        return self.lease.ipv6 is not None and self.request.full_ipv6 and not v3

    @property
    def dpd(self) -> int:
        """Seconds."""
        return self.session.mobile_dpd if self.request.mobile else self.session.dpd

    @property
    def idle_timeout(self) -> int:
        """Seconds."""
        return self.session.mobile_idle_timeout if self.request.mobile else self.session.idle_timeout

    @property
    def session_remaining(self) -> float | None:
        """Seconds, None without a limit; it counts from the first login, over every reconnect."""
        if not self.session.session_timeout:
            return None
        return max(0.0, self.facts.started + self.session.session_timeout - self.facts.now)


def _liveness(context: Context) -> LivenessSettings:
    return LivenessSettings(
        dpd=context.dpd,
        idle_timeout=context.idle_timeout,
        session_remaining=context.session_remaining,
        stats_report_time=context.session.stats_report_time,
        rekey_time=context.rekey.own_time,
    )


# ---- the columns: each gives the values of one header -----------------------------------------------------------

Values = Iterable[str]


def _hostname(c: Context) -> Values:
    return [c.session.hostname or c.request.client.hostname]


def _ipv4_address(c: Context) -> Values:
    return [c.lease.ipv4.remote] if c.lease.ipv4 else []


def _ipv4_netmask(c: Context) -> Values:
    return [str(ipaddress.IPv4Network((0, c.lease.ipv4.prefix)).netmask)] if c.lease.ipv4 else []


def _old_ipv6_address(c: Context) -> Values:
    return [c.lease.ipv6.remote] if c.lease.ipv6 and not c.new_ipv6 else []


def _old_ipv6_netmask(c: Context) -> Values:
    return [f"{c.lease.ipv6.remote}/{c.lease.ipv6.prefix}"] if c.lease.ipv6 and not c.new_ipv6 else []


def _new_ipv6_address(c: Context) -> Values:
    return [f"{c.lease.ipv6.remote}/{c.lease.ipv6.prefix}"] if c.lease.ipv6 and c.new_ipv6 else []


def _is_ipv6(text: str) -> bool:
    return ":" in text


def _reachable(c: Context, servers: Iterable[str]) -> list[str]:
    """The servers of the families that the client got an address of."""
    return [s for s in servers if (c.new_ipv6 if _is_ipv6(s) else c.lease.ipv4 is not None)]


def _dns(c: Context) -> Values:
    servers = _reachable(c, c.session.dns)
    return [s for s in servers if not (_is_ipv6(s) and c.request.client_class.is_cisco)]


def _dns_ip6(c: Context) -> Values:
    return [s for s in _reachable(c, c.session.dns) if _is_ipv6(s) and c.request.client_class.is_cisco]


def _ipv4_routes(c: Context, routes: Iterable[str]) -> Values:
    # Host bits are zero here: Cisco's client for macOS refuses a route that is not canonical.
    networks = (ipaddress.IPv4Network(r, strict=False) for r in routes if not _is_ipv6(r))
    return [network.with_netmask for network in networks] if c.lease.ipv4 else []


def _ipv6_routes(c: Context, routes: Iterable[str]) -> Values:
    return [str(ipaddress.IPv6Network(r, strict=False)) for r in routes if _is_ipv6(r)] if c.new_ipv6 else []


def _ios_route(c: Context) -> Values:
    # Without any include iOS sends no IPv6 into the tunnel.
    wanted = c.new_ipv6 and c.request.ios and not any(map(_is_ipv6, c.session.routes))
    return ["2000::/3"] if wanted else []


def _seconds_or_none(seconds: float | None) -> Values:
    return [str(int(seconds)) if seconds else "none"]


def _session_remaining(c: Context) -> Values:
    return ["none"] if c.session_remaining is None else [str(int(c.session_remaining))]


def _yes_or_no(value: bool) -> Values:
    return ["true" if value else "false"]


def _number_if(number: int) -> Values:
    return [str(number)] if number else []


def _custom(c: Context) -> Values:
    return [line for header in c.session.custom_headers if (line := expand(header, c.facts))]


def _dtls(column: Callable[[Context, DtlsPlan], str]) -> Callable[[Context], Values]:
    """The column of a line that is sent with DTLS only."""
    return lambda c: [column(c, c.dtls)] if c.dtls else []


def _app_id(c: Context, plan: DtlsPlan) -> str:
    return c.facts.dtls_id.hex() if isinstance(plan, PskPlan) else ""


def _session_id(c: Context, plan: DtlsPlan) -> str:
    # openconnect ends the whole connection where this has not 64 digits.
    return c.facts.dtls_id.hex() if isinstance(plan, LegacyPlan) else ""


def _suite_in(header: str) -> Callable[[Context], Values]:
    return _dtls(lambda _, plan: plan.name if plan.header == header else "")


_OTHER_PERCENT = re.compile(r"%(?!\{[UG]\})")


def expand(text: str, facts: OfferFacts) -> str:
    """Put user and group in for %{U} and %{G}. Any other percent sign makes the text unusable: ""."""
    if _OTHER_PERCENT.search(text):
        return ""
    return text.replace("%{U}", facts.username).replace("%{G}", facts.group)


# A line without a name holds whole header lines.
HEADERS: tuple[tuple[str, Callable[[Context], Values]], ...] = (
    ("", lambda c: c.facts.included_headers),
    ("X-CSTP-Version", lambda _: ["1"]),
    ("X-CSTP-Server-Name", lambda c: [c.facts.server_name]),
    ("X-CSTP-Hostname", _hostname),
    ("X-CSTP-DPD", lambda c: _number_if(c.dpd)),
    ("X-CSTP-Default-Domain", lambda c: [c.session.default_domain]),
    ("X-CSTP-Address", _ipv4_address),
    ("X-CSTP-Netmask", _ipv4_netmask),
    ("X-CSTP-Address", _old_ipv6_address),
    ("X-CSTP-Netmask", _old_ipv6_netmask),
    ("X-CSTP-Address-IP6", _new_ipv6_address),
    ("X-CSTP-DNS", _dns),
    ("X-CSTP-DNS-IP6", _dns_ip6),
    ("X-CSTP-NBNS", lambda c: _reachable(c, c.session.nbns)),
    ("X-CSTP-Split-DNS", lambda c: c.session.split_dns),
    ("X-CSTP-Split-Include-IP6", _ios_route),
    ("X-CSTP-Split-Include", lambda c: _ipv4_routes(c, c.session.routes)),
    ("X-CSTP-Split-Include-IP6", lambda c: _ipv6_routes(c, c.session.routes)),
    ("X-CSTP-Tunnel-All-DNS", lambda c: _yes_or_no(c.session.tunnel_all_dns)),
    ("X-CSTP-Client-Bypass-Protocol", lambda c: _yes_or_no(c.session.client_bypass_protocol)),
    ("X-CSTP-Split-Exclude", lambda c: _ipv4_routes(c, c.session.no_routes)),
    ("X-CSTP-Split-Exclude-IP6", lambda c: _ipv6_routes(c, c.session.no_routes)),
    ("X-CSTP-Keepalive", lambda c: [str(c.session.keepalive)]),
    ("X-CSTP-Idle-Timeout", lambda c: _seconds_or_none(c.idle_timeout)),
    ("X-CSTP-Smartcard-Removal-Disconnect", lambda _: ["true"]),
    ("X-CSTP-DynDNS", lambda c: ["true"] if c.session.listen_host_is_dyndns else []),
    ("X-CSTP-Rekey-Time", lambda c: [str(c.rekey.time)]),
    ("X-CSTP-Rekey-Method", lambda c: [c.rekey.method]),
    ("X-CSTP-MSIE-Proxy-PAC-URL", lambda c: [expand(c.session.proxy_url, c.facts)]),
    # openconnect takes the last of these for the end of the session, so Remaining comes second.
    ("X-CSTP-Session-Timeout", lambda c: _seconds_or_none(c.session.session_timeout)),
    ("X-CSTP-Session-Timeout-Remaining", _session_remaining),
    ("X-CSTP-Disconnected-Timeout", lambda _: ["none"]),
    ("X-CSTP-Keep", lambda _: ["true"]),
    ("X-CSTP-TCP-Keepalive", lambda _: ["true"]),
    ("X-CSTP-License", lambda _: ["accept"]),
    ("", _custom),
    ("X-DTLS-DPD", _dtls(lambda c, _: str(c.dpd or ""))),
    ("X-DTLS-Port", _dtls(lambda c, _: str(c.facts.dtls.udp_port))),
    ("X-DTLS-Rekey-Time", _dtls(lambda c, _: str(c.rekey.dtls_time))),
    ("X-DTLS-Rekey-Method", _dtls(lambda *_: "new-tunnel")),
    ("X-DTLS-Keepalive", _dtls(lambda c, _: str(c.session.keepalive))),
    ("X-DTLS-App-ID", _dtls(_app_id)),
    ("X-DTLS-Session-ID", _dtls(_session_id)),
    (CIPHERS, _suite_in(CIPHERS)),
    (CIPHERS_12, _suite_in(CIPHERS_12)),
    ("X-DTLS-MTU", _dtls(lambda c, plan: str(c.data_mtu) if isinstance(plan, LegacyPlan) else "")),
    ("X-CSTP-Base-MTU", lambda c: [str(c.link_mtu)]),
    ("X-CSTP-MTU", lambda c: [str(c.data_mtu)]),
    ("X-CSTP-Banner", lambda c: [c.session.banner]),
    ("X-DTLS-Content-Encoding", lambda c: [c.dtls_compression]),
    ("X-CSTP-Content-Encoding", lambda c: [c.cstp_compression]),
)


_OWN_NAMES = frozenset(
    (
        *("connection", "content-length", "content-type", "date", "keep-alive", "server", "set-cookie", "trailer"),
        *("transfer-encoding", "upgrade", "www-authenticate", "x-reason"),
    )
)


def is_own_header(name: str) -> bool:
    """Whether no plugin may add a header of this name: the server says it, or it would change how clients read on."""
    lower = name.lower()
    return lower.startswith(("x-cstp-", "x-dtls-", "x-dtls12-")) or lower in _OWN_NAMES


def _lines(context: Context) -> Iterable[str]:
    for name, column in HEADERS:
        for value in column(context):
            clean = one_line(value).strip()
            if clean:
                yield f"{name}: {clean}" if name else clean
