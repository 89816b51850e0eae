"""`ocserv --quickstart`: a folder with a certificate, one user and a configuration that can be gone on from.

Called by ocserv.py before the server starts. What exists is kept: a second start changes nothing. Everything is
readable by root alone.
"""

from __future__ import annotations

import base64
import datetime as dt
import errno
import grp
import hashlib
import ipaddress
import os
import secrets
import shlex
import socket
from dataclasses import dataclass

from ..errors import StartError
from ..system import crypt
from . import ocpasswd
from .quickstart_files import CONFIG

USER = "vpn"
PORTS = (443, 4443)
_DAYS = 3650
_SOCKET_PATH_LIMIT = 107
_UNWRITABLE = '"#,;[]\n'

# No vowels: no words; no look-alikes: it is read aloud and typed.
_LETTERS = "bcdfghjkmnpqrstvwxz23456789"


@dataclass(frozen=True)
class Quickstart:
    """What a client needs. `password` is empty where the user's password is no longer the generated one."""

    config_file: str
    host: str
    port: int
    pin: str
    password: str

    def line(self) -> str:
        """The command that connects, and the password in a comment, so that the whole line can be pasted."""
        command = f"openconnect --user={USER} --servercert {self.pin} https://{self.host}:{self.port}"
        return f"{command}   # password: {self.password or 'the one that you set'}"


def prepare(folder: str) -> Quickstart:
    """Make what is missing in `folder`, and tell how to connect. Raises StartError."""
    home = os.path.abspath(folder)
    if any(c in home for c in _UNWRITABLE) or home != home.strip():
        raise StartError(f"{home}: this name cannot stand in ocserv.conf; choose one without {_UNWRITABLE.strip()}")
    try:
        os.makedirs(home, mode=0o700, exist_ok=True)
        return _prepare(home)
    except OSError as error:
        raise StartError(f"{error.filename or home}: {error.strerror}") from error


def _prepare(home: str) -> Quickstart:
    config, certificate = os.path.join(home, "ocserv.conf"), os.path.join(home, "server-cert.pem")
    if len(os.path.join(home, "occtl.socket")) > _SOCKET_PATH_LIMIT:
        raise StartError(f"{home}: the name is too long for a socket in it")
    host = _own_address()
    if not os.path.exists(certificate) or not os.path.exists(os.path.join(home, "server-key.pem")):
        _write_certificate(home, host)
    if not os.path.exists(os.path.join(home, "ocpasswd")):
        _write_user(home)
    if not os.path.exists(config):
        _write(config, _config_text(home).encode())
    return Quickstart(config, host, _port_of(config), _pin_of(certificate), _password_of(home))


def _write(file: str, data: bytes) -> None:
    """Whole or not at all, so that a start that was cut off leaves nothing that the next one would keep."""
    temporary = f"{file}.new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as new:
        new.write(data)
    os.rename(temporary, file)


# ---- the certificate ------------------------------------------------------------------------------------------


def _write_certificate(home: str, host: str) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, socket.gethostname()[:64] or "localhost")])
    addresses = dict.fromkeys(ipaddress.ip_address(text) for text in ("127.0.0.1", "::1", host))
    names: list[x509.GeneralName] = [x509.DNSName(_dns_name()), *map(x509.IPAddress, addresses)]
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The certificate is written last: where it exists, its key does too.
    _write(os.path.join(home, "server-key.pem"), secret)
    _write(os.path.join(home, "server-cert.pem"), certificate.public_bytes(serialization.Encoding.PEM))


def _dns_name() -> str:
    """The host's name as a certificate can hold it: ASCII."""
    name = socket.gethostname()
    return name if name and name.isascii() else "localhost"


def _pin_of(certificate: str) -> str:
    """What openconnect's --servercert takes: SHA-256 of the public key (RFC 7469)."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    with open(certificate, "rb") as file:
        try:
            key = x509.load_pem_x509_certificate(file.read()).public_key()
        except ValueError as error:
            raise StartError(f"{certificate}: not a certificate ({error})") from error
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "pin-sha256:" + base64.b64encode(hashlib.sha256(info).digest()).decode()


# ---- the user -------------------------------------------------------------------------------------------------


def _write_user(home: str) -> None:
    password = "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(3))
    _write(os.path.join(home, "password.txt"), f"{password}\n".encode())
    ocpasswd.set_password(os.path.join(home, "ocpasswd"), USER.encode(), ocpasswd.NO_GROUP.encode(), password.encode())


def _password_of(home: str) -> str:
    """The generated password, while it is still the user's."""
    try:
        with open(os.path.join(home, "password.txt"), encoding="ascii") as file:
            password = file.readline().rstrip("\n")
        with open(os.path.join(home, "ocpasswd"), encoding="utf-8", errors="surrogateescape") as file:
            stored = [line.rstrip("\n").split(":")[2] for line in file if line.startswith(f"{USER}:")]
    except (FileNotFoundError, IndexError, UnicodeDecodeError):
        return ""
    return password if stored and crypt.verify(password.encode(), stored[0]) else ""


# ---- the configuration ----------------------------------------------------------------------------------------


def _config_text(home: str) -> str:
    # Ten random digits make a unique local network (RFC 4193), which collides with nobody's.
    digits = secrets.token_hex(5)
    network6 = f"fd{digits[:2]}:{digits[2:6]}:{digits[6:]}::/64"
    return CONFIG.format(
        home=home,
        quoted_home=shlex.quote(home),
        port=_free_port(),
        group="nogroup" if _has_group("nogroup") else "nobody",
        network6=network6,
        ipv6="" if _has_ipv6() else "# (this machine has IPv6 turned off)  ",
    )


def _has_group(name: str) -> bool:
    return any(entry.gr_name == name for entry in grp.getgrall())


def _has_ipv6() -> bool:
    try:
        with open("/proc/sys/net/ipv6/conf/all/disable_ipv6", encoding="ascii") as file:
            return file.read().strip() == "0"
    except OSError:
        return False


def _free_port() -> int:
    return next((port for port in PORTS if _is_free(port)), PORTS[-1])


def _is_free(port: int) -> bool:
    """Whether the server could listen on it, by TCP and UDP, on every address of both families."""
    addresses = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    return all(_can_listen(family, address, kind, port) for family, address in addresses for kind in kinds)


def _can_listen(family: int, address: str, kind: int, port: int) -> bool:
    try:
        with socket.socket(family, kind) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            if kind == socket.SOCK_STREAM:
                # With SO_REUSEADDR two sockets may be bound; only one of them may listen.
                probe.listen(1)
    except OSError as error:
        return error.errno != errno.EADDRINUSE
    return True


def _port_of(config: str) -> int:
    """The port of the file as it is now, since it may have been edited."""
    with open(config, encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition("=")
            if name.strip() == "tcp-port" and value.split("#")[0].strip().isdigit():
                return int(value.split("#")[0])
    return PORTS[0]


def _own_address() -> str:
    """The address by which others reach this machine. Connecting a UDP socket asks for a route and sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
