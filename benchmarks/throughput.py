"""A stock openconnect with one TCP stream of iperf3 through its tunnel: what a gigabyte costs. TLS only, no DTLS."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping

import msgspec

from .accounting import machine_cpu, process_cpu
from .arena import SERVER_ADDRESS, Arena, end, inside
from .client import PASSWORD
from .servers import Server
from .sizes import Sizes

CONNECT_TIMEOUT = 20.0
DIRECTIONS: Mapping[str, tuple[str, ...]] = {"down": ("--reverse",), "up": ()}
"""Seen from the client, as it is said of its downloads and uploads."""

_SCRIPT = """\
#!/bin/sh
# What openconnect runs when its tunnel is up; $1 is the file that says so.
[ "$reason" = connect ] || exit 0
ip link set dev "$TUNDEV" up mtu "$INTERNAL_IP4_MTU"
ip address add "$INTERNAL_IP4_ADDRESS/32" peer "${INTERNAL_IP4_ADDRESS%.*}.1" dev "$TUNDEV"
echo "$INTERNAL_IP4_MTU" >"$1.new" && mv "$1.new" "$1"
"""


class _Sum(msgspec.Struct):
    bytes: int
    seconds: float


class _End(msgspec.Struct):
    sum_received: _Sum


class _Report(msgspec.Struct):
    """The part of iperf3's JSON that is read."""

    end: _End


def measure(arena: Arena, server: Server, sizes: Sizes) -> dict[str, float]:
    """Both directions, in one tunnel."""
    figures: dict[str, float] = {}
    with _openconnect(arena, server) as (client, mtu):
        figures["tls.mtu"] = mtu
        for direction, options in DIRECTIONS.items():
            found = _stream(arena, server, client, sizes.iperf_seconds, options)
            figures |= {f"tls.{direction}.{name}": value for name, value in found.items()}
    return figures


@contextlib.contextmanager
def _openconnect(arena: Arena, server: Server) -> Iterator[tuple[int, float]]:
    """A connected client: its process id and the MTU of its tunnel."""
    name = server.contender.name
    script, up = os.path.join(arena.home, "tunnel-up"), os.path.join(arena.home, f"{name}.up")
    with open(script, "w", encoding="ascii") as file:
        file.write(_SCRIPT)
    command = [
        *("openconnect", "--protocol=anyconnect", "--non-inter", "--no-dtls", "--user=u0", "--passwd-on-stdin"),
        *(f"--servercert={server.pin}", f"--interface=c-{name}", f"--script=sh {script} {up}"),
        f"https://{SERVER_ADDRESS}:{server.contender.port}/",
    ]
    with open(os.path.join(arena.home, f"{name}.client.log"), "wb") as log:
        process = subprocess.Popen(inside(arena.client, *command), stdin=subprocess.PIPE, stdout=log, stderr=log)
    assert process.stdin is not None
    try:
        with process.stdin as stdin:
            stdin.write(f"{PASSWORD}\n".encode())
        _await_tunnel(up, process)
        with open(up, encoding="ascii") as file:
            yield process.pid, float(file.read())
    finally:
        end(process)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(up)


def _await_tunnel(up: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + CONNECT_TIMEOUT
    while not os.path.exists(up):
        if time.monotonic() > deadline or process.poll() is not None:
            raise RuntimeError("openconnect has no tunnel")
        time.sleep(0.05)


def _stream(arena: Arena, server: Server, client: int, seconds: int, options: tuple[str, ...]) -> dict[str, float]:
    address = server.contender.gateway
    receiver = subprocess.Popen(inside(arena.server, "iperf3", "--server", "--one-off"), stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        before = server.cpu(), process_cpu(client), machine_cpu()
        command = ("iperf3", "--client", address, "-C", "cubic", "--time", str(seconds), "--json", *options)
        output = subprocess.run(
            inside(arena.client, *command), stdout=subprocess.PIPE, check=True, timeout=seconds + 30
        ).stdout
        after = server.cpu(), process_cpu(client), machine_cpu()
    finally:
        end(receiver)
    received = msgspec.json.decode(output, type=_Report).end.sum_received
    gigabytes = received.bytes / 1e9
    used = [(late - early) / gigabytes for early, late in zip(before, after, strict=True)]
    return {
        "gbit": received.bytes * 8 / 1e9 / received.seconds,
        "server_cpu": used[0],
        "client_cpu": used[1],
        "machine_cpu": used[2],
    }
