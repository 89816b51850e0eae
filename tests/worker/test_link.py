"""A worker's questions, and what comes in between."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ocserv_core.config.session import SessionConfig
from ocserv_core.errors import PeerLost, PeerViolation
from ocserv_core.ipc.messages import (
    AuthCont,
    AuthCookieRefused,
    AuthCookieReply,
    AuthCookieRequest,
    AuthLost,
    AuthPrompt,
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
from ocserv_core.model import ClientInfo, Cookie, DisconnectReason, Lease, SessionId
from ocserv_core.worker import link as link_module
from ocserv_core.worker.link import MAX_ARRIVALS, Ended, SecmodLost, UdpArrival
from tests.ipc.pairs import open_descriptors, settled_descriptors, some_descriptor

from .ends import Ends, meanwhile

ORDER = Terminate(DisconnectReason.SERVER, "the end")
ASKS = AuthCookieRequest("default", Cookie("c"), ClientInfo(), True, True)
TUNNEL = AuthCookieReply(SessionId("s"), "alice", "", Lease(), "vpns0", 0.0, bytes(32), SessionConfig())


@pytest.fixture
def ends() -> Iterator[Ends]:
    before = settled_descriptors()
    made = Ends()
    yield made
    made.close()
    assert open_descriptors() == before


def test_a_signature_is_asked_for_and_given(ends: Ends) -> None:
    ends.secmod.send(SignReply(b"signature"))
    assert ends.link.sign("v", 0, "ED25519", b"text") == b"signature"
    assert ends.heard(ends.secmod) == [Sign("v", 0, "ED25519", b"text")]


@pytest.mark.parametrize("reply", [AuthPrompt("h", "Password:"), AuthLost()])
def test_a_round_of_a_login(ends: Ends, reply: Message) -> None:
    ends.secmod.send(reply)
    assert ends.link.ask_auth(AuthCont("h", "x"), 1) == reply


@pytest.mark.parametrize("granted", [True, False])
def test_whether_a_cookie_is_known(ends: Ends, granted: bool) -> None:
    ends.secmod.send(ProfileReply(granted))
    assert ends.link.ask_profile(Cookie("c"), 1) is granted
    assert ends.heard(ends.secmod) == [ProfileRequest(Cookie("c"))]


def test_a_kerberos_message_and_its_answer(ends: Ends) -> None:
    asked, reply = KdcRequest("default", "/KdcProxy", "R", b"message"), KdcReply(bytes(60000))
    ends.secmod.send(reply)
    assert ends.link.ask_kdc(asked, 1) == reply
    assert ends.heard(ends.secmod) == [asked]


def test_a_logout_is_told_and_not_answered(ends: Ends) -> None:
    ends.link.log_out(Cookie("c"))
    assert ends.heard(ends.secmod) == [LogOut(Cookie("c"))]


def test_a_logout_without_secmod_is_told_to_the_next(ends: Ends) -> None:
    ends.secmod.close()
    new = ends.new_secmod()
    ends.link.log_out(Cookie("c"))
    assert ends.heard(new) == [LogOut(Cookie("c"))]
    new.close()


def test_session_data_is_stored_fetched_and_deleted(ends: Ends) -> None:
    ends.main.send(ResumeReply(b"data"))
    ends.link.store("v", b"id", b"data")
    assert ends.link.fetch("v", b"id") == b"data"
    ends.link.delete("v", b"id")
    said = [ResumeStore("v", b"id", b"data"), ResumeFetch("v", b"id"), ResumeDelete("v", b"id")]
    assert ends.heard(ends.main) == said


def test_a_tunnel_comes_with_its_device(ends: Ends) -> None:
    fd = some_descriptor()
    ends.main.send(TUNNEL, [fd])
    answer = ends.link.ask_tunnel(ASKS, 1)
    assert isinstance(answer, tuple)
    reply, device = answer
    assert (reply, os.fstat(device).st_ino) == (TUNNEL, os.fstat(fd).st_ino)
    os.close(fd)
    os.close(device)


@pytest.mark.parametrize("count", [0, 2])
def test_a_tunnel_without_its_one_device_is_a_violation(ends: Ends, count: int) -> None:
    fds = [some_descriptor() for _ in range(count)]
    ends.main.send(TUNNEL, fds)
    for fd in fds:
        os.close(fd)
    with pytest.raises(PeerViolation):
        ends.link.ask_tunnel(ASKS, 1)


def test_a_tunnel_that_is_refused(ends: Ends) -> None:
    ends.main.send(AuthCookieRefused(401, "no"))
    assert ends.link.ask_tunnel(ASKS, 1) == AuthCookieRefused(401, "no")


def test_an_order_to_end_goes_before_the_tunnel(ends: Ends) -> None:
    ends.main.send(ORDER)
    with pytest.raises(Ended) as caught:
        ends.link.ask_tunnel(ASKS, 1)
    assert caught.value.order == ORDER


def test_an_order_to_end_is_heard_in_between(ends: Ends) -> None:
    ends.main.send(ORDER)
    with pytest.raises(Ended):
        ends.link.hear_main()


def test_an_order_to_end_that_came_before_an_answer_is_not_forgotten(ends: Ends) -> None:
    ends.main.send(ORDER)
    ends.main.send(ResumeReply(None))
    assert ends.link.fetch("v", b"id") is None
    assert ends.link.main.waiting
    with pytest.raises(Ended):
        ends.link.hear_main()


def test_where_main_said_nothing_nothing_is_heard(ends: Ends) -> None:
    assert not ends.link.hear_main()


def test_a_new_secmod_takes_the_old_one_s_place(ends: Ends) -> None:
    new = ends.new_secmod()
    assert ends.link.hear_main()
    new.send(SignReply(b"from the new one"))
    assert ends.link.sign("v", 0, "ED25519", b"") == b"from the new one"
    with pytest.raises(PeerLost):
        ends.secmod.receive(1)
    new.close()


def test_a_new_secmod_that_came_before_the_tunnel_is_not_forgotten(ends: Ends) -> None:
    new = ends.new_secmod()
    ends.main.send(AuthCookieRefused(503, ""))
    ends.link.ask_tunnel(ASKS, 1)
    assert ends.link.hear_main()
    new.close()


def test_a_question_to_a_secmod_that_dies_is_lost_and_the_next_is_answered(ends: Ends) -> None:
    ends.secmod.close()
    new = ends.new_secmod()
    with pytest.raises(SecmodLost):
        ends.link.ask_auth(AuthCont("h", "x"), 1)
    new.send(SignReply(b"s"))
    assert ends.link.sign("v", 0, "ED25519", b"") == b"s"
    new.close()


def test_main_may_take_a_while_to_find_another_secmod(ends: Ends) -> None:
    made: list[object] = []
    ends.secmod.close()
    helper = meanwhile(lambda: made.append(ends.new_secmod()))
    with pytest.raises(SecmodLost):
        ends.link.sign("v", 0, "ED25519", b"")
    helper.join()
    made.clear()


def test_without_another_secmod_the_worker_ends(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "SECMOD_RETURNS_WITHIN", 0.01)
    ends.secmod.close()
    with pytest.raises(TimeoutError):
        ends.link.sign("v", 0, "ED25519", b"")


def test_an_order_to_end_is_heard_while_secmod_is_awaited(ends: Ends) -> None:
    ends.secmod.close()
    ends.main.send(ORDER)
    with pytest.raises(Ended):
        ends.link.sign("v", 0, "ED25519", b"")


def test_without_main_there_is_nothing_to_wait_for(ends: Ends) -> None:
    ends.secmod.close()
    ends.main.close()
    with pytest.raises(PeerLost):
        ends.link.sign("v", 0, "ED25519", b"")


def test_an_answer_that_nobody_asked_for_is_a_violation(ends: Ends) -> None:
    fd = some_descriptor()
    ends.main.send(TUNNEL, [fd])
    os.close(fd)
    with pytest.raises(PeerViolation):
        ends.link.hear_main()


@pytest.mark.parametrize("count", [0, 2])
def test_a_new_secmod_comes_with_one_descriptor(ends: Ends, count: int) -> None:
    fds = [some_descriptor() for _ in range(count)]
    ends.main.send(SecmodAttach(), fds)
    for fd in fds:
        os.close(fd)
    with pytest.raises(PeerViolation):
        ends.link.hear_main()


# ---- UDP


def send_arrival(ends: Ends, message: UdpSocket, count: int = 1) -> None:
    fds = [some_descriptor() for _ in range(count)]
    ends.main.send(message, fds)
    for fd in fds:
        os.close(fd)


def test_a_udp_socket_waits_until_somebody_takes_it(ends: Ends) -> None:
    send_arrival(ends, UdpSocket(b"datagram", hello=False, search=7))
    assert not ends.link.hear_main()
    (arrival,) = ends.link.arrivals
    assert arrival == UdpArrival(arrival.fd, b"datagram", hello=False, search=7)
    ends.link.refuse(arrival)
    assert ends.heard(ends.main) == [UdpVerdict(7, opened=False)]


def test_main_wants_no_verdict_of_a_hello(ends: Ends) -> None:
    send_arrival(ends, UdpSocket(b"hello", hello=True))
    ends.link.hear_main()
    ends.link.refuse(ends.link.arrivals.popleft())
    assert ends.heard(ends.main) == []


def test_a_udp_socket_hides_no_new_secmod(ends: Ends) -> None:
    new = ends.new_secmod()
    send_arrival(ends, UdpSocket(b"hello", hello=True))
    assert ends.link.hear_main()
    ends.link.refuse(ends.link.arrivals.popleft())
    new.close()


def test_more_than_a_few_udp_sockets_are_refused(ends: Ends) -> None:
    for number in range(MAX_ARRIVALS + 1):
        send_arrival(ends, UdpSocket(b"datagram", hello=False, search=1 + number))
    ends.link.hear_main()
    assert ends.heard(ends.main) == [UdpVerdict(1 + MAX_ARRIVALS, opened=False)]
    assert [arrival.search for arrival in ends.link.arrivals] == list(range(1, 1 + MAX_ARRIVALS))
    while ends.link.arrivals:
        os.close(ends.link.arrivals.popleft().fd)


@pytest.mark.parametrize("count", [0, 2])
def test_a_udp_socket_comes_with_one_descriptor(ends: Ends, count: int) -> None:
    send_arrival(ends, UdpSocket(b"hello", hello=True), count)
    with pytest.raises(PeerViolation):
        ends.link.hear_main()


def test_of_new_limits_the_newest_are_kept(ends: Ends) -> None:
    first, second = UpdateLimits(60, None, 0, 0, 0), UpdateLimits(70, 5.0, 1, 2, 3)
    ends.main.send(first)
    ends.main.send(second)
    assert ends.link.hear_main() is False
    assert ends.link.limits == second
