"""`python -m benchmarks.latency`: what latency statistics cost the pump for each packet from the client.

Two tunnels in this process, one with `latency-stats` and one without: DTLS by UDP over loopback to a real pump, whose
TUN is a packet socket. They take turns, batch by batch, and who begins changes with each. What is measured is the CPU
time of this thread in the pump: the receive with its stamp, the clock after each write, the sets. That the kernel
stamps is not in it: it does so where a datagram is sent to loopback, which is outside, and for every socket as soon as
one asks. A round's figure is the median of its batches, so that what else runs on the machine counts little. Three
times: small UDP packets that are written one by one, which is the most that it can cost; TCP segments that come one by
one and are gathered; and the same in trains (UDP_SEGMENT here, UDP_GRO there), which share a stamp.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from ocserv_core.bridge.pump import PumpOptions
from ocserv_core.model import Offloads
from tests.bridge.dtls_peers import SUITES, RawClient, shake_over, udp_pair
from tests.bridge.packet_model import Ip, Step, conversation, udp
from tests.bridge.tunnels import End, tls_sessions

GOAL = 30.0
"""Nanoseconds a packet."""

BATCH = 64
"""Packets: what the buffers of both sockets hold without losing one."""

TRAIN = 32
"""Datagrams of a train: under 64 KiB."""

UDP_SEGMENT = 103
"""linux/udp.h: not in the socket module."""

WARM_UP = 20
RUNS_MAX = 1000


def small_packets() -> list[bytes]:
    """Of 64 bytes, of flows of their own: each is written by itself."""
    return [udp(Ip(), bytes(36), (40000 + i, 9)) for i in range(BATCH)]


def segments() -> list[bytes]:
    """Of one TCP flow, 1400 bytes each with their headers: they are gathered."""
    return conversation([Step(0, 1360)] * BATCH)


@dataclass(frozen=True, slots=True)
class Shape:
    """label, packets: of a batch. gathered: for a device with offloads. train: datagrams of one system call."""

    label: str
    packets: Callable[[], list[bytes]]
    gathered: bool
    train: int


SHAPES = (
    Shape("64-byte packets, one by one", small_packets, gathered=False, train=1),
    Shape("1400-byte segments, gathered", segments, gathered=True, train=1),
    Shape("1400-byte segments, in trains", segments, gathered=True, train=TRAIN),
)


class Line:
    """A tunnel whose client sends batches."""

    def __init__(self, stack: ExitStack, shape: Shape, *, latency: bool) -> None:
        self._packets, self._train = shape.packets(), shape.train
        options = PumpOptions(latency=latency)
        if shape.gathered:
            options = replace(options, offloads=Offloads())
        session, _ = stack.enter_context(tls_sessions())
        self._end = End(session, options)
        stack.callback(self._end.close)
        ours, self._theirs = udp_pair(stack)
        server, client = shake_over(ours, self._theirs, SUITES["aes256"])
        stack.callback(client.close)
        self._end.pump.attach(server)
        self._client = RawClient(client)
        self._sent = 0

    def send_batch(self) -> float:
        """From the client's socket to the TUN: nanoseconds a packet."""
        datagrams = [self._client.seal(b"\0" + packet) for packet in self._packets]
        if self._train > 1:
            self._theirs.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(datagrams[0]))
        for at in range(0, len(datagrams), self._train):
            self._theirs.send(b"".join(datagrams[at : at + self._train]))
        self._sent += len(self._packets)
        begun = time.thread_time_ns()
        arrived = any(self._moved() for _ in range(RUNS_MAX))
        took = time.thread_time_ns() - begun
        assert arrived, f"{self._end.pump.traffic.rx_packets} of {self._sent} packets, {self._end.pump.dropped}"
        self._end.written()
        return took / len(self._packets)

    def _moved(self) -> bool:
        self._end.pump.run(0)
        return self._end.pump.traffic.rx_packets == self._sent

    @property
    def sets(self) -> int:
        """Of statistics."""
        return self._end.pump.latency.sets


def measure_round(off: Line, on: Line, batches: int) -> tuple[float, float]:
    """Nanoseconds a packet without and with statistics."""
    batches_off, batches_on = [], []
    for number in range(batches):
        if number % 2 == 0:
            batches_off.append(off.send_batch())
            batches_on.append(on.send_batch())
        else:
            batches_on.append(on.send_batch())
            batches_off.append(off.send_batch())
    return statistics.median(batches_off), statistics.median(batches_on)


def measure(shape: Shape, rounds: int, batches: int) -> list[tuple[float, float]]:
    """All rounds of a shape, after some that do not count."""
    with ExitStack() as stack:
        off, on = (Line(stack, shape, latency=latency) for latency in (False, True))
        measure_round(off, on, WARM_UP)
        found = [measure_round(off, on, batches) for _ in range(rounds)]
        assert on.sets
        assert not off.sets
        return found


def describe(label: str, rounds: Sequence[tuple[float, float]]) -> str:
    """The line of a shape: medians, and the difference within each round with its spread."""
    costs = [on - off for off, on in rounds]
    off, on = (statistics.median(side) for side in zip(*rounds, strict=True))
    cost = statistics.median(costs)
    verdict = "reached" if cost <= GOAL else "NOT reached"
    return (
        f"{label}: {off:.0f} ns a packet without, {on:.0f} with: {cost:.1f} more "
        f"({min(costs):.1f} to {max(costs):.1f}; to be {GOAL:.0f}): {verdict}"
    )


def main() -> int:
    """The exit status: 0 when everything was measured, reached or not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description="The cost of latency-stats.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batches", type=int, default=600, help=f"of {BATCH} packets, of each side in a round")
    arguments = parser.parse_args()
    for shape in SHAPES:
        print(describe(shape.label, measure(shape, arguments.rounds, arguments.batches)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
