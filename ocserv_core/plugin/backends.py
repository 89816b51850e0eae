"""The words of a back end. It reads like straight-line code:

    async def ocserv_authenticate(self, login, ask):
        password = await ask(Prompt("Please enter your password."))
        if not self.knows(login.username, password):
            raise Denied("Login failed.")
        return Identity(login.username)

The driver parks it between rounds and owns rounds, deadlines and cancellation. A back end whose library blocks writes
the same as a plain `def`: it runs in a thread of its own, and `ask` returns the answer.
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

BlockingAsk = Callable[[Prompt], str]
"""The same for a back end that is a plain `def`. Raises Abandoned where the login has ended meanwhile."""


class Denied(Exception):
    """The back end refuses the login for good. The text may be shown to the user."""


class Unavailable(Exception):
    """What stands behind the back end (a server, a file) does not answer, so nobody knows whether the login is right.
    The text is for the log. After several in a row the back end is left alone for a while (Limits)."""


class Abandoned(BaseException):
    """The login has ended while a plain `def` was asking: the thread shall end, by whatever it has to clean up."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one instance of a back end may take. A class that wants others says `ocserv_limits = Limits(…)`.

    deadline: seconds for each stretch of work between two questions, and for each wait for a place. concurrency: logins
    that work at once, those that wait for their user not counted. queue: logins that may wait for a place. threads:
    logins of a plain `def` in progress. failures: in a row, until the back end is left alone for `pause` seconds; then
    one login tries it."""

    deadline: float = 30.0
    concurrency: int = 64
    queue: int = 1024
    threads: int = 512
    failures: int = 5
    pause: float = 10.0


class OptionError(Exception):
    """An option in a back end's brackets is unknown or wrong; the text says what would be right."""


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What a back end may know of the place where it stands."""

    vhost: str
    name: str
