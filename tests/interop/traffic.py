"""Bytes through a tunnel by TCP, checked at the other end. Both ends are sockets of the test process."""

from __future__ import annotations

import hashlib
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .network import Namespace

MEGABYTE = 1 << 20
CHUNK = 65536
PATIENCE = 30.0


@contextmanager
def connected(source: Namespace, target: Namespace, address: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP connection from `source` to `address`, which `target` has: its two ends."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with target.open_socket(family) as listener, source.open_socket(family) as near:
        listener.bind((address, 0))
        listener.listen(1)
        near.connect(listener.getsockname()[:2])
        far, _ = listener.accept()
        with far:
            far.settimeout(PATIENCE)
            near.settimeout(PATIENCE)
            yield near, far


def arrives_whole(source: Namespace, target: Namespace, address: str, size: int = 5 * MEGABYTE) -> bool:
    """Send `size` random bytes from `source` to `address` in `target`; whether the same ones arrive."""
    data = random.Random(size).randbytes(size)
    received = hashlib.sha256()
    with connected(source, target, address) as (near, far):
        sender = threading.Thread(target=_send, args=(near, data), daemon=True)
        sender.start()
        while chunk := far.recv(CHUNK):
            received.update(chunk)
        sender.join(PATIENCE)
    return received.digest() == hashlib.sha256(data).digest()


def _send(near: socket.socket, data: bytes) -> None:
    near.sendall(data)
    near.shutdown(socket.SHUT_WR)


class Echo:
    """A connection on which a byte is sent now and then: is the tunnel whole, without a gap?"""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self._near, self._far = near, far

    def exchange(self, size: int = 4096) -> bool:
        """Send `size` bytes each way; whether both arrived."""
        data = random.Random(size).randbytes(size)
        self._near.sendall(data)
        there = _receive(self._far, size)
        self._far.sendall(there)
        return _receive(self._near, size) == data


def _receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            break
        data += chunk
    return data
