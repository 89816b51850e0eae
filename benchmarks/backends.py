"""`python -m benchmarks.backends`: what installed back ends cost: five of them at the start of the server, and a client
certificate in the memory of a worker.

Three servers on loopback, in turns: every vhost with `plain`; the same vhosts with five back ends beside it (of those
that are installed); and `certificate` beside `plain`. The time of a start is from exec to the line "listening on". The
memory is what is a worker's own (Private_Clean and Private_Dirty in smaps_rollup), the mean over workers whose clients
have a tunnel and are silent: by password at the first two, by certificate and password at the third. 150 ms and 50 KB
are the most that is allowed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from ocserv_core.system import libc
from ocserv_core.system.crypt import hash_password
from ocserv_core.testing.server import HOST, write_certificate

from .accounting import tree, tree_cpu

START_MOST = 0.150
MEMORY_MOST = 50 * 1024
USER, PASSWORD = "test", "swordfish"  # the common name of write_certificate
PATIENCE = 20.0

_HEAD = "Host: test\r\nX-Aggregate-Auth: 1\r\n"

_FORM = '<?xml version="1.0"?>\n<config-auth client="vpn" type="{}"><version who="vpn">v9.01</version>{}</config-auth>'
_BODIES = (
    _FORM.format("init", ""),
    _FORM.format("auth-reply", f"<auth><username>{USER}</username><password>{PASSWORD}</password></auth>"),
)


class Site:
    """A folder with everything that a configuration names."""

    def __init__(self, home: Path) -> None:
        self.home = home
        write_certificate(str(home))
        hashed = hash_password(PASSWORD.encode(), "$5$rounds=1000$backends")
        (home / "passwd").write_text(f"{USER}:*:{hashed}\n")
        self.plain = f'"plain[passwd={home}/passwd]"'
        self._write("servers", "127.0.0.1 secret\n")
        self._write("radius", f"authserver 127.0.0.1:9\nacctserver 127.0.0.1:9\nservers {home}/servers\n")
        self._write("ldap", "uri = ldap://127.0.0.1:9\nstarttls = no\nbase = dc=example\n")

    def _write(self, name: str, text: str) -> None:
        file = self.home / name
        file.write_text(text)
        os.chmod(file, 0o600)

    def methods(self) -> dict[str, str]:
        """The line of each back end that is installed and can be the only one of a vhost, but plain."""
        lines = {
            "certificate": f"certificate\ncert-user-oid = 2.5.4.3\nca-cert = {self.home}/cert.pem",
            "radius": f'"radius[config={self.home}/radius]"\nacct = "radius[config={self.home}/radius]"',
            "ldap": f'"ldap[config={self.home}/ldap]"',
            "pam": "pam",
            "gssapi": '"gssapi[keytab=/etc/krb5.keytab]"',
        }
        installed = {entry.name for entry in importlib.metadata.entry_points(group="ocserv.auth")}
        return {name: line for name, line in lines.items() if name in installed and name != "gssapi"}

    def config(self, port: int, vhosts: Mapping[str, str], *, certificate: bool) -> Path:
        """ocserv.conf with a vhost for each of these names, and how one logs in there."""
        home = self.home
        lines = [
            f"auth = {self.plain}",
            *(["auth = certificate", "cert-user-oid = 2.5.4.3", f"ca-cert = {home}/cert.pem"] if certificate else []),
            f"tcp-port = {port}",
            f"listen-host = {HOST}",
            f"server-cert = {home}/cert.pem",
            f"server-key = {home}/key.pem",
            f"socket-file = {home}/ocserv.sock",
            "device = ocsb",
            "ipv4-network = 192.0.2.0/24",
            *(f"[vhost:{name}.example]\nauth = {line}" for name, line in vhosts.items()),
        ]
        file = home / "ocserv.conf"
        file.write_text("\n".join(lines) + "\n")
        return file


@contextlib.contextmanager
def running(config: Path) -> Iterator[tuple[int, float]]:
    """The server: its pid, and the seconds until it listened."""
    argv = [sys.executable, "-m", "ocserv_core.cli.ocserv", "-f", "--log-stderr", "-c", str(config)]
    began = time.monotonic()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = []
        try:
            for line in process.stderr:
                said.append(line)
                if "listening on" in line:
                    break
            else:
                raise RuntimeError("".join(said))
            yield process.pid, time.monotonic() - began
        finally:
            process.terminate()
            process.stderr.read()


def start_time(config: Path) -> tuple[float, float]:
    """Seconds of one start, and of CPU."""
    with running(config) as (pid, took):
        return took, tree_cpu(pid)


def worker_memory(site: Site, config: Path, port: int, clients: int) -> float:
    """Bytes of its own that a worker has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(site.home / "cert.pem", site.home / "key.pem")
    with running(config) as (pid, _), contextlib.ExitStack() as stack:
        for _ in range(clients):
            open_tunnel(stack.enter_context(context.wrap_socket(socket.create_connection((HOST, port), PATIENCE))))
        found = [_private(process.pid) for process in tree(pid) if process.title.startswith("ocserv-worker")]
        assert len(found) == clients, f"{len(found)} workers of {clients} clients"
        return statistics.mean(found)


def open_tunnel(connection: ssl.SSLSocket) -> bytes:
    """A login, and CONNECT: its answer."""
    for body in _BODIES:
        answer = _ask(connection, f"POST / HTTP/1.1\r\nContent-Length: {len(body)}\r\n{_HEAD}\r\n{body}")
    cookie = re.search(rb"<session-token>([^<]+)", answer)
    assert cookie, answer
    words = f"CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nCookie: webvpn={cookie[1].decode()}\r\nX-CSTP-Version: 1\r\n{_HEAD}"
    answer = _ask(connection, f"{words}X-CSTP-Address-Type: IPv4\r\n\r\n")
    assert b" 200 CONNECTED" in answer
    return answer


def _ask(connection: ssl.SSLSocket, request: str) -> bytes:
    """The whole answer."""
    connection.sendall(request.encode())
    answer = b""
    while not _is_whole(answer):
        chunk = connection.recv(65536)
        assert chunk, f"the server ended: {answer!r}"
        answer += chunk
    return answer


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    size = re.search(rb"Content-Length: (\d+)", head)
    return bool(end) and len(body) >= (int(size[1]) if size else 0)


def _private(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    return sum(
        int(kilobytes) * 1024 for kilobytes in re.findall(r"^Private_(?:Clean|Dirty): +(\d+)", text, re.MULTILINE)
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def start_costs(site: Site, rounds: int) -> list[tuple[float, float]]:
    """For each round what the back ends add to a start: seconds, and seconds of CPU of all processes."""
    methods = site.methods()
    print(f"back ends: plain, {', '.join(methods)}; {len(methods) + 1} vhosts")
    found = []
    for number in range(rounds):
        port = _free_port()
        alone = start_time(site.config(port, dict.fromkeys(methods, site.plain), certificate=False))
        all_of_them = start_time(site.config(port, methods, certificate=False))
        found.append((all_of_them[0] - alone[0], all_of_them[1] - alone[1]))
        told = [f"{wall * 1e3:.0f} ms ({cpu * 1e3:.0f} ms of CPU)" for wall, cpu in (alone, all_of_them)]
        print(f"round {number + 1}: a start takes {told[0]}, with all {told[1]}")
    return found


def memory_costs(site: Site, rounds: int, clients: int) -> list[tuple[float, float]]:
    """For each round: bytes that the back ends add to a worker that they do not serve, and bytes that a client
    certificate adds beside a password."""
    methods = site.methods()
    found = []
    for number in range(rounds):
        port = _free_port()
        alike = worker_memory(
            site, site.config(port, dict.fromkeys(methods, site.plain), certificate=False), port, clients
        )
        loaded = worker_memory(site, site.config(port, methods, certificate=False), port, clients)
        without = worker_memory(site, site.config(port, {}, certificate=False), port, clients)
        card = worker_memory(site, site.config(port, {}, certificate=True), port, clients)
        found.append((loaded - alike, card - without))
        told = [f"{size / 1024:.0f} KB" for size in (alike, loaded, without, card)]
        print(f"round {number + 1}: a worker {told[0]}, with all loaded {told[1]}; {told[2]}, by certificate {told[3]}")
    return found


def _told(what: str, values: list[float], scale: float, unit: str, most: float | None = None) -> bool:
    """Prints the median and the spread; whether it is within the bound."""
    middle = statistics.median(values)
    spread = f"{min(values) * scale:.0f} to {max(values) * scale:.0f}"
    bound = "" if most is None else f", to be {most * scale:.0f} at most"
    print(f"{what}: {middle * scale:.0f} {unit} ({spread}){bound}")
    return most is None or middle <= most


def main() -> int:
    """The exit status: 0 where nothing costs more than it may."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backends", description=__doc__)
    parser.add_argument("--starts", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=20)
    arguments = parser.parse_args()
    # The tunnels' addresses are nobody else's.
    libc.unshare(libc.CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory(prefix="ocserv-benchmark-") as home:
        site = Site(Path(home))
        starts = start_costs(site, arguments.starts)
        memory = memory_costs(site, arguments.rounds, arguments.clients)
    walls, cpus = zip(*starts, strict=True)
    loaded, cards = zip(*memory, strict=True)
    kept = [
        _told("added to the start", list(walls), 1e3, "ms", START_MOST),
        _told("CPU that it takes", list(cpus), 1e3, "ms"),
        _told("added to a worker that they do not serve", list(loaded), 1 / 1024, "KB", MEMORY_MOST),
        _told("added by a certificate", list(cards), 1 / 1024, "KB", MEMORY_MOST),
    ]
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main())
