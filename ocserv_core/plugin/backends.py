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

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..model import CertificateFacts, ClientInfo, Endpoint, Lease, SessionId


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to the user. `text` stands above the field; line breaks are kept. `again`: the same question
    as before (a wrong answer), so that clients show the same field and ban points are counted.

    A back end of GSSAPI asks the client's mechanism and not the user: `token` is what that is told, as base64 ("" at
    first), and the answer is its token, as base64 of at most 47 KiB."""

    text: str
    secret: bool = True
    again: bool = False
    token: str = ""


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
    local_ip: str = ""
    """The server's address that the client reached."""
    end_point: bytes = b""
    """tls-server-end-point (RFC 5929) of the connection: the hash of the server's certificate, from secmod's own
    configuration; empty where there is none."""


Ask = Callable[[Prompt], Awaitable[str]]
"""Asks the user and waits for the answer, which is never logged and never empty-checked."""

BlockingAsk = Callable[[Prompt], str]
"""The same for a back end that is a plain `def`. Raises Abandoned where the login has ended meanwhile."""


class Denied(Exception):
    """The back end refuses the login for good. The text may be shown to the user. `token`: base64 of what the client's
    security mechanism (GSSAPI) is to be told."""

    def __init__(self, text: str = "", token: str = "") -> None:
        self.token = token
        super().__init__(text)


class Unavailable(Exception):
    """What stands behind the back end (a server, a file) does not answer, so nobody knows whether the login is right.
    The text is for the log. After several in a row the back end is left alone for a while (Limits)."""


class Abandoned(BaseException):
    """The login has ended, and its back end asks: the call shall end, by whatever it has to clean up."""


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

    def fault(self) -> str:
        """What of it makes no sense; nothing where it is well."""
        least = {"concurrency": 1, "queue": 0, "threads": 1, "failures": 1}
        for name, number in least.items():
            value = getattr(self, name)
            if not isinstance(value, int):
                return f"{name} must be a whole number, not {value!r}"
            if value < number:
                return f"{name} must be at least {number}, not {value}"
        for name in ("deadline", "pause"):
            if not isinstance(getattr(self, name), int | float):
                return f"{name} must be a number of seconds, not {getattr(self, name)!r}"
        return "" if self.deadline > 0 <= self.pause else "deadline and pause must be positive"


Attributes = Mapping[str, str | int | list[str]]
"""`Identity.attributes` as later hooks get them."""

Options = Mapping[str, str | Sequence[str]]
"""Lines of a user's configuration, as in the file of a user: the name of an option, and its value or values."""


@dataclass(frozen=True, slots=True)
class Session:
    """A login's session, over all its connections, as the back ends of accounting and configuration see it.

    `sid` is 28 characters that stay the same over reconnects and restarts. `attributes` are what the back end of the
    login put into its Identity. `method` is the composition that let the user in (`radius`, `certificate+plain`).
    remote_ip, local_ip: both ends of the newest connection; local_ip is "" where it is not known. `lease` is empty
    before there are addresses. Times are time.time(): `created` the login, `started` the first tunnel, 0.0 before it.
    """

    sid: SessionId
    vhost: str
    username: str
    group: str
    groups: tuple[str, ...]
    attributes: Attributes
    method: str
    client: ClientInfo
    remote_ip: str
    local_ip: str = ""
    lease: Lease = field(default_factory=Lease)
    created: float = 0.0
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A tunnel, as plugins in main see it. `id` is the worker's pid, as occtl and scripts have it; `started` is the
    login of its session, time.time()."""

    id: int
    sid: SessionId
    vhost: str
    username: str
    group: str
    client: ClientInfo
    remote: Endpoint
    local: Endpoint
    lease: Lease
    device: str
    started: float


Command = Callable[[Sequence[str]], str]
"""A command of occtl: it gets the words after its name, and returns what is printed."""


class SessionActs(Protocol):
    """What a back end may do to sessions, from secmod's event loop."""

    def find(self, vhost: str) -> list[Session]:
        """The sessions of a vhost that have a tunnel now."""

    def disconnect(self, sid: SessionId, text: str) -> None:
        """End the session; `text` is for the log. Its cookie opens nothing more."""

    def update(self, sid: SessionId, options: Options) -> None:
        """Let other options hold for a session that is up, of those that can change: idle-timeout, session-timeout,
        stats-report-time, rx-data-per-sec, tx-data-per-sec. OptionError for others, and for wrong values."""


class _NoSessions:
    """Where there are none: a test of a back end alone, a configuration that is only checked."""

    def find(self, _vhost: str) -> list[Session]:
        return []

    def disconnect(self, sid: SessionId, text: str) -> None:
        raise RuntimeError(f"there is no session {sid} to end: {text}")

    def update(self, sid: SessionId, _options: Options) -> None:
        raise RuntimeError(f"there is no session {sid} to change")


NO_SESSIONS: SessionActs = _NoSessions()


class OptionError(Exception):
    """An option in a back end's brackets is unknown or wrong; the text says what would be right."""


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What a back end may know of the place where it stands, and what it may do from there."""

    vhost: str
    name: str
    sessions: SessionActs = NO_SESSIONS
