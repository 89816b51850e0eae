"""The closing of descriptors that came from a peer which is not trusted. Called by the gate, the wire and the ends
of channels; must never wait.

Whoever closes a socket last waits for it: with SO_LINGER as long as its owner has asked (socket(7)), and for what
lies unread in a local socket's queue likewise. A worker that is taken over would freeze main or secmod so.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
from collections.abc import Iterable

_NO_LINGER = struct.pack("ii", 1, 0)
_FD_BYTES = array.array("i").itemsize

MAX_FDS = 253
"""SCM_MAX_FD: what a message can carry at most. With less room the kernel would close the others, and wait."""

ANCILLARY_SPACE = socket.CMSG_SPACE(MAX_FDS * _FD_BYTES)

_SPACE_WITH_CREDENTIALS = ANCILLARY_SPACE + socket.CMSG_SPACE(struct.calcsize("3i"))

MAX_STEPS = 65536
"""More than queues can hold: no peer makes these loops run for ever."""


def close_foreign(fds: Iterable[int]) -> None:
    """Close them, and everything that lies in their queues, without waiting for anybody."""
    waiting = list(fds)
    for _ in range(MAX_STEPS):
        if not waiting:
            return
        fd = waiting.pop()
        waiting += _take_queue(fd)
        os.close(fd)


def close_channel(sock: socket.socket) -> None:
    """Close a channel to a peer that is not trusted: what it sent and nobody read goes the same way."""
    close_foreign([sock.detach()])


def descriptors_of(ancillary: Iterable[tuple[int, int, bytes]]) -> list[int]:
    """What came with a message, as recvmsg gives it."""
    found = array.array("i")
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(payload[: len(payload) - len(payload) % _FD_BYTES])
    return found.tolist()


def _take_queue(fd: int) -> list[int]:
    """Make the closing of `fd` free of waiting; the descriptors that it would have closed along."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        return []  # no socket: its closing waits for nobody
    try:
        sock.setblocking(False)
        if sock.family == socket.AF_UNIX:
            return [*_take_connections(sock), *_take_messages(sock)]
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        return []
    finally:
        sock.detach()


def _take_connections(sock: socket.socket) -> list[int]:
    """Those that a local listener has not accepted yet; none where it is no listener."""
    taken: list[int] = []
    with contextlib.suppress(OSError):
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            # From now on nobody can connect to it.
            sock.shutdown(socket.SHUT_RDWR)
            for _ in range(MAX_STEPS):
                taken.append(sock.accept()[0].detach())  # noqa: PERF401 (the last one ends it by an error)
    return taken


def _take_messages(sock: socket.socket) -> list[int]:
    """The descriptors in a local socket's queue, which is emptied."""
    taken: list[int] = []
    with contextlib.suppress(OSError):
        # From now on nobody can send to it. One that is not connected has a queue none the less.
        sock.shutdown(socket.SHUT_RD)
    with contextlib.suppress(OSError):
        # With credentials even an empty datagram brings something, and nothing is nothing but the end.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        for _ in range(MAX_STEPS):
            data, ancillary, _, _ = sock.recvmsg(65536, _SPACE_WITH_CREDENTIALS, socket.MSG_CMSG_CLOEXEC)
            if not data and not ancillary:
                break
            taken += descriptors_of(ancillary)
    return taken
