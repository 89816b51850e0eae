"""`auth = "radius[config=FILE, …]"`: PAP, and any number of challenges up to a bound."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ocserv_core.plugin import Ask, BackendContext, Denied, Identity, Limits, Login, OptionError, Prompt, hookimpl

from .client import Client
from .groups import groups_of
from .keeping import keep
from .numbers import CLASS, STATE
from .options import read_options
from .replies import Reply
from .requests import Attributes, Request, nas_attributes
from .words import flat, message

_log = logging.getLogger(__name__)

TRIES = 3
"""Passwords per login, as the C server allows."""

MAX_CHALLENGES = 16
"""As in the C server; the server's own bound on questions may be lower."""

FRAMED = 2
ECHO = 1

_FIRST = "Please enter your password."
_NEXT = "Please enter your answer."
_FAILED = "Login failed."


class RadiusAuth:
    """The back end. Options: options.NAMES."""

    ocserv_api = (1, 0)

    def __init__(self, options: Mapping[str, str], _context: BackendContext) -> None:
        self._settings = read_options(options)
        file = self._settings.file
        if not file.auth_servers:
            raise OptionError(f"{file.path} has no authserver")
        self._client = Client(self._settings, file.auth_servers)
        self.ocserv_limits = Limits(deadline=self._client.patience + 1.0, concurrency=512)

    @hookimpl
    async def ocserv_authenticate(self, login: Login, ask: Ask) -> Identity:
        """Asks for the password up to three times, and for what the server wants to know beside it."""
        if not login.username:
            raise Denied(_FAILED)
        prompt = Prompt(_FIRST)
        for _ in range(TRIES):
            reply = await self._send(login, await ask(prompt))
            if reply.challenges:
                return await self._answer_challenges(login, ask, reply)
            if reply.accepted:
                return self._identity(login, reply)
            said = _log_reject(login, reply)
            prompt = Prompt("\n".join((_FAILED, said or _FIRST)), again=True)
        raise Denied(_FAILED)

    async def _answer_challenges(self, login: Login, ask: Ask, reply: Reply) -> Identity:
        for _ in range(MAX_CHALLENGES):
            answer = await ask(_question(reply))
            reply = await self._send(login, answer, state=reply)
            if reply.accepted:
                return self._identity(login, reply)
            if not reply.challenges:
                _log_reject(login, reply)
                raise Denied(_FAILED)
        _log.warning("radius: '%s': the server asked more than %d questions", login.username, MAX_CHALLENGES)
        raise Denied(_FAILED)

    async def _send(self, login: Login, password: str, state: Reply | None = None) -> Reply:
        octets = tuple((STATE, value) for value in (state.octets(STATE) if state else ()))
        request = Request(self._attributes(login), octets, password)
        try:
            return await self._client.ask(request)
        except ValueError as error:
            # The text has no password in it: pyrad tells lengths.
            _log.info("radius: '%s' from %s cannot be asked for: %s", login.username, login.remote_ip, error)
            raise Denied(_FAILED) from None

    def _attributes(self, login: Login) -> Attributes:
        wanted = (
            ("User-Name", self._name(login)),
            ("NAS-Identifier", self._settings.nas_identifier),
            *nas_attributes(self._settings.file.nas_ip or login.local_ip),
            ("Calling-Station-Id", login.remote_ip),
            ("Connect-Info", login.client.user_agent),
            ("Service-Type", "Authenticate-Only"),
            ("NAS-Port-Type", "Async"),
        )
        return tuple((name, value) for name, value in wanted if value)

    def _name(self, login: Login) -> str:
        realm = self._settings.file.default_realm
        return f"{login.username}@{realm}" if realm and "@" not in login.username else login.username

    def _identity(self, login: Login, reply: Reply) -> Identity:
        other = [service for service in reply.numbers("Service-Type") if service != FRAMED]
        if other:
            said = "radius: '%s' is accepted for the Service-Type %d, which is not Framed (2): refused"
            _log.warning(said, login.username, other[0])
            raise Denied(_FAILED)
        groups = groups_of(reply.octets(CLASS), self._settings.separator, login.username)
        return Identity(login.username, groups[0] if groups else "", groups, keep(reply, self._name(login)))


def _question(reply: Reply) -> Prompt:
    text = message(reply.texts("Reply-Message")) or _NEXT
    return Prompt(text, secret=ECHO not in reply.numbers("Prompt"))


def _log_reject(login: Login, reply: Reply) -> str:
    """What the server has to say, for the user."""
    said = message(reply.texts("Reply-Message"))
    _log.info("radius: '%s' from %s is rejected%s", login.username, login.remote_ip, f": {flat(said)}" if said else "")
    return said
