"""What a worker asks of the sockets of its client: priority, buffer, whether packets may be fragmented. No policy."""

from __future__ import annotations

import socket

# asm-generic/socket.h and linux/in.h, in6.h: not all of them are in the socket module.
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER = 10, 23
_IP_MTU, _IPV6_MTU = 14, 24
_PMTUDISC_PROBE = 3
_IPV6_TCLASS = 67


def set_priority(sock: socket.socket, *, socket_priority: int | None, tos: int | None) -> None:
    """net-priority: SO_PRIORITY (0 to 6), or the TOS byte of IPv4 and IPv6. OSError."""
    if socket_priority is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, socket_priority)
    if tos is None:
        return
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_TCLASS, tos)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)


def set_send_buffer(sock: socket.socket, size: int) -> None:
    """output-buffer: bytes that may wait in the kernel; 0 leaves it to the kernel. OSError."""
    if size:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)


def forbid_fragments(sock: socket.socket) -> None:
    """try-mtu-discovery: every packet says “do not fragment”, and what routers say of the path is only taken as a hint
    (RFC 8899 §4.6.2: it may be forged). OSError."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)


def path_mtu(sock: socket.socket) -> int | None:
    """What the kernel knows of a connected socket's path, in bytes of an IP packet; None where it does not say."""
    try:
        if sock.family == socket.AF_INET6:
            return sock.getsockopt(socket.IPPROTO_IPV6, _IPV6_MTU)
        return sock.getsockopt(socket.IPPROTO_IP, _IP_MTU)
    except OSError:
        return None
