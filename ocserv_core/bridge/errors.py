"""What can go wrong with TLS, as the worker sees it."""

from __future__ import annotations

from ..errors import ClientError


class TlsError(ClientError):
    """TLS with this client has failed, in GnuTLS's words; the session can only be closed."""


class TlsClosed(TlsError):
    """The connection ended without close_notify: a reset, or a client that just went."""


class TlsTimeout(TlsError):
    """The client did not send, or did not read, in time."""
