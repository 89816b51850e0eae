"""The server's credentials and the exchange of tokens, by the GSSAPI library of MIT Kerberos.

Only Kerberos is accepted, by itself or within SPNEGO: the library would let every mechanism that is installed read a
stranger's token, and with gss-ntlmssp that ends the process. So both what the credentials are for and what SPNEGO may
choose are narrowed, and the outcome is looked at once more.

The functions of `gssapi.raw` raise what has failed together with the token that says so to the client; the classes
above them put such an error off to the next call.
"""

from __future__ import annotations

from dataclasses import dataclass

import gssapi
from gssapi import raw
from gssapi.raw.misc import GSSError

KERBEROS = gssapi.OID.from_int_seq("1.2.840.113554.1.2.2")
SPNEGO = gssapi.OID.from_int_seq("1.3.6.1.5.5.2")

_END_POINT = b"tls-server-end-point:"


class Rejected(Exception):
    """The client's token is not accepted. The text is for the log, `token` for the client."""

    def __init__(self, text: str, token: bytes = b"") -> None:
        self.token = token
        super().__init__(text)


class NoCredentials(Exception):
    """The keytab cannot be used."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Who it is: the principal, and when its password was shown (seconds of the wall clock). bound: the client has
    named this very TLS connection. token: for the client."""

    principal: str
    authenticated: int
    bound: bool
    anonymous: bool
    token: bytes


class Acceptor:
    """The keys of one keytab ("" for the system's own). NoCredentials."""

    def __init__(self, keytab: str) -> None:
        # Octets, which live as long as this name: of text the package gives the library octets that are freed already.
        store: dict[bytes | str, bytes | str] = {b"keytab": f"FILE:{keytab}".encode()}
        try:
            acquired = raw.acquire_cred_from(store if keytab else None, usage="accept", mechs=[KERBEROS, SPNEGO])
            self._credentials = acquired.creds
            raw.set_neg_mechs(self._credentials, [KERBEROS])
        except GSSError as error:
            raise NoCredentials(tell(error)) from None

    def begin(self, end_point: bytes) -> Exchange:
        """One client's exchange, over a TLS connection of which `end_point` is the certificate's hash."""
        bindings = raw.ChannelBindings(application_data=_END_POINT + end_point) if end_point else None
        return Exchange(self._credentials, bindings)


class Exchange:
    """The tokens of one client."""

    def __init__(self, credentials: raw.Creds, bindings: raw.ChannelBindings | None) -> None:
        self._credentials = credentials
        self._bindings = bindings
        self._context: raw.SecurityContext | None = None

    def step(self, token: bytes) -> bytes | Accepted:
        """One token of the client: the next one for it, or who it is. Rejected."""
        try:
            result = raw.accept_sec_context(
                token, acceptor_creds=self._credentials, context=self._context, channel_bindings=self._bindings
            )
            self._context = result.context
            if result.more_steps:
                return result.token or b""
            if result.mech != KERBEROS or result.initiator_name is None:
                raise Rejected("it is not by Kerberos")
            flags = raw.RequirementFlag
            return Accepted(
                principal=raw.display_name(result.initiator_name, name_type=False).name.decode(),
                authenticated=raw.krb5_extract_authtime_from_sec_context(result.context),
                bound=bool(result.flags & flags.channel_bound),
                anonymous=bool(result.flags & flags.anonymity),
                token=result.token or b"",
            )
        except GSSError as error:
            raise Rejected(tell(error), error.token or b"") from None
        except UnicodeDecodeError:
            raise Rejected("the name of its principal is no UTF-8") from None


def tell(error: GSSError) -> str:
    """What the library says, on one line: the mechanism's own words where it has any."""
    major = error.get_all_statuses(error.maj_code, True)
    minor = error.get_all_statuses(error.min_code, False) if error.min_code else []
    texts = [text for text in (*major, *minor) if text and text != "Success"]
    return " ".join("; ".join(dict.fromkeys(texts)).split())
