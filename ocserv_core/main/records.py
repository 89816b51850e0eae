"""main's tables are plain data: they can be written out, and read by another version of the program."""

from __future__ import annotations

import enum

import msgspec

from ..config.session import SessionConfig
from ..config.user import UserOptions
from ..ipc.messages import SessionInfo
from ..model import ClientInfo, DisconnectReason, Endpoint, Lease, SessionId


class ConnectionState(enum.Enum):
    """How far a connection has come. FRONT: its PROXY header is awaited."""

    FRONT = "front"
    PRE_AUTH = "pre-auth"
    OPENING = "opening"
    REFUSED = "refused"
    TUNNEL = "tunnel"
    ENDED = "ended"


class TunnelRecord(msgspec.Struct, frozen=True):
    """What a connection has since CONNECT. `index` is the TUN device's, `started` the session's first login;
    `dtls_id` is what the client's hellos name it by."""

    sid: SessionId
    username: str
    group: str
    lease: Lease
    device: str
    index: int
    started: float
    config: SessionConfig
    dtls_id: bytes = b""


class WorkerRecord(msgspec.Struct):
    """One connection. `remote` and `local` are the client's, as soon as a PROXY header has told them.

    `pid` is 0 until the nursery has forked; `sid` is the session that secmod opened for it, and
    `username` its user, before there is a tunnel; `counted`: max-same-clients lets it in; `update`: what a back end has
    changed before there was a tunnel; `reason` is why main ends or ended it."""

    number: int
    generation: int
    remote: Endpoint
    local: Endpoint
    accepted: float
    pid: int = 0
    state: ConnectionState = ConnectionState.PRE_AUTH
    vhost: str = ""
    client: ClientInfo = ClientInfo()
    sid: SessionId | None = None
    username: str = ""
    counted: bool = False
    update: UserOptions | None = None
    tunnel: TunnelRecord | None = None
    info: SessionInfo | None = None
    reason: DisconnectReason = DisconnectReason.UNSPECIFIED
    host_told: bool = False
    mtu_changes: int = 0
    mtu_hour: int = 0
