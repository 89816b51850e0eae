"""The control socket: what occtl asks and main answers, one request and one reply a connection.

A frame is a length of 4 bytes, big-endian, and that many bytes of MessagePack. occtl calls `ask`; main reads with
`receive_frame`, decodes with `parse_request` and writes `build_frame` of a reply. Replies carry data, never text for
a terminal: what they look like is occtl's own business. Who may connect is decided by main (the peer's uid).

Times are seconds of the wall clock (Unix), durations seconds, sizes bytes, rates bytes a second.
"""

from __future__ import annotations

import enum
import socket
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ..errors import PeerLost, PeerViolation
from ..model import Lease, PluginReport, SessionId, Traffic

if TYPE_CHECKING:
    from asyncio import StreamReader

MAX_REQUEST = 4 * 1024
MAX_REPLY = 64 * 1024 * 1024
REPLY_TIMEOUT = 10_000.0
"""Seconds that occtl waits for its reply: what a reload asks of every process has its own limits."""

_LENGTH = 4
_T = TypeVar("_T")


class Control(msgspec.Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """The base of requests and replies; the tag is the class's name."""


# ---- requests -------------------------------------------------------------------------------------------------


class ShowStatus(Control, frozen=True):
    """Answer: StatusReport."""


class ShowUsers(Control, frozen=True):
    """All connections, those that have not logged in too. Answer: UserTable."""


class ShowUser(Control, frozen=True):
    """All connections of one user name. Answer: UserTable, empty where there are none."""

    username: str


class ShowId(Control, frozen=True):
    """The connection whose worker has this pid. Answer: UserTable with one row or none."""

    id: int


class ShowSessions(Control, frozen=True):
    """Every session that secmod keeps and that has not expired; the selection is occtl's. Answer: SessionTable."""


class ShowBans(Control, frozen=True):
    """The addresses that are banned now; `points`: every address of which anything is known. Answer: BanTable."""

    points: bool = False


class Unban(Control, frozen=True):
    """Forgive an address. Answer: Done, `ok` where anything was known of it."""

    ip: str


class ShowEvents(Control, frozen=True):
    """`show events`: the connections of now (UserTable), then a SessionEvent for each that comes or goes."""


class RunPlugin(Control, frozen=True):
    """`occtl plugin WORDS`: a command that a plugin of main has. Answer: Done."""

    words: tuple[str, ...]


class ShowPlugins(Control, frozen=True):
    """The back ends that are loaded. Answer: PluginTable."""


class DisconnectUser(Control, frozen=True):
    """End the user's connections. `terminate`: their cookies die too, even persistent ones. Answer: Done, with
    `ok` where at least one connection was ended."""

    username: str
    terminate: bool = False


class DisconnectId(Control, frozen=True):
    """End the connection of the worker with this pid; otherwise as DisconnectUser."""

    id: int
    terminate: bool = False


class TerminateSession(Control, frozen=True):
    """Forget a session and its cookie, and end the connection that uses it. Answer: Done, not `ok` where there is
    none."""

    sid: SessionId


class Reload(Control, frozen=True):
    """Read the configuration again. Answer: Done once every process agreed or one refused. `text`, one a line:
    where it is not `ok`, the errors, each with file:line; else what waits for the next start."""


class Stop(Control, frozen=True):
    """End the server. Answer: Done, before the end begins."""


Request = (
    ShowStatus
    | ShowUsers
    | ShowUser
    | ShowId
    | ShowSessions
    | ShowBans
    | Unban
    | ShowEvents
    | ShowPlugins
    | RunPlugin
    | DisconnectUser
    | DisconnectId
    | TerminateSession
    | Reload
    | Stop
)


# ---- replies --------------------------------------------------------------------------------------------------


class Latency(msgspec.Struct, frozen=True, array_like=True):
    """From a datagram's arrival to the end of its packet's way into the TUN device, in microseconds: means over the
    last whole minute of the medians of sets of packets, and of their deviations."""

    median: int
    stdev: int


class StatusReport(Control, frozen=True):
    """What `show status` tells. The second half counts since `last_stats_reset`.

    `secmod_instances` tells how many processes sign (sec-mod-scale). `active_sessions` counts workers, also those
    before login; `total_sessions` the connections that ended since the start; `clients_cut_off` the clients since the
    start that broke a protocol before they had a tunnel. A mean or maximum is 0 where nothing was measured; so is an
    MTU. `latency` is None where none was.
    """

    online: bool
    server_pid: int
    secmod_pid: int
    secmod_instances: int
    up_since: float
    active_sessions: int
    total_sessions: int
    total_auth_failures: int
    banned_ips: int
    secmod_client_entries: int
    tls_db_entries: int
    last_stats_reset: float
    sessions_handled: int
    timed_out: int
    idle_timed_out: int
    closed_on_error: int
    auth_failures: int
    clients_cut_off: int = 0
    average_auth_time: float = 0.0
    max_auth_time: float = 0.0
    average_session_time: float = 0.0
    max_session_time: float = 0.0
    min_mtu: int = 0
    max_mtu: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    latency: Latency | None = None


class UserState(enum.Enum):
    """How far a connection or a session has come, in the words that occtl prints."""

    CONNECTED = "connected"
    AUTHENTICATED = "authenticated"
    AUTHENTICATING = "authenticating"
    PRE_AUTH = "pre-auth"
    AUTH_FAILED = "auth failed"
    UNKNOWN = "unknown"


class UserEntry(msgspec.Struct, frozen=True, array_like=True):
    """One connection. What is not known yet is empty or 0; `traffic` is None before there is a tunnel.

    `id` is the worker's pid; `local_ip` the server's address that the client reached; `session_started_at` the
    session's first login (0 before it); `ports` in the form of the option (`tcp(443)`, `!udp(53)`). Empty `routes`
    mean the default route. `split_dns` is what the session was given.
    """

    id: int
    state: UserState
    vhost: str
    remote_ip: str
    local_ip: str
    connected_at: float
    username: str = ""
    group: str = ""
    device: str = ""
    mtu: int = 0
    location: str = ""
    lease: Lease = Lease()
    user_agent: str = ""
    hostname: str = ""
    limit_rx: int = 0
    limit_tx: int = 0
    traffic: Traffic | None = None
    dpd: int = 0
    keepalive: int = 0
    session_started_at: float = 0.0
    sid: SessionId = SessionId("")
    tls_ciphersuite: str = ""
    dtls_cipher: str = ""
    cstp_compression: str = ""
    dtls_compression: str = ""
    dns: tuple[str, ...] = ()
    nbns: tuple[str, ...] = ()
    split_dns: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    no_routes: tuple[str, ...] = ()
    iroutes: tuple[str, ...] = ()
    restricted_to_routes: bool = False
    ports: tuple[str, ...] = ()


class UserTable(Control, frozen=True):
    """Connections, in the order of their ids."""

    users: tuple[UserEntry, ...]


class SessionEvent(Control, frozen=True):
    """A tunnel is up; or it has ended, for `reason` (in the words that occtl prints), after `seconds`."""

    user: UserEntry
    reason: str = ""
    seconds: float = 0.0


class SessionEntry(msgspec.Struct, frozen=True, array_like=True):
    """One session that secmod keeps. `expires` is 0 while a connection uses it; `is_open` says that the session
    was opened at least once, `certificate_ok` that a client certificate was part of its login."""

    sid: SessionId
    state: UserState
    created: float
    expires: float
    username: str
    group: str
    vhost: str
    user_agent: str
    remote_ip: str
    location: str = ""
    is_open: bool = False
    certificate_ok: bool = False
    in_use: bool = False


class SessionTable(Control, frozen=True):
    """Sessions, the oldest first."""

    sessions: tuple[SessionEntry, ...]


class BanEntry(msgspec.Struct, frozen=True, array_like=True):
    """An address, an IPv6 one by its /64. `expires` is when its ban is over, 0 where it has none."""

    ip: str
    score: int
    expires: float


class BanTable(Control, frozen=True):
    """Addresses with points; the one that was seen longest ago first."""

    entries: tuple[BanEntry, ...]


class PluginTable(Control, frozen=True):
    """Back ends, by vhost and in the configuration's order."""

    plugins: tuple[PluginReport, ...]


class Done(Control, frozen=True):
    """A command was carried out, or not; `text` says why not, or what else is to be known, or is empty."""

    ok: bool
    text: str = ""


Reply = StatusReport | SessionEvent | UserTable | SessionTable | BanTable | PluginTable | Done

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


# ---- bytes ----------------------------------------------------------------------------------------------------


def build_frame(message: Control, limit: int = MAX_REPLY) -> bytes:
    """A whole frame. Raises PeerViolation where the body is longer than `limit` bytes."""
    body = _encoder.encode(message)
    _check_length(len(body), limit)
    return len(body).to_bytes(_LENGTH, "big") + body


def parse_request(body: bytes) -> Request:
    """A frame's body as main reads it. Raises PeerViolation."""
    return _parse(_requests, body)


def parse_reply(body: bytes) -> Reply:
    """A frame's body as occtl reads it. Raises PeerViolation."""
    return _parse(_replies, body)


def _parse(decoder: msgspec.msgpack.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PeerViolation(f"control socket: {error}") from error


def _check_length(length: int, limit: int) -> int:
    if length > limit:
        raise PeerViolation(f"control socket: a message of {length} bytes where {limit} are allowed")
    return length


# ---- sockets --------------------------------------------------------------------------------------------------


async def receive_frame(reader: StreamReader, limit: int = MAX_REQUEST) -> bytes:
    """The body of the next frame, for main. Raises PeerLost at its end, PeerViolation past `limit` bytes."""
    try:
        head = await reader.readexactly(_LENGTH)
        return await reader.readexactly(_check_length(int.from_bytes(head, "big"), limit))
    except EOFError as error:
        raise PeerLost("control socket: the other side closed before the end of its message") from error


def read_frame(connection: socket.socket, limit: int = MAX_REPLY) -> bytes:
    """The body of the next frame, blocking. Raises PeerLost at its end, PeerViolation past `limit` bytes."""
    head = _read_exactly(connection, _LENGTH)
    return _read_exactly(connection, _check_length(int.from_bytes(head, "big"), limit))


def _read_exactly(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        # Asked for in pieces: the length is the peer's claim, and no memory is given for a claim.
        part = connection.recv(min(count - len(data), 64 * 1024))
        if not part:
            raise PeerLost("control socket: the other side closed before the end of its message")
        data += part
    return bytes(data)


def ask(connection: socket.socket, request: Request, timeout: float = REPLY_TIMEOUT) -> Reply:
    """Send one request over a connected socket and wait for its reply. Raises OSError, PeerLost, PeerViolation."""
    connection.settimeout(timeout)
    connection.sendall(build_frame(request, MAX_REQUEST))
    return parse_reply(read_frame(connection))
