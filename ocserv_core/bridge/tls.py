"""One TLS connection, as a worker uses it: handshake, then bytes of HTTP, then (pump.py) the tunnel.

Blocking, with a time limit for everything. One session belongs to one process and one thread; it is made after the
fork. Knows no policy: who may log in, and when to give up, is the caller's.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ._native import ffi, lib
from .callbacks import ALGORITHMS, answering
from .context import CertificateRequest, KeyType, LoadedVhost, ServerCertificate, TlsContext, TlsVhost
from .errors import TlsClosed, TlsError, TlsTimeout, error_of, text_of
from .peer import dn_values, email_addresses

if TYPE_CHECKING:
    from ._native import CData

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

RESUMPTION_MAX = 4096
"""Bytes of a session that is kept; a longer one (a client's long chain) is not resumed."""

_SHA1 = 20

_REQUESTS = {
    CertificateRequest.NONE: lib.GNUTLS_CERT_IGNORE,
    CertificateRequest.REQUEST: lib.GNUTLS_CERT_REQUEST,
    CertificateRequest.REQUIRE: lib.GNUTLS_CERT_REQUIRE,
}


class Signer(Protocol):
    """Who holds the private keys (the worker's channel to secmod). An exception fails the handshake."""

    def sign(self, vhost: str, key: int, algorithm: str, data: bytes) -> bytes:
        """The signature, empty when refused. data: the digest; the whole text for ED25519; for RSA-PKCS1-RAW what
        PKCS #1 v1.5 padding goes round. PSS salts are as long as the digest; ECDSA signatures are DER."""

    def decrypt(self, vhost: str, key: int, data: bytes) -> bytes:
        """The premaster secret of an RSA key exchange (PKCS #1 v1.5), empty when refused."""


class ResumptionStore(Protocol):
    """Where TLS 1.2 sessions wait to be resumed (the worker's channel to main). Ids ≤ 32 bytes, data ≤ 4096."""

    def store(self, vhost: str, session_id: bytes, data: bytes) -> None:
        """Keep it."""

    def fetch(self, vhost: str, session_id: bytes) -> bytes | None:
        """What was kept for this vhost, or None."""

    def delete(self, vhost: str, session_id: bytes) -> None:
        """Forget it."""


@dataclass(frozen=True)
class TlsInfo:
    """What a handshake agreed upon.

    version: "TLS1.2", "TLS1.3". ciphersuite: GnuTLS's description, as occtl shows it. vhost: TlsVhost.name.
    server_certificate_sha1: of the DER of the certificate that this client was shown, 40 upper-case hex digits.
    peer_verified: the client has sent a certificate, and it is valid.
    """

    version: str
    ciphersuite: str
    vhost: str
    resumed: bool
    server_certificate_sha1: str
    peer_verified: bool


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
        self._questions = _Questions(context, self.native, signer, store)
        self._info: TlsInfo | None = None
        self._fresh = True

    def handshake(self, timeout: float) -> TlsInfo:
        """Shake hands within `timeout` seconds. TlsTimeout, TlsClosed, TlsError; an alert has been sent then.

        What a Signer or ResumptionStore raised comes out of here too.
        """
        with answering(self._questions):
            code = self._complete(timeout, lib.gnutls_handshake)
            if code >= 0:
                code = self._questions.on_done()
        if self._questions.failure is not None or code < 0:
            self._limit(0)
            lib.gnutls_alert_send_appropriate(self.native, code if code < 0 else lib.GNUTLS_E_INTERNAL_ERROR)
            raise self._questions.failure or self._error(code)
        self._info = self._questions.info()
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
        if code == lib.GNUTLS_E_CERTIFICATE_ERROR and self._questions.refusal:
            return TlsError(f"The client's certificate is not valid: {self._questions.refusal}")
        return error_of(code, lib.gnutls_alert_get(self.native))


class _Questions:
    """What GnuTLS asks in one handshake (callbacks.Asked), and what is known when it is over."""

    def __init__(self, context: TlsContext, native: CData, signer: Signer, store: ResumptionStore | None) -> None:
        self.failure: BaseException | None = None
        self.refusal = ""
        self._context = context
        self._native = native
        self._store = store
        self._named = False
        self._verified = False
        self._resumed_sha1 = b""
        self.sign = signer.sign
        self.decrypt = signer.decrypt
        self._handle = ffi.new_handle(self)
        lib.oc_callbacks_set(native, self._handle, store is not None)
        self._use(context.default)

    def _use(self, loaded: LoadedVhost) -> int:
        self._loaded = loaded
        lib.gnutls_certificate_server_set_request(self._native, _REQUESTS[loaded.vhost.request])
        lib.gnutls_db_set_cache_expiration(self._native, loaded.vhost.cookie_timeout)
        code = lib.gnutls_credentials_set(self._native, lib.GNUTLS_CRD_CERTIFICATE, loaded.credentials)
        return int(code) if code < 0 else int(lib.gnutls_priority_set(self._native, loaded.priorities))

    def on_client_hello(self, name: bytes) -> int:
        """Before anything is negotiated: the vhost decides credentials, priorities, and what may be resumed."""
        loaded = self._context.find(name.decode("ascii", "replace"))
        if self._named:  # the second hello after a HelloRetryRequest
            return 0 if loaded is self._loaded else int(lib.GNUTLS_E_UNRECOGNIZED_NAME)
        self._named = True
        return self._use(loaded)

    def on_verify(self) -> int:
        """The client's certificate: valid, absent where it may be, or the end."""
        if self._loaded.vhost.request is CertificateRequest.NONE:
            return 0
        status = ffi.new("unsigned int *")
        code = lib.gnutls_certificate_verify_peers2(self._native, status)
        if code == lib.GNUTLS_E_NO_CERTIFICATE_FOUND:
            required = self._loaded.vhost.request is CertificateRequest.REQUIRE
            self.refusal = "none was sent" if required else ""
            return int(lib.GNUTLS_E_CERTIFICATE_ERROR) if required else 0
        if code < 0 or status[0]:
            self.refusal = _verification_text(status[0]) if code >= 0 else text_of(code)
            return int(lib.GNUTLS_E_CERTIFICATE_ERROR)
        self._verified = True
        return 0

    def on_done(self) -> int:
        """A resumed session's certificate is verified again: it may be revoked or expired since."""
        return self.on_verify() if not self._verified else 0

    def on_store(self, session_id: bytes, data: bytes) -> None:
        # Clients compare the hash of the server's certificate, and GnuTLS does not know it in a resumed session.
        shown = self._shown_sha1()
        if self._store is not None and shown and len(shown) + len(data) <= RESUMPTION_MAX:
            self._store.store(self._loaded.vhost.name, session_id, shown + data)

    def on_fetch(self, session_id: bytes) -> bytes | None:
        assert self._store is not None
        data = self._store.fetch(self._loaded.vhost.name, session_id)
        if data is None or data[:_SHA1] not in self._loaded.fingerprints:
            return None
        self._resumed_sha1 = data[:_SHA1]
        return data[_SHA1:]

    def on_delete(self, session_id: bytes) -> None:
        if self._store is not None:
            self._store.delete(self._loaded.vhost.name, session_id)

    def info(self) -> TlsInfo:
        resumed = bool(lib.gnutls_session_is_resumed(self._native))
        return TlsInfo(
            version=_string(lib.gnutls_protocol_get_name(lib.gnutls_protocol_get_version(self._native))),
            ciphersuite=_owned_string(lib.gnutls_session_get_desc(self._native)),
            vhost=self._loaded.vhost.name,
            resumed=resumed,
            server_certificate_sha1=(self._resumed_sha1 if resumed else self._shown_sha1()).hex().upper(),
            peer_verified=self._verified,
        )

    def _shown_sha1(self) -> bytes:
        shown = lib.gnutls_certificate_get_ours(self._native)
        if shown == ffi.NULL:
            return b""
        return hashlib.sha1(ffi.buffer(shown.data, shown.size), usedforsecurity=False).digest()


def _string(text: CData) -> str:
    return ffi.string(text).decode("utf-8", "replace") if text else ""


def _owned_string(text: CData) -> str:
    try:
        return _string(text)
    finally:
        lib.oc_free(text)


def _verification_text(status: int) -> str:
    out = ffi.new("gnutls_datum_t *")
    if lib.gnutls_certificate_verification_status_print(status, lib.GNUTLS_CRT_X509, out, 0) < 0:
        return f"status {status:#x}"
    return _owned_string(out.data).strip()
