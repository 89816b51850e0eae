"""What is measured in one tunnel: a TCP stream with pings beside it, an idle line, small packets. One server's turn.

A cell of the matrix is a channel, a direction and a client. The keys here lack channel and client; dataplane.py adds
them. Each measure proves by the counters of the client's TCP connection that the packets took the channel meant.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from .accounting import machine_cpu, process_cpu
from .arena import Arena, end, inside
from .blaster import Blast, blast
from .clients import CannotMeasure, Channel, Tunnel
from .servers import Server
from .sizes import DataSizes
from .traffic import CUBIC, DIRECTIONS, PINGS_PER_SECOND, iperf_command, iperf_server, parse_iperf, ping

LADDER = 1.5
"""Each step of the offered rates is so many times the one before."""

SATURATED = 0.8
"""A step of which less arrives is the last one: the C server's TLS channel collapses when far more is offered."""

TOLERATED_LOSS = 10.0
"""Percent. A rate that loses more is not below saturation, and its CPU for each delivered packet says nothing."""

_FOREIGN_SHARE = 0.05
_REST = 0.5
_SETTLING_PINGS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One server, and a client's tunnel to it."""

    arena: Arena
    server: Server
    channel: Channel
    tunnel: Tunnel


Measure = Callable[[Line, DataSizes], dict[str, float]]


def measure_idle(line: Line, sizes: DataSizes) -> dict[str, float]:
    """The median of pings when nothing else happens, and the tunnel's MTU (the smaller of both ends)."""
    milliseconds = ping(line.arena.client, line.server.contender.gateway, sizes.idle_pings)[_SETTLING_PINGS:]
    return {"idle_ping": _median(line, milliseconds), "mtu": tunnel_mtu(line)}


def stream_measure(direction: str) -> Measure:
    """One TCP stream of iperf3 that way: rate, CPU for each gigabyte, and the median of the pings meanwhile."""

    def measure(line: Line, sizes: DataSizes) -> dict[str, float]:
        return {f"{direction}.{name}": value for name, value in _stream(line, sizes, DIRECTIONS[direction]).items()}

    return measure


def packets_measure(direction: str) -> Measure:
    """Packets of 64 bytes that way: CPU for each at a rate that both servers can do, and how many a second at most."""

    def measure(line: Line, sizes: DataSizes) -> dict[str, float]:
        found = _below_saturation(line, sizes, direction) | _saturation(line, sizes, direction)
        return {f"{direction}.{name}": value for name, value in found.items()}

    return measure


MEASURES: Mapping[str, Measure] = {
    "idle": measure_idle,
    "down": stream_measure("down"),
    "up": stream_measure("up"),
    "packets-down": packets_measure("down"),
    "packets-up": packets_measure("up"),
}


def tunnel_mtu(line: Line) -> int:
    """The smaller MTU of the tunnel's two devices: what a packet of any direction may have."""
    return min(line.tunnel.mtu, link(line.arena.server, server_device(line)).mtu)


def server_device(line: Line) -> str:
    """The tunnel's device at the server."""
    return _ip_json(line.arena.server, list[_Route], "route", "get", line.tunnel.address)[0].dev


class Dropped(msgspec.Struct):
    """Packets of one direction that a device dropped."""

    dropped: int


class Statistics(msgspec.Struct):
    """Of a device."""

    rx: Dropped
    tx: Dropped


class Link(msgspec.Struct):
    """What `ip` says of a device, as far as it is read."""

    mtu: int
    stats64: Statistics


class _Route(msgspec.Struct):
    dev: str


def link(namespace: str, device: str) -> Link:
    """MTU and counters of a device."""
    return _ip_json(namespace, list[Link], "-s", "link", "show", "dev", device)[0]


# ---- a stream


def _stream(line: Line, sizes: DataSizes, options: tuple[str, ...]) -> dict[str, float]:
    arena, gateway = line.arena, line.server.contender.gateway
    with iperf_server(arena.server, gateway):
        time.sleep(_REST)
        carried, before = tcp_bytes(line), _cpu(line)
        command = iperf_command(arena.client, gateway, sizes.seconds, *CUBIC, *options)
        iperf = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            count = max(1, sizes.seconds - 1) * PINGS_PER_SECOND
            milliseconds = ping(arena.client, gateway, count)[_SETTLING_PINGS:]
            output, _ = iperf.communicate(timeout=sizes.seconds + 30)
        finally:
            end(iperf)
        after = _cpu(line)
    received = parse_iperf(output)
    _check_channel(line, tcp_bytes(line) - carried, received.bytes)
    used = [(late - early) / received.gigabytes for early, late in zip(before, after, strict=True)]
    return {
        "gbit": received.gbit,
        "server_cpu": used[0],
        "client_cpu": used[1],
        "machine_cpu": used[2],
        "ping": _median(line, milliseconds),
    }


def _cpu(line: Line) -> tuple[float, float, float]:
    """Seconds of CPU until now: all of the server, the client, the machine."""
    return line.server.cpu(), process_cpu(line.tunnel.pid), machine_cpu()


def _median(line: Line, milliseconds: list[float]) -> float:
    if not milliseconds:
        raise CannotMeasure(f"{line.server.contender.label}: no ping is answered over {line.channel}")
    return statistics.median(milliseconds)


# ---- small packets


def _below_saturation(line: Line, sizes: DataSizes, direction: str) -> dict[str, float]:
    time.sleep(_REST)
    carried, before = tcp_bytes(line), _cpu(line)
    found = _blast(line, direction, sizes.packet_rate, sizes.packet_seconds)
    after = _cpu(line)
    if not found.delivered:
        raise CannotMeasure(f"{line.server.contender.label}: no small packet arrives over {line.channel}")
    _check_channel(line, tcp_bytes(line) - carried, found.delivered * 64)
    lost = {"packet_loss": 100 * (1 - found.delivered / found.sent.offered)}
    if lost["packet_loss"] > TOLERATED_LOSS:
        return lost
    used = [1e6 * (late - early) / found.delivered for early, late in zip(before, after, strict=True)]
    return {"packet_cpu": used[0], "packet_client_cpu": used[1], "packet_machine_cpu": used[2], **lost}


def _saturation(line: Line, sizes: DataSizes, direction: str) -> dict[str, float]:
    """More is offered step by step, until clearly less arrives: the best of the steps."""
    rate, best = sizes.packet_rate * LADDER, 0.0
    while rate <= sizes.packet_limit:
        time.sleep(_REST)
        found = _blast(line, direction, rate, sizes.packet_seconds)
        best = max(best, found.rate)
        if found.delivered < SATURATED * found.sent.offered:
            break
        rate *= LADDER
    return {"kpps": best / 1000}


def _blast(line: Line, direction: str, rate: float, seconds: float) -> Blast:
    arena = line.arena
    if direction == "down":
        ends, address = (arena.server, arena.client), line.tunnel.address
    else:
        ends, address = (arena.client, arena.server), line.server.contender.gateway
    return blast(arena.home, ends, address, rate=rate, seconds=seconds)


# ---- which way the packets went

_COUNTER = re.compile(r"\bbytes_(?:sent|received):(\d+)")


def tcp_bytes(line: Line) -> int:
    """Bytes that the client's TCP connections to the server have carried, both ways."""
    command = inside(line.arena.client, "ss", "-tinHO", "dport", f"= :{line.server.contender.port}")
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=10).stdout
    return parse_counters(text)


def parse_counters(text: str) -> int:
    """The sum of what `ss -tinO` says of bytes."""
    return sum(int(number) for number in _COUNTER.findall(text))


def _check_channel(line: Line, over_tcp: int, payload: int) -> None:
    wrong = over_tcp > _FOREIGN_SHARE * payload if line.channel == "dtls" else over_tcp < payload
    if wrong:
        label = line.server.contender.label
        raise CannotMeasure(f"{label}: {over_tcp} bytes over TCP for {payload} bytes; that is not {line.channel}")


_Json = TypeVar("_Json")


def _ip_json(namespace: str, kind: type[_Json], *words: str) -> _Json:
    output = subprocess.run(["ip", "-n", namespace, "-json", *words], stdout=subprocess.PIPE, check=True, timeout=10)
    return msgspec.json.decode(output.stdout, type=kind)
