"""What happens to the wire of an arena in a soak: random loss, reordering, a client whose address changes.

Loss is nftables' random drop where packets arrive, not netem's: it counts, and every kernel with nftables has it.
Reordering is a class of HTB that is slower than the rest, where some packets are sent through.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

import msgspec

from .arena import CLIENT_ADDRESS, Arena, inside
from .clients import Channel

LOSS = 0.01
"""Of the packets that arrive, in each direction."""

_NETWORK = CLIENT_ADDRESS.rpartition(".")[0]
_HOMES = range(2, 10)
"""Last numbers of the addresses that the client has."""

_NAT_PORTS = range(20_000, 30_000)
"""From which its UDP seems to come."""

_LOSS_RULES = """
table ip soak_loss {{
  counter dropped {{ }}
  chain arrivals {{
    type filter hook prerouting priority -300;
    {match} numgen random mod 1000 < {thousandths} counter name dropped drop
  }}
}}
"""

_REORDER_RULES = """
table ip soak_reorder {{
  chain departures {{
    type filter hook postrouting priority 100;
    {match} numgen inc mod 64 < 3 meta priority set 1:2
  }}
}}
"""
_SLOW_QUEUE = (
    "qdisc add dev wire root handle 1: htb default 1",
    "class add dev wire parent 1: classid 1:1 htb rate 10gbit quantum 60000",
    "class add dev wire parent 1: classid 1:2 htb rate 8mbit ceil 8mbit burst 100 cburst 100 quantum 1600",
)
"""A packet of 1250 bytes takes 1.25 ms there: of three in a row the last is late by 3.75. At the rates of a soak (3000
packets a second) 12 overtake it, a fifth of the client's replay window (64 in GnuTLS): at twice the lateness a burst
after a moment without a processor was longer than the window, once in 132,000 packets."""

_NAT_RULES = """
table ip soak_nat
flush table ip soak_nat
table ip soak_nat {{
  chain departures {{
    type filter hook postrouting priority 200;
    {departures}
  }}
  chain arrivals {{
    type filter hook prerouting priority -200;
    {arrivals}
    udp sport {port} drop
  }}
}}
"""
_DEPARTURE = "udp dport {port} udp sport {own} udp sport set {seen}"
_ARRIVAL = "udp sport {port} udp dport {seen} udp dport set {own} accept"
"""A NAT without state, so that the change of its port is one transaction. What comes to an earlier one is dropped."""


@contextlib.contextmanager
def loss(arena: Arena, port: int, channel: Channel) -> Iterator[None]:
    """Random loss of the channel's packets in both directions while the context lasts."""
    with contextlib.ExitStack() as stack:
        for namespace, match in _matches(arena, port, channel, ("dport", "sport")):
            _nft(namespace, _LOSS_RULES.format(match=match, thousandths=round(1000 * LOSS)))
            stack.callback(_nft, namespace, "delete table ip soak_loss")
        yield


def dropped(arena: Arena) -> int:
    """Packets (of a train of segments: trains) that `loss` has dropped so far; only inside its context."""
    total = 0
    for namespace in (arena.server, arena.client):
        words = ("nft", "--json", "list", "counters", "table", "ip", "soak_loss")
        output = subprocess.run(inside(namespace, *words), stdout=subprocess.PIPE, check=True, timeout=10).stdout
        total += parse_nft_counters(output)
    return total


@contextlib.contextmanager
def reorder(arena: Arena, port: int, channel: Channel) -> Iterator[None]:
    """Some packets of the channel arrive late, in both directions, while the context lasts."""
    with contextlib.ExitStack() as stack:
        for namespace, match in _matches(arena, port, channel, ("sport", "dport")):
            for words in _SLOW_QUEUE:
                subprocess.run(["tc", "-n", namespace, *words.split()], check=True, timeout=10)
                if words.startswith("qdisc"):
                    stack.callback(_tc_clear, namespace)
            _nft(namespace, _REORDER_RULES.format(match=match))
            stack.callback(_nft, namespace, "delete table ip soak_reorder")
        yield


class Roaming:
    """The client's address, and what the server sees of it."""

    def __init__(self, arena: Arena, port: int) -> None:
        self._arena, self._port = arena, port
        self._home, self._homes, self._seen = CLIENT_ADDRESS, 0, 0

    def rebind(self) -> None:
        """Another port for the client's UDP, as from a NAT that forgot: the client does not know."""
        departures, arrivals = [], []
        for own in self._udp_ports():
            seen = _NAT_PORTS[self._seen % len(_NAT_PORTS)]
            self._seen += 1
            departures.append(_DEPARTURE.format(port=self._port, own=own, seen=seen))
            arrivals.append(_ARRIVAL.format(port=self._port, own=own, seen=seen))
        lines = {"departures": "\n    ".join(departures), "arrivals": "\n    ".join(arrivals)}
        _nft(self._arena.client, _NAT_RULES.format(port=self._port, **lines))

    def _udp_ports(self) -> list[int]:
        """Of the sockets in the client's namespace that are connected to the server."""
        command = inside(self._arena.client, "ss", "-Hun", f"dport = :{self._port}")
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=10).stdout
        return [int(line.split()[-2].rpartition(":")[2]) for line in output.splitlines()]

    def replace(self) -> str:
        """Another address for the client, which loses the old one and all that is bound to it. The new one."""
        with contextlib.suppress(subprocess.CalledProcessError):
            _nft(self._arena.client, "delete table ip soak_nat")
        _ip(self._arena, "address", "flush", "dev", "wire")
        self._homes += 1
        self._home = f"{_NETWORK}.{_HOMES[self._homes % len(_HOMES)]}"
        _ip(self._arena, "address", "add", f"{self._home}/24", "dev", "wire")
        return self._home


class _Counter(msgspec.Struct):
    packets: int


class _Entry(msgspec.Struct):
    counter: _Counter | None = None


class _Listing(msgspec.Struct):
    nftables: list[_Entry]


def parse_nft_counters(output: bytes) -> int:
    """The sum of the packets in `nft --json list counters`."""
    listing = msgspec.json.decode(output, type=_Listing)
    return sum(entry.counter.packets for entry in listing.nftables if entry.counter is not None)


def _matches(arena: Arena, port: int, channel: Channel, sides: tuple[str, str]) -> list[tuple[str, str]]:
    """The namespaces, server's first, and what picks the channel's packets there."""
    protocol = "udp" if channel == "dtls" else "tcp"
    return [
        (namespace, f"{protocol} {side} {port}")
        for namespace, side in zip((arena.server, arena.client), sides, strict=True)
    ]


def _nft(namespace: str, rules: str) -> None:
    command = inside(namespace, "nft", "--file", "-")
    subprocess.run(command, input=rules, text=True, check=True, timeout=10, stderr=subprocess.PIPE)


def _tc_clear(namespace: str) -> None:
    subprocess.run(["tc", "-n", namespace, "qdisc", "del", "dev", "wire", "root"], check=True, timeout=10)


def _ip(arena: Arena, *words: str) -> None:
    subprocess.run(["ip", "-n", arena.client, *words], check=True, timeout=10)
