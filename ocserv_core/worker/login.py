"""HTTP until CONNECT: feeds protocol/login.py with what the client sends, and carries out what it says."""

from __future__ import annotations

import logging
import select
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from ..bridge.tls import TlsClosed
from ..errors import ClientError, HttpViolation
from ..ipc.messages import (
    AuthCont,
    AuthCookieRefused,
    AuthCookieReply,
    AuthCookieRequest,
    AuthDenied,
    AuthGranted,
    AuthInit,
    AuthLost,
    AuthPrompt,
    KdcRequest,
)
from ..log import HTTP
from ..model import DEFAULT_VHOST, CertificateFacts, Cookie
from ..protocol.connect import ConnectRequest
from ..protocol.http1 import Request, RequestReader
from ..protocol.login import Login
from ..protocol.login_words import AskCont, AskInit, AskKdc, AskProfile, Close, Command, LogOut, OpenTunnel, Send, Warn
from .link import Link, SecmodLost

_log = logging.getLogger(__name__)

READ_SIZE = 16384


class LoginOver(ClientError):
    """The connection ends without a tunnel; nothing is wrong with it."""


@dataclass(frozen=True, slots=True)
class Granted:
    """CONNECT succeeded: what was asked, what main gave, the TUN device."""

    request: ConnectRequest
    reply: AuthCookieReply
    tun_fd: int


class Client(Protocol):
    """What a login needs of bridge.tls.TlsSession."""

    @property
    def pending(self) -> int:
        """Bytes that recv() returns without waiting."""

    def recv(self, limit: int, timeout: float) -> bytes:
        """What the client sends; empty at its end."""

    def send(self, data: bytes, timeout: float) -> None:
        """All of it."""

    def bye(self) -> None:
        """Say that nothing more will be sent."""


class LoginDriver:
    """One connection's login, until `deadline` (time.monotonic() seconds)."""

    def __init__(
        self,
        session: Client,
        fd: int,
        link: Link,
        login: Login,
        certificate: CertificateFacts | None,
        vhost: str,
        deadline: float,
    ) -> None:
        self._session = session
        self._fd = fd
        self._link = link
        self._login = login
        self._certificate = certificate
        self._vhost = vhost
        self._deadline = deadline
        self._reader = RequestReader(login.max_head)
        self._granted: Granted | None = None

    def run(self) -> Granted:
        """LoginOver at its end without a tunnel, ClientError, Ended, PeerLost."""
        while self._granted is None:
            self._carry_out(self._next_commands())
        return self._granted

    def _next_commands(self) -> list[Command]:
        try:
            return self._on_request(self._next_request())
        except HttpViolation as violation:
            return self._login.on_violation(violation)

    def _on_request(self, request: Request) -> list[Command]:
        _log.log(HTTP, "HTTP %s %s", request.method, request.path)
        return self._login.on_request(request)

    def _next_request(self) -> Request:
        while (request := self._reader.next_request()) is None:
            self._wait()
            self._reader.receive_data(self._receive())
        return request

    def _receive(self) -> bytes:
        """What the client sends next. LoginOver at its end, which is a violation in the middle of a request; that
        many clients close TCP without close_notify is not."""
        try:
            data = self._session.recv(READ_SIZE, self._left())
        except TlsClosed:
            data = b""
        if not data and self._reader.incomplete:
            raise ClientError("half a request")
        if not data:
            raise LoginOver("the client closed the connection")
        return data

    def _wait(self) -> None:
        """For the client, while listening to main."""
        if self._link.main.waiting:
            self._link.hear_main()
        while not self._session.pending:
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            poll.register(self._link.main, select.POLLIN)
            ready = {fd for fd, _ in poll.poll(self._left() * 1000)}
            if self._link.main.fileno() in ready:
                self._link.hear_main()
            if self._fd in ready:
                return

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise ClientError("no login within auth-timeout")
        return left

    # ---- commands

    def _carry_out(self, commands: list[Command]) -> None:
        queue = deque(commands)
        while queue:
            command = queue.popleft()
            match command:
                case Send(data):
                    self._session.send(data, min(30.0, self._left()))
                case AskInit() | AskCont():
                    queue.extendleft(reversed(self._ask(command)))
                case AskKdc():
                    queue.extendleft(reversed(self._ask_kdc(command)))
                case AskProfile(cookie):
                    queue.extendleft(reversed(self._ask_profile(cookie)))
                case Warn(text):
                    _log.warning("%s", text)
                case LogOut(cookie):
                    self._link.log_out(cookie)
                case OpenTunnel(request):
                    queue.extendleft(reversed(self._open_tunnel(request)))
                case Close(reason, violation):
                    self._session.bye()
                    raise ClientError(reason) if violation else LoginOver(reason)

    def _ask(self, command: AskInit | AskCont) -> list[Command]:
        try:
            reply = self._link.ask_auth(_question(command), self._left())
        except SecmodLost:
            return self._login.on_secmod_lost()
        match reply:
            case AuthPrompt():
                return self._login.on_prompt(reply)
            case AuthGranted():
                _log.info("user '%s' is authenticated", reply.username)
                return self._login.on_granted(reply)
            case AuthDenied():
                return self._login.on_denied(reply)
            case AuthLost():
                return self._login.on_secmod_lost()

    def _ask_profile(self, cookie: Cookie) -> list[Command]:
        try:
            granted = self._link.ask_profile(cookie, self._left())
        except SecmodLost:
            return self._login.on_secmod_lost()
        return self._login.on_profile_reply(granted)

    def _ask_kdc(self, command: AskKdc) -> list[Command]:
        question = KdcRequest(command.vhost, command.path, command.realm, command.message)
        try:
            reply = self._link.ask_kdc(question, self._left())
        except SecmodLost:
            return self._login.on_secmod_lost()
        return self._login.on_kdc_reply(reply)

    def _open_tunnel(self, request: ConnectRequest) -> list[Command]:
        question = AuthCookieRequest(
            vhost=self._vhost or DEFAULT_VHOST,
            cookie=request.cookie,
            client=request.client,
            wants_ipv4=request.wants_ipv4,
            wants_ipv6=request.wants_ipv6,
            certificate=self._certificate,
        )
        answer = self._link.ask_tunnel(question, self._left(), self._fd)
        if isinstance(answer, AuthCookieRefused):
            _log.info("CONNECT is refused: %d %s", answer.status, answer.text)
            return self._login.on_connect_refused(answer.status, answer.text)
        self._granted = Granted(request, *answer)
        return []


def _question(command: AskInit | AskCont) -> AuthInit | AuthCont:
    if isinstance(command, AskCont):
        return AuthCont(command.handle, command.answer, command.token)
    return AuthInit(
        vhost=command.vhost,
        username=command.username,
        group=command.group,
        client=command.client,
        method=command.method,
        certificate=command.certificate,
    )
