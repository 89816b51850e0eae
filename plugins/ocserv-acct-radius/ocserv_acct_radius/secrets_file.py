"""Whose secret is which: the file `servers` of radcli, a host and its secret in each line. `one/other` names a pair of
hosts."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Mapping

from ocserv_core.plugin import OptionError


class Secrets:
    """By host; shown by nothing."""

    def __init__(self, by_host: Mapping[str, bytes] | None = None) -> None:
        self._by_host = {_canonical(host): secret for host, secret in (by_host or {}).items()}

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self._by_host)})"

    def of(self, host: str) -> bytes | None:
        """The secret that is shared with a host. A name that does not stand there is looked for by its addresses, and
        so are the names that do: that asks the resolver, and may take a while."""
        found = self._by_host.get(_canonical(host))
        if found is not None:
            return found
        addresses = _addresses(host)
        return next((secret for other, secret in self._by_host.items() if addresses & _addresses(other)), None)


def read_secrets(path: str) -> Secrets:
    """OptionError, without a secret in it."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read(1 << 20).splitlines()
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror}") from None
    by_host: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 2:
            raise OptionError(f"{path}:{number}: there is no secret after the name of the host")
        for host in words[0].split("/"):
            by_host.setdefault(host, words[1].encode(errors="surrogateescape"))
    return Secrets(by_host)


def _canonical(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().rstrip(".")


def _addresses(host: str) -> set[str]:
    with contextlib.suppress(OSError, UnicodeError):
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)}
    return set()
