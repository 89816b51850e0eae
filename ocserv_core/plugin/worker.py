"""The workers' half of the plugin door: the words and the hooks of the group `ocserv.worker`.

A class of this group is told where it stands, and has those hooks that it needs, by their names and without a marker:

    class OurNames:
        ocserv_api = (1, 0)

        def __init__(self, context):
            self._oid = context.cert_user_oid

        def ocserv_certificate_identity(self, certificate):
            return CertificateFacts(certificate.names(self._oid)[0].lower())

It is loaded where a back end of its name is configured, by the nursery, before that gives up its privileges; workers
are forks of it. So it imports little (no pluggy, no asyncio, no second X.509 library), and all that it imports it
imports at once: a worker opens no file. It has none of its back end's options, among which there may be secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ..model import CertificateFacts, ClientInfo

__all__ = [
    "CertificateFacts",
    "CertificateRefused",
    "ClientInfo",
    "PeerCertificate",
    "StaticPage",
    "TunnelFacts",
    "WorkerContext",
    "WorkerSpecs",
]


class CertificateRefused(Exception):
    """The certificate is valid, and nobody gets in by it; the text says why and is for the log."""


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """Where a class of `ocserv.worker` stands: the virtual host, the name of its back end, and what the configuration
    says of names in certificates ("" where it says nothing)."""

    vhost: str
    name: str
    cert_user_oid: str = ""
    cert_group_oid: str = ""


class PeerCertificate(Protocol):
    """The client's certificate, which was verified. At most 64 values of a kind are looked at."""

    def names(self, oid: str) -> tuple[str, ...]:
        """The values of `oid` (dotted) in the subject, in their order. CertificateRefused where one is no UTF-8 text,
        or has a NUL in it."""

    def emails(self) -> tuple[str, ...]:
        """The rfc822Name entries of the subject alternative name. CertificateRefused."""


@dataclass(frozen=True, slots=True)
class TunnelFacts:
    """Whose tunnel opens. `client` is the client's own word."""

    username: str
    group: str
    client: ClientInfo


@dataclass(frozen=True, slots=True)
class StaticPage:
    """What a GET is answered with. An empty body is refused: openconnect takes it for an error."""

    content_type: str
    body: bytes


class WorkerSpecs:
    """Classes of the group `ocserv.worker`; workers. What one of these hooks raises beyond what its text says fails
    that client alone, with a line in the log that names the plugin."""

    def ocserv_certificate_identity(self, certificate: PeerCertificate) -> CertificateFacts | None:
        """Whom a client certificate names: its user, and the groups that he may choose from.

        Process: a worker, unprivileged and without files. Thread: its only one. When: once for each connection whose
        client presented a certificate, after the handshake. Guaranteed: the certificate was verified by ca-cert and
        crl, is in its time and may be used by a TLS client. The classes of a virtual host are asked in the
        configuration's order until one says something else than None. CertificateRefused: the login goes on as without
        a certificate, where there is a way in without one.
        """

    def ocserv_offer_headers(self, tunnel: TunnelFacts) -> Mapping[str, str]:  # type: ignore[empty-body]  # a spec
        """Headers that are added to the answer to CONNECT.

        Process: a worker. Thread: its only one. When: a tunnel opens, before its client hears of it. At most 32; names
        are tokens of HTTP, and not those that the server says itself (X-CSTP-*, X-DTLS-*, Content-Length …); values are
        printable ASCII of 1024 bytes at most. What is wrong fails that client.
        """

    def ocserv_http_routes(self) -> Mapping[str, StaticPage]:  # type: ignore[empty-body]  # a spec
        """Pages that anybody may GET before login, by their exact paths ("/ca.pem").

        Process: the nursery, which is root still. Thread: its only one. When: once, when a configuration is prepared;
        files may be read. At most 16 pages of 64 KiB each; a path that the server or another plugin serves is refused.
        What is wrong with them, and what it raises, refuses the configuration.
        """
