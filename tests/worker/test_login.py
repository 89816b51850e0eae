"""The login's driver, over a client that is a list of requests."""

from __future__ import annotations

import base64
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ocserv_core.config.session import SessionConfig
from ocserv_core.errors import ClientError
from ocserv_core.ipc.channel import Channel
from ocserv_core.ipc.messages import (
    AuthCont,
    AuthCookieRefused,
    AuthCookieReply,
    AuthCookieRequest,
    AuthDenied,
    AuthGranted,
    AuthInit,
    AuthPrompt,
    KdcReply,
    KdcRequest,
    LogOut,
    Message,
    ProfileReply,
    ProfileRequest,
    ResumeReply,
    Terminate,
)
from ocserv_core.model import CertificateFacts, Cookie, DisconnectReason, Lease, SessionId
from ocserv_core.protocol.kkdcp import build_kdc_message
from ocserv_core.protocol.login import Login
from ocserv_core.protocol.login_words import ConnectionFacts, LoginSettings
from ocserv_core.worker.link import Ended
from ocserv_core.worker.login import Granted, LoginDriver, LoginOver
from tests.ipc.pairs import some_descriptor
from tests.protocol.dialogue import COOKIE, http, init, reply

from .ends import Ends, meanwhile

SID = SessionId("s" * 28)
TUNNEL = AuthCookieReply(SID, "alice", "", Lease(), "vpns0", 0.0, bytes(32), SessionConfig())
GRANTED = AuthGranted(SID, Cookie(COOKIE), "alice", "")
PROMPT = AuthPrompt("handle", "Please enter your password.")
CONNECT = http("CONNECT", "/CSCOSSLC/tunnel", Cookie=f"webvpn={COOKIE}")
FORM = http("POST", "/", init())
BOTH = http("POST", "/auth", reply(username="alice", password="secret"))
ORDER = Terminate(DisconnectReason.SERVER, "the end")


class FakeTls:
    """A client's end of TLS: what it sends lies in a socket as it is."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.said_bye = False

    @property
    def pending(self) -> int:
        return 0

    def recv(self, limit: int, timeout: float) -> bytes:
        self._sock.settimeout(timeout)
        return self._sock.recv(limit)

    def send(self, data: bytes, timeout: float = 30.0) -> None:
        self._sock.sendall(data)

    def bye(self) -> None:
        self.said_bye = True


class Table:
    """The driver, its client, secmod and main."""

    def __init__(
        self, ends: Ends, certificate: CertificateFacts | None = None, settings: LoginSettings | None = None
    ) -> None:
        self.ends = ends
        self.client, ours = socket.socketpair()
        self.client.settimeout(10)
        self.ours = ours
        self.heard = b""
        self.leaves = False
        self.asked: list[Message] = []
        self.helpers: list[threading.Thread] = []
        self.next_secmod: Channel[Any] | None = None
        self.tls = FakeTls(ours)
        login = Login(
            settings or LoginSettings("default", profile=b"<profile/>"), ConnectionFacts("AB" * 20, certificate)
        )
        self.driver = LoginDriver(
            self.tls, ours.fileno(), ends.link, login, certificate, "default", time.monotonic() + 10
        )

    def say(self, *requests: bytes) -> None:
        """The client's requests, each after the answer to the one before."""
        self.helpers.append(meanwhile(lambda: self._say(requests)))

    def _say(self, requests: tuple[bytes, ...]) -> None:
        for request in requests:
            self.client.sendall(request)
            if request is not CONNECT:
                self.heard += _response(self.client)
        if self.leaves:
            self.client.shutdown(socket.SHUT_WR)

    def secmod_answers(self, *messages: Message) -> None:
        for message in messages:
            self.ends.secmod.send(message)

    def secmod_dies_when_asked(self) -> None:
        """And main hands over the channel to another."""

        def die() -> None:
            self.ends.secmod.receive(10)
            self.ends.secmod.close()
            self.next_secmod = self.ends.new_secmod()

        self.helpers.append(meanwhile(die))

    def main_answers(self, message: Message, *fds: int) -> None:
        """What main says when it is asked for the tunnel."""

        def answer() -> None:
            self.asked.append(self.ends.main.receive(10).message)
            self.ends.main.send(message, fds)
            for fd in fds:
                os.close(fd)

        self.helpers.append(meanwhile(answer))

    def main_opens(self) -> None:
        self.main_answers(TUNNEL, some_descriptor())

    def run(self) -> Granted:
        try:
            granted = self.driver.run()
        finally:
            if self.client.fileno() >= 0:
                self.ours.shutdown(socket.SHUT_WR)
            for helper in self.helpers:
                helper.join(10)
        os.close(granted.tun_fd)
        return granted

    def close(self) -> None:
        self.client.close()
        self.ours.close()
        self.ends.close()
        if self.next_secmod is not None:
            self.next_secmod.close()


def _response(client: socket.socket) -> bytes:
    """One whole answer; what there is of it at the connection's end."""
    data = b""
    while b"\r\n\r\n" not in data or not _is_whole(data):
        part = client.recv(65536)
        if not part:
            break
        data += part
    return data


def _is_whole(data: bytes) -> bool:
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])


@pytest.fixture
def table() -> Iterator[Table]:
    made = Table(Ends())
    yield made
    made.close()


def test_from_the_first_request_to_the_tunnel(table: Table) -> None:
    table.say(FORM, BOTH, CONNECT)
    table.secmod_answers(PROMPT, GRANTED)
    table.main_opens()
    granted = table.run()
    assert (granted.reply, granted.request.cookie) == (TUNNEL, COOKIE)


def test_secmod_hears_the_name_and_then_the_password(table: Table) -> None:
    table.say(FORM, BOTH, CONNECT)
    table.secmod_answers(PROMPT, GRANTED)
    table.main_opens()
    table.run()
    first, second = table.ends.heard(table.ends.secmod)
    assert isinstance(first, AuthInit)
    assert (first.vhost, first.username, second) == ("default", "alice", AuthCont("handle", "secret"))


def test_the_mechanism_of_a_client_logs_in() -> None:
    table = Table(Ends(), settings=LoginSettings("default", methods=(("gssapi",),)))
    token = bytes(range(256)) * 188
    head = f"Negotiate {base64.b64encode(token).decode()}"
    table.say(http("GET", "/"), http("GET", "/", Authorization=head), CONNECT)
    table.secmod_answers(AuthPrompt("handle", ""), GRANTED)
    table.main_opens()
    table.run()
    first, second = table.ends.heard(table.ends.secmod)
    assert isinstance(first, AuthInit)
    assert (first.username, second) == ("", AuthCont("handle", "", token))
    assert b"401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\n" in table.heard
    table.close()


@pytest.mark.parametrize(
    ("reply", "status"), [(KdcReply(b"\0\0\0\1x"), b"200 OK"), (KdcReply(b"", "no"), b"502 Bad Gateway")]
)
def test_a_kerberos_message_is_forwarded(reply: KdcReply, status: bytes) -> None:
    table = Table(Ends(), settings=LoginSettings("default", kdc_paths=("/KdcProxy",)))
    body = build_kdc_message(b"\0\0\0\1q", "R")
    table.leaves = True
    table.say(http("POST", "/KdcProxy", "x" * len(body)).removesuffix(b"x" * len(body)) + body)
    table.secmod_answers(reply)
    with pytest.raises(LoginOver):
        table.run()
    assert table.ends.heard(table.ends.secmod) == [KdcRequest("default", "/KdcProxy", "R", b"\0\0\0\1q")]
    assert table.heard.startswith(b"HTTP/1.1 " + status)
    table.close()


def test_main_hears_the_cookie_and_what_was_verified() -> None:
    facts = CertificateFacts("alice", ("staff",))
    table = Table(Ends(), facts)
    table.say(CONNECT)
    table.main_opens()
    table.run()
    (asked,) = table.asked
    assert isinstance(asked, AuthCookieRequest)
    assert (asked.vhost, asked.cookie, asked.certificate) == ("default", COOKIE, facts)
    table.close()


def test_a_cookie_alone_opens_the_tunnel(table: Table) -> None:
    table.say(CONNECT)
    table.main_opens()
    assert table.run().reply == TUNNEL


def test_a_client_that_goes_away_is_no_error(table: Table) -> None:
    table.leaves = True
    table.say(FORM)
    with pytest.raises(LoginOver, match="closed the connection"):
        table.run()
    assert b"<form" in table.heard


def test_a_denied_login_ends_with_an_answer_and_good_bye(table: Table) -> None:
    table.say(FORM, BOTH)
    table.secmod_answers(PROMPT, AuthDenied("Login failed."))
    with pytest.raises(LoginOver):
        table.run()
    assert b"HTTP/1.1 401" in table.heard
    assert table.tls.said_bye


@pytest.mark.parametrize("status", [401, 503])
def test_a_refused_tunnel_is_answered(table: Table, status: int) -> None:
    table.say(CONNECT)
    table.main_answers(AuthCookieRefused(status, "no"))
    with pytest.raises(LoginOver):
        table.run()
    assert _response(table.client).startswith(f"HTTP/1.1 {status}".encode())


@pytest.mark.parametrize(("granted", "said"), [(True, b"<profile/>"), (False, b"HTTP/1.1 401")])
def test_the_profile_is_secmod_s_to_grant(table: Table, granted: bool, said: bytes) -> None:
    table.leaves = True
    table.say(http("GET", "/profiles/p.xml", Cookie=f"webvpn={COOKIE}"))
    table.secmod_answers(ProfileReply(granted))
    with pytest.raises(LoginOver):
        table.run()
    assert said in table.heard
    assert table.ends.heard(table.ends.secmod) == [ProfileRequest(Cookie(COOKIE))]


def test_a_profile_whose_secmod_dies_is_for_later(table: Table) -> None:
    table.secmod_dies_when_asked()
    table.say(http("GET", "/profiles/p.xml", Cookie=f"webvpn={COOKIE}"))
    with pytest.raises(LoginOver):
        table.run()
    assert b"HTTP/1.1 503" in table.heard


def test_a_logout_is_told_to_secmod(table: Table) -> None:
    table.leaves = True
    table.say(http("GET", "/logout", Cookie=f"webvpn={COOKIE}"))
    with pytest.raises(LoginOver):
        table.run()
    assert b"HTTP/1.1 200" in table.heard
    assert table.ends.heard(table.ends.secmod) == [LogOut(Cookie(COOKIE))]


def test_nonsense_is_answered_and_ends(table: Table) -> None:
    table.say(b"NONSENSE\r\n\r\n")
    with pytest.raises(ClientError, match="bad request"):
        table.run()
    assert b"HTTP/1.1 400" in table.heard


def test_main_s_order_is_heard_while_the_client_is_silent(table: Table) -> None:
    helper = meanwhile(lambda: table.ends.main.send(ORDER))
    with pytest.raises(Ended):
        table.run()
    helper.join()


def test_main_s_order_that_came_with_an_answer_is_heard_before_the_client_speaks(table: Table) -> None:
    table.ends.main.send(ORDER)
    table.ends.main.send(ResumeReply(None))
    table.ends.link.fetch("default", b"id")
    with pytest.raises(Ended):
        table.run()


def test_a_silent_client_has_until_the_deadline(table: Table) -> None:
    table.driver._deadline = time.monotonic() + 0.02
    with pytest.raises(ClientError, match="no login within auth-timeout"):
        table.run()


def test_a_secmod_that_dies_in_a_round_begins_the_login_again(table: Table) -> None:
    table.secmod_dies_when_asked()
    table.leaves = True
    table.say(FORM, BOTH)
    with pytest.raises(LoginOver):
        table.run()
    assert table.heard.count(b"<form") == 2


def test_no_password_and_no_cookie_is_in_the_log(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    table.say(FORM, BOTH, CONNECT)
    table.secmod_answers(PROMPT, GRANTED)
    table.main_opens()
    table.run()
    assert "secret" not in caplog.text
    assert COOKIE not in caplog.text
