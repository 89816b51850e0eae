"""`acct = "pam[service=NAME]"`: PAM's account check when a session begins. Nothing is told of its end."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ocserv_core.plugin import BackendContext, Denied, Session, hookimpl

from .auth import LIMITS, refusal
from .dialogue import Dialogue, Refusal
from .options import check_names, read_service
from .preload import preload
from .transaction import PamError, transaction

_log = logging.getLogger(__name__)


class PamAcct:
    """One line of the configuration."""

    ocserv_api = (1, 0)
    ocserv_process = "child"
    ocserv_limits = LIMITS

    def __init__(self, options: Mapping[str, str], _context: BackendContext) -> None:
        check_names(options, ("service",))
        self._service = read_service(options)

    @hookimpl
    def ocserv_preload(self) -> None:
        """The modules of the service."""
        preload(self._service)

    @hookimpl
    def ocserv_session_open(self, session: Session) -> None:
        """pam_acct_mgmt(3) for the user's name, however the login was."""
        dialogue = Dialogue(None)
        try:
            with transaction(self._service, session.username.encode(), dialogue) as opened:
                opened.set_remote_host(session.remote_ip)
                if opened.check_account():
                    raise Denied("the password has expired; it can be changed in a login by auth = pam")
        except PamError as error:
            raise refusal(self._service, error, dialogue.take_texts()) from None
        except Refusal as error:
            raise Denied(str(error)) from None
