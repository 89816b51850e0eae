"""Tunnels that ask the server's end for an echo again and again, and count what is not answered. Python's own TLS."""

from __future__ import annotations

import re
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from ocserv_core.protocol.cstp import HEADER, FrameType, build_frame
from ocserv_core.system.ping import build_echo, is_reply

PATIENCE = 10.0


@dataclass
class Tunnel:
    """One client. sent, heard: echoes, by number."""

    connection: ssl.SSLSocket
    address: bytes
    gateway: bytes
    sent: int = 0
    heard: int = 0
    unread: bytes = b""

    @classmethod
    def opened(cls, connection: ssl.SSLSocket, answer: bytes, gateway: str) -> Tunnel:
        """After CONNECT; answer: its headers."""
        address = re.search(rb"X-CSTP-Address: ([0-9.]+)", answer)
        assert address, answer
        return cls(connection, socket.inet_aton(address[1].decode()), socket.inet_aton(gateway))

    def ask(self) -> None:
        """One echo more."""
        self.sent += 1
        icmp = build_echo(self.sent & 0xFFFF, _payload(self.sent))
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), 0, 0, 64, 1, 0, self.address, self.gateway)
        total = sum(struct.unpack("!10H", header))
        checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        self.connection.sendall(
            build_frame(FrameType.DATA, header[:10] + checksum.to_bytes(2, "big") + header[12:] + icmp)
        )

    def hear(self) -> None:
        """What is there to be read."""
        try:
            while chunk := self.connection.recv(65536):
                self.unread += chunk
        except ssl.SSLWantReadError:
            pass
        while len(self.unread) >= HEADER.size:
            size = HEADER.unpack_from(self.unread)[2]
            if len(self.unread) < HEADER.size + size:
                return
            packet, self.unread = self.unread[HEADER.size : HEADER.size + size], self.unread[HEADER.size + size :]
            number = self.heard + 1
            self.heard += is_reply(packet, number & 0xFFFF, _payload(number))


def _payload(number: int) -> bytes:
    return number.to_bytes(8, "big") * 4


class Pinging:
    """All tunnels, each asked every `every` seconds while `go_on` says so. An answer that is lost stops its count."""

    def __init__(self, tunnels: list[Tunnel], every: float = 0.1) -> None:
        self._tunnels = tunnels
        self._every = every

    def run(self, go_on: Callable[[], bool]) -> int:
        """How many were not answered within PATIENCE. go_on: called after each round."""
        while go_on():
            began = time.monotonic()
            for tunnel in self._tunnels:
                tunnel.ask()
            while (left := began + self._every - time.monotonic()) > 0:
                self._hear(left)
        give_up = time.monotonic() + PATIENCE
        while self.missing and time.monotonic() < give_up:
            self._hear(0.1)
        return self.missing

    @property
    def missing(self) -> int:
        """Of all that were sent."""
        return sum(tunnel.sent - tunnel.heard for tunnel in self._tunnels)

    @property
    def sent(self) -> int:
        """Over all tunnels."""
        return sum(tunnel.sent for tunnel in self._tunnels)

    def _hear(self, within: float) -> None:
        by_socket = {tunnel.connection: tunnel for tunnel in self._tunnels}
        for connection in select.select(list(by_socket), [], [], within)[0]:
            by_socket[connection].hear()
