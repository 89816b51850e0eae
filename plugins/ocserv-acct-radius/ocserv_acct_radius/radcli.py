"""The configuration file of the RADIUS client, as radcli and freeradius-client have it, so that an administrator of the
C server goes on with the one that is there: a keyword, blanks, its value."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from ocserv_core.plugin import OptionError

from .secrets_file import Secrets, read_secrets

AUTH_PORT, ACCT_PORT = 1812, 1813

IGNORED = {
    "dictionary": "the plugin has its own",
    **dict.fromkeys(("auth_order", "login_tries", "login_timeout", "nologin", "issue"), "it is for login(1)"),
    **dict.fromkeys(("login_radius", "login_local"), "it is for login(1)"),
    **dict.fromkeys(("seqfile", "mapfile", "radius_proto", "clientdebug", "config_file"), "it has no use here"),
    **dict.fromkeys(("tls-verify-hostname", "tls-ca-file", "tls-cert-file", "tls-key-file"), "RADIUS is sent by UDP"),
}
"""Keywords that may stand there, and why nothing is done with them."""


@dataclass(frozen=True, slots=True)
class Server:
    """One RADIUS server. The secret is in no repr."""

    host: str
    port: int
    secret: bytes = field(repr=False)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RadcliFile:
    """What the file says. `timeout` and `deadtime` are seconds; `retries`: how often a request is sent again.
    `secrets` are those of the file `servers`."""

    path: str
    auth_servers: tuple[Server, ...] = ()
    acct_servers: tuple[Server, ...] = ()
    timeout: float = 10.0
    retries: int = 3
    deadtime: float = 0.0
    default_realm: str = ""
    nas_identifier: str = ""
    nas_ip: str = ""
    bind_address: str = ""
    require_message_authenticator: bool | None = None
    secrets: Secrets = field(default_factory=Secrets, repr=False)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    word: str
    value: str


def read_radcli(path: str) -> RadcliFile:
    """Read it, and the file `servers` that it names. OptionError with every fault, each with file and line."""
    faults: list[str] = []
    lines = _lines(path, faults)
    # The secrets first: a list of servers may stand before the line that names their file.
    secrets = _secrets(path, lines.get("servers"), faults)
    read = RadcliFile(path, secrets=secrets)
    for line in lines.values():
        try:
            read = _apply(read, line, secrets)
        except ValueError as error:
            faults.append(f"{path}:{line.number}: {error}")
    if faults:
        raise OptionError("; ".join(faults))
    return read


def _lines(path: str, faults: list[str]) -> dict[str, _Line]:
    lines: dict[str, _Line] = {}
    for line in _split(read_text(path)):
        if line.word not in _READERS and line.word not in IGNORED and line.word != "servers":
            faults.append(f"{path}:{line.number}: '{line.word}' is not known here; there are {', '.join(_KNOWN)}")
        elif line.word in lines:
            faults.append(f"{path}:{line.number}: {line.word} stands in line {lines[line.word].number} already")
        else:
            lines[line.word] = line
    return lines


def _split(text: str) -> Iterator[_Line]:
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split(None, 1)
        if words and not words[0].startswith("#"):
            yield _Line(number, words[0], words[1].strip() if len(words) > 1 else "")


def _secrets(path: str, line: _Line | None, faults: list[str]) -> Secrets:
    if line is None:
        return Secrets()
    try:
        return read_secrets(os.path.join(os.path.dirname(path), line.value))
    except OptionError as error:
        faults.append(f"{path}:{line.number}: servers: {error}")
        return Secrets()


def read_text(path: str) -> str:
    """The text of a file. OptionError."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror}") from None


# ---- what a line means --------------------------------------------------------------------------------------------


def _apply(read: RadcliFile, line: _Line, secrets: Secrets) -> RadcliFile:
    reader = _READERS.get(line.word)
    return reader(read, line.value, secrets) if reader is not None else read


def _auth(read: RadcliFile, value: str, secrets: Secrets) -> RadcliFile:
    return replace(read, auth_servers=tuple(_servers(value, AUTH_PORT, secrets)))


def _acct(read: RadcliFile, value: str, secrets: Secrets) -> RadcliFile:
    return replace(read, acct_servers=tuple(_servers(value, ACCT_PORT, secrets)))


def _servers(value: str, port: int, secrets: Secrets) -> Iterator[Server]:
    """`host[:port[:secret]]` and `[ipv6][:port[:secret]]`, between commas or blanks."""
    for item in value.replace(",", " ").split():
        if item.startswith("["):
            host, bracket, rest = item[1:].partition("]")
            if not bracket:
                raise ValueError("a '[' is not closed; write [2001:db8::1]:1812")
            rest = rest.removeprefix(":")
        else:
            host, _, rest = item.partition(":")
        written_port, _, secret = rest.partition(":")
        known = secret.encode() or secrets.of(host)
        if not host:
            raise ValueError("a server has no name; write host, host:port or host:port:secret")
        if known is None:
            raise ValueError(f"there is no secret for {host}: write a line '{host} SECRET' into the file `servers`")
        yield Server(host, _number(written_port, 1, 65535) if written_port else port, known)


def _timeout(read: RadcliFile, value: str, _secrets: Secrets) -> RadcliFile:
    return replace(read, timeout=float(_number(value, 1, 600)))


def _retries(read: RadcliFile, value: str, _secrets: Secrets) -> RadcliFile:
    return replace(read, retries=_number(value, 0, 100))


def _deadtime(read: RadcliFile, value: str, _secrets: Secrets) -> RadcliFile:
    return replace(read, deadtime=float(_number(value, 0, 86400)))


def _realm(read: RadcliFile, value: str, _secrets: Secrets) -> RadcliFile:
    return replace(read, default_realm=value.removeprefix("@"))


def _identifier(read: RadcliFile, value: str, _secrets: Secrets) -> RadcliFile:
    return replace(read, nas_identifier=value)


def _nas_ip(read: RadcliFile, value: str, _secrets: Secrets) -> RadcliFile:
    return replace(read, nas_ip=_address(value))


def _bind(read: RadcliFile, value: str, _secrets: Secrets) -> RadcliFile:
    return replace(read, bind_address="" if value in ("*", "") else _address(value))


def _signed(read: RadcliFile, value: str, _secrets: Secrets) -> RadcliFile:
    return replace(read, require_message_authenticator=value.lower() not in ("no", "false"))


def _transport(read: RadcliFile, value: str, _secrets: Secrets) -> RadcliFile:
    if value.lower() != "udp":
        raise ValueError(f"RADIUS over {value} is not supported; write udp")
    return read


def _number(text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdecimal() or not low <= int(text[:9]) <= high:
        raise ValueError(f"'{text}' is not a number from {low} to {high}")
    return int(text)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"'{text}' is not an IP address") from None


_READERS: dict[str, Callable[[RadcliFile, str, Secrets], RadcliFile]] = {
    "authserver": _auth,
    "acctserver": _acct,
    "radius_timeout": _timeout,
    "radius_retries": _retries,
    "radius_deadtime": _deadtime,
    "default_realm": _realm,
    "nas-identifier": _identifier,
    "nas-ip": _nas_ip,
    "bindaddr": _bind,
    "require-message-authenticator": _signed,
    "serv-type": _transport,
    "serv-auth-type": _transport,
}

_KNOWN = ("servers", *_READERS)
