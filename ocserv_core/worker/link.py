"""A worker's channels to main and to secmod, as straight questions and answers.

main may speak in between: an order to end is raised as `Ended`, a new channel to secmod (after its restart) takes
the place of the old one.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from typing import NamedTuple, TypeVar

from ..errors import OcservError, PeerLost, PeerViolation
from ..ipc.channel import Channel
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
    ClientAddress,
    Decrypt,
    DecryptReply,
    FromMainToWorker,
    FromSecmodToWorker,
    KdcReply,
    KdcRequest,
    LogOut,
    Message,
    ProfileReply,
    ProfileRequest,
    ResumeDelete,
    ResumeFetch,
    ResumeReply,
    ResumeStore,
    SecmodAttach,
    Sign,
    SignReply,
    Terminate,
    UdpSocket,
    UdpVerdict,
    UpdateLimits,
)
from ..ipc.permits import close_all
from ..model import Cookie, Endpoint

ANSWER_TIMEOUT = 10.0
"""Seconds for what needs no user: a signature, session data."""

SECMOD_RETURNS_WITHIN = 5.0

MAX_ARRIVALS = 8
"""More than that wait for nothing good: the client repeats itself."""

Answer = TypeVar("Answer", bound=Message)


class Ended(OcservError):
    """main orders this worker's end."""

    def __init__(self, order: Terminate) -> None:
        self.order = order
        super().__init__(order.text)


class SecmodLost(OcservError):
    """secmod was restarted while it was asked; the question is lost, a new channel is there."""


class UdpArrival(NamedTuple):
    """A UdpSocket's content; whoever takes it owns `fd`. `search` is 0 where main wants no verdict."""

    fd: int
    datagram: bytes
    hello: bool
    search: int


class Link:
    """Both channels. PeerLost from any method means that main is gone: the worker ends. `arrivals` are the UDP
    sockets that main has sent and nobody has taken yet, `limits` the newest limits that nobody has obeyed yet."""

    def __init__(self, main: socket.socket, secmod: socket.socket) -> None:
        self.main = Channel[FromMainToWorker](main, FromMainToWorker, trusted=True)
        self.secmod = _open_secmod(secmod)
        self.arrivals: deque[UdpArrival] = deque()
        self.limits: UpdateLimits | None = None

    # ---- secmod

    def sign(self, vhost: str, key: int, algorithm: str, data: bytes) -> bytes:
        """bridge.tls.Signer: one signature."""
        return self._ask_secmod(Sign(vhost, key, algorithm, data), (SignReply,), ANSWER_TIMEOUT).signature

    def decrypt(self, vhost: str, key: int, data: bytes) -> bytes:
        """bridge.tls.Signer: one premaster secret."""
        return self._ask_secmod(Decrypt(vhost, key, data), (DecryptReply,), ANSWER_TIMEOUT).data

    def ask_auth(
        self, question: AuthInit | AuthCont, timeout: float
    ) -> AuthPrompt | AuthGranted | AuthDenied | AuthLost:
        """A round of a login. SecmodLost."""
        answers = (AuthPrompt, AuthGranted, AuthDenied, AuthLost)
        reply = self._ask_secmod(question, answers, timeout)
        assert isinstance(reply, answers)
        return reply

    def ask_profile(self, cookie: Cookie, timeout: float) -> bool:
        """Whether the cookie is a living session's. SecmodLost."""
        return self._ask_secmod(ProfileRequest(cookie), (ProfileReply,), timeout).granted

    def ask_kdc(self, question: KdcRequest, timeout: float) -> KdcReply:
        """What a key server has to say. SecmodLost."""
        return self._ask_secmod(question, (KdcReply,), timeout)

    def log_out(self, cookie: Cookie) -> None:
        """The client of this cookie says good-bye; the next secmod is told where this one is gone."""
        try:
            self.secmod.send(LogOut(cookie))
        except PeerLost:
            self._await_secmod()
            self.secmod.send(LogOut(cookie))

    def _ask_secmod(self, question: Message, answers: tuple[type[Answer], ...], timeout: float) -> Answer:
        try:
            return self.secmod.ask(question, answers, timeout)[0]
        except PeerLost:
            self._await_secmod()
            raise SecmodLost("secmod was restarted") from None

    def _await_secmod(self) -> None:
        """secmod is gone: main says when there is another."""
        while True:
            received = self.main.receive(SECMOD_RETURNS_WITHIN)
            if self._handle(received.message, received.fds):
                return

    # ---- main

    def tell_address(self, remote: Endpoint, local: Endpoint) -> None:
        """Where the client is, says the PROXY header. Before anything else."""
        self.main.send(ClientAddress(remote, local))

    def store(self, vhost: str, session_id: bytes, data: bytes) -> None:
        """bridge.tls.ResumptionStore."""
        self.main.send(ResumeStore(vhost, session_id, data))

    def fetch(self, vhost: str, session_id: bytes) -> bytes | None:
        """bridge.tls.ResumptionStore."""
        reply, _ = self.main.ask(ResumeFetch(vhost, session_id), (ResumeReply,), ANSWER_TIMEOUT)
        return reply.data

    def delete(self, vhost: str, session_id: bytes) -> None:
        """bridge.tls.ResumptionStore."""
        self.main.send(ResumeDelete(vhost, session_id))

    def ask_tunnel(
        self, request: AuthCookieRequest, timeout: float, client: int = -1
    ) -> tuple[AuthCookieReply, int] | AuthCookieRefused:
        """CONNECT: the tunnel and its TUN device, or why not. client: its connection, which may end while a script runs
        for it. Ended where main orders the end meanwhile; ClientGone."""
        reply, fds = self.main.ask(request, (AuthCookieReply, AuthCookieRefused, Terminate), timeout, client)
        if isinstance(reply, Terminate):
            raise Ended(reply)
        if isinstance(reply, AuthCookieReply):
            if len(fds) != 1:
                close_all(fds)
                raise PeerViolation("a tunnel came without its device")
            return reply, fds[0]
        assert isinstance(reply, AuthCookieRefused)
        return reply

    def hear_main(self) -> bool:
        """Take what main has said, without waiting. Whether there is a new channel to secmod. Ended."""
        attached = False
        while (received := self.main.receive_now()) is not None:
            attached = self._handle(received.message, received.fds) or attached
        return attached

    def refuse(self, arrival: UdpArrival) -> None:
        """It is not for this connection."""
        os.close(arrival.fd)
        if arrival.search:
            self.main.send(UdpVerdict(arrival.search, opened=False))

    def _on_udp_socket(self, message: UdpSocket, fd: int) -> None:
        arrival = UdpArrival(fd, message.datagram, message.hello, message.search)
        if len(self.arrivals) < MAX_ARRIVALS:
            self.arrivals.append(arrival)
        else:
            self.refuse(arrival)

    def _handle(self, message: FromMainToWorker, fds: list[int]) -> bool:
        if isinstance(message, Terminate):
            raise Ended(message)
        if isinstance(message, SecmodAttach) and len(fds) == 1:
            self.secmod.close()
            self.secmod = _open_secmod(socket.socket(fileno=fds[0]))
            return True
        if isinstance(message, UdpSocket) and len(fds) == 1:
            self._on_udp_socket(message, fds[0])
            return False
        if isinstance(message, UpdateLimits) and not fds:
            self.limits = message
            return False
        close_all(fds)
        raise PeerViolation(f"main sent {type(message).__name__} unasked")


def adopt(fd: int) -> socket.socket:
    """The socket of an inherited descriptor."""
    os.set_inheritable(fd, False)
    return socket.socket(fileno=fd)


def _open_secmod(sock: socket.socket) -> Channel[FromSecmodToWorker]:
    return Channel(sock, FromSecmodToWorker, trusted=True)
