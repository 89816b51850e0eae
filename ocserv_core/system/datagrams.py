"""UDP: listeners that tell where a datagram was sent to, and sockets of one client's flow.

Called by main; it hands such a socket to the client's worker, and the kernel gives it all that follows.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from ..errors import SystemFailure
from ..model import Endpoint
from .sockets import endpoint_of, listening_inodes, open_on_each

_MAX_PAYLOAD = 65535

# linux/in.h and asm-generic/socket.h; Python has no names for them.
_IP_PKTINFO = 8
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27

_PKTINFO4 = struct.Struct("=I4s4s")
_PKTINFO6 = struct.Struct("=16sI")
_ANCILLARY_SPACE = socket.CMSG_SPACE(max(_PKTINFO4.size, _PKTINFO6.size))

_DROP = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))
"""A classic BPF program of one instruction, BPF_RET | BPF_K: of every packet, keep nothing."""

_DROP_PROGRAM = struct.pack("@HP", 1, ctypes.addressof(_DROP))


Connect: TypeAlias = Callable[[Endpoint, Endpoint, int], socket.socket]
"""`connect_datagram_socket`, or the same in a network namespace."""


class Datagram(NamedTuple):
    """What came to a listener, and its two ends. `interface` is the number of the one it came by: link-local
    addresses mean nothing without it."""

    data: bytes
    remote: Endpoint
    local: Endpoint
    interface: int


def open_udp_listeners(host: str | None, port: int) -> list[socket.socket]:
    """A non-blocking UDP socket for each address of `host`, or for every address of this machine (None).

    IPv6 sockets take IPv6 only. Raises StartError as open_listeners does.
    """
    return open_on_each(host, port, "udp", _listen)


def _listen(family: int, address: str, port: int) -> socket.socket:
    with contextlib.ExitStack() as on_failure:
        listener = _open(family)
        on_failure.enter_context(listener)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _bind_alone(listener, address, port)
        make_listener(listener)
        on_failure.pop_all()
    return listener


def make_listener(sock: socket.socket) -> None:
    """Let a bound socket, ours or one that we were given, tell where each datagram was sent to, and share its port with
    the flows."""
    sock.setblocking(False)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    _share_port(sock)


def _bind_alone(listener: socket.socket, address: str, port: int) -> None:
    """With SO_REUSEADDR from the beginning two servers would share a port and neither would notice. The sockets of
    flows, which the last workers of an ended server may still have, are no server."""
    try:
        listener.bind((address, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE or any(listening_inodes(table, port) for table in ("udp", "udp6")):
            raise
        _share_port(listener)
        listener.bind((address, port))


def receive_datagram(listener: socket.socket) -> Datagram | None:
    """The next datagram; None where there is none (any more), or an error in its place, which is gone with that."""
    try:
        data, ancillary, _, address = listener.recvmsg(_MAX_PAYLOAD, _ANCILLARY_SPACE)
    except OSError:
        return None
    for level, kind, value in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            interface, ip, _ = _PKTINFO4.unpack(value)
            return Datagram(data, endpoint_of(address), _local(socket.AF_INET, ip, listener), interface)
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            ip, interface = _PKTINFO6.unpack(value)
            return Datagram(data, endpoint_of(address), _local(socket.AF_INET6, ip, listener), interface)
    return None


def _local(family: int, ip: bytes, listener: socket.socket) -> Endpoint:
    # A socket of systemd's takes both families, and has IPv4 addresses mapped.
    return endpoint_of((socket.inet_ntop(family, ip), listener.getsockname()[1]))


def connect_datagram_socket(local: Endpoint, remote: Endpoint, interface: int) -> socket.socket:
    """A non-blocking socket of one flow: bound to where its datagram was sent to, connected to where it came from.

    Raises SystemFailure.
    """
    family = socket.AF_INET6 if ":" in local.ip else socket.AF_INET
    with contextlib.ExitStack() as on_failure:
        try:
            sock = _open(family)
            on_failure.enter_context(sock)
            _share_port(sock)
            # While it is bound and not connected the kernel prefers it to the listener, for every client.
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _DROP_PROGRAM)
            sock.bind(_address(local, interface))
            sock.connect(_address(remote, interface))
            sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        except OSError as error:
            raise SystemFailure(f"no UDP socket from {local} to {remote}: {error.strerror}") from error
        on_failure.pop_all()
    return sock


def _open(family: int) -> socket.socket:
    return socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)


def _share_port(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def _address(end: Endpoint, interface: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """The kernel looks at the interface of link-local addresses only."""
    return (end.ip, end.port, 0, interface) if ":" in end.ip else (end.ip, end.port)
