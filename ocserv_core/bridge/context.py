"""What all TLS connections share: credentials and priorities by vhost. Built once in the nursery, before it forks.

Holds no private key: signatures are asked of secmod by the session that needs one. Must not sign, must not do I/O.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

KeyType = Literal["RSA", "RSA-PSS", "ECDSA", "ED25519"]


class CertificateRequest(enum.Enum):
    """Whether clients are asked for a certificate. One that is sent and not valid always fails the handshake."""

    NONE = "none"
    REQUEST = "request"
    REQUIRE = "require"


class ServerCertificate(NamedTuple):
    """One certificate of a vhost: its chain in PEM (the leaf first or not), an OCSP response in DER for the leaf,
    and the number of its key at secmod."""

    chain: bytes
    ocsp: bytes | None
    key: int


@dataclass(frozen=True)
class TlsVhost:
    """What TLS must know of one vhost. All by content: nothing is opened.

    name: the SNI name (for the first vhost of a context any name: it is the default). priorities: a GnuTLS priority
    string; %NO_TICKETS is always added. ca: PEM. crl: PEM, else DER. dh_params: PKCS #3 PEM; None is a known group.
    cookie_timeout: seconds for which a TLS 1.2 session may be resumed.
    """

    name: str
    priorities: str
    certificates: tuple[ServerCertificate | tuple[bytes, bytes | None, int], ...]
    ca_pem: bytes | None = None
    crl: bytes | None = None
    dh_params: bytes | None = None
    request: CertificateRequest = CertificateRequest.NONE
    cookie_timeout: int = 300


class TlsContext:
    """The vhosts of a configuration, ready for handshakes; sessions of forked children share it."""

    def __init__(self, vhosts: Sequence[TlsVhost]) -> None:
        """The first vhost is the default. ConfigError names the vhost and what cannot be used."""
        raise NotImplementedError

    def key_types(self, vhost: str) -> tuple[KeyType, ...]:
        """The type of each certificate's key, in the order of TlsVhost.certificates."""
        raise NotImplementedError
