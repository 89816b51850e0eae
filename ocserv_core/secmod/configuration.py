"""What configuration back ends say of one user, when a cookie asks for its tunnel: asked in the configuration's order,
an option of a later one replaces that of an earlier."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence

import msgspec

from ..config.build import read_user_options
from ..config.user import UserOptions
from ..errors import ConfigErrors
from ..plugin.backends import Denied, Options, Session, Unavailable
from .instance import Instance

_log = logging.getLogger(__name__)


class TunnelRefused(Exception):
    """No tunnel: `status` is what the client is answered, the text is for the log."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


async def options_of(session: Session, instances: Sequence[Instance]) -> UserOptions | None:
    """The additional configuration of a session; None where nobody is asked. TunnelRefused."""
    said = [await _ask(instance, session) for instance in instances]
    return functools.reduce(_overlay, said) if said else None


def with_updates(options: UserOptions | None, username: str, updates: Options) -> UserOptions | None:
    """The same with what was changed since the session's begin, which was checked then (acts.py)."""
    return _overlay(options or UserOptions(), _read("an update", username, updates)) if updates else options


async def _ask(instance: Instance, session: Session) -> UserOptions:
    try:
        answer = await instance.call("ocserv_session_config", session=session)
    except Denied as denial:
        raise TunnelRefused(401, f"the back end '{instance.name}' denies: {denial}") from None
    except Unavailable as silence:
        raise TunnelRefused(503, f"the back end '{instance.name}' is not available: {silence}") from None
    except Exception:  # noqa: BLE001 (a plugin's fault is this session's, and nobody else's)
        _log.exception("the back end '%s' failed to configure '%s'", instance.name, session.username)
        raise TunnelRefused(503, f"the back end '{instance.name}' failed") from None
    return _read(instance.name, session.username, answer)


def _read(name: str, username: str, answer: object) -> UserOptions:
    try:
        lines = msgspec.convert(answer or {}, dict[str, str | list[str]])
        reading = read_user_options(lines, f"the options of '{username}' by '{name}'")
    except (msgspec.ValidationError, ConfigErrors) as error:
        raise TunnelRefused(503, f"the back end '{name}' said what is no configuration: {error}") from None
    for warning in reading.warnings:
        _log.warning("%s", warning)
    return reading.options


def _overlay(before: UserOptions, after: UserOptions) -> UserOptions:
    said = {field: value for field in after.__struct_fields__ if (value := getattr(after, field)) not in (None, ())}
    return msgspec.structs.replace(before, **said)
