"""TLS as a worker uses it: the server's handshake on a connection, and the names in the client's certificate.

A session is made after the fork. Knows no policy: who may log in, and when to give up, is the caller's.
"""

from __future__ import annotations

from ._native import lib
from .callbacks import ALGORITHMS, answering
from .context import CertificateRequest, KeyType, ServerCertificate, TlsContext, TlsVhost
from .errors import TlsClosed, TlsError, TlsTimeout
from .handshake import Handshake, ResumptionStore, Signer, TlsInfo
from .peer import dn_values, email_addresses
from .stream import TlsStream

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


class TlsSession(TlsStream):
    """A server's side of TLS."""

    def __init__(self, context: TlsContext, fd: int, signer: Signer, store: ResumptionStore | None = None) -> None:
        """store: None for no resumption."""
        super().__init__(fd, lib.GNUTLS_SERVER)
        self._handshake = Handshake(context, self.native, signer, store)
        self._info: TlsInfo | None = None

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

    def peer_names(self, oid: str) -> tuple[str, ...]:
        """The values of `oid` (dotted) in the subject of the client's certificate; empty without one."""
        return dn_values(self.native, oid)

    def peer_emails(self) -> tuple[str, ...]:
        """The rfc822Name entries of the client's certificate's subject alternative name."""
        return email_addresses(self.native)

    def _error(self, code: int) -> TlsError:
        if code == lib.GNUTLS_E_REHANDSHAKE:
            self.alert(lib.GNUTLS_AL_FATAL, lib.GNUTLS_A_NO_RENEGOTIATION)
            return TlsError("The client wants to renegotiate, which is not allowed.")
        if code == lib.GNUTLS_E_CERTIFICATE_REQUIRED:
            return TlsError("The client's certificate is not valid: none was sent")
        if code == lib.GNUTLS_E_CERTIFICATE_ERROR and self._handshake.refusal:
            return TlsError(f"The client's certificate is not valid: {self._handshake.refusal}")
        return super()._error(code)
