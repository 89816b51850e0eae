"""`auth = "pam[service=NAME,gid-min=N]"`: a login by the modules of a PAM service."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ocserv_core.plugin import (
    BackendContext,
    BlockingAsk,
    Denied,
    Identity,
    Limits,
    Login,
    Unavailable,
    hookimpl,
)

from .codes import NOBODY_KNOWS
from .dialogue import Dialogue, Refusal
from .groups import groups_from, groups_of
from .options import check_names, read_gid_min, read_service
from .preload import preload
from .transaction import PamError, Transaction, transaction

_log = logging.getLogger(__name__)

FAILED = "Login failed."

LIMITS = Limits(deadline=90.0, concurrency=128)
"""A module may wait for somebody's telephone: most give up after a minute, and say so, before we do."""


class PamAuth:
    """One line of the configuration."""

    ocserv_api = (1, 0)
    ocserv_process = "child"
    ocserv_limits = LIMITS

    def __init__(self, options: Mapping[str, str], _context: BackendContext) -> None:
        check_names(options, ("service", "gid-min"))
        self._service = read_service(options)
        self._gid_min = read_gid_min(options)

    @hookimpl
    def ocserv_groups(self) -> tuple[str, ...]:
        """The groups from gid-min on."""
        return groups_from(self._gid_min)

    @hookimpl
    def ocserv_preload(self) -> None:
        """The modules of the service."""
        preload(self._service)

    @hookimpl
    def ocserv_authenticate(self, login: Login, ask: BlockingAsk) -> Identity:
        """Authentication, account check, and a new password where the old one has expired."""
        dialogue = Dialogue(ask)
        try:
            with transaction(self._service, _name(login.username), dialogue) as opened:
                opened.set_remote_host(login.remote_ip)
                return self._log_in(opened)
        except PamError as error:
            raise refusal(self._service, error, dialogue.take_texts()) from None
        except Refusal as error:
            _log.info("PAM (%s): %s", self._service, error)
            raise Denied(FAILED) from None

    def _log_in(self, opened: Transaction) -> Identity:
        opened.authenticate()
        if opened.check_account():
            _log.info("PAM (%s): the password has expired and must be changed", self._service)
            opened.change_expired_password()
        username = _text(opened.user())
        groups = groups_of(username)
        return Identity(username, group=groups[0] if groups else "", groups=groups)


def refusal(service: str, error: PamError, said: str) -> Denied | Unavailable:
    """What to raise for an error of PAM's. said: what PAM had to say to the user beside it."""
    if error.code in NOBODY_KNOWS:
        return Unavailable(f"PAM ({service}): {error}")
    _log.info("PAM (%s): %s", service, error)
    return Denied(f"{said}\n{FAILED}" if said else FAILED)


def _name(username: str) -> bytes:
    """For C: a zero byte would end the name early."""
    if "\0" in username:
        raise Denied(FAILED)
    return username.encode()


def _text(name: bytes) -> str:
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise Refusal(f"a module named the user {name!r}, which is no UTF-8") from None
    if not text:
        raise Refusal("a module left the user without a name")
    return text
