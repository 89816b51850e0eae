"""Packets in a tunnel by TCP, UDP and ICMP, checked at the other end. Most ends are sockets of the test process."""

from __future__ import annotations

import hashlib
import random
import re
import signal
import socket
import statistics
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from .network import Namespace
from .processes import Watched

MEGABYTE = 1 << 20
CHUNK = 65536
PATIENCE = 30.0


@contextmanager
def connected(
    source: Namespace, target: Namespace, address: str, patience: float = PATIENCE
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP connection from `source` to `address`, which `target` has: its two ends."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with target.open_socket(family) as listener, source.open_socket(family) as near:
        listener.bind((address, 0))
        listener.listen(1)
        near.connect(listener.getsockname()[:2])
        far, _ = listener.accept()
        with far:
            far.settimeout(patience)
            near.settimeout(patience)
            yield near, far


def arrives_whole(
    source: Namespace, target: Namespace, address: str, size: int = 5 * MEGABYTE, *, patience: float = PATIENCE
) -> bool:
    """Send `size` random bytes from `source` to `address` in `target`; whether the same ones arrive, without a pause
    of `patience` seconds."""
    data = random.Random(size).randbytes(size)
    received = hashlib.sha256()
    with connected(source, target, address, patience) as (near, far):
        sender = threading.Thread(target=_send, args=(near, data), daemon=True)
        sender.start()
        try:
            while chunk := far.recv(CHUNK):
                received.update(chunk)
        except TimeoutError:
            near.shutdown(socket.SHUT_RDWR)
        sender.join(PATIENCE)
    return received.digest() == hashlib.sha256(data).digest()


def _send(near: socket.socket, data: bytes) -> None:
    with suppress(OSError):  # the receiver has given up
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
        there = receive(self._far, size)
        self._far.sendall(there)
        return receive(self._near, size) == data


def receive(sock: socket.socket, size: int) -> bytes:
    """So many bytes; fewer where the other end has closed."""
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            break
        data += chunk
    return data


class Pinging:
    """ping(8) every `interval` seconds, from the making on."""

    def __init__(self, source: Namespace, address: str, interval: float = 0.02) -> None:
        argv = source.argv("ping", "-n", "-i", str(interval), "-W", "5", address)
        self._process = Watched(f"ping {address}", argv)
        self._output = self._process.output

    @property
    def received(self) -> int:
        return self._output.count("bytes from")

    def await_more(self, count: int, timeout: float = PATIENCE) -> None:
        """Until so many more answers came."""
        self._output.wait_for("bytes from", timeout, since=self._output.mark(), times=count)

    def stop(self) -> tuple[int, int]:
        """How many were sent, and how many of them were not answered."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait()
        self._output.wait_end()
        told = self._output.wait_for(r"^(\d+) packets transmitted, (\d+) received")
        sent, received = int(told[1]), int(told[2])
        return sent, sent - received

    @property
    def missing(self) -> list[int]:
        """Numbers of those that were not answered while later ones were: what is under way at the end is no loss."""
        answered = {int(found) for found in re.findall(r"bytes from .* icmp_seq=(\d+) ", self._output.text)}
        return sorted(set(range(1, max(answered, default=0))) - answered)

    @property
    def median(self) -> float:
        """The time between an echo and its answer, in seconds."""
        times = [float(found) for found in re.findall(r" time=([0-9.]+) ms", self._output.text)]
        return statistics.median(times) / 1000

    def destroy(self) -> None:
        self._process.destroy()


@contextmanager
def pinging(source: Namespace, address: str, interval: float = 0.02) -> Iterator[Pinging]:
    """Pings as long as the block lasts."""
    pings = Pinging(source, address, interval)
    try:
        pings.await_more(1)
        yield pings
    finally:
        pings.destroy()


_ECHO = struct.Struct("!BBHHH")
_ECHO_TYPES = {socket.AF_INET: (8, 0, 20), socket.AF_INET6: (128, 129, 0)}
"""Of an echo: request, reply, and the bytes of IP header that a raw socket gives before it."""


def echoed(source: Namespace, address: str, sizes: Sequence[int]) -> list[int]:
    """Ping with payloads of these sizes in turn, unfragmented; the sizes that came back whole."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    with source.open_socket(family, socket.SOCK_RAW, protocol) as sock:
        sock.connect((address, 0))
        sock.settimeout(5)
        return [size for size in sizes if _echoes(sock, family, size)]


def _echoes(sock: socket.socket, family: socket.AddressFamily, size: int) -> bool:
    request, reply, skipped = _ECHO_TYPES[family]
    payload = random.Random(size).randbytes(size)
    head = _ECHO.pack(request, 0, 0, 0x4F43, size & 0xFFFF)
    total = _checksum(head + payload)
    try:
        sock.send(_ECHO.pack(request, 0, total, 0x4F43, size & 0xFFFF) + payload)
        while True:
            kind, answer = (data := sock.recv(65536)[skipped:])[0], data[4:]
            if kind == reply and answer[:4] == head[4:8]:
                return answer[4:] == payload
    except OSError:
        return False  # it is too long, or nothing comes


def _checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def datagrams_arrive(
    source: Namespace, target: Namespace, address: str, sizes: Sequence[int], *, burst: int = 32
) -> int:
    """Send datagrams of these sizes in bursts from `source` to `address` in `target`; how many arrive whole. A burst
    is sent when the one before has arrived, or is not heard of any more."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    arrived = 0
    with target.open_socket(family, socket.SOCK_DGRAM) as far, source.open_socket(family, socket.SOCK_DGRAM) as near:
        far.bind((address, 0))
        far.settimeout(2)
        near.connect(far.getsockname()[:2])
        for at in range(0, len(sizes), burst):
            sent = {number: _datagram(number, sizes[number]) for number in range(at, min(at + burst, len(sizes)))}
            for data in sent.values():
                near.send(data)
            arrived += _collect(far, sent)
    return arrived


def _datagram(number: int, size: int) -> bytes:
    return (number.to_bytes(4, "big") + random.Random(number).randbytes(size))[: max(4, size)]


def _collect(far: socket.socket, sent: dict[int, bytes]) -> int:
    """How many of these come, the same as they were."""
    missing = dict(sent)
    try:
        while missing:
            data = far.recv(65536)
            if missing.get(int.from_bytes(data[:4], "big")) == data:
                del missing[int.from_bytes(data[:4], "big")]
    except TimeoutError:
        pass
    return len(sent) - len(missing)
