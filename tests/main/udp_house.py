"""main's UDP side over real sockets on loopback, with workers that are only these tests at the far ends of real
channels."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from ocserv_core.ipc.messages import UdpSocket, UdpVerdict
from ocserv_core.main.records import WorkerRecord
from ocserv_core.main.udp import Udp
from ocserv_core.model import Traffic
from ocserv_core.system.datagrams import open_udp_listeners
from tests.loop import until

from .test_workers import FakeWorker, House

HOME, CAFE = "127.0.0.7", "127.0.1.7"
"""Where clients are; all of 127/8 is ours."""


def id_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


def hello(dtls_id: bytes, random: bytes = b"r" * 32) -> bytes:
    """A ClientHello with one cipher suite and no extensions."""
    message = b"\xfe\xfd" + random + b"\x20" + dtls_id + b"\0\0\2\0\xa9\1\0"
    length = len(message).to_bytes(3, "big")
    handshake = b"\1" + length + bytes(5) + length + message
    return b"\x16\xfe\xff" + bytes(8) + len(handshake).to_bytes(2, "big") + handshake


def record(body: bytes = b"sealed") -> bytes:
    """A protected record of application data."""
    return b"\x17\xfe\xfd\0\1" + bytes(6) + len(body).to_bytes(2, "big") + body


@dataclass
class Heard:
    """A UdpSocket that a worker got. `flow`: the socket that came with it."""

    message: UdpSocket
    flow: socket.socket


class Peer:
    """A worker in its tunnel, as the client's DTLS side sees it."""

    def __init__(self, record: WorkerRecord, worker: FakeWorker) -> None:
        self.record = record
        self.number = record.number
        self.dtls_id = id_of(record.number)
        self._channel = worker.main

    def heard_now(self) -> Heard | None:
        """What has come, if anything has."""
        received = self._channel.receive_now()
        if received is None:
            return None
        assert isinstance(received.message, UdpSocket)
        (fd,) = received.fds
        return Heard(received.message, socket.socket(fileno=fd))

    async def hear(self) -> Heard:
        """What comes."""
        heard: list[Heard] = []

        def has_come() -> bool:
            if (came := self.heard_now()) is not None:
                heard.append(came)
            return bool(heard)

        await until(has_come)
        return heard[0]

    async def answer(self, *, opened: bool) -> Heard:
        """What comes, answered; a socket that is not wanted is closed."""
        heard = await self.hear()
        if not opened:
            heard.flow.close()
        self.say(heard.message.search, opened=opened)
        return heard

    def say(self, search: int, *, opened: bool) -> None:
        self._channel.send(UdpVerdict(search, opened))


class UdpHouse(House):
    """`where` is the listener's address."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.banned: set[str] = set()
        self.udp = Udp(self.associations, self.searcher, self.workers, self.banned.__contains__)

    def _on_end(self, record: WorkerRecord, traffic: Traffic) -> None:
        super()._on_end(record, traffic)
        self.udp.on_worker_end(record.number)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen, and in the end leave nothing."""
        self.udp.serve(open_udp_listeners("127.0.0.1", 0))
        (self.where,) = self.udp.addresses
        try:
            yield
        finally:
            self.udp.close()
            for left in list(self.workers.records.values()):
                self.workers.on_exited(1, left.pid, 0)
            while self.fakes:
                self.fakes.pop().close()

    def peer(self, ip: str = HOME) -> Peer:
        """A client with a tunnel, whose TCP comes from `ip`."""
        made, worker = self.spawn(pid=100 + len(self.workers.records))
        self.tunnel(made)
        self.associations.add(made.number, id_of(made.number), ip)
        return Peer(made, worker)

    @contextlib.contextmanager
    def client(self, ip: str = HOME) -> Iterator[socket.socket]:
        """A client's UDP socket, connected to the listener."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((ip, 0))
            sock.connect(self.where)
            sock.setblocking(False)
            yield sock


def is_silent(sock: socket.socket) -> bool:
    """Whether nothing came."""
    try:
        sock.recv(1)
    except BlockingIOError:
        return True
    return False
