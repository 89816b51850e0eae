"""A whole server on loopback, for the tests of a back end: a process with a folder, a port and a certificate of its
own, and logins as a client makes them."""

from __future__ import annotations

import datetime as dt
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping

from ..errors import OcservError
from .tls import ClientTls
from .vpn import TIMEOUT, Http, log_in

HOST = "127.0.0.1"
LISTENS = re.compile(rb"listening on [\d.:]+ port \d+ \(TCP\)")


class NotStarted(OcservError):
    """The server ended instead of listening; the text is what it said."""


def why_not() -> str:
    """What this machine lacks; nothing where a server can run."""
    if os.geteuid() != 0:
        return "a server needs root"
    return "" if os.path.exists("/dev/net/tun") else "a server needs /dev/net/tun"


class TestServer:
    """Running when it is made. options: lines of ocserv.conf, with `_` for `-` in their names."""

    __test__ = False

    def __init__(self, options: Mapping[str, str]) -> None:
        self.folder = tempfile.mkdtemp(prefix="ocserv-test-")
        self.port = _free_port()
        self._log = b""
        write_certificate(self.folder)
        config = os.path.join(self.folder, "ocserv.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.writelines(f"{name} = {value}\n" for name, value in self._lines(options).items())
        argv = [sys.executable, "-m", "ocserv_core.cli.ocserv", "--foreground", "--log-stderr", "--config", config]
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            self._await_listening()
        except BaseException:
            self.close()
            raise

    def log_in(self, user: str, *answers: str) -> str:
        """A login by forms: each answer goes to one question. The cookie; Refused where there is none."""
        with socket.create_connection((HOST, self.port), TIMEOUT) as connection:
            connection.setblocking(True)
            tls = ClientTls(connection.fileno())
            tls.handshake(TIMEOUT)
            return log_in(Http(tls, HOST), user, *answers)

    @property
    def log(self) -> str:
        """What the server has said so far."""
        while self._readable(0.0):
            chunk = self._read()
            if not chunk:
                break
        return self._log.decode(errors="replace")

    def close(self) -> None:
        """End it, and remove its folder."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _lines(self, options: Mapping[str, str]) -> dict[str, str]:
        path = self.folder
        own = {
            "tcp-port": str(self.port),
            "listen-host": HOST,
            "server-cert": f"{path}/cert.pem",
            "server-key": f"{path}/key.pem",
            "socket-file": f"{path}/ocserv.sock",
            "occtl-socket-file": f"{path}/occtl.sock",
            "device": "ocst",
            "ipv4-network": "192.0.2.0/24",
        }
        return {**own, **{name.replace("_", "-"): value for name, value in options.items()}}

    def _await_listening(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not LISTENS.search(self._log):
            if not self._readable(max(0.0, deadline - time.monotonic())) or not self._read():
                raise NotStarted(self._log.decode(errors="replace") or "the server said nothing")

    def _readable(self, seconds: float) -> bool:
        assert self._process.stderr is not None
        return bool(select.select([self._process.stderr.fileno()], [], [], seconds)[0])

    def _read(self) -> bytes:
        assert self._process.stderr is not None
        chunk = os.read(self._process.stderr.fileno(), 65536)
        self._log += chunk
        return chunk


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def write_certificate(folder: str, *, rsa_bits: int = 0) -> None:
    """A key and a certificate of its own for `test`, key.pem and cert.pem. rsa_bits: of an RSA key; 0 is ECDSA."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if rsa_bits:
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = rsa.generate_private_key(65537, rsa_bits)
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    for file, data in (("key.pem", secret), ("cert.pem", certificate.public_bytes(encoding))):
        with open(os.open(os.path.join(folder, file), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as out:
            out.write(data)
