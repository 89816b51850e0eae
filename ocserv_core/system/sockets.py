"""Listening sockets, the control socket, and what a connection tells of itself.

Called by main; a worker uses `tcp_mtu` alone. Reads no byte of any client.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import logging
import os
import socket
import stat
import struct
import sys
import termios
from collections.abc import Callable
from typing import Literal, NamedTuple

from ..errors import StartError, SystemFailure
from ..model import Endpoint

_log = logging.getLogger(__name__)

BACKLOG = 1024

# accept(2): errors of the one connection that is gone already, to be taken as "nothing there".
_LOST_BEFORE_ACCEPT = frozenset(
    (
        errno.EAGAIN,
        errno.EINTR,
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENOPROTOOPT,
        errno.EHOSTDOWN,
        errno.ENONET,
        errno.EHOSTUNREACH,
        errno.EOPNOTSUPP,
        errno.ENETUNREACH,
        errno.EPERM,
    )
)
# An address that this machine does not have, or a whole family of them.
_NO_SUCH_FAMILY = frozenset((errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL))

_WILDCARDS = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104 (the option's default)
_CREDENTIALS = struct.Struct("=iII")

Protocol = Literal["tcp", "udp"]

_HOST_OPTION = {"tcp": "listen-host", "udp": "udp-listen-host"}
_LISTENS = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""Table of /proc/net → its word for a socket that takes what anybody sends."""

_TCP_INFO_SIZE = 104
_TCP_INFO_PMTU = struct.Struct("=60xI")


class Accepted(NamedTuple):
    """A new connection, blocking, and its two ends."""

    connection: socket.socket
    remote: Endpoint
    local: Endpoint


class Credentials(NamedTuple):
    """Who is at the other end of a Unix socket, as the kernel knows it."""

    pid: int
    uid: int
    gid: int


def open_listeners(host: str | None, port: int) -> list[socket.socket]:
    """A non-blocking TCP listener for each address of `host`, or for every address of this machine (None).

    IPv6 sockets take IPv6 only. Raises StartError: naming address and port (and who holds it, where that can be
    seen), and where there is no address at all.
    """
    return open_on_each(host, port, "tcp", _listen)


def _listen(family: int, address: str, port: int) -> socket.socket:
    with contextlib.ExitStack() as on_failure:
        listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        on_failure.enter_context(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
        on_failure.pop_all()
    return listener


def open_on_each(
    host: str | None, port: int, protocol: Protocol, listen: Callable[[int, str, int], socket.socket]
) -> list[socket.socket]:
    """What `listen(family, address, port)` opens, or fails to open with an OSError, for each address of `host`, or
    for every address of this machine (None). Of a name's addresses those are passed over that are another machine's.
    StartError as `open_listeners`."""
    listeners: list[socket.socket] = []
    elsewhere: list[str] = []
    try:
        for family, address in _addresses(host, port, protocol):
            try:
                listeners.append(listen(family, address, port))
            except OSError as error:
                if error.errno not in _NO_SUCH_FAMILY:
                    raise StartError(_bind_failure(address, port, protocol, error)) from error
                elsewhere.append(_bind_failure(address, port, protocol, error))
    except StartError:
        for listener in listeners:
            listener.close()
        raise
    if not listeners:
        option = _HOST_OPTION[protocol]
        why = "; ".join(elsewhere) or "no address to listen on"
        raise StartError(f"{why} ({option} = {host or 'unset'}, {protocol}-port = {port})")
    for passed_over in elsewhere if host is not None else ():
        _log.warning("%s = %s: %s", _HOST_OPTION[protocol], host, passed_over)
    return listeners


def _addresses(host: str | None, port: int, protocol: Protocol) -> list[tuple[int, str]]:
    if host is None:
        return list(_WILDCARDS)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise StartError(f"{_HOST_OPTION[protocol]} = {host}: {error.strerror}") from error
    ips = ((int(family), str(address[0])) for family, _, _, _, address in found)
    return list(dict.fromkeys(entry for entry in ips if entry[0] in (socket.AF_INET, socket.AF_INET6)))


def _bind_failure(address: str, port: int, protocol: Protocol, error: OSError) -> str:
    where = f"{'UDP ' if protocol == 'udp' else ''}{Endpoint(address, port)}"
    if error.errno != errno.EADDRINUSE:
        return f"cannot listen on {where}: {error.strerror}"
    holder = _holder_of(port, protocol)
    return f"port {port} is in use ({where}); " + (f"{holder} has it" if holder else "is another server running?")


def _holder_of(port: int, protocol: Protocol) -> str:
    """The process that listens on `port`, as "name (pid N)"; empty where it cannot be seen."""
    tables = (protocol, f"{protocol}6")
    inodes = {f"socket:[{inode}]" for table in tables for inode in listening_inodes(table, port)}
    for pid in (entry for entry in os.listdir("/proc") if entry.isdigit()):
        with contextlib.suppress(OSError):  # processes end while they are looked at
            if any(os.readlink(f"/proc/{pid}/fd/{fd}") in inodes for fd in os.listdir(f"/proc/{pid}/fd")):
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                    return f"{file.read().strip()} (pid {pid})"
    return ""


def listening_inodes(table: str, port: int) -> list[str]:
    """The sockets that listen on `port`, of a table of /proc/net: tcp, tcp6, udp (there: unconnected) or udp6."""
    try:
        # Of this thread: it may be in another network namespace than its process.
        with open(f"/proc/thread-self/net/{table}", encoding="ascii") as file:
            rows = [line.split() for line in file][1:]
    except OSError:
        return []
    return [row[9] for row in rows if row[3] == _LISTENS[table] and int(row[1].rpartition(":")[2], 16) == port]


def accept(listener: socket.socket) -> Accepted | None:
    """The next connection; None where there is none (any more).

    Raises SystemFailure where this process has no descriptor or memory for it: stop accepting for a while.
    """
    try:
        connection, address = listener.accept()
    except OSError as error:
        if error.errno in _LOST_BEFORE_ACCEPT:
            return None
        raise SystemFailure(f"cannot accept a connection: {error.strerror}") from error
    connection.setblocking(True)
    return Accepted(connection, endpoint_of(address), endpoint_of(connection.getsockname()))


def is_congested(sock: socket.socket) -> bool:
    """Whether more than half of what a Unix socket holds has been sent and waits for its peer to read it."""
    unread = bytearray(4)
    fcntl.ioctl(sock, termios.TIOCOUTQ, unread)
    return int.from_bytes(unread, sys.byteorder) > sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2


def endpoint_of(address: tuple[str, int] | tuple[str, int, int, int]) -> Endpoint:
    """Canonical text: without a scope, and IPv4 where it is mapped into IPv6."""
    ip = ipaddress.ip_address(address[0].partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return Endpoint(str(mapped or ip), address[1])


def tune_connection(connection: socket.socket, *, send_buffer: int | None = None) -> None:
    """Send small frames at once; bound what waits in the kernel to `send_buffer` bytes where it is given."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if send_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)


def tcp_mtu(fd: int) -> int | None:
    """The path MTU of a TCP connection in bytes of an IP packet (tcpi_pmtu); None where the kernel has none."""
    with contextlib.closing(socket.socket(fileno=os.dup(fd))) as connection:
        try:
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        except OSError:
            return None  # not TCP, or gone
    if len(info) < _TCP_INFO_PMTU.size:
        return None
    mtu: int = _TCP_INFO_PMTU.unpack_from(info)[0]
    return mtu or None


def open_control_socket(path: str, uid: int = 0, gid: int = 0) -> socket.socket:
    """The listening Unix socket of occtl, mode 0700, owned by `uid` and `gid`, non-blocking.

    A socket file that no server answers on is replaced. Raises StartError where one answers, or the path cannot be
    used.
    """
    _clear_dead_socket(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    mask = os.umask(0o077)
    try:
        listener.bind(path)
        os.chown(path, uid, gid)
        listener.listen(16)
    except OSError as error:
        listener.close()
        raise StartError(f"control socket {path}: {error.strerror or error}") from error
    finally:
        os.umask(mask)
    return listener


def _clear_dead_socket(path: str) -> None:
    try:
        found = os.lstat(path)
        if not stat.S_ISSOCK(found.st_mode):
            raise StartError(f"control socket {path}: something else has this name")
        if _answers(path):
            raise StartError(f"a server already answers on {path}")
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StartError(f"control socket {path}: {error.strerror or error}") from error


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True  # its queue is full
    return True


def peer_credentials(connection: socket.socket) -> Credentials:
    """Who connected a Unix socket. Raises SystemFailure where it is gone."""
    try:
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError as error:
        raise SystemFailure(f"no credentials of the peer: {error.strerror}") from error
    return Credentials(*_CREDENTIALS.unpack(found))
