"""secmod's half: what a worker has verified becomes an identity. Nothing is asked and nothing is opened."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ocserv_core.plugin import Ask, BackendContext, Denied, Identity, Login, OptionError, hookimpl

_log = logging.getLogger(__name__)


class CertificateAuth:
    """Lets in whom the certificate of the connection names. Beside a back end that asks for a password the name in
    the form must be the certificate's."""

    ocserv_api = (1, 0)

    def __init__(self, options: Mapping[str, str], _context: BackendContext) -> None:
        """OptionError: it has no options; what it does is said by cert-user-oid, cert-group-oid, ca-cert and crl."""
        if options:
            raise OptionError(
                f"'{next(iter(options))}' is unknown; certificate has no options, see cert-user-oid and ca-cert"
            )

    @hookimpl
    async def ocserv_authenticate(self, login: Login, ask: Ask) -> Identity:
        """Denied where there is no certificate, where it is another user's, or not of the chosen group."""
        del ask
        certificate = login.certificate
        if certificate is None:
            raise _refusal(login, "no client certificate was presented")
        if certificate.user != login.username:
            raise _refusal(login, f"the client certificate is of '{certificate.user}'")
        if login.group and login.group not in certificate.groups:
            known = ", ".join(certificate.groups) or "none"
            raise _refusal(login, f"group '{login.group}' is not in the client certificate (groups: {known})")
        return Identity(certificate.user, login.group, certificate.groups)


def _refusal(login: Login, why: str) -> Denied:
    _log.info("certificate: '%s' from %s: %s", login.username, login.remote_ip, why)
    return Denied("Login failed.")
