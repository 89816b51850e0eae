"""What back ends may do to sessions (`BackendContext.sessions`): a server that ends one, or changes what it may."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..config.build import read_user_options
from ..config.session import CHANGEABLE
from ..errors import ConfigErrors
from ..ipc.messages import Message, UpdateSession
from ..model import SessionId, short
from ..plugin.backends import OptionError, Options, Session
from .sessions import Sessions

_log = logging.getLogger(__name__)

_CHANGEABLE = frozenset(name.replace("_", "-") for name in CHANGEABLE)


class Acts:
    """For every back end. `sessions` gives the table once there is one; `tell` says something to main."""

    def __init__(self, sessions: Callable[[], Sessions], tell: Callable[[Message], None]) -> None:
        self._sessions = sessions
        self._tell = tell

    def find(self, vhost: str) -> list[Session]:
        """The sessions of a vhost that have a tunnel now."""
        return self._sessions().views(vhost)

    def disconnect(self, sid: SessionId, text: str) -> None:
        """End the session."""
        _log.info("session %s is ended by a back end: %s", short(sid), text)
        self._sessions().revoke(sid, text)

    def update(self, sid: SessionId, options: Options) -> None:
        """Let other options hold; also after a reconnect. OptionError."""
        fixed = sorted(set(options) - _CHANGEABLE)
        if fixed:
            raise OptionError(
                f"{fixed[0]} cannot change while a session is up; there are {', '.join(sorted(_CHANGEABLE))}"
            )
        try:
            overlay = read_user_options(options, f"the update of session {short(sid)}").options
        except ConfigErrors as error:
            raise OptionError(str(error)) from None
        _log.info("session %s is changed by a back end: %s", short(sid), ", ".join(sorted(options)))
        self._sessions().note_update(sid, options)
        self._tell(UpdateSession(sid, overlay))
