"""The two servers, with one configuration: started in the servers' namespace, ready when their port answers, ended.

They differ in name, port, pool and the paths of their files; in nothing else.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from .accounting import Process, tree, tree_cpu
from .arena import Arena, end, inside
from .load import USERS

START_TIMEOUT = 20.0
SETTLE_TIMEOUT = 20.0

_HASH = "$5$ocservbenchmarks$mo07AgO74FfU3GLoL.XdXRN6k99y6A8U7G1QLNCN9h/"
"""client.PASSWORD by sha256-crypt with its default of 5000 rounds."""

CONFIG = """\
auth = "plain[passwd={home}/ocpasswd]"
tcp-port = {port}
server-cert = {home}/cert.pem
server-key = {home}/key.pem
run-as-user = nobody
run-as-group = nogroup
isolate-workers = true
socket-file = {home}/{name}.sock
use-occtl = true
occtl-socket-file = {home}/{name}.occtl
device = {name}
log-level = 1
max-clients = 0
max-same-clients = 0
rate-limit-ms = 0
max-ban-score = 0
auth-timeout = 240
cookie-timeout = 300
keepalive = 300
dpd = 90
use-utmp = false
ping-leases = false
predictable-ips = true
tls-priorities = "NORMAL:%SERVER_PRECEDENCE:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM"
ipv4-network = {network}.0/24
route = {network}.0/24
"""

WITH_DTLS = """\
udp-port = {port}
compression = false
"""
"""Further lines for the measures of the data plane."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server as it is to be started. network: the first three numbers of its pool."""

    name: str
    label: str
    port: int
    network: str
    command: tuple[str, ...]

    @property
    def gateway(self) -> str:
        """Its own address in the tunnel."""
        return f"{self.network}.1"


OURS = Contender(
    "ocsc", "ocserv-core", 4431, "203.0.113", (os.path.join(os.path.dirname(sys.executable), "ocserv"), "--log-stderr")
)
THEIRS = Contender("ocsd", "Debian's ocserv", 4432, "192.0.2", ("/usr/sbin/ocserv",))


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs. pin: of the certificate's key, for openconnect."""

    contender: Contender
    pid: int
    pin: str

    def cpu(self) -> float:
        """Seconds of CPU of all its processes until now."""
        return tree_cpu(self.pid)

    def processes(self) -> list[Process]:
        """Main and all below it."""
        return tree(self.pid)

    def settle(self) -> None:
        """Wait until it has nothing to do: 0.3 s without a worker and almost without CPU."""
        deadline = time.monotonic() + SETTLE_TIMEOUT
        before = self.cpu()
        while time.monotonic() < deadline:
            time.sleep(0.3)
            now = self.cpu()
            if now - before < 0.003 and not self.workers():
                return
            before = now
        raise TimeoutError(f"{self.contender.label} does not come to rest")

    def workers(self) -> list[Process]:
        """Its processes that serve one client each."""
        return [process for process in self.processes() if "worker" in process.title]


@contextlib.contextmanager
def serve(arena: Arena, contender: Contender, further: str = "") -> Iterator[Server]:
    """Run one, and end it. further: lines of configuration beside CONFIG."""
    config = os.path.join(arena.home, f"{contender.name}.conf")
    with open(config, "w", encoding="ascii") as file:
        words = {"name": contender.name, "port": contender.port, "network": contender.network}
        file.write((CONFIG + further).format(home=arena.home, **words))
    with open(os.path.join(arena.home, f"{contender.name}.log"), "wb") as log:
        process = subprocess.Popen(
            inside(arena.server, *contender.command, "--foreground", "--config", config),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _await_port(arena, contender, process)
        yield Server(contender, process.pid, _pin(os.path.join(arena.home, "cert.pem")))
    finally:
        end(process)


def write_common_files(home: str) -> None:
    """The certificate (ECDSA P-256), its key, and the password file."""
    os.chmod(home, 0o755)
    _write_certificate(home)
    with open(os.path.join(home, "ocpasswd"), "w", encoding="ascii") as file:
        file.writelines(f"u{number}:*:{_HASH}\n" for number in range(USERS))


def _write_certificate(home: str) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "benchmark.example")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for file_name, data in (("key.pem", secret), ("cert.pem", certificate.public_bytes(serialization.Encoding.PEM))):
        with open(os.open(os.path.join(home, file_name), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(data)


def _pin(certificate: str) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    with open(certificate, "rb") as file:
        key = x509.load_pem_x509_certificate(file.read()).public_key()
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "pin-sha256:" + base64.b64encode(hashlib.sha256(info).digest()).decode()


def _await_port(arena: Arena, contender: Contender, process: subprocess.Popen[bytes]) -> None:
    """ss asks the kernel of the namespace whether somebody listens; no connection is made."""
    command = inside(arena.server, "ss", "-Hltn", f"sport = :{contender.port}")
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        if subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=10).stdout.strip():
            return
        time.sleep(0.1)
    log = os.path.join(arena.home, f"{contender.name}.log")
    with open(log, encoding="utf-8", errors="replace") as file:
        raise RuntimeError(f"{contender.label} does not start:\n{file.read()[-2000:]}")
