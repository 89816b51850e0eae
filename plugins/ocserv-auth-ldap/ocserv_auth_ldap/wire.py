"""TLS that checks certificates, and a socket that neither waits nor reads without end: what ldap3 leaves open.

ldap3 checks no certificate by default, reads the CA's file again for each connection, waits for each piece of an
answer anew, and reads as much as a length says.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

from ldap3 import Tls

MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of one answer; a user with a thousand groups has a hundred thousand."""


def make_context(ca_file: str, *, verify: bool) -> ssl.SSLContext:
    """TLS 1.2 or newer. `ca_file`: "" for the system's. OSError; ssl.SSLError where it has no certificates."""
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class BoundedSocket:
    """A connected socket for ldap3. Each exchange begins with `allow`; after its seconds, reading and writing raise
    TimeoutError."""

    def __init__(self, connected: socket.socket) -> None:
        self.connected = connected
        self._until = 0.0
        self._left = 0

    def allow(self, seconds: float) -> None:
        """So long may the next exchange take."""
        self._until = time.monotonic() + seconds
        self._left = MAX_ANSWER

    def recv(self, size: int) -> bytes:
        """As a socket's. OSError also where the answer is too long."""
        self._set_timeout()
        data = self.connected.recv(size)
        self._left -= len(data)
        if self._left < 0:
            raise OSError(f"an answer of more than {MAX_ANSWER} bytes")
        return data

    def sendall(self, data: bytes) -> None:
        """As a socket's."""
        self._set_timeout()
        self.connected.sendall(data)

    def shutdown(self, how: int) -> None:
        """As a socket's."""
        self.connected.shutdown(how)

    def close(self) -> None:
        """As a socket's."""
        self.connected.close()

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """TLS from now on."""
        self._set_timeout()
        self.connected = context.wrap_socket(self.connected, server_hostname=host)

    def _set_timeout(self) -> None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        self.connected.settimeout(left)


class CheckingTls(Tls):  # type: ignore[misc]  # ldap3 has no types
    """TLS of one connection, by a context that the standard library checks names and certificates with. `failure` is
    what went wrong: ldap3 makes other errors of it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(validate=context.verify_mode)
        self._context = context
        self.failure: Exception | None = None

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:  # noqa: ARG002 (ldap3's signature)
        """Called by ldap3: for ldaps:// with a plain socket that has a timeout, for StartTLS with ours."""
        try:
            if isinstance(connection.socket, BoundedSocket):
                connection.socket.secure(self._context, connection.server.host)
            else:
                connection.socket = self._context.wrap_socket(connection.socket, server_hostname=connection.server.host)
        except Exception as error:
            self.failure = error
            raise
