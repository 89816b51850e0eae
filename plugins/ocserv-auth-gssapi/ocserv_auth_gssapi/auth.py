"""`auth = "gssapi[…]"`: the client's mechanism shows a ticket, and who that is decides this server.

The library reads octets of strangers, so it does that in a child of this login's own,
which has no keys but those of the keytab, and whose end ends nothing else.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Mapping

from ocserv_core.plugin import (
    BackendContext,
    BlockingAsk,
    Denied,
    Identity,
    Limits,
    Login,
    OptionError,
    Prompt,
    hookimpl,
)

from .acceptor import Accepted, Acceptor, NoCredentials, Rejected
from .groups import groups_from, groups_of
from .localname import local_name
from .options import read_options

_log = logging.getLogger(__name__)

MAX_LEGS = 6
"""Tokens of one client; Kerberos needs one, SPNEGO two where the client has guessed another mechanism."""

MAX_NAME = 255

_FAILED = "Login failed."


class GssapiAuth:
    """The back end. Options: options.NAMES."""

    ocserv_api = (1, 0)
    ocserv_process = "child"
    ocserv_limits = Limits(deadline=20.0)

    def __init__(self, options: Mapping[str, str], _context: BackendContext) -> None:
        self._settings = read_options(options)
        try:
            self._acceptor = Acceptor(self._settings.keytab)
        except NoCredentials as error:
            place = f"keytab={self._settings.keytab}" if self._settings.keytab else "the system's own keytab"
            raise OptionError(f"{place} cannot be used: {error}") from None

    @hookimpl
    def ocserv_groups(self) -> tuple[str, ...]:
        """Those of the operating system, from gid-min on."""
        return groups_from(self._settings.gid_min)

    @hookimpl
    def ocserv_authenticate(self, login: Login, ask: BlockingAsk) -> Identity:
        """Tokens until it is known who it is, and then who that is here."""
        try:
            accepted = self._exchange(login, ask)
            username = self._username(accepted)
        except Rejected as error:
            _log.info("gssapi: a login from %s is refused: %s", login.remote_ip, error)
            raise Denied(_FAILED, _text(error.token)) from None
        groups = groups_of(username) if self._settings.maps_to_local_user else ()
        _log.debug("gssapi: %s from %s is '%s'", accepted.principal, login.remote_ip, username)
        return Identity(username, groups[0] if groups else "", groups, token=_text(accepted.token))

    def _exchange(self, login: Login, ask: BlockingAsk) -> Accepted:
        exchange = self._acceptor.begin(login.end_point)
        token = b""
        for _ in range(MAX_LEGS):
            result = exchange.step(_octets(ask(Prompt("", token=_text(token)))))
            if isinstance(result, Accepted):
                return result
            token = result
        raise Rejected(f"it is not done after {MAX_LEGS} tokens")

    def _username(self, accepted: Accepted) -> str:
        """Rejected where it is nobody who may log in."""
        settings, principal = self._settings, accepted.principal
        if accepted.anonymous or principal.endswith("@WELLKNOWN:ANONYMOUS"):
            raise Rejected("its ticket is an anonymous one")
        if settings.requires_bindings and not accepted.bound:
            raise Rejected(f"the client of {principal} does not bind its ticket to the TLS connection")
        age = int(time.time()) - accepted.authenticated
        if settings.freshness and age > settings.freshness:
            raise Rejected(
                f"the ticket of {principal} was got {age} s ago, and tgt-freshness-time is {settings.freshness} s"
            )
        name = local_name(principal) if settings.maps_to_local_user else principal
        if name is None:
            raise Rejected(f"{principal} is no local user by the rules of krb5.conf (require-local-user-map)")
        if len(name.encode()) > MAX_NAME or not name.isprintable():
            raise Rejected(f"the name of {principal!r} is too long or not printable")
        return name


def _octets(answer: str) -> bytes:
    try:
        token = base64.b64decode(answer.encode(), validate=True)
    except ValueError:
        token = b""
    # The library would answer an empty one with hints of what it knows.
    if not token:
        raise Rejected("what came is no token")
    return token


def _text(token: bytes) -> str:
    return base64.b64encode(token).decode()
