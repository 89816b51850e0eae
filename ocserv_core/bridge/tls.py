"""One TLS connection, as a worker uses it: handshake, then bytes of HTTP, then (pump.py) the tunnel.

Blocking, with a time limit for everything. One session belongs to one process and one thread; it is made after the
fork. Knows no policy: who may log in, and when to give up, is the caller's.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ._native import ffi, lib
from .callbacks import ALGORITHMS, answering
from .context import CertificateRequest, KeyType, ServerCertificate, TlsContext, TlsVhost
from .errors import TlsClosed, TlsError, TlsTimeout, error_of
from .handshake import Handshake, ResumptionStore, Signer, TlsInfo
from .peer import dn_values, email_addresses

__all__ = [
    "ALGORITHMS",
    "CertificateRequest",
    "KeyType",
    "ResumptionStore",
    "ServerCertificate",
    "Signer",
    "TlsClosed",
    "TlsContext",
    "TlsError",
    "TlsInfo",
    "TlsSession",
    "TlsTimeout",
    "TlsVhost",
]

RECORD_MAX = 16384
"""Bytes of one record's content."""


class TlsSession:
    """A server's side of TLS on a connected stream socket. The caller keeps the socket, and sets TCP_NODELAY."""

    def __init__(self, context: TlsContext, fd: int, signer: Signer, store: ResumptionStore | None = None) -> None:
        """store: None for no resumption."""
        out = ffi.new("gnutls_session_t *")
        if lib.gnutls_init(out, lib.GNUTLS_SERVER | lib.GNUTLS_NO_SIGNAL) < 0:
            raise MemoryError
        self.fd = fd
        self.native = out[0]
        """For pump.py."""
        self.transport = lib.oc_transport_open(self.native, fd)
        """For pump.py."""
        self.on_close: Callable[[], None] | None = None
        """For pump.py, which must be closed first."""
        self._handshake = Handshake(context, self.native, signer, store)
        self._info: TlsInfo | None = None
        self._fresh = True

    def handshake(self, timeout: float) -> TlsInfo:
        """Shake hands within `timeout` seconds. TlsTimeout, TlsClosed, TlsError; an alert has been sent then.

        What a Signer or ResumptionStore raised comes out of here too.
        """
        with answering(self._handshake):
            code = self._complete(timeout, lib.gnutls_handshake)
            if code >= 0:
                code = self._handshake.on_done()
        if self._handshake.failure is not None or code < 0:
            self._limit(0)
            lib.gnutls_alert_send_appropriate(self.native, code if code < 0 else lib.GNUTLS_E_INTERNAL_ERROR)
            raise self._handshake.failure or self._error(code)
        self._info = self._handshake.info()
        return self._info

    @property
    def info(self) -> TlsInfo:
        """What handshake() returned."""
        assert self._info is not None, "no handshake yet"
        return self._info

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

    def peer_names(self, oid: str) -> tuple[str, ...]:
        """The values of `oid` (dotted) in the subject of the client's certificate; empty without one."""
        return dn_values(self.native, oid)

    def peer_emails(self) -> tuple[str, ...]:
        """The rfc822Name entries of the client's certificate's subject alternative name."""
        return email_addresses(self.native)

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
        if code == lib.GNUTLS_E_REHANDSHAKE:
            self.alert(lib.GNUTLS_AL_FATAL, lib.GNUTLS_A_NO_RENEGOTIATION)
            return TlsError("The client wants to renegotiate, which is not allowed.")
        if code == lib.GNUTLS_E_CERTIFICATE_ERROR and self._handshake.refusal:
            return TlsError(f"The client's certificate is not valid: {self._handshake.refusal}")
        return error_of(code, lib.gnutls_alert_get(self.native))
