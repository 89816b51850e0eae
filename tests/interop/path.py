"""The path between clients and server: what is on it, counted or dropped, seen from the bridge before the server.

Neither end hears of a drop there, as it would from a rule of its own machine.
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from .network import Namespace
from .processes import PATIENCE

_ALL_PROTOCOLS = 3
_SNAP = 65536

UDP_TO_SERVER = "udp dport 443"
UDP_FROM_SERVER = "udp sport 443"
TCP_TO_SERVER = "tcp dport 443"
TCP_FROM_SERVER = "tcp sport 443"


class Rule:
    """One that stands. `packets` and `bytes` are those that it met, IP headers included."""

    def __init__(self, namespace: Namespace, chain: str, handle: str) -> None:
        self._namespace = namespace
        self._chain = chain
        self._handle = handle

    def _counters(self) -> tuple[int, int]:
        listed = self._namespace.nft(f"list chain bridge path {self._chain}")
        found = re.search(rf"counter packets (\d+) bytes (\d+).*# handle {self._handle}$", listed, re.MULTILINE)
        assert found, listed
        return int(found[1]), int(found[2])

    @property
    def packets(self) -> int:
        return self._counters()[0]

    @property
    def bytes(self) -> int:
        return self._counters()[1]

    def remove(self) -> None:
        self._namespace.nft(f"delete rule bridge path {self._chain} handle {self._handle}")


class Path:
    """Rules on the server's bridge. Their words are nft's."""

    def __init__(self, server: Namespace) -> None:
        self._server = server
        server.nft(
            "table bridge path { chain to_server { type filter hook input priority 0; };"
            " chain from_server { type filter hook output priority 0; }; }"
        )

    def to_server(self, match: str, verdict: str = "accept") -> Rule:
        """Count what matches, and drop it or not."""
        return self._add("to_server", match, verdict)

    def from_server(self, match: str, verdict: str = "accept") -> Rule:
        """The same of the other direction."""
        return self._add("from_server", match, verdict)

    def _add(self, chain: str, match: str, verdict: str) -> Rule:
        told = self._server.nft(f"insert rule bridge path {chain} {match} counter {verdict}")
        found = re.search(r"# handle (\d+)", told)
        assert found, told
        return Rule(self._server, chain, found[1])

    def block_udp(self) -> Callable[[], None]:
        """No datagram passes in either direction, until what is returned is called."""
        rules = [self.to_server(UDP_TO_SERVER, "drop"), self.from_server(UDP_FROM_SERVER, "drop")]

        def unblock() -> None:
            for rule in rules:
                rule.remove()

        return unblock


class Seen(NamedTuple):
    """An IP packet. `sent`: by the machine that looks."""

    data: bytes
    sent: bool

    @property
    def is_udp(self) -> bool:
        return self.data[0] >> 4 == 4 and self.data[9] == socket.IPPROTO_UDP

    @property
    def is_icmp(self) -> bool:
        return self.data[0] >> 4 == 4 and self.data[9] == socket.IPPROTO_ICMP

    @property
    def is_tcp(self) -> bool:
        return self.data[0] >> 4 == 4 and self.data[9] == socket.IPPROTO_TCP

    @property
    def tos(self) -> int:
        return self.data[1]


class Capture:
    """What passes a device from now on."""

    def __init__(self, namespace: Namespace, device: str) -> None:
        self._socket = namespace.open_socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        self._socket.bind((device, _ALL_PROTOCOLS))
        self._socket.setblocking(False)

    def seen(self) -> list[Seen]:
        """All since the last time."""
        found: list[Seen] = []
        while True:
            try:
                data, address = self._socket.recvfrom(_SNAP)
            except BlockingIOError:
                return found
            found.append(Seen(data, address[2] == socket.PACKET_OUTGOING))

    def wait_for(self, wanted: Callable[[Seen], bool], timeout: float = PATIENCE) -> Seen:
        """The next packet that is wanted; those before it are passed over."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            select.select([self._socket], [], [], left)
            for packet in self.seen():
                if wanted(packet):
                    return packet
        raise AssertionError(f"no such packet in {timeout} s")

    def close(self) -> None:
        self._socket.close()
