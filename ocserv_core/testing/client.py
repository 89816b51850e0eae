"""A client as a command, to load a server with: its packets go by the server's own pump, so it is no slower than that.

    echo PASSWORD | python -m ocserv_core.testing.client --user=u --passwd-on-stdin --channel=dtls
        --servercert=pin-sha256:… --interface=tun7 https://192.0.2.1:443/

It makes the device with its address, the first address of the network as its peer, and prints one line when packets
can flow: `up DEVICE ADDRESS MTU CHANNEL CIPHER`. SIGUSR2 lets it reconnect with its cookie, SIGTERM and SIGINT end it.
Needs root; is for tests and benchmarks alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from ..bridge.events import Closed, Readable, Violation
from ..errors import OcservError
from ..model import AddressPair, Lease
from ..system.netlink import Netlink
from ..system.tun import Tun, open_tun_named
from .tls import PRIORITIES, ClientTls
from .vpn import TIMEOUT, ClientTunnel, Granted, Http, Refused, log_in, open_tunnel

DTLS_TIMEOUT = 10.0
_CIPHER = re.compile(r"\((AES-\d+-GCM|AES-\d+-CBC|CHACHA20-POLY1305)\)")
_FOR_EVER = 365 * 86400.0


class Client:
    """One user's client: connects, sets up the device, moves packets, reconnects."""

    def __init__(self, arguments: argparse.Namespace, password: str, signals: int) -> None:
        url = urlsplit(arguments.url)
        self._host, self._port = url.hostname or "", url.port or 443
        self._arguments = arguments
        self._password = password
        self._signals = signals
        self._cookie = ""
        self._tun: Tun | None = None

    def run(self) -> int:
        """Until a signal or the server ends it: the exit status."""
        while True:
            with self._connect() as tunnel:
                self._await_channel(tunnel)
                print(self._line(tunnel), flush=True)
                event = tunnel.run(time.monotonic() + _FOR_EVER)
                ordered = os.read(self._signals, 64) if isinstance(event, Readable) else b""
                if bytes([signal.SIGUSR2]) not in ordered:
                    if ordered:
                        tunnel.close()
                    print(f"the end: {event}", file=sys.stderr)
                    return 0 if ordered else 1

    @contextlib.contextmanager
    def _connect(self) -> Iterator[ClientTunnel]:
        with socket.create_connection((self._host, self._port), TIMEOUT) as connection:
            connection.setblocking(True)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls = ClientTls(connection.fileno(), self._arguments.priorities)
            tls.handshake(TIMEOUT, self._arguments.servercert)
            http = Http(tls, self._host)
            if not self._cookie:
                self._cookie = log_in(http, self._arguments.user, self._password)
            dtls = self._arguments.channel == "dtls"
            granted = open_tunnel(http, self._cookie, base_mtu=self._arguments.base_mtu, dtls=dtls)
            if dtls and not granted.dtls_port:
                raise Refused("The server offers no DTLS.")
            tun = self._device(granted)
            tunnel = ClientTunnel(
                tls,
                granted,
                tun.fd,
                server=self._host,
                priorities=f"{self._arguments.priorities}:-VERS-ALL:-KX-ALL:+PSK:+VERS-DTLS1.2",
                offloads=tun.offloads,
                watch=(self._signals,),
            )
            try:
                yield tunnel
            finally:
                tls.close()

    def _device(self, granted: Granted) -> Tun:
        """Made once; a reconnect has the same address."""
        if self._tun is None:
            self._tun = open_tun_named(self._arguments.interface)
            asyncio.run(_set_up(self._tun, granted))
        return self._tun

    def _await_channel(self, tunnel: ClientTunnel) -> None:
        deadline = time.monotonic() + DTLS_TIMEOUT
        while self._arguments.channel == "dtls" and not tunnel.on_dtls:
            event = tunnel.run(min(deadline, time.monotonic() + 0.02))
            if isinstance(event, Closed | Violation) or time.monotonic() >= deadline:
                raise Refused(f"There is no DTLS ({event}).")

    def _line(self, tunnel: ClientTunnel) -> str:
        assert self._tun is not None
        found = _CIPHER.search(tunnel.ciphersuite or tunnel.tls_ciphersuite)
        cipher = found[1] if found else "unknown"
        granted = tunnel.granted
        return f"up {self._tun.name} {granted.address} {tunnel.pump.mtu} {self._arguments.channel} {cipher}"


async def _set_up(tun: Tun, granted: Granted) -> None:
    network = ipaddress.IPv4Network(f"{granted.address}/{granted.netmask}", strict=False)
    pair = AddressPair(granted.address, str(network[1]), 32)
    netlink = await Netlink.open()
    try:
        await netlink.configure_tun(tun.index, Lease(ipv4=pair), granted.mtu)
    finally:
        await netlink.close()


def _catch_signals() -> int:
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m ocserv_core.testing.client")
    parser.add_argument("url", metavar="https://SERVER:PORT/")
    parser.add_argument("--user", required=True)
    parser.add_argument("--passwd-on-stdin", action="store_true", required=True)
    parser.add_argument("--channel", choices=("dtls", "tls"), default="dtls")
    parser.add_argument("--interface", default="tun0")
    parser.add_argument("--base-mtu", type=int, default=1500)
    parser.add_argument("--servercert", default="")
    parser.add_argument("--priorities", default=PRIORITIES)
    arguments = parser.parse_args()
    password = sys.stdin.readline().rstrip("\n")
    try:
        return Client(arguments, password, _catch_signals()).run()
    except (OcservError, OSError) as error:
        print(f"client: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
