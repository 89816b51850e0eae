"""What a worker may ask of secmod, as a hostile worker would find out."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Callable

import pytest

from ocserv_core.errors import PeerLost, PeerViolation
from ocserv_core.ipc.messages import (
    AuthCont,
    AuthGranted,
    AuthInit,
    AuthLost,
    AuthPrompt,
    CliStats,
    Decrypt,
    KdcReply,
    KdcRequest,
    LogOut,
    Message,
    ProfileReply,
    ProfileRequest,
    Sign,
    SignReply,
)
from ocserv_core.model import ClientInfo, Cookie, DisconnectReason, Endpoint, Identity, SessionId, Traffic
from ocserv_core.plugin import Ask, Login, Prompt
from ocserv_core.secmod.composition import Method
from ocserv_core.secmod.conversation import Conversations
from ocserv_core.secmod.kdc import KdcForwarder, KdcRoute
from ocserv_core.secmod.keys import KeyRing, PrivateKey
from ocserv_core.secmod.prepare import Prepared, PreparedVhost
from ocserv_core.secmod.requests import MAX_KEY_USES, WorkerPeer
from ocserv_core.secmod.signers import Signers
from tests.config.texts import config
from tests.loop import on_loop, turn, until

from . import pki
from .backends import Backend, Rounds, compose, one_password
from .kdc import silent_key_server

DIGEST = hashlib.sha256(b"text").digest()
KNOWN = Cookie("known")
SID, OTHER_SID = SessionId("mine"), SessionId("another's")


class Desk:
    """secmod with two vhosts, and what its workers hear."""

    def __init__(self, rounds: Rounds = one_password, routes: tuple[KdcRoute, ...] = ()) -> None:
        server = config("[vhost:b.example]\n")
        key = pki.key("p256")
        assert isinstance(key, PrivateKey)
        composition = compose({"plain": Backend(rounds)})
        vhosts = {
            name: PreparedVhost(
                name,
                server.default.options,
                KeyRing([key]),
                composition,
                20.0,
                end_points=(b"first", b"second"),
                proxies=routes,
            )
            for name in ("default", "b.example")
        }
        self.prepared = Prepared(1, server, vhosts, Signers({name: vhost.keys for name, vhost in vhosts.items()}))
        handles = (f"handle-{number}" for number in itertools.count(1))
        self.logins = Conversations(handles.__next__, self._grant, lambda _login: None, lambda _login: None)
        self.stats: list[tuple[SessionId, Traffic]] = []
        self.logged_out: list[Cookie] = []
        self.granted: list[Login] = []
        self.kerberos: list[str] = []

    async def _grant(self, login: Login, _method: Method, identity: Identity) -> AuthGranted:
        self.granted.append(login)
        return AuthGranted(SID, Cookie("cookie"), identity.username, "")

    def on_stats(self, sid: SessionId, worker: int, traffic: Traffic) -> None:
        self.stats.append((sid, traffic))

    def log_out(self, cookie: Cookie) -> None:
        self.logged_out.append(cookie)

    def knows(self, cookie: Cookie, vhost: str | None) -> bool:
        return (cookie, vhost) in ((KNOWN, None), (KNOWN, "default"))


class Worker:
    """A worker as secmod knows it."""

    def __init__(self, desk: Desk, ip: str = "192.0.2.7") -> None:
        remote, local = Endpoint(ip, 40000), Endpoint("192.0.2.1", 443)
        self.peer = WorkerPeer(1, remote, local, desk.prepared, desk.logins, desk, KdcForwarder(), desk.kerberos.append)
        self.peer.channel = self  # type: ignore[assignment]  # only `send` is asked of it
        self.heard: list[Message] = []

    def send(self, message: Message) -> None:
        self.heard.append(message)

    def say(self, message: Message) -> None:
        self.peer.on_message(message, [])

    def refusal(self, message: Message) -> str:
        """What secmod says against a message, upon which it cuts the worker off."""
        with pytest.raises(PeerViolation) as caught:
            self.say(message)
        return str(caught.value)

    async def hear(self) -> Message:
        await until(lambda: self.heard)
        return self.heard.pop(0)

    async def log_in(self) -> None:
        self.say(init())
        await self.hear()
        self.say(AuthCont("handle-1", "right"))
        assert isinstance(await self.hear(), AuthGranted)


def sign(vhost: str = "default", algorithm: str = "ECDSA-SHA256") -> Sign:
    return Sign(vhost, 0, algorithm, DIGEST)


def init(vhost: str = "default", method: str = "") -> AuthInit:
    return AuthInit(vhost, "alice", "", ClientInfo(), method)


@pytest.fixture
def worker() -> Worker:
    return Worker(Desk())


def test_a_handshake_is_signed(worker: Worker) -> None:
    worker.say(sign())
    (reply,) = worker.heard
    assert isinstance(reply, SignReply)
    assert reply.signature


def test_a_signature_that_cannot_be_is_empty_and_told(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    worker.say(sign(algorithm="RSA-PKCS1-RAW"))
    assert worker.heard == [SignReply(b"")]
    assert "signature refused (vhost default, key 0): unknown algorithm 'RSA-PKCS1-RAW'" in caplog.text


def test_the_first_signature_names_the_vhost_for_ever(worker: Worker) -> None:
    worker.say(sign("b.example"))
    assert worker.refusal(sign("default")) == "vhost 'default' is not this worker's"


@pytest.mark.parametrize("message", [Decrypt("b.example", 0, b""), init("b.example")])
def test_no_other_message_may_name_another_vhost(worker: Worker, message: Message) -> None:
    worker.say(sign())
    assert worker.refusal(message) == "vhost 'b.example' is not this worker's"


@pytest.mark.parametrize("message", [sign("nowhere"), init("nowhere"), Decrypt("", 0, b"")])
def test_a_vhost_that_is_not_there_is_no_worker_s(worker: Worker, message: Message) -> None:
    assert "is not this worker's" in worker.refusal(message)


def test_a_key_is_used_so_often_and_no_more(worker: Worker) -> None:
    for _ in range(MAX_KEY_USES):
        worker.say(sign())
    assert worker.refusal(sign()) == "too many uses of a private key"


@pytest.mark.parametrize("message", [sign(), Decrypt("default", 0, bytes(256))])
def test_a_key_is_used_once_at_a_time(worker: Worker, monkeypatch: pytest.MonkeyPatch, message: Message) -> None:
    waiting: list[Callable[[bytes], None]] = []
    monkeypatch.setattr(Signers, "ask", lambda _signers, _asked, done: waiting.append(done))
    worker.say(sign())
    assert worker.heard == []
    waiting.pop()(b"signed")
    assert worker.heard == [SignReply(b"signed")]
    worker.say(message)
    assert worker.refusal(message) == "a use of a private key before the answer to another"


def test_signatures_and_decryptions_count_together(worker: Worker) -> None:
    for _ in range(MAX_KEY_USES):
        worker.say(sign())
    assert worker.refusal(Decrypt("default", 0, bytes(256))) == "too many uses of a private key"


def test_refused_signatures_count_too(worker: Worker) -> None:
    for _ in range(MAX_KEY_USES):
        worker.say(sign(algorithm="none"))
    assert worker.refusal(sign()) == "too many uses of a private key"


def test_a_method_that_the_vhost_has_not_is_a_violation() -> None:
    async def dialogue() -> None:
        assert Worker(Desk()).refusal(init(method="pam")) == "vhost default has no method 'pam'"

    on_loop(dialogue())


def test_after_the_login_nothing_is_signed() -> None:
    async def dialogue() -> None:
        worker = Worker(Desk())
        await worker.log_in()
        assert worker.refusal(sign()) == "Sign is not permitted in phase LOGGED_IN"

    on_loop(dialogue())


def test_statistics_before_the_tunnel_are_a_violation(worker: Worker) -> None:
    assert worker.refusal(CliStats(SID, Traffic())) == "CliStats is not permitted in phase FRESH"


TUNNEL_REFUSES = [
    sign(),
    Decrypt("default", 0, b""),
    init(),
    AuthCont("handle-1", "x"),
    LogOut(KNOWN),
    ProfileRequest(KNOWN),
    KdcRequest("default", "/KdcProxy", "R", b"message"),
]


@pytest.mark.parametrize("message", TUNNEL_REFUSES)
def test_in_the_tunnel_there_are_statistics_and_nothing_else(worker: Worker, message: Message) -> None:
    worker.peer.enter_tunnel(SID)
    assert worker.refusal(message) == f"{type(message).__name__} is not permitted in phase TUNNEL"


def test_a_logout_is_not_answered() -> None:
    desk = Desk()
    worker = Worker(desk)
    worker.say(LogOut(KNOWN))
    assert (desk.logged_out, worker.heard) == ([KNOWN], [])


def test_the_profile_is_for_a_cookie_that_is_known(worker: Worker) -> None:
    worker.say(ProfileRequest(KNOWN))
    worker.say(ProfileRequest(Cookie("guessed")))
    assert worker.heard == [ProfileReply(True), ProfileReply(False)]


def test_the_profile_is_not_for_the_cookie_of_another_vhost(worker: Worker) -> None:
    worker.say(sign("b.example"))
    worker.say(ProfileRequest(KNOWN))
    assert worker.heard[1:] == [ProfileReply(False)]


def test_a_token_reaches_the_back_end_as_base64() -> None:
    async def dialogue() -> None:
        desk = Desk(shows_its_ticket)
        worker = Worker(desk)
        worker.say(init())
        assert await worker.hear() == AuthPrompt("handle-1", "", token="b3V0")
        worker.say(AuthCont("handle-1", "", b"a ticket"))
        assert await worker.hear() == AuthGranted(SID, Cookie("cookie"), base64.b64encode(b"a ticket").decode(), "")

    on_loop(dialogue())


async def shows_its_ticket(_login: Login, ask: Ask) -> Identity:
    return Identity(await ask(Prompt("", token="b3V0")))


@pytest.mark.parametrize(("key", "end_point"), [(0, b"first"), (1, b"second"), (7, b"")])
def test_a_login_knows_the_certificate_whose_key_was_used(key: int, end_point: bytes) -> None:
    async def dialogue() -> None:
        desk = Desk()
        worker = Worker(desk)
        worker.say(Sign("default", key, "ECDSA-SHA256", DIGEST))
        await worker.hear()
        await worker.log_in()
        assert desk.granted[0].end_point == end_point

    on_loop(dialogue())


def test_a_login_without_a_signature_is_taken_for_one_by_the_first_certificate() -> None:
    async def dialogue() -> None:
        desk = Desk()
        await Worker(desk).log_in()
        assert desk.granted[0].end_point == b"first"

    on_loop(dialogue())


def test_a_kerberos_message_to_nowhere_is_answered(worker: Worker) -> None:
    worker.say(KdcRequest("default", "/elsewhere", "R", b"message"))
    assert worker.heard == [KdcReply(b"", "there is no key server behind this path")]


def test_kerberos_messages_come_one_after_another() -> None:
    async def dialogue() -> None:
        async with silent_key_server() as route:
            worker = Worker(Desk(routes=(route,)))
            message = KdcRequest("default", "/KdcProxy", "R", b"message")
            worker.say(message)
            assert worker.refusal(message) == "a Kerberos message before the answer to another"
            worker.peer.on_end(PeerLost("gone"))
            await turn()
            assert worker.heard == []

    on_loop(dialogue())


def test_statistics_of_another_s_session_are_a_violation(worker: Worker) -> None:
    worker.peer.enter_tunnel(SID)
    assert worker.refusal(CliStats(OTHER_SID, Traffic())) == "statistics of another session"


def test_statistics_in_between_are_accounted() -> None:
    desk = Desk()
    worker = Worker(desk)
    worker.peer.enter_tunnel(SID)
    worker.say(CliStats(SID, Traffic(1, 2)))
    assert (desk.stats, worker.peer.last_reason) == ([(SID, Traffic(1, 2))], None)


def test_the_last_statistics_tell_why_it_ended() -> None:
    desk = Desk()
    worker = Worker(desk)
    worker.peer.enter_tunnel(SID)
    worker.say(CliStats(SID, Traffic(1, 2), DisconnectReason.USER))
    assert (desk.stats, worker.peer.last_reason) == ([], DisconnectReason.USER)


def test_a_login_may_go_on_at_another_worker_of_the_same_address() -> None:
    async def dialogue() -> None:
        desk = Desk()
        first, second = Worker(desk), Worker(desk)
        first.say(init())
        await first.hear()
        second.say(AuthCont("handle-1", "right"))
        assert isinstance(await second.hear(), AuthGranted)
        assert first.heard == []

    on_loop(dialogue())


def test_a_worker_of_another_address_gets_nothing() -> None:
    async def dialogue() -> None:
        desk = Desk()
        first, second = Worker(desk), Worker(desk, "192.0.2.8")
        first.say(init())
        await first.hear()
        second.say(AuthCont("handle-1", "right"))
        assert await second.hear() == AuthLost()

    on_loop(dialogue())


def test_a_worker_that_is_gone_leaves_a_parked_login() -> None:
    async def dialogue() -> None:
        desk = Desk()
        worker = Worker(desk)
        worker.say(init())
        await worker.hear()
        worker.peer.on_end(PeerLost("gone"))
        await turn()
        assert len(desk.logins) == 1
        desk.logins.cancel_all()

    on_loop(dialogue())


def test_a_worker_has_one_login_at_a_time() -> None:
    async def dialogue() -> None:
        desk = Desk()
        worker = Worker(desk)
        for _ in range(5):
            worker.say(init())
            assert isinstance(await worker.hear(), AuthPrompt)
        await turn()
        assert len(desk.logins) == 1
        desk.logins.cancel_all()

    on_loop(dialogue())


def test_a_handle_that_is_not_there_does_not_free_the_worker_of_its_own_login() -> None:
    async def dialogue() -> None:
        desk = Desk()
        worker = Worker(desk)
        for _ in range(5):
            worker.say(init())
            await worker.hear()
            worker.say(AuthCont("nothing", "x"))
            assert await worker.hear() == AuthLost()
        await turn()
        assert len(desk.logins) == 1
        desk.logins.cancel_all()

    on_loop(dialogue())


def test_a_violation_is_told_with_the_client_s_address(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    worker.peer.on_end(PeerViolation("nonsense"))
    assert caplog.messages == ["worker 1 (192.0.2.7) is cut off: nonsense"]


def test_a_back_end_hears_both_ends_of_the_connection() -> None:
    async def dialogue() -> None:
        desk = Desk()
        await Worker(desk).log_in()
        assert [(login.remote_ip, login.local_ip) for login in desk.granted] == [("192.0.2.7", "192.0.2.1")]

    on_loop(dialogue())


def test_each_kerberos_message_counts_for_the_address_that_main_has_told() -> None:
    desk = Desk()
    worker = Worker(desk, "192.0.2.9")
    worker.say(KdcRequest("default", "/elsewhere", "R", b"message"))
    worker.say(KdcRequest("default", "/elsewhere", "R", b"message"))
    assert desk.kerberos == ["192.0.2.9", "192.0.2.9"]
