"""The workers' half: whom a verified certificate names, by cert-user-oid and cert-group-oid. GnuTLS parses."""

from __future__ import annotations

import logging

from ocserv_core.plugin.worker import CertificateFacts, CertificateRefused, PeerCertificate, WorkerContext

_log = logging.getLogger(__name__)

MAX_NAME = 63
"""Bytes of the name of a user or a group."""

EMAIL = "SAN(rfc822name)"
"""The cert-user-oid that means the e-mail addresses of the subject alternative name."""


class CertificateNames:
    """Reads the names of one virtual host's clients."""

    ocserv_api = (1, 0)

    def __init__(self, context: WorkerContext) -> None:
        self._user_oid = context.cert_user_oid
        self._group_oid = context.cert_group_oid

    def ocserv_certificate_identity(self, certificate: PeerCertificate) -> CertificateFacts:
        """The first name counts, as with the C server. CertificateRefused where there is none that can be used."""
        found = certificate.emails() if self._user_oid == EMAIL else certificate.names(self._user_oid)
        if not found:
            raise CertificateRefused(f"it has no user name in {self._user_oid} (cert-user-oid)")
        if len(found) > 1:
            _log.warning(
                "the client certificate has %d user names in %s; the first counts: '%s' (not '%s')",
                len(found),
                self._user_oid,
                found[0],
                found[1],
            )
        return CertificateFacts(_checked(found[0]), self._groups(certificate))

    def _groups(self, certificate: PeerCertificate) -> tuple[str, ...]:
        found = dict.fromkeys(certificate.names(self._group_oid)) if self._group_oid else {}
        usable = tuple(name for name in found if _is_usable(name))
        if len(usable) < len(found):
            _log.warning(
                "%d groups of the client certificate are left out: empty, unprintable, or of more than %d bytes",
                len(found) - len(usable),
                MAX_NAME,
            )
        return usable


def _checked(name: str) -> str:
    if len(name.encode()) > MAX_NAME:
        raise CertificateRefused(f"its user name has {len(name.encode())} bytes; {MAX_NAME} are the most")
    if not _is_usable(name):
        raise CertificateRefused("its user name is empty, or has characters that cannot be printed")
    return name


def _is_usable(name: str) -> bool:
    return name.isprintable() and 0 < len(name.encode()) <= MAX_NAME
