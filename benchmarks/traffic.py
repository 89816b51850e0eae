"""iperf3 and ping inside the namespaces, and what they print. Bounded; knows nothing of servers and clients."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator, Mapping

import msgspec

from .arena import end, inside

PINGS_PER_SECOND = 20

DIRECTIONS: Mapping[str, tuple[str, ...]] = {"down": ("--reverse",), "up": ()}
"""Options of iperf3. Seen from the client, as it is said of its downloads and uploads."""

CUBIC = ("-C", "cubic")
"""Of the socket: what the machine's sysctl says stays as it is."""

_PATIENCE = 20.0
_TIME = re.compile(r"^\d+ bytes from .* time=([\d.]+) ms", re.MULTILINE)


class Received(msgspec.Struct, frozen=True):
    """What the receiving end saw: bytes of payload, seconds."""

    bytes: int
    seconds: float

    @property
    def gigabytes(self) -> float:
        """10^9 bytes."""
        return self.bytes / 1e9

    @property
    def gbit(self) -> float:
        """Gbit/s."""
        return self.bytes * 8 / 1e9 / self.seconds


class _End(msgspec.Struct):
    sum_received: Received


class _Report(msgspec.Struct):
    """The part of iperf3's JSON that is read."""

    end: _End


class UdpSum(msgspec.Struct, frozen=True):
    """Of a UDP stream: datagrams sent, and those that the receiver missed."""

    packets: int
    lost_packets: int


class _UdpEnd(msgspec.Struct):
    sum: UdpSum


class _UdpReport(msgspec.Struct):
    end: _UdpEnd


class _Failure(msgspec.Struct):
    error: str


def parse_iperf(output: bytes) -> Received:
    """Of `iperf3 --client --json` with TCP. Raises RuntimeError with iperf3's own words if it failed."""
    try:
        return msgspec.json.decode(output, type=_Report).end.sum_received
    except msgspec.DecodeError:
        raise RuntimeError(f"iperf3: {_complaint(output)}") from None


def parse_iperf_udp(output: bytes) -> UdpSum:
    """The same with UDP."""
    try:
        return msgspec.json.decode(output, type=_UdpReport).end.sum
    except msgspec.DecodeError:
        raise RuntimeError(f"iperf3: {_complaint(output)}") from None


def _complaint(output: bytes) -> str:
    try:
        return msgspec.json.decode(output, type=_Failure).error
    except msgspec.DecodeError:
        return "no result"


def parse_ping(output: str) -> list[float]:
    """Milliseconds of each answer, in the order in which they came."""
    return [float(text) for text in _TIME.findall(output)]


def parse_snmp(text: str, protocol: str) -> dict[str, int]:
    """The counters of one protocol in /proc/net/snmp, by their names."""
    lines = [line.split()[1:] for line in text.splitlines() if line.startswith(f"{protocol}: ")]
    return dict(zip(lines[0], map(int, lines[1]), strict=True)) if len(lines) == 2 else {}


@contextlib.contextmanager
def iperf_server(namespace: str, address: str, port: int = 5201) -> Iterator[None]:
    """An iperf3 that serves one client and is there when the context begins."""
    command = inside(namespace, "iperf3", "--server", "--one-off", "--bind", address, "--port", str(port))
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await_listener(namespace, port, server)
        yield
    finally:
        end(server)


def iperf_command(namespace: str, address: str, seconds: float, *options: str, port: int = 5201) -> list[str]:
    """The client's command line."""
    words = ("--client", address, "--port", str(port), "--time", f"{seconds:g}", "--json", *options)
    return inside(namespace, "iperf3", *words)


def ping(namespace: str, address: str, count: int) -> list[float]:
    """`count` pings, PINGS_PER_SECOND: milliseconds of those that were answered."""
    words = ("-n", "-i", f"{1 / PINGS_PER_SECOND:g}", "-c", str(count), "-W", "1", address)
    run = subprocess.run(
        inside(namespace, "ping", *words),
        stdout=subprocess.PIPE,
        text=True,
        timeout=count / PINGS_PER_SECOND + _PATIENCE,
        check=False,
    )
    return parse_ping(run.stdout)


def _await_listener(namespace: str, port: int, process: subprocess.Popen[bytes]) -> None:
    command = inside(namespace, "ss", "-Hltn", f"sport = :{port}")
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=10).stdout.strip():
            return
        time.sleep(0.05)
    raise RuntimeError("iperf3 does not listen")
