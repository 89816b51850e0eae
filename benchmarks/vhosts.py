"""`python -m benchmarks.vhosts`: a configuration of 2,000 lines with 200 virtual hosts, a certificate each (RSA of 2048
bits): from exec to the line "listening on", and from `occtl reload` to its answer, after which each new connection is
served by the new configuration. 2.0 s and 1.0 s are the most that is allowed.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ocserv_core.system import libc
from ocserv_core.system.crypt import hash_password
from ocserv_core.testing.server import HOST, write_certificate

from .backends import running

VHOSTS, LINES = 200, 2000
START_MOST, RELOAD_MOST = 2.0, 1.0


def write_site(home: Path) -> Path:
    """The configuration, with everything that it names."""
    hashed = hash_password(b"swordfish", "$5$rounds=1000$vhosts")
    (home / "passwd").write_text(f"test:*:{hashed}\n")
    lines = [
        f'auth = "plain[passwd={home}/passwd]"',
        f"tcp-port = {_free_port()}",
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
    return file


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


def _told(what: str, values: list[float], most: float) -> bool:
    middle = statistics.median(values)
    print(f"{what}: {middle:.2f} s ({min(values):.2f} to {max(values):.2f}), to be {most:.1f} s at most")
    return middle <= most


def main() -> int:
    """The exit status: 0 where both are within their bounds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vhosts")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    libc.unshare(libc.CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    starts, reloads = [], []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.chmod(home, 0o755)
        config = write_site(home)
        for number in range(arguments.rounds):
            with running(config) as (_, took):
                starts.append(took)
                reloads.append(reload_time(home))
            print(f"round {number + 1}: a start takes {starts[-1]:.2f} s, a reload {reloads[-1]:.2f} s", flush=True)
    within = [_told("start", starts, START_MOST), _told("reload", reloads, RELOAD_MOST)]
    return 0 if all(within) else 1


if __name__ == "__main__":
    raise SystemExit(main())
