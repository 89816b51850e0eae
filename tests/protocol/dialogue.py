"""A scripted client, secmod and main around one Login, so that tests read like dialogues."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from ocserv_core.errors import HttpViolation
from ocserv_core.ipc.messages import AuthDenied, AuthGranted, AuthPrompt, KdcReply
from ocserv_core.model import Cookie, SessionId
from ocserv_core.protocol.http1 import RequestReader
from ocserv_core.protocol.login import Login
from ocserv_core.protocol.login_table import Input, State
from ocserv_core.protocol.login_words import AskInit, Close, Command, ConnectionFacts, LoginSettings, Send

COOKIE = "c" * 43
HANDLE = "conversation-1"
SHA1 = "91698C3C0A5F6B109C80387E99F91C57455C3775"
OPENCONNECT = "Open AnyConnect VPN Agent v9.01-3"

_CAPABILITIES = (
    "<capabilities><auth-method>single-sign-on-v2</auth-method>"
    "<auth-method>single-sign-on-external-browser</auth-method></capabilities>"
)


def config_auth(kind: str, inner: str) -> str:
    """A body as openconnect 9.01 writes it."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<config-auth client="vpn" type="{kind}" aggregate-auth-version="2"><version who="vpn">v9.01-3</version>'
        f"<device-id>linux-64</device-id>{_CAPABILITIES}{inner}</config-auth>"
    )


def init(group: str = "") -> str:
    selected = f"<group-select>{group}</group-select>" if group else ""
    return config_auth("init", f"<group-access>https://192.0.2.1/</group-access>{selected}")


def reply(group: str = "", **answers: str) -> str:
    fields = "".join(f"<{name}>{value}</{name}>" for name, value in answers.items())
    selected = f"<group-select>{group}</group-select>" if group else ""
    return config_auth("auth-reply", f"<auth>{fields}</auth>{selected}")


def http(method: str, target: str, body: str = "", version: str = "1.1", **headers: str) -> bytes:
    """A request's bytes; underscores in header names stand for hyphens."""
    fields = {"Host": "192.0.2.1", "User_Agent": OPENCONNECT, **headers}
    lines = [f"{method} {target} HTTP/{version}", *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items())]
    if method == "POST":
        lines.append(f"Content-Length: {len(body.encode())}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


class Answer:
    """What the server sent, cut up."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.decode().partition("\r\n\r\n")
        self.status_line, *self.lines = head.split("\r\n")
        self.status = int(self.status_line.split()[1])
        assert self.all("Content-Length") == [str(len(self.body.encode()))]

    def all(self, name: str) -> list[str]:
        return [line.partition(": ")[2] for line in self.lines if line.startswith(name + ":")]

    def element(self, name: str) -> str | None:
        found = re.search(rf"<{name}[^>]*>(.*?)</{name}>", self.body, re.DOTALL)
        return found[1] if found else None

    @property
    def inputs(self) -> list[str]:
        return re.findall(r'<input type="[a-z]+" name="([a-z_]+)"', self.body)

    @property
    def options(self) -> list[str]:
        return re.findall(r"<option value=\"([^\"]*)\"", self.body)


class RecordedLogin(Login):
    """Notes each step that was taken, for the test that all of the table is exercised."""

    seen: ClassVar[set[tuple[State, Input, State]]] = set()

    def _step(self, happened: Input, argument: Any) -> list[Command]:
        before = self.state
        commands = super()._step(happened, argument)
        self.seen.add((before, happened, self.state))
        return commands


class Dialogue:
    """One connection. What the client, secmod or main says returns what the server does about it."""

    def __init__(self, settings: LoginSettings | None = None, facts: ConnectionFacts | None = None) -> None:
        self.login = RecordedLogin(settings or LoginSettings("default"), facts or ConnectionFacts(SHA1))
        self.reader = RequestReader()
        self.commands: list[Command] = []

    # ---- the others say ----

    def client(self, data: bytes) -> Command:
        self.reader.receive_data(data)
        try:
            request = self.reader.next_request()
        except HttpViolation as violation:
            return self._take(self.login.on_violation(violation))
        assert request is not None
        return self._take(self.login.on_request(request))

    def posts(self, body: str, target: str = "/auth", **headers: str) -> Command:
        return self.client(http("POST", target, body, **headers))

    def gets(self, target: str, **headers: str) -> Command:
        return self.client(http("GET", target, **headers))

    def connects(self, target: str = "/CSCOSSLC/tunnel", cookie: str | None = COOKIE, **headers: str) -> Command:
        cookies = {} if cookie is None else {"Cookie": f"webvpn={cookie}"}
        return self.client(http("CONNECT", target, **cookies, **headers))

    def secmod_asks(self, text: str = "Please enter your password.", counter: int = 0, secret: bool = True) -> Command:
        return self._take(self.login.on_prompt(AuthPrompt(HANDLE, text, counter, secret)))

    def secmod_asks_the_mechanism(self, token: str = "") -> Command:
        return self._take(self.login.on_prompt(AuthPrompt(HANDLE, "", token=token)))

    def secmod_grants(self, token: str = "") -> Command:
        granted = AuthGranted(SessionId("s" * 28), Cookie(COOKIE), "alice", "", token)
        return self._take(self.login.on_granted(granted))

    def secmod_denies(self, text: str = "", token: str = "") -> Command:
        return self._take(self.login.on_denied(AuthDenied(text, token)))

    def secmod_has_asked_the_key_server(self, message: bytes = b"", failure: str = "") -> Command:
        return self._take(self.login.on_kdc_reply(KdcReply(message, failure)))

    def secmod_knows_the_cookie(self, granted: bool = True) -> Command:
        return self._take(self.login.on_profile_reply(granted))

    def secmod_is_lost(self) -> list[Command]:
        self.commands = self.login.on_secmod_lost()
        return self.commands

    def main_refuses(self, status: int, text: str = "") -> Command:
        return self._take(self.login.on_connect_refused(status, text))

    # ---- what came of it ----

    def _take(self, commands: list[Command]) -> Command:
        self.commands = commands
        return commands[0]

    @property
    def asks_secmod(self) -> bool:
        """Whether the last word was a new login's."""
        return any(isinstance(command, AskInit) for command in self.commands)

    @property
    def closed(self) -> bool:
        return isinstance(self.commands[-1], Close)

    def state(self) -> State:
        return self.login.state


def answer(command: Command) -> Answer:
    """The answer that a command sends."""
    assert isinstance(command, Send)
    return Answer(command.data)
