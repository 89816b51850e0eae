"""`python -m benchmarks.vhosts`: a configuration of 2,000 lines with 200 virtual hosts, a certificate each (RSA of 2048
bits): from exec to the line "listening on", and from `occtl reload` to its answer, after which each new connection is
served by the new configuration. 2.0 s and 1.0 s are the most that is allowed. Then `occtl reload` again and again,
beside 100 tunnels that ask for ten echoes a second each: none may be lost.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ocserv_core.system import libc
from ocserv_core.system.crypt import hash_password
from ocserv_core.testing.server import HOST, write_certificate

from .backends import open_tunnel, running
from .pings import Pinging, Tunnel

VHOSTS, LINES = 200, 2000
GATEWAY = "192.0.2.1"
START_MOST, RELOAD_MOST = 2.0, 1.0


def write_site(home: Path) -> tuple[Path, int]:
    """The configuration, with everything that it names; its port."""
    hashed = hash_password(b"swordfish", "$5$rounds=1000$vhosts")
    (home / "passwd").write_text(f"test:*:{hashed}\n")
    port = _free_port()
    lines = [
        f'auth = "plain[passwd={home}/passwd]"',
        f"tcp-port = {port}",
        f"listen-host = {HOST}",
        f"socket-file = {home}/ocserv.sock",
        "use-occtl = true",
        f"occtl-socket-file = {home}/occtl.sock",
        "device = ocsb",
        "ipv4-network = 192.0.2.0/24",
        *_certificate(home, "default"),
    ]
    for number in range(VHOSTS):
        name = f"vhost{number}.example"
        lines += [f"[vhost:{name}]", *_certificate(home, name)]
        lines += [f"route = 198.51.100.{number}/32", f"banner = welcome to {name}", "dpd = 90", "keepalive = 300"]
        lines += ["mtu = 1400"]
    lines += [f"# {number}" for number in range(LINES - len(lines))]
    file = home / "ocserv.conf"
    file.write_text("\n".join(lines) + "\n")
    return file, port


def _certificate(home: Path, name: str) -> list[str]:
    folder = home / name
    folder.mkdir()
    write_certificate(str(folder), rsa_bits=2048)
    return [f"server-cert = {folder}/cert.pem", f"server-key = {folder}/key.pem"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def reload_time(home: Path) -> float:
    """Seconds from `occtl reload` to its end, without those of an `occtl` that asks nothing."""
    occtl = [sys.executable, "-m", "ocserv_core.cli.occtl"]
    began = time.monotonic()
    subprocess.run([*occtl, "--version"], check=True, capture_output=True)
    idle = time.monotonic() - began
    began = time.monotonic()
    subprocess.run([*occtl, "-s", str(home / "occtl.sock"), "reload"], check=True, capture_output=True)
    return time.monotonic() - began - idle


def lost_pings(home: Path, port: int, tunnels: int, reloads: int) -> tuple[int, int]:
    """Echoes that were not answered, and all that were asked for, while the configuration is reloaded."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(tunnels):
            connection = stack.enter_context(context.wrap_socket(socket.create_connection((HOST, port), 20.0)))
            opened.append(Tunnel.opened(connection, open_tunnel(connection), GATEWAY))
            connection.setblocking(False)
        pinging, reloader = Pinging(opened), _Reloader(home, reloads)
        return pinging.run(reloader.is_at_work), pinging.sent


class _Reloader:
    """`occtl reload`, one after another."""

    def __init__(self, home: Path, times: int) -> None:
        self._argv = [sys.executable, "-m", "ocserv_core.cli.occtl", "-s", str(home / "occtl.sock"), "reload"]
        self._left = times
        self._running: subprocess.Popen[bytes] | None = None

    def is_at_work(self) -> bool:
        """Whether one is under way, or was begun now."""
        if self._running is not None and self._running.poll() is None:
            return True
        assert self._running is None or self._running.returncode == 0
        self._left -= 1
        if self._left >= 0:
            self._running = subprocess.Popen(self._argv, stdout=subprocess.DEVNULL)
        return self._left >= 0


def _told(what: str, values: list[float], most: float) -> bool:
    middle = statistics.median(values)
    print(f"{what}: {middle:.2f} s ({min(values):.2f} to {max(values):.2f}), to be {most:.1f} s at most")
    return middle <= most


def main() -> int:
    """The exit status: 0 where both are within their bounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vhosts")
    parser.add_argument("--tunnels", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    libc.unshare(libc.CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    starts, reloads = [], []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.chmod(home, 0o755)
        config, port = write_site(home)
        for number in range(arguments.rounds):
            with running(config) as (_, took):
                starts.append(took)
                reloads.append(reload_time(home))
            print(f"round {number + 1}: a start takes {starts[-1]:.2f} s, a reload {reloads[-1]:.2f} s", flush=True)
        with running(config):
            lost, asked = lost_pings(home, port, arguments.tunnels, arguments.rounds)
    print(f"{arguments.tunnels} tunnels, {arguments.rounds} reloads: {lost} of {asked} pings lost, to be none")
    within = [lost == 0, _told("start", starts, START_MOST), _told("reload", reloads, RELOAD_MOST)]
    return 0 if all(within) else 1


if __name__ == "__main__":
    raise SystemExit(main())
