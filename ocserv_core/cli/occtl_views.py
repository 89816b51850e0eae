"""What occtl shows of each reply: keys and labels in the C server's order, which scripts rely on.

Called by occtl_commands. Pure: reply and present time in, views or rows of a table out.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..ipc.control import BanEntry, SessionEntry, SessionEvent, StatusReport, UserEntry
from ..model import AddressPair, PluginReport, Traffic, short
from .occtl_format import (
    Field,
    Line,
    View,
    bytes_text,
    date_text,
    heading,
    hidden,
    interval_text,
    latency_text,
    line,
    listing,
    moment,
    number,
    text,
)

STATUS_NOTE = (
    "Note: these figures are not of this moment: session times, RX and TX\nare added up when a user is disconnected\n"
)

OFFLINE: View = (line(text("Status", "offline")),)


# ---- show status ----------------------------------------------------------------------------------------------


def status_view(report: StatusReport, now: float, *, debug: bool) -> View:
    """One object. `debug` adds the sizes of the tables."""
    return (*_since_start(report, now, debug=debug), heading("\nCurrent stats period:"), *_period(report, now))


def _since_start(report: StatusReport, now: float, *, debug: bool) -> Iterable[Line]:
    yield heading("\nGeneral info:")
    yield line(text("Status", "online" if report.online else "error"))
    yield line(number("Server PID", report.server_pid))
    yield line(number("Sec-mod PID", report.secmod_pid))
    yield line(number("Sec-mod instance count", report.secmod_instances))
    yield line(moment("Up since", report.up_since, now))
    yield line(hidden("raw_up_since", int(report.up_since)), hidden("uptime", max(0, int(now - report.up_since))))
    yield line(number("Active sessions", report.active_sessions))
    yield line(number("Total sessions", report.total_sessions))
    yield line(number("Total authentication failures", report.total_auth_failures))
    yield line(number("IPs in ban list", report.banned_ips))
    yield line(number("Clients cut off", report.clients_cut_off))
    if debug:
        yield line(number("Sec-mod client entries", report.secmod_client_entries))
        yield line(number("TLS DB entries", report.tls_db_entries))
    if report.latency is not None:
        yield _latency("Median latency", "raw_median_latency", report.latency.median)
        yield _latency("STDEV latency", "raw_stdev_latency", report.latency.stdev)


def _latency(key: str, raw: str, microseconds: int) -> Line:
    return line(text(key, latency_text(microseconds)), hidden(raw, microseconds))


def _period(report: StatusReport, now: float) -> Iterable[Line]:
    yield line(moment("Last stats reset", report.last_stats_reset, now))
    yield line(hidden("raw_last_stats_reset", int(report.last_stats_reset)))
    yield line(number("Sessions handled", report.sessions_handled))
    yield line(number("Timed out sessions", report.timed_out))
    yield line(number("Timed out (idle) sessions", report.idle_timed_out))
    yield line(number("Closed due to error sessions", report.closed_on_error))
    yield line(number("Authentication failures", report.auth_failures))
    yield _duration("Average auth time", "raw_avg_auth_time", report.average_auth_time)
    yield _duration("Max auth time", "raw_max_auth_time", report.max_auth_time)
    yield _duration("Average session time", "raw_avg_session_time", report.average_session_time)
    yield _duration("Max session time", "raw_max_session_time", report.max_session_time)
    yield line(number("Min MTU", report.min_mtu) if report.min_mtu else None)
    yield line(number("Max MTU", report.max_mtu) if report.max_mtu else None)
    yield line(text("RX", bytes_text(report.rx_bytes)), hidden("raw_rx", report.rx_bytes))
    yield line(text("TX", bytes_text(report.tx_bytes)), hidden("raw_tx", report.tx_bytes))


def _duration(key: str, raw: str, seconds: float) -> Line:
    return line(text(key, interval_text(seconds)), hidden(raw, int(seconds)))


# ---- users ----------------------------------------------------------------------------------------------------

_USER_COLUMNS = "{:>8} {:>8} {:>8} {:>14} {:>14} {:>6} {:>7} {:>14} {:>9}\n"


def users_table(users: Iterable[UserEntry], now: float) -> str:
    """`show users` as text; empty where nobody is connected."""
    rows = [_USER_COLUMNS.format(*_user_row(user, now)) for user in users]
    head = ("id", "user", "vhost", "ip", "vpn-ip", "device", "since", "dtls-cipher", "status")
    return _USER_COLUMNS.format(*head) + "".join(rows) if rows else ""


def _user_row(user: UserEntry, now: float) -> tuple[object, ...]:
    return (
        user.id,
        user.username or "(none)",
        user.vhost,
        user.remote_ip,
        _vpn_ip(user),
        user.device,
        interval_text(now - user.connected_at),
        _short_cipher(user.dtls_cipher),
        user.state.value,
    )


_IROUTE_COLUMNS = "{:>6} {:>8} {:>8} {:>6} {:>16} {:>28}\n"


def iroutes_table(users: Iterable[UserEntry]) -> str:
    """`show iroutes` as text; empty where there are none."""
    rows = [
        _IROUTE_COLUMNS.format(user.id, user.username, user.vhost, user.device, _vpn_ip(user), iroute)
        for user in users
        for iroute in user.iroutes
    ]
    head = ("id", "user", "vhost", "device", "vpn-ip", "iroute")
    return _IROUTE_COLUMNS.format(*head) + "".join(rows) if rows else ""


def iroutes_view(user: UserEntry) -> View:
    """The same, of one connection."""
    return (
        line(number("ID", user.id)),
        line(text("Username", user.username)),
        line(text("vhost", user.vhost)),
        line(text("Device", user.device)),
        line(text("IP", _vpn_ip(user))),
        line(listing("iRoutes", user.iroutes)),
    )


def _vpn_ip(user: UserEntry) -> str:
    pair = user.lease.ipv4 or user.lease.ipv6
    return pair.remote if pair else ""


def event_view(event: SessionEvent, now: float) -> View:
    """A connection that came or went, as the JSON of `show events` has it."""
    came = not event.reason
    said = (text("Event", "connected" if came else "disconnected"), text("Reason", event.reason))
    return (line(*said, hidden("raw_duration", int(event.seconds))), *user_view(event.user, now))


def event_text(event: SessionEvent) -> str:
    """The same, as a line."""
    user = event.user
    verb = "disconnect" if event.reason else "connected"
    vpn = " ".join(pair.remote for pair in (user.lease.ipv4, user.lease.ipv6) if pair)
    end = f" (reason: {event.reason}, time: {interval_text(event.seconds).strip()})" if event.reason else ""
    return f"{user.vhost}: {verb} user '{user.username}' ({user.id}) from {user.remote_ip} with IP {vpn}{end}\n"


def _short_cipher(description: str) -> str:
    """`(DTLS1.2)-(PSK)-(AES-256-GCM)` is `(AES-256-GCM)` in the table."""
    return f"({description.rpartition('-(')[2].strip('()') or 'no-dtls'})"


def user_view(user: UserEntry, now: float) -> View:
    """One connection, as `show user`, `show id` and the JSON of `show users` have it."""
    return (
        *_who(user),
        *_flow(user, now),
        *_times(user, now),
        *_crypto(user),
        heading(""),
        *_network(user),
        heading(""),
    )


def _who(user: UserEntry) -> Iterable[Line]:
    yield line(number("ID", user.id))
    yield line(text("Username", user.username), text("Groupname", user.group))
    yield line(text("State", user.state.value))
    yield line(text("vhost", user.vhost))
    yield line(text("Device", user.device), text("MTU", str(user.mtu or "")))
    yield line(text("Remote IP", user.remote_ip), text("Location", user.location or "unknown"))
    yield line(text("Local Device IP", user.local_ip))
    yield _addresses("IPv4", user.lease.ipv4)
    yield _addresses("IPv6", user.lease.ipv6)
    yield line(text("User-Agent", user.user_agent))


def _addresses(family: str, pair: AddressPair | None) -> Line:
    if pair is None:
        return line()
    return line(text(family, pair.remote), text(f"P-t-P {family}", pair.local))


def _flow(user: UserEntry, now: float) -> Iterable[Line]:
    yield line(text("Limit RX", _limit(user.limit_rx)), text("Limit TX", _limit(user.limit_tx)))
    if user.traffic is not None:
        yield _counters(user.traffic)
        yield _bandwidth(user.traffic, now - user.connected_at)
    yield line(text("DPD", str(user.dpd or "")), text("KeepAlive", str(user.keepalive or "")))
    yield line(text("Hostname", user.hostname))


def _limit(rate: int) -> str:
    return bytes_text(rate // 1000 * 1000, "/s") if rate else ""


def _counters(traffic: Traffic) -> Line:
    received, sent = traffic.rx_bytes, traffic.tx_bytes
    texts = bytes_text(received), bytes_text(sent)
    pairs = (("RX", str(received)), ("TX", str(sent)), ("_RX", texts[0]), ("_TX", texts[1]))
    return line(Field(pairs, f"RX: {received} ({texts[0]})   TX: {sent} ({texts[1]})"))


def _bandwidth(traffic: Traffic, seconds: float) -> Line:
    elapsed = max(1, int(seconds))
    received, sent = (bytes_text(count // elapsed, "/s") for count in (traffic.rx_bytes, traffic.tx_bytes))
    pairs = (("Average RX", received), ("Average TX", sent))
    return line(Field(pairs, f"Average bandwidth RX: {received}  TX: {sent}"))


def _times(user: UserEntry, now: float) -> Iterable[Line]:
    yield line(moment("Last connected at", user.connected_at, now))
    if user.session_started_at:
        yield line(moment("Session started at", user.session_started_at, now))
    yield line(
        hidden("raw_connected_at", int(user.connected_at)),
        hidden("raw_session_started_at", int(user.session_started_at)),
    )
    if user.sid:
        yield line(hidden("Full session", user.sid), text("Session", short(user.sid)))


def _crypto(user: UserEntry) -> Iterable[Line]:
    yield line(text("TLS ciphersuite", user.tls_ciphersuite))
    yield line(text("DTLS cipher", user.dtls_cipher))
    yield line(text("CSTP compression", user.cstp_compression), text("DTLS compression", user.dtls_compression))


def _network(user: UserEntry) -> Iterable[Line]:
    yield line(listing("DNS", user.dns))
    yield line(listing("NBNS", user.nbns))
    yield line(listing("Split-DNS-Domains", user.split_dns))
    # The C server writes "Routes" twice where there are none; parsers see the second, so that one it is.
    yield line(listing("Routes", user.routes) if user.routes else text("Routes", "defaultroute"))
    yield line(listing("No-routes", user.no_routes))
    yield line(listing("iRoutes", user.iroutes))
    yield line(text("Restricted to routes", str(user.restricted_to_routes)))
    yield line(listing("Restricted to ports", user.ports))


# ---- sessions -------------------------------------------------------------------------------------------------

_SESSION_COLUMNS = "{:>6} {:>8} {:>8} {:>14} {:>24} {:>8} {:>8}\n"


def sessions_table(sessions: Iterable[SessionEntry], now: float) -> str:
    """`show sessions` as text; empty where there are none."""
    rows = [_SESSION_COLUMNS.format(*_session_row(session, now)) for session in sessions]
    head = ("session", "user", "vhost", "ip", "user agent", "created", "status")
    return _SESSION_COLUMNS.format(*head) + "".join(rows) if rows else ""


def _session_row(session: SessionEntry, now: float) -> tuple[object, ...]:
    return (
        short(session.sid),
        session.username or "(none)",
        session.vhost,
        session.remote_ip,
        session.user_agent[:24],
        interval_text(now - session.created),
        session.state.value,
    )


def session_view(session: SessionEntry) -> View:
    """One session, as `show session` and the JSON of `show sessions` have it."""
    return tuple(_session(session))


def _session(session: SessionEntry) -> Iterable[Line]:
    yield line(text("Session", short(session.sid)))
    yield line(text("Full session", session.sid, "Full session ID"))
    yield line(text("Created", date_text(session.created)))
    yield line(text("Expires", "" if session.in_use else date_text(session.expires)))
    yield line(text("State", session.state.value))
    yield line(text("Username", session.username), text("Groupname", session.group))
    yield line(text("vhost", session.vhost), text("User-Agent", session.user_agent))
    yield line(text("Remote IP", session.remote_ip), text("Location", session.location or "unknown"))
    yield line(
        _flag("session_is_open", session.is_open, None),
        _flag("tls_auth_ok", session.certificate_ok, None),
        _flag("in_use", session.in_use, f"In use: {session.in_use}   Activated: {session.is_open}"),
    )
    yield line(Field((), f"Certificate auth: {session.certificate_ok}"))


# ---- plugins --------------------------------------------------------------------------------------------------


def plugin_view(plugin: PluginReport) -> View:
    """One back end."""
    return tuple(_plugin(plugin))


def _plugin(plugin: PluginReport) -> Iterable[Line]:
    did = plugin.counters
    mean = 1000 * did.busy / did.stretches if did.stretches else 0.0
    yield line(text("Plugin", plugin.name), text("Group", plugin.group), text("vhost", plugin.vhost))
    yield line(text("Distribution", plugin.distribution), text("Version", plugin.version), text("API", plugin.api))
    yield line(text("Process", plugin.process), text("Breaker", plugin.breaker))
    yield line(number("Working", plugin.working), number("Waiting", plugin.waiting))
    yield line(
        number("Granted", did.granted),
        number("Denied", did.denied),
        number("Failed", did.failed),
        number("Refused", did.refused),
    )
    yield line(
        number("Stretches of work", did.stretches),
        text("Mean", f"{mean:.1f} ms"),
        text("Longest", f"{1000 * did.busiest:.1f} ms"),
    )
    yield line(text("Last error", did.last_error))


def _flag(key: str, value: bool, shown: str | None) -> Field:
    return Field(((key, int(value)),), shown)


# ---- bans -----------------------------------------------------------------------------------------------------

_BAN_COLUMNS = "{:>15} {:>10} {:>30}\n"
_POINTS_COLUMNS = "{:>15} {:>10}\n"


def bans_table(entries: Iterable[BanEntry], now: float) -> str:
    """`show ip bans` as text; empty where nobody is banned."""
    rows = [_BAN_COLUMNS.format(entry.ip, entry.score, _expiry(entry, now)) for entry in entries]
    return _BAN_COLUMNS.format("IP", "score", "expires") + "".join(rows) if rows else ""


def _expiry(entry: BanEntry, now: float) -> str:
    return f"{date_text(entry.expires)} ({interval_text(entry.expires - now)})"


def ban_view(entry: BanEntry, now: float) -> View:
    """One address of `show ip bans`. "Since" is when the ban is over: so it is called by the C server."""
    return (
        line(hidden("IP", entry.ip)),
        line(hidden("Since", date_text(entry.expires)), hidden("_Since", interval_text(entry.expires - now))),
        line(hidden("Score", entry.score)),
    )


def points_table(entries: Iterable[BanEntry]) -> str:
    """`show ip ban points` as text; empty where nothing is known."""
    rows = [_POINTS_COLUMNS.format(entry.ip, entry.score) for entry in entries]
    return _POINTS_COLUMNS.format("IP", "score") + "".join(rows) if rows else ""


def points_view(entry: BanEntry) -> View:
    """One address of `show ip ban points`."""
    return (line(hidden("IP", entry.ip)), line(hidden("Score", entry.score)))
