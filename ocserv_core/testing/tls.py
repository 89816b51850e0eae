"""The client's end of TLS, on the server's own bridge."""

from __future__ import annotations

import base64
import hashlib

from ..bridge._native import ffi, lib
from ..bridge.errors import TlsError, text_of
from ..bridge.stream import TlsStream

PRIORITIES = "NORMAL:%COMPAT"


class ClientTls(TlsStream):
    """A client on a connected socket. Whom it talks to is checked by a pin, or not at all: nothing here is for use."""

    def __init__(self, fd: int, priorities: str = PRIORITIES) -> None:
        super().__init__(fd, lib.GNUTLS_CLIENT)
        made, at = ffi.new("gnutls_priority_t *"), ffi.new("const char **")
        credentials = ffi.new("gnutls_certificate_credentials_t *")
        _check(lib.gnutls_priority_init(made, priorities.encode(), at))
        self._priorities = ffi.gc(made[0], lib.gnutls_priority_deinit)
        _check(lib.gnutls_certificate_allocate_credentials(credentials))
        self._credentials = ffi.gc(credentials[0], lib.gnutls_certificate_free_credentials)
        _check(lib.gnutls_priority_set(self.native, self._priorities))
        _check(lib.gnutls_credentials_set(self.native, lib.GNUTLS_CRD_CERTIFICATE, self._credentials))

    def handshake(self, timeout: float, pin: str = "") -> None:
        """Shake hands within so many seconds. pin: "pin-sha256:…" of the server's key. TlsError."""
        code = self._complete(timeout, lib.gnutls_handshake)
        if code < 0:
            raise self._error(code)
        if pin and self.pin() != pin:
            raise TlsError(f"The server's key is {self.pin()}, not {pin}.")

    def pin(self) -> str:
        """Of the server's public key (RFC 7469), as openconnect writes it."""
        count, crt, key = ffi.new("unsigned int *"), ffi.new("gnutls_x509_crt_t *"), ffi.new("gnutls_pubkey_t *")
        chain = lib.gnutls_certificate_get_peers(self.native, count)
        _check(lib.gnutls_x509_crt_init(crt))
        _check(lib.gnutls_pubkey_init(key))
        datum = ffi.new("gnutls_datum_t *")
        try:
            _check(lib.gnutls_x509_crt_import(crt[0], chain, lib.GNUTLS_X509_FMT_DER))
            _check(lib.gnutls_pubkey_import_x509(key[0], crt[0], 0))
            _check(lib.gnutls_pubkey_export2(key[0], lib.GNUTLS_X509_FMT_DER, datum))
            digest = hashlib.sha256(ffi.buffer(datum.data, datum.size)).digest()
            lib.oc_free(datum.data)
        finally:
            lib.gnutls_pubkey_deinit(key[0])
            lib.gnutls_x509_crt_deinit(crt[0])
        return "pin-sha256:" + base64.b64encode(digest).decode()


def _check(code: int) -> None:
    if code < 0:
        raise TlsError(text_of(code))
