"""The shared nouns: plain frozen values that cross the borders of rooms and processes.

They are msgspec structs, so that each can travel in a message, lie in a table that survives an upgrade, or be
stored, without being written out a second time.
"""

from __future__ import annotations

import enum
from typing import NewType

import msgspec

SessionId = NewType("SessionId", str)
"""28 characters of base64url, random, public: names a session in logs, occtl and accounting; opens nothing."""

Cookie = NewType("Cookie", str)
"""43 characters of base64url without padding, 32 random bytes: the only credential of CONNECT. Never logged."""

DEFAULT_VHOST = "default"
"""The name of the part of a configuration that stands before the first section."""


CLIENT_CUT_OFF = 65
"""The exit status of a worker whose client broke a protocol before it had a tunnel (EX_DATAERR of sysexits(3))."""


def short(sid: SessionId) -> str:
    """The first six characters, as logs and occtl show a session."""
    return sid[:6]


class DisconnectReason(enum.IntEnum):
    """Why a session's connection ended. Values are our own; `text` is what occtl and the log show."""

    UNSPECIFIED = 0
    USER = 1
    TEMPORARY = 2
    SERVER = 3
    IDLE_TIMEOUT = 4
    DPD_TIMEOUT = 5
    ERROR = 6
    SESSION_TIMEOUT = 7
    HEALTH_PROBE = 8

    @property
    def text(self) -> str:
        """The words of the C server for this reason."""
        return _REASON_TEXTS[self]


_REASON_TEXTS = {
    DisconnectReason.UNSPECIFIED: "unspecified",
    DisconnectReason.USER: "user disconnected",
    DisconnectReason.TEMPORARY: "anyconnect client disconnected",
    DisconnectReason.SERVER: "server disconnected",
    DisconnectReason.IDLE_TIMEOUT: "idle timeout",
    DisconnectReason.DPD_TIMEOUT: "DPD timeout",
    DisconnectReason.ERROR: "unspecified error",
    DisconnectReason.SESSION_TIMEOUT: "session timeout",
    DisconnectReason.HEALTH_PROBE: "TCP health probe",
}


class Offence(enum.Enum):
    """What an address gets points for, beside its connections."""

    PASSWORD = "wrong password"  # noqa: S105 (it is none)
    KKDCP = "kkdcp"


class Endpoint(msgspec.Struct, frozen=True, array_like=True):
    """One end of a connection: an address in its canonical text, and a port."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


class ClientInfo(msgspec.Struct, frozen=True, array_like=True):
    """What a client says of itself in its headers: for logs, scripts and occtl; nothing may depend on it.

    Each text is cut to 63 bytes and cleaned of control characters by the worker that read it.
    """

    user_agent: str = ""
    hostname: str = ""
    device_type: str = ""
    device_platform: str = ""


class CertificateFacts(msgspec.Struct, frozen=True, array_like=True):
    """What the worker verified of a client certificate."""

    user: str = ""
    groups: tuple[str, ...] = ()


class Identity(msgspec.Struct, frozen=True):
    """Who was authenticated: what a back end returns, and what the session store keeps.

    `attributes` is plain data that a back end must know later (Class, Framed-IP-Address …); it is kept with the
    session and handed to every later hook, so that no plugin needs a memory of its own. Octets are hexadecimal text.
    `token`: base64 of what the client's security mechanism (GSSAPI) is to be told with the success; it is not kept.
    """

    username: str
    group: str = ""
    groups: tuple[str, ...] = ()
    attributes: dict[str, str | int | list[str]] = {}
    token: str = ""


class AddressPair(msgspec.Struct, frozen=True, array_like=True):
    """The two ends of a tunnel in one family. `prefix` is the client's: its mask (IPv4), its subnet (IPv6)."""

    local: str
    remote: str
    prefix: int


class Lease(msgspec.Struct, frozen=True, array_like=True):
    """The addresses of one session; a family that it does not have is None."""

    ipv4: AddressPair | None = None
    ipv6: AddressPair | None = None


class Offloads(msgspec.Struct, frozen=True, array_like=True):
    """What a TUN device leaves to who reads it: its packets have a vnet header, and many TCP segments or UDP datagrams
    may be one packet."""

    tcp: bool = True
    udp: bool = True


MAX_TRAFFIC = 2**62
"""Where sums of traffic stop: no message and no store can carry what does not fit into 64 bits."""


class Traffic(msgspec.Struct, frozen=True, array_like=True):
    """Bytes and packets inside the tunnel since it was opened. rx is from the client, tx to the client. A sum ends at
    MAX_TRAFFIC."""

    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_packets: int = 0
    tx_packets: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            min(self.rx_bytes + other.rx_bytes, MAX_TRAFFIC),
            min(self.tx_bytes + other.tx_bytes, MAX_TRAFFIC),
            min(self.rx_packets + other.rx_packets, MAX_TRAFFIC),
            min(self.tx_packets + other.tx_packets, MAX_TRAFFIC),
        )

    def at_least(self, before: Traffic) -> Traffic:
        """The greater of both, number by number."""
        return Traffic(
            max(self.rx_bytes, before.rx_bytes),
            max(self.tx_bytes, before.tx_bytes),
            max(self.rx_packets, before.rx_packets),
            max(self.tx_packets, before.tx_packets),
        )


class PluginCounters(msgspec.Struct, array_like=True):
    """What came of the calls of a plugin since it was loaded. `refused`: not begun, for want of a place or since it is
    left alone. `busy` and `busiest`: seconds of all `stretches` of its work, and of the longest. `last_error` is what
    it says of its server, or the type of an exception."""

    granted: int = 0
    denied: int = 0
    failed: int = 0
    refused: int = 0
    stretches: int = 0
    busy: float = 0.0
    busiest: float = 0.0
    last_error: str = ""

    def note_stretch(self, seconds: float) -> None:
        """A stretch of work has ended."""
        self.stretches += 1
        self.busy += seconds
        self.busiest = max(self.busiest, seconds)


class PluginReport(msgspec.Struct, frozen=True, array_like=True):
    """A plugin that is loaded, as `occtl show plugins` tells of it: where it comes from, whether it is asked at all
    (`breaker`; empty where nothing can be left alone), and how it does."""

    vhost: str
    group: str
    name: str
    process: str
    distribution: str
    version: str
    api: str
    breaker: str
    working: int = 0
    waiting: int = 0
    counters: PluginCounters = msgspec.field(default_factory=PluginCounters)
