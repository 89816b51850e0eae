"""The clients that hold a tunnel for the data-plane measures: Debian's openconnect, and the project's own.

A client is started in the clients' namespace for one server and one channel, and proves that its tunnel uses just
that channel and AES-256-GCM before anything is measured. What cannot be had is CannotMeasure: one line.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO, Literal, Protocol

from .arena import SERVER_ADDRESS, Arena, end, inside
from .client import PASSWORD
from .servers import THEIRS, Server

Channel = Literal["dtls", "tls"]

CHANNELS: tuple[Channel, ...] = ("dtls", "tls")
CONNECT_TIMEOUT = 20.0
DTLS_TIMEOUT = 6.0

BASE_MTU: Mapping[tuple[Channel, str], int] = {("tls", THEIRS.name): 1446}
"""The link MTU that a client claims; 1500 unless it stands here. Both servers take the claim as the link's MTU.

With DTLS both subtract headers and cipher and come to a tunnel of 1434. With TLS alone this server fits a packet into
one TCP segment (1500 - 82 = 1418), the C server subtracts no more than IP and UDP (1500 - 28 = 1472): from a claim of
1446 it makes 1418 too. The sizes of its TCP segments do not depend on the claim."""

_OWN_MODULE = "ocserv_core.testing.client"

_SCRIPT = """\
#!/bin/sh
# What openconnect runs when its tunnel is up; $1 is the file that says so.
[ "$reason" = connect ] || exit 0
ip link set dev "$TUNDEV" up mtu "$INTERNAL_IP4_MTU"
ip address add "$INTERNAL_IP4_ADDRESS/32" peer "${INTERNAL_IP4_ADDRESS%.*}.1" dev "$TUNDEV"
echo "$INTERNAL_IP4_ADDRESS $INTERNAL_IP4_MTU" >"$1.new" && mv "$1.new" "$1"
"""


class CannotMeasure(Exception):
    """This server, client and channel do not go together; the text is one line."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A tunnel that is up. device: in the clients' namespace; address: its own; mtu: bytes, as the client has it."""

    pid: int
    device: str
    address: str
    mtu: int


class TunnelClient(Protocol):
    """A client. name: as in the figures' keys."""

    name: str
    label: str
    reconnect: signal.Signals
    """Tells it that its address has changed."""

    def missing(self) -> str:
        """Why it is not there, in one line; nothing if it is."""

    def start(self, arena: Arena, server: Server, channel: Channel) -> AbstractContextManager[Tunnel]:
        """A tunnel over that channel alone; the context's end is the client's. Raises CannotMeasure."""


class OpenConnect:
    """The stock client."""

    name = "openconnect"
    label = "stock openconnect"
    reconnect = signal.SIGUSR2

    def missing(self) -> str:
        """Nothing: what every benchmark needs is asked by the door."""
        return ""

    @contextlib.contextmanager
    def start(self, arena: Arena, server: Server, channel: Channel) -> Iterator[Tunnel]:
        """See TunnelClient."""
        device = f"oc-{server.contender.name}"
        log = os.path.join(arena.home, f"{device}.log")
        script, up = os.path.join(arena.home, "tunnel-up"), os.path.join(arena.home, f"{device}.up")
        with open(script, "w", encoding="ascii") as file:
            file.write(_SCRIPT)
        command = [
            *("openconnect", "--protocol=anyconnect", "--non-inter", "--user=u0", "--passwd-on-stdin"),
            *(() if channel == "dtls" else ("--no-dtls",)),
            *(f"--base-mtu={_base_mtu(server, channel)}", f"--servercert={server.pin}"),
            *(f"--interface={device}", f"--script=sh {script} {up}", _url(server)),
        ]
        with open(log, "wb") as output, _running(inside(arena.client, *command), output) as process:
            _await_file(up, process, f"{server.contender.label}: openconnect has no tunnel ({log})")
            try:
                _await_cipher(log, server, channel)
                with open(up, encoding="ascii") as file:
                    address, mtu = file.read().split()
                yield Tunnel(process.pid, device, address, int(mtu))
            finally:
                os.unlink(up)


class OwnClient:
    """The project's own client, which has the server's pump: `python -m ocserv_core.testing.client`.

    It reads the password from stdin, makes the device with its address and the gateway as its peer, and prints one
    line on stdout when packets can flow: `up DEVICE ADDRESS MTU CHANNEL CIPHER`, as in `up own-ocsc 203.0.113.35 1434
    dtls AES-256-GCM`. It reconnects at SIGUSR2 and ends at SIGTERM."""

    name = "own"
    label = "own client"
    reconnect = signal.SIGUSR2

    def missing(self) -> str:
        """Why it is not there, in one line; nothing if it is."""
        try:
            there = importlib.util.find_spec(_OWN_MODULE) is not None
        except ModuleNotFoundError:
            there = False
        return "" if there else f"this version has no client of its own ({_OWN_MODULE})"

    @contextlib.contextmanager
    def start(self, arena: Arena, server: Server, channel: Channel) -> Iterator[Tunnel]:
        """See TunnelClient."""
        device = f"own-{server.contender.name}"
        log = os.path.join(arena.home, f"{device}.log")
        command = [
            *(sys.executable, "-m", _OWN_MODULE, "--user=u0", "--passwd-on-stdin", f"--channel={channel}"),
            *(f"--base-mtu={_base_mtu(server, channel)}", f"--servercert={server.pin}"),
            *(f"--interface={device}", _url(server)),
        ]
        with open(log, "wb") as errors, _running(inside(arena.client, *command), subprocess.PIPE, errors) as process:
            assert process.stdout is not None
            line = _line(process.stdout.fileno())
            yield parse_own(line, process.pid, server.contender.label, channel)


CLIENTS: Mapping[str, TunnelClient] = {client.name: client for client in (OpenConnect(), OwnClient())}


def parse_own(line: str, pid: int, server: str, channel: Channel) -> Tunnel:
    """The own client's one line. Raises CannotMeasure for another, and for another channel or cipher."""
    words = line.split()
    if len(words) != 6 or words[0] != "up":
        raise CannotMeasure(f"{server}: the own client has no tunnel over {channel} ({line.strip() or 'it ended'})")
    _, device, address, mtu, used, cipher = words
    if used != channel or cipher != "AES-256-GCM":
        raise CannotMeasure(f"{server}: the own client uses {used} with {cipher}, not {channel} with AES-256-GCM")
    return Tunnel(pid, device, address, int(mtu))


_CIPHERS: Mapping[Channel, re.Pattern[str]] = {
    "dtls": re.compile(r"^Established DTLS connection .*Ciphersuite (.*)\.$", re.MULTILINE),
    "tls": re.compile(r"^Connected to HTTPS on .* with ciphersuite (.*)$", re.MULTILINE),
}
_NO_DTLS = re.compile(
    r"DTLS handshake (failed|timed out)|No DTLS address|disabling DTLS|DTLS .*not (offered|supported)"
)


def cipher_in(log: str, channel: Channel) -> str:
    """The cipher suite of a channel by openconnect's log; nothing when it does not say so."""
    found = _CIPHERS[channel].search(log)
    return found[1] if found else ""


def _await_cipher(path: str, server: Server, channel: Channel) -> None:
    """The tunnel device is up when DTLS is, or has failed, or was not offered."""
    deadline = time.monotonic() + DTLS_TIMEOUT
    while not (cipher := cipher_in(text := _text(path), channel)):
        if time.monotonic() > deadline or _NO_DTLS.search(text):
            raise CannotMeasure(f"{server.contender.label}: openconnect gets no {channel.upper()} there")
        time.sleep(0.1)
    if "(AES-256-GCM)" not in cipher:
        raise CannotMeasure(f"{server.contender.label}: {channel} with {cipher}, not AES-256-GCM")


@contextlib.contextmanager
def _running(
    command: list[str], stdout: IO[bytes] | int, stderr: IO[bytes] | int = subprocess.STDOUT
) -> Iterator[subprocess.Popen[bytes]]:
    """A client that has its password, until the context ends."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr)
    assert process.stdin is not None
    try:
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(f"{PASSWORD}\n".encode())
        yield process
    finally:
        end(process)
        if process.stdout is not None:
            process.stdout.close()


def _await_file(path: str, process: subprocess.Popen[bytes], complaint: str) -> None:
    deadline = time.monotonic() + CONNECT_TIMEOUT
    while not os.path.exists(path):
        if time.monotonic() > deadline or process.poll() is not None:
            raise CannotMeasure(complaint)
        time.sleep(0.05)


def _line(descriptor: int) -> str:
    """One line of a client's output, or what it has said when it ended or the time is over."""
    text, deadline = b"", time.monotonic() + CONNECT_TIMEOUT
    while b"\n" not in text:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(descriptor, 4096) if ready else b""
        if not data:
            break
        text += data
    return text.decode("utf-8", errors="replace").partition("\n")[0]


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _base_mtu(server: Server, channel: Channel) -> int:
    return BASE_MTU.get((channel, server.contender.name), 1500)


def _url(server: Server) -> str:
    return f"https://{SERVER_ADDRESS}:{server.contender.port}/"
