"""A server for occtl that answers from a script, and values to answer with."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ocserv_core.cli.occtl_console import Console
from ocserv_core.ipc import control
from ocserv_core.model import AddressPair, Lease, SessionId, Traffic

NOW = 1_700_000_000.0
SID = SessionId("rA204xA5hML2NnqZaNMxILlyhHg0")

ALICE = control.UserEntry(
    id=6832,
    state=control.UserState.CONNECTED,
    vhost="default",
    remote_ip="192.0.2.2",
    local_ip="192.0.2.1",
    connected_at=NOW - 4,
    username="alice",
    group="staff",
    device="vpns0",
    mtu=1434,
    lease=Lease(
        AddressPair("198.51.100.1", "198.51.100.50", 24),
        AddressPair("2001:db8:5::1", "2001:db8:5::58ef", 128),
    ),
    user_agent="Open AnyConnect VPN Agent v9.01-3",
    hostname="vm",
    limit_rx=123456,
    traffic=Traffic(0, 544, 0, 8),
    dpd=60,
    keepalive=3600,
    session_started_at=NOW - 7300,
    sid=SID,
    tls_ciphersuite="(TLS1.3)-(ECDHE-SECP256R1)-(AES-256-GCM)",
    dtls_cipher="(DTLS1.2)-(PSK)-(AES-256-GCM)",
    dns=("192.0.2.53", "192.0.2.54"),
    routes=("198.51.100.0/255.255.255.0",),
)
STRANGER = control.UserEntry(
    id=7000,
    state=control.UserState.PRE_AUTH,
    vhost="default",
    remote_ip="192.0.2.9",
    local_ip="192.0.2.1",
    connected_at=NOW - 61,
)
SESSION = control.SessionEntry(
    sid=SID,
    state=control.UserState.AUTHENTICATED,
    created=NOW - 4,
    expires=NOW + 296,
    username="alice",
    group="staff",
    vhost="default",
    user_agent="Open AnyConnect VPN Agent v9.01-3",
    remote_ip="192.0.2.2",
    is_open=True,
)
STATUS = control.StatusReport(
    online=True,
    server_pid=6633,
    secmod_pid=6635,
    secmod_instances=2,
    up_since=NOW - 90_000,
    active_sessions=1,
    total_sessions=2,
    total_auth_failures=3,
    banned_ips=4,
    secmod_client_entries=5,
    tls_db_entries=6,
    last_stats_reset=NOW - 60,
    sessions_handled=7,
    timed_out=8,
    idle_timed_out=9,
    closed_on_error=10,
    auth_failures=11,
    average_auth_time=1.5,
    max_session_time=180_000,
    min_mtu=1400,
    rx_bytes=1000,
    tx_bytes=1500,
)


@dataclass
class FakeServer:
    """Answers each connection with the next reply of its script; None closes without one. `events` follow it."""

    path: str
    replies: list[control.Reply | None] = field(default_factory=list)
    asked: list[control.Request] = field(default_factory=list)
    events: list[control.Reply] = field(default_factory=list)


@contextlib.contextmanager
def serving(path: Path) -> Iterator[FakeServer]:
    """A FakeServer on `path` for as long as the block lasts."""
    server = FakeServer(str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(server.path)
        listener.listen(4)
        thread = threading.Thread(target=_serve, args=(listener, server))
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _serve(listener: socket.socket, server: FakeServer) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(10)
            server.asked.append(control.parse_request(control.read_frame(connection)))
            reply = server.replies.pop(0)
            if reply is not None:
                connection.sendall(b"".join(map(control.build_frame, [reply, *server.events])))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    with serving(tmp_path / "occtl.socket") as running:
        yield running


@pytest.fixture
def console(server: FakeServer) -> Console:
    """Connected with the server; prints into memory; its clock stands still."""
    return Console(socket_file=server.path, out=io.StringIO(), err=io.StringIO(), clock=lambda: NOW)


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Local time is UTC, so that dates can be written down."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC")
        time.tzset()
        yield time.tzset
    time.tzset()
