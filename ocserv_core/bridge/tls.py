"""One TLS connection, as a worker uses it: handshake, then bytes of HTTP, then (pump.py) the tunnel.

Blocking, with a time limit for everything. One session belongs to one process and one thread; it is made after the
fork. Knows no policy: who may log in, and when to give up, is the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .context import CertificateRequest, KeyType, ServerCertificate, TlsContext, TlsVhost
from .errors import TlsClosed, TlsError, TlsTimeout

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

ALGORITHMS = (
    "RSA-PKCS1-SHA1",
    "RSA-PKCS1-SHA256",
    "RSA-PKCS1-SHA384",
    "RSA-PKCS1-SHA512",
    "RSA-PKCS1-RAW",
    "RSA-PSS-SHA256",
    "RSA-PSS-SHA384",
    "RSA-PSS-SHA512",
    "ECDSA-SHA1",
    "ECDSA-SHA256",
    "ECDSA-SHA384",
    "ECDSA-SHA512",
    "ED25519",
)
"""Every `algorithm` that a Signer may be asked for."""


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
        raise NotImplementedError

    def handshake(self, timeout: float) -> TlsInfo:
        """Shake hands within `timeout` seconds. TlsTimeout, TlsClosed, TlsError; an alert has been sent then."""
        raise NotImplementedError

    @property
    def info(self) -> TlsInfo:
        """What handshake() returned."""
        raise NotImplementedError

    @property
    def pending(self) -> int:
        """Bytes that recv() returns without reading the socket: poll does not tell of them."""
        raise NotImplementedError

    def recv(self, limit: int, timeout: float) -> bytes:
        """At most `limit` bytes; b"" after close_notify. TlsTimeout (recv may be called again), TlsClosed, TlsError."""
        raise NotImplementedError

    def send(self, data: bytes, timeout: float = 30.0) -> None:
        """Send all of `data`, in records of up to 16 KiB. TlsTimeout when the client does not read for so long."""
        raise NotImplementedError

    def peer_names(self, oid: str) -> tuple[str, ...]:
        """The values of `oid` (dotted) in the subject of the client's certificate; empty without one."""
        raise NotImplementedError

    def peer_emails(self) -> tuple[str, ...]:
        """The rfc822Name entries of the client's certificate's subject alternative name."""
        raise NotImplementedError

    def exporter(self, label: bytes, length: int) -> bytes:
        """Keying material of RFC 5705 / RFC 8446 §7.5, without a context."""
        raise NotImplementedError

    def alert(self, level: int, description: int) -> None:
        """Send an alert (RFC 8446 §6: level 1 warning, 2 fatal), if it can be sent at once."""
        raise NotImplementedError

    def bye(self) -> None:
        """Send close_notify, if it can be sent at once. Nothing after a Pump took over: its close() does it."""
        raise NotImplementedError

    def close(self) -> None:
        """Forget all keys. The socket stays open. May be called twice."""
        raise NotImplementedError
