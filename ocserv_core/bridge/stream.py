"""One end of a TLS connection once it is made: bytes of HTTP, then (pump.py) the tunnel.

Blocking, with a time limit for everything. One session belongs to one process and one thread. How hands are shaken is
its subclasses': tls.py for the server, testing/tls.py for a client.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ._native import ffi, lib
from .errors import TlsError, TlsTimeout, error_of

if TYPE_CHECKING:
    from ._native import CData

RECORD_MAX = 16384
"""Bytes of one record's content."""


class TlsStream:
    """A GnuTLS session on a connected stream socket. The caller keeps the socket, and sets TCP_NODELAY."""

    def __init__(self, fd: int, flags: int) -> None:
        """flags: of gnutls_init."""
        out = ffi.new("gnutls_session_t *")
        if lib.gnutls_init(out, flags | lib.GNUTLS_NO_SIGNAL) < 0:
            raise MemoryError
        self.fd = fd
        self.native = out[0]
        """For pump.py."""
        self.transport = lib.oc_transport_open(self.native, fd)
        """For pump.py."""
        self.on_close: Callable[[], None] | None = None
        """For pump.py, which must be closed first."""
        self._fresh = True

    @property
    def version(self) -> str:
        """ "TLS1.2" or "TLS1.3", once hands are shaken."""
        return ffi.string(lib.gnutls_protocol_get_name(lib.gnutls_protocol_get_version(self.native))).decode()

    @property
    def ciphersuite(self) -> str:
        """GnuTLS's description of what was agreed upon, as occtl shows it."""
        return description_of(self.native)

    @property
    def pending(self) -> int:
        """Bytes that recv() returns without reading the socket: poll does not tell of them."""
        return int(lib.gnutls_record_check_pending(self.native)) or int(lib.oc_transport_waiting(self.transport))

    def recv(self, limit: int, timeout: float) -> bytes:
        """At most `limit` bytes; b"" after close_notify. TlsTimeout (recv may be called again), TlsClosed, TlsError."""
        buffer = bytearray(min(limit, RECORD_MAX))
        n = self._complete(timeout, lib.gnutls_record_recv, ffi.from_buffer(buffer), len(buffer))
        if n < 0:
            raise self._error(n)
        return bytes(memoryview(buffer)[:n])

    def send(self, data: bytes, timeout: float = 30.0) -> None:
        """Send all of `data`, in records of up to 16 KiB. TlsTimeout when the client does not read for so long."""
        buffer = ffi.from_buffer(data)
        sent = 0
        while sent < len(data):
            n = self._complete(timeout, lib.gnutls_record_send, buffer + sent, min(len(data) - sent, RECORD_MAX))
            if n < 0:
                raise self._error(n)
            sent += n

    def exporter(self, label: bytes, length: int) -> bytes:
        """Keying material of RFC 5705 / RFC 8446 §7.5, without a context."""
        out = ffi.new("char[]", length)
        code = lib.gnutls_prf_rfc5705(self.native, len(label), label, 0, ffi.NULL, length, out)
        if code < 0:
            raise self._error(code)
        return bytes(ffi.buffer(out))

    def alert(self, level: int, description: int) -> None:
        """Send an alert (RFC 8446 §6: level 1 warning, 2 fatal), if it can be sent at once."""
        if self.on_close is None:
            self._limit(0)
            lib.gnutls_alert_send(self.native, level, description)

    def bye(self) -> None:
        """Send close_notify, if it can be sent at once. Nothing after a Pump took over: its close() does it."""
        if self.on_close is None:
            self._limit(0)
            lib.gnutls_bye(self.native, lib.GNUTLS_SHUT_WR)

    def close(self) -> None:
        """Forget all keys, and close the Pump that took over. The socket stays open. May be called twice."""
        if not self._fresh:
            return
        self._fresh = False
        if self.on_close is not None:
            self.on_close()
        lib.gnutls_deinit(self.native)
        lib.oc_transport_close(self.transport)

    def _limit(self, timeout: float) -> float:
        deadline = time.monotonic() + timeout
        self.transport.deadline = deadline
        self.transport.timed_out = 0
        return deadline

    def _complete(self, timeout: float, call: Callable[..., int], *args: object) -> int:
        """Repeat a call until it is done: its result ≥ 0, or a fatal GnuTLS error."""
        deadline = self._limit(timeout)
        while True:
            code = call(self.native, *args)
            if code >= 0 or code == lib.GNUTLS_E_REHANDSHAKE or lib.gnutls_error_is_fatal(code):
                return code
            # Else: a signal, whose handler has run by now, or a warning alert, of which a client may send many.
            if self.transport.timed_out or time.monotonic() > deadline:
                raise TlsTimeout("The client did not answer in time.")

    def _error(self, code: int) -> TlsError:
        return error_of(code, lib.gnutls_alert_get(self.native))


def description_of(session: CData) -> str:
    """A GnuTLS session's version, key exchange and cipher, in GnuTLS's words."""
    text = lib.gnutls_session_get_desc(session)
    try:
        return ffi.string(text).decode("utf-8", "replace") if text else ""
    finally:
        lib.oc_free(text)
