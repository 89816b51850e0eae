"""One handshake: what GnuTLS asks meanwhile, and what is known when it is over. TlsSession makes and asks it.

The vhost is chosen here, a client's certificate verified, a session kept or resumed. Must not touch the socket.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ._native import ffi, lib
from .context import CertificateRequest, LoadedVhost, TlsContext
from .errors import text_of
from .stream import description_of

if TYPE_CHECKING:
    from ._native import CData

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

    version: "TLS1.2", "TLS1.3". ciphersuite: GnuTLS's description, as occtl shows it; cipher, mac: its words for
    priorities ("AES-256-GCM", "AEAD"). vhost: TlsVhost.name.
    server_certificate_sha1: of the DER of the certificate that this client was shown, 40 upper-case hex digits.
    peer_verified: the client has sent a certificate, and it is valid.
    """

    version: str
    ciphersuite: str
    cipher: str
    mac: str
    vhost: str
    resumed: bool
    server_certificate_sha1: str
    peer_verified: bool


class Handshake:
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
        code = lib.oc_verify_client(self._native, status)
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
        """A session that may be resumed later: to the store, behind the hash of the certificate that was shown."""
        # Clients compare the hash of the server's certificate, and GnuTLS does not know it in a resumed session.
        shown = self._shown_sha1()
        if self._store is not None and shown and len(shown) + len(data) <= RESUMPTION_MAX:
            self._store.store(self._loaded.vhost.name, session_id, shown + data)

    def on_fetch(self, session_id: bytes) -> bytes | None:
        """A session that the client names; None where it is unknown, or was made with a certificate that is gone."""
        assert self._store is not None
        data = self._store.fetch(self._loaded.vhost.name, session_id)
        if data is None or data[:_SHA1] not in self._loaded.fingerprints:
            return None
        self._resumed_sha1 = data[:_SHA1]
        return data[_SHA1:]

    def on_delete(self, session_id: bytes) -> None:
        """A session that must not be resumed any more."""
        if self._store is not None:
            self._store.delete(self._loaded.vhost.name, session_id)

    def info(self) -> TlsInfo:
        """What the handshake found, once it is over."""
        resumed = bool(lib.gnutls_session_is_resumed(self._native))
        return TlsInfo(
            version=_string(lib.gnutls_protocol_get_name(lib.gnutls_protocol_get_version(self._native))),
            ciphersuite=description_of(self._native),
            cipher=_string(lib.gnutls_cipher_get_name(lib.gnutls_cipher_get(self._native))),
            mac=_string(lib.gnutls_mac_get_name(lib.gnutls_mac_get(self._native))),
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


def _verification_text(status: int) -> str:
    out = ffi.new("gnutls_datum_t *")
    if lib.gnutls_certificate_verification_status_print(status, lib.GNUTLS_CRT_X509, out, 0) < 0:
        return f"status {status:#x}"
    try:
        return _string(out.data).strip()
    finally:
        lib.oc_free(out.data)
