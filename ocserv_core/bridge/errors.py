"""What can go wrong with TLS, as the worker sees it, and how a GnuTLS return value becomes that."""

from __future__ import annotations

from ..errors import ClientError
from ._native import ffi, lib


class TlsError(ClientError):
    """TLS with this client has failed, in GnuTLS's words; the session can only be closed."""


class TlsClosed(TlsError):
    """The connection ended without close_notify: a reset, or a client that just went."""


class TlsTimeout(TlsError):
    """The client did not send, or did not read, in time."""


_CLOSED = {lib.GNUTLS_E_PREMATURE_TERMINATION, lib.GNUTLS_E_PULL_ERROR, lib.GNUTLS_E_PUSH_ERROR}


def text_of(code: int) -> str:
    """GnuTLS's words for one of its (negative) errors."""
    return ffi.string(lib.gnutls_strerror(code)).decode()


def error_of(code: int, alert: int) -> TlsError:
    """The exception for a GnuTLS error; `alert` is what gnutls_alert_get says now."""
    if code in _CLOSED:
        return TlsClosed("The client closed the connection without saying so.")
    if code == lib.GNUTLS_E_FATAL_ALERT_RECEIVED:
        name = lib.gnutls_alert_get_name(alert)
        return TlsError(f"The client sent an alert: {ffi.string(name).decode() if name else alert}")
    return TlsError(text_of(code))
