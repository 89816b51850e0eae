"""Descriptors of a hostile peer are closed at once, whatever their closing would wait for."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from ocserv_core.errors import PeerViolation
from ocserv_core.ipc.foreign import MAX_FDS, close_foreign
from ocserv_core.ipc.messages import FromWorkerToSecmod, Sign
from ocserv_core.ipc.wire import Wire

from .pairs import ends, is_open, open_descriptors, settled_descriptors, some_descriptor

Ends = tuple[socket.socket, socket.socket]
__all__ = ["ends"]

BOUND = 20.0
"""Seconds; the closing of what lingers takes a minute, or for ever."""


@contextlib.contextmanager
def lingering() -> Iterator[int]:
    """A TCP socket that waits a minute when it is closed, since the other end does not read."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        silent = server.accept()[0]
    with silent:
        sender.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while sender.send(bytes(1 << 20)):
                pass
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
        yield sender.detach()


def put(sock: socket.socket, *fds: int, data: bytes = b"x") -> None:
    """Send descriptors and give them away."""
    sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
    for fd in fds:
        os.close(fd)


def at_once(action: Callable[[], object]) -> None:
    """The thread that hangs in the kernel is left behind, as a daemon."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(BOUND)
    assert not thread.is_alive(), "it waits for a stranger"


def refuse(sock: socket.socket) -> None:
    with pytest.raises(PeerViolation):
        Wire[FromWorkerToSecmod](FromWorkerToSecmod, accept_large=False).receive(sock)


def test_a_socket_that_lingers_is_closed_at_once() -> None:
    with lingering() as fd:
        at_once(lambda: close_foreign([fd]))
        assert not is_open(fd)


def test_one_that_comes_with_nonsense(ends: Ends) -> None:
    with lingering() as fd:
        put(ends[0], fd, data=b"nonsense")
        at_once(lambda: refuse(ends[1]))


def test_all_that_a_message_can_carry_are_received_and_closed(ends: Ends) -> None:
    before = settled_descriptors()
    with lingering() as fd:
        put(ends[0], *(some_descriptor() for _ in range(MAX_FDS - 1)), fd)
        at_once(lambda: refuse(ends[1]))
    assert open_descriptors() == before


def test_one_that_nobody_read_when_the_channel_is_closed(ends: Ends) -> None:
    wire = Wire[FromWorkerToSecmod](FromWorkerToSecmod, accept_large=False)
    with lingering() as fd:
        wire.send(ends[0], Sign("", 0, "", b""), [])
        put(ends[0], fd)
        at_once(lambda: wire.close(ends[1]))


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_one_that_lies_in_the_queue_of_another(kind: socket.SocketKind) -> None:
    with lingering() as fd:
        sender, holder = socket.socketpair(socket.AF_UNIX, kind)
        with sender:
            put(sender, fd)
            at_once(lambda: close_foreign([holder.detach()]))


def test_one_behind_datagrams_that_look_like_the_end() -> None:
    with lingering() as fd:
        sender, holder = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with sender:
            sender.send(b"")
            put(sender, fd)
            at_once(lambda: close_foreign([holder.detach()]))


def test_one_in_a_queue_in_a_queue() -> None:
    with lingering() as fd:
        inner, holder = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        outer, outermost = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with inner, outer:
            put(inner, fd)
            put(outer, holder.detach())
            at_once(lambda: close_foreign([outermost.detach()]))


def test_one_sent_to_a_listener_that_never_accepts() -> None:
    listener, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    with lingering() as fd, client:
        listener.bind("")  # the kernel chooses a name without a file
        listener.listen()
        client.connect(listener.getsockname())
        put(client, fd)
        at_once(lambda: close_foreign([listener.detach()]))


def test_what_is_no_socket_is_closed_too() -> None:
    before = settled_descriptors()
    reader, writer = os.pipe()
    close_foreign([reader, writer, some_descriptor(), os.pidfd_open(os.getpid())])
    assert open_descriptors() == before
