"""The words of a back end. It reads like straight-line code:

    async def ocserv_authenticate(self, login, ask):
        password = await ask(Prompt("Please enter your password."))
        if not self.knows(login.username, password):
            raise Denied("Login failed.")
        return Identity(login.username)

The driver parks it between rounds and owns rounds, deadlines and cancellation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..model import CertificateFacts, ClientInfo


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to the user. `text` stands above the field; line breaks are kept. `again`: the same question
    as before (a wrong answer), so that clients show the same field and ban points are counted."""

    text: str
    secret: bool = True
    again: bool = False


@dataclass(frozen=True, slots=True)
class Login:
    """Who wants in. `group` is what the user chose, "" for none; all else is what secmod knows for certain,
    but `client`, which is the client's own word."""

    username: str
    group: str
    vhost: str
    remote_ip: str
    client: ClientInfo
    certificate: CertificateFacts | None = None
    began: float = 0.0
    """time.monotonic() at its begin."""


Ask = Callable[[Prompt], Awaitable[str]]
"""Asks the user and waits for the answer, which is never logged and never empty-checked."""


class Denied(Exception):
    """The back end refuses the login for good. The text may be shown to the user."""


class OptionError(Exception):
    """An option in a back end's brackets is unknown or wrong; the text says what would be right."""


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What a back end may know of the place where it stands."""

    vhost: str
    name: str
