"""`acct = "radius[config=FILE, …]"`: Start, Interim-Update and Stop; CoA and Disconnect by coa.py. The core keeps the
end of a session on disk and calls again until it is taken, so nothing is kept here."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from ocserv_core.plugin import (
    BackendContext,
    DisconnectReason,
    Lease,
    Limits,
    OptionError,
    Session,
    Traffic,
    hookimpl,
)

from .client import Client
from .coa import hear, member_of
from .keeping import classes_of
from .numbers import CLASS
from .options import Settings, read_options
from .requests import Attributes, Request, Value, nas_attributes

_log = logging.getLogger(__name__)

CAUSES = {
    DisconnectReason.USER: "User-Request",
    DisconnectReason.SERVER: "Admin-Reset",
    DisconnectReason.IDLE_TIMEOUT: "Idle-Timeout",
    DisconnectReason.SESSION_TIMEOUT: "Session-Timeout",
    DisconnectReason.DPD_TIMEOUT: "Lost-Carrier",
    DisconnectReason.ERROR: "User-Error",
}
"""RFC 2866 5.10; any other reason is Lost-Service, as in the C server."""

_WORD = 2**32


class RadiusAcct:
    """The back end. Options: options.NAMES."""

    ocserv_api = (1, 0)

    def __init__(self, options: Mapping[str, str], context: BackendContext) -> None:
        self._settings = read_options(options)
        file = self._settings.file
        if not file.acct_servers:
            raise OptionError(f"{file.path} has no acctserver")
        self._client = Client(self._settings, file.acct_servers)
        self.ocserv_limits = Limits(deadline=self._client.patience + 1.0, concurrency=512)
        self._member = member_of(self._settings, context)

    @hookimpl
    async def ocserv_session_open(self, session: Session) -> None:
        """Start."""
        await self._tell(session, "Start", time.time(), (("Connect-Info", session.client.user_agent),))

    @hookimpl
    async def ocserv_session_stats(self, session: Session, traffic: Traffic, at: float) -> None:
        """Interim-Update."""
        await self._tell(session, "Interim-Update", at, counters(session, traffic, at))

    @hookimpl
    async def ocserv_session_close(
        self, session: Session, traffic: Traffic, reason: DisconnectReason, at: float
    ) -> None:
        """Stop."""
        cause = ("Acct-Terminate-Cause", CAUSES.get(reason, "Lost-Service"))
        await self._tell(session, "Stop", at, (*counters(session, traffic, at), cause))

    @hookimpl
    async def ocserv_serve(self) -> None:
        """CoA and Disconnect, where `coa` is set."""
        if self._member is not None:
            await hear(self._member)

    async def _tell(self, session: Session, status: str, at: float, more: Attributes) -> None:
        attributes = (("Acct-Status-Type", status), *common(session, self._settings), *more)
        octets = tuple((CLASS, value) for value in classes_of(session.attributes))
        fit = tuple((name, value) for name, value in attributes if value != "")
        await self._client.ask(Request(fit, octets, happened=at))


def common(session: Session, settings: Settings) -> Attributes:
    """What every record has; an attribute without a value is ""."""
    return (
        ("Acct-Session-Id", session.sid),
        ("User-Name", _name(session)),
        ("NAS-Identifier", settings.nas_identifier),
        *nas_attributes(settings.file.nas_ip or session.local_ip),
        ("Service-Type", "Framed"),
        ("Framed-Protocol", "PPP"),
        *_addresses(session.lease),
        ("Calling-Station-Id", session.remote_ip),
        ("Acct-Authentic", "RADIUS" if "radius" in session.method.split("+") else "Local"),
    )


def _name(session: Session) -> Value:
    name = session.attributes.get("User-Name")
    return name if isinstance(name, str) and name else session.username


def _addresses(lease: Lease) -> Attributes:
    found: list[tuple[str, Value]] = []
    if lease.ipv4 is not None:
        found.append(("Framed-IP-Address", lease.ipv4.remote))
    if lease.ipv6 is not None:
        found.append(("Framed-IPv6-Address", lease.ipv6.remote))
        if lease.ipv6.prefix < 128:
            found.append(("Delegated-IPv6-Prefix", f"{lease.ipv6.remote}/{lease.ipv6.prefix}"))
    return tuple(found)


def counters(session: Session, traffic: Traffic, at: float) -> Attributes:
    """Octets of 64 bits in two attributes (RFC 2869 5.1), packets of 32, seconds. Input is from the client."""
    return (
        ("Acct-Input-Octets", traffic.rx_bytes % _WORD),
        ("Acct-Output-Octets", traffic.tx_bytes % _WORD),
        ("Acct-Input-Gigawords", min(traffic.rx_bytes // _WORD, _WORD - 1)),
        ("Acct-Output-Gigawords", min(traffic.tx_bytes // _WORD, _WORD - 1)),
        ("Acct-Input-Packets", traffic.rx_packets % _WORD),
        ("Acct-Output-Packets", traffic.tx_packets % _WORD),
        *_session_time(session, at),
    )


def _session_time(session: Session, at: float) -> Attributes:
    seconds = int(at - session.started) if session.started else 0
    return (("Acct-Session-Time", min(seconds, _WORD - 1)),) if seconds > 0 else ()
