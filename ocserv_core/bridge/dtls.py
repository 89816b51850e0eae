"""One DTLS session, from the first datagram of its handshake on. pump.py carries its data once it is attached.

Sessions read no socket: datagrams are handed to them, since two may share one. Nothing here waits; the caller calls
handshake() again when `timeout` is over. Knows no policy: which session is used, and for how long, is the caller's.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from ._native import ffi, lib
from .errors import TlsError, text_of
from .stream import description_of

EXPORTER_LABEL = b"EXPORTER-openconnect-psk"
PSK_SIZE = 32
"""The key of PSK-NEGOTIATE: exporter of the TLS connection that CONNECT came by, so many bytes."""


class DtlsFailed(TlsError):
    """A DTLS handshake that will not come to an end."""


@dataclass(frozen=True, slots=True)
class Psk:
    """PSK-NEGOTIATE. priorities: GnuTLS's. client_id: 32 bytes of X-DTLS-App-ID, where ours is the client's end."""

    priorities: str
    key: bytes = field(repr=False)
    client_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class Legacy:
    """The resumption of a session that never was: its master secret (48 bytes) came with CONNECT, its id (32 bytes) is
    ours. version, kx, cipher and mac are GnuTLS's words."""

    priorities: str
    version: str
    kx: str
    cipher: str
    mac: str
    master_secret: bytes = field(repr=False)
    session_id: bytes = field(repr=False)


class DtlsSession:
    """A session on a connected UDP socket, which it keeps open (another session may do so too)."""

    def __init__(self, sock: socket.socket, terms: Psk | Legacy, mtu: int) -> None:
        """mtu: bytes of the longest datagram of the handshake. DtlsFailed where GnuTLS cannot do what is asked."""
        client = isinstance(terms, Psk) and terms.client_id is not None
        error = ffi.new("int *")
        native = lib.oc_dtls_open(client, mtu, error)
        if native == ffi.NULL:
            raise DtlsFailed(text_of(error[0]))
        self.native = ffi.gc(native, lib.oc_dtls_close)
        """For pump.py."""
        self.socket = sock
        self.native.fd = sock.fileno()
        self._agree(terms)

    def _agree(self, terms: Psk | Legacy) -> None:
        priorities, at = ffi.new("gnutls_priority_t *"), ffi.new("const char **")
        self._check(lib.gnutls_priority_init(priorities, terms.priorities.encode(), at))
        try:
            self._check(self._use(terms, priorities[0]))
        finally:
            # The session keeps what it needs of it (GnuTLS counts references).
            lib.gnutls_priority_deinit(priorities[0])

    def _use(self, terms: Psk | Legacy, priorities: object) -> int:
        if isinstance(terms, Psk):
            client_id = ffi.NULL if terms.client_id is None else terms.client_id
            return int(lib.oc_dtls_use_psk(self.native, priorities, terms.key, len(terms.key), client_id))
        if len(terms.master_secret) != lib.OC_MASTER_SECRET or len(terms.session_id) != lib.OC_SESSION_ID:
            raise ValueError("a master secret or a session id of a wrong length")
        words = (terms.version.encode(), terms.kx.encode(), terms.cipher.encode(), terms.mac.encode())
        return int(lib.oc_dtls_use_legacy(self.native, priorities, *words, terms.master_secret, terms.session_id))

    def handshake(self, datagram: bytes = b"") -> bool:
        """Go on, with a datagram or because time has passed. Whether the session is established now. DtlsFailed."""
        return self._check(lib.oc_dtls_handshake(self.native, datagram, len(datagram))) == 1

    @property
    def timeout(self) -> float:
        """Seconds until handshake() is to be called again, as long as the session is not established."""
        return float(lib.oc_dtls_timeout(self.native)) / 1000

    @property
    def established(self) -> bool:
        """Whether data can go by it."""
        return bool(self.native.established)

    @property
    def overhead(self) -> int:
        """Bytes of a record beyond its content."""
        return int(self.native.overhead)

    @property
    def last_rx(self) -> float:
        """When a record of the other side was opened, time.monotonic(); at first when it was attached."""
        return float(self.native.last_rx)

    @property
    def refused(self) -> int:
        """Records that were forged, replayed, or came too late."""
        return int(self.native.refused)

    @property
    def ciphersuite(self) -> str:
        """GnuTLS's description, as occtl shows it."""
        return description_of(self.native.session)

    def bye(self) -> None:
        """Send close_notify."""
        lib.oc_dtls_alert(self.native, lib.GNUTLS_AL_WARNING, lib.GNUTLS_A_CLOSE_NOTIFY)

    def close(self) -> None:
        """Wipe the keys; it must not be attached any more. The socket closes with its last session."""
        ffi.release(self.native)

    def _check(self, code: int) -> int:
        if code < 0:
            raise DtlsFailed(text_of(code))
        return int(code)
