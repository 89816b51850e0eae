"""The UDP listeners: whose a datagram is, and a socket of its flow for the worker that has to do with it. The
kernel gives the worker all that follows.

What nobody waits for is dropped and never answered, so that nothing is amplified.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable

from ..errors import SystemFailure
from ..ipc.messages import UdpSocket
from ..protocol.udp_peek import Hello, peek
from ..state.associations import Associations
from ..system.datagrams import Connect, Datagram, connect_datagram_socket, receive_datagram
from .searcher import Searcher
from .workers import Workers

_log = logging.getLogger(__name__)

BURST = 64
"""Datagrams read before the loop turns to something else."""


class Udp:
    """`serve` begins to read. A hello goes to the worker that its id names, a record to the searcher.
    A hello from where `is_banned` goes to nobody."""

    def __init__(
        self,
        associations: Associations,
        searcher: Searcher,
        workers: Workers,
        is_banned: Callable[[str], bool],
        connect: Connect = connect_datagram_socket,
    ) -> None:
        self._connect = connect
        self._associations = associations
        self._searcher = searcher
        self._workers = workers
        self._is_banned = is_banned
        self._listeners: list[socket.socket] = []

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where they listen."""
        return [listener.getsockname()[:2] for listener in self._listeners]

    def serve(self, listeners: list[socket.socket]) -> None:
        """Read from now on; they are ours to close."""
        self._listeners = listeners
        for listener in listeners:
            asyncio.get_running_loop().add_reader(listener, self._read_burst, listener)

    def on_worker_end(self, worker: int) -> None:
        """Nothing more is for it."""
        self._associations.remove(worker)
        self._searcher.on_worker_end(worker)

    def close(self) -> None:
        """Read no further datagram, and ask nobody."""
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        self._listeners = []
        self._searcher.close()

    def _read_burst(self, listener: socket.socket) -> None:
        for _ in range(BURST):
            datagram = receive_datagram(listener)
            if datagram is None:
                return
            self._on_datagram(datagram)

    def _on_datagram(self, datagram: Datagram) -> None:
        if not datagram.remote.port:
            return  # a socket connected to port 0 takes what any port of that address sends
        found = peek(datagram.data)
        if isinstance(found, Hello):
            self._on_hello(datagram, found.id)
        elif found is not None:
            self._searcher.start(datagram)

    def _on_hello(self, datagram: Datagram, dtls_id: bytes) -> None:
        now = time.monotonic()
        ip = datagram.remote.ip
        worker = self._associations.owner(dtls_id, ip, now)
        if worker is None or self._is_banned(ip):
            return
        try:
            with self._connect(datagram.local, datagram.remote, datagram.interface) as flow:
                passed = self._workers.offer(worker, UdpSocket(datagram.data, hello=True), (flow.fileno(),))
        except SystemFailure as failure:
            _log.warning("a DTLS hello is dropped: %s", failure)
            passed = True  # the next one is not better off
        if passed:
            self._associations.hello_passed(worker, ip, now)
