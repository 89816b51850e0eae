"""A blocking end, as straight-line code uses it."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from ocserv_core.errors import PeerLost, PeerViolation
from ocserv_core.ipc.channel import Channel
from ocserv_core.ipc.messages import (
    AuthCookieRefused,
    FromMainToWorker,
    FromWorkerToMain,
    ResumeFetch,
    ResumeReply,
    SecmodAttach,
    Terminate,
    TunMtu,
)
from ocserv_core.model import DisconnectReason

from .pairs import is_open, some_descriptor

FETCH, REPLY = ResumeFetch("v", b"id"), ResumeReply(b"data")
ORDER = Terminate(DisconnectReason.SERVER, "the end")
SHORT = 0.05
"""Seconds, for time-outs that must pass."""


class Ends:
    """A worker's end and main's."""

    def __init__(self) -> None:
        worker, main = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.worker = Channel[FromMainToWorker](worker, FromMainToWorker, trusted=True)
        self.main = Channel[FromWorkerToMain](main, FromWorkerToMain, trusted=False)


@pytest.fixture
def ends() -> Iterator[Ends]:
    pair = Ends()
    yield pair
    pair.worker.close()
    pair.main.close()


def drain(channel: Channel[FromWorkerToMain]) -> None:
    """Read until nothing is left: the kernel calls a pair writable when three quarters of its room are free."""
    while channel.receive_now() is not None:
        pass


def fill(ends: Ends, timeout: float) -> None:
    """Ask main, which does not read, until there is no room."""
    for _ in range(10000):
        ends.worker.send(FETCH, timeout=timeout)


def test_messages_come_in_their_order(ends: Ends) -> None:
    for mtu in (1, 2, 3):
        ends.worker.send(TunMtu(mtu))
    assert [ends.main.receive(1).message for _ in range(3)] == [TunMtu(1), TunMtu(2), TunMtu(3)]


def test_where_nothing_is_there_nothing_is_received(ends: Ends) -> None:
    assert ends.worker.receive_now() is None


def test_a_message_that_does_not_come_in_time_is_told(ends: Ends) -> None:
    with pytest.raises(TimeoutError):
        ends.worker.receive(SHORT)


def test_a_message_that_comes_later_is_waited_for(ends: Ends) -> None:
    speaker = threading.Timer(SHORT, ends.main.send, [REPLY])
    speaker.start()
    assert ends.worker.receive(10).message == REPLY
    speaker.join()


def test_a_question_gets_its_answer(ends: Ends) -> None:
    ends.main.send(REPLY)
    assert ends.worker.ask(FETCH, (ResumeReply,), 1) == (REPLY, [])


def test_an_answer_brings_its_descriptors(ends: Ends) -> None:
    fd = some_descriptor()
    ends.main.send(SecmodAttach(), [fd])
    _, (received,) = ends.worker.ask(FETCH, (SecmodAttach,), 1)
    assert os.fstat(received).st_ino == os.fstat(fd).st_ino
    os.close(fd)
    os.close(received)


def test_what_comes_before_the_answer_is_set_aside(ends: Ends) -> None:
    ends.main.send(ORDER)
    ends.main.send(REPLY)
    ends.worker.ask(FETCH, (ResumeReply,), 1)
    assert ends.worker.waiting


def test_what_was_set_aside_is_received_first_and_once(ends: Ends) -> None:
    for message in (ORDER, REPLY, AuthCookieRefused(401, "")):
        ends.main.send(message)
    ends.worker.ask(FETCH, (ResumeReply,), 1)
    assert [ends.worker.receive(1).message for _ in range(2)] == [ORDER, AuthCookieRefused(401, "")]
    assert not ends.worker.waiting


def test_a_descriptor_that_was_set_aside_stays_open(ends: Ends) -> None:
    fd = some_descriptor()
    ends.main.send(SecmodAttach(), [fd])
    ends.main.send(REPLY)
    ends.worker.ask(FETCH, (ResumeReply,), 1)
    (received,) = ends.worker.receive(1).fds
    assert is_open(received)
    os.close(fd)
    os.close(received)


def test_one_of_several_answers_is_enough(ends: Ends) -> None:
    ends.main.send(ORDER)
    answer, _ = ends.worker.ask(FETCH, (ResumeReply, Terminate), 1)
    assert answer == ORDER


def test_an_answer_that_does_not_come_is_told_in_time(ends: Ends) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        ends.worker.ask(FETCH, (ResumeReply,), SHORT)
    assert time.monotonic() - began < 5


def test_other_messages_do_not_lengthen_the_wait(ends: Ends) -> None:
    for _ in range(50):
        ends.main.send(ORDER)
    with pytest.raises(TimeoutError):
        ends.worker.ask(FETCH, (ResumeReply,), SHORT)


def test_the_end_of_the_peer_is_told_to_who_waits(ends: Ends) -> None:
    closer = threading.Timer(SHORT, ends.main.close)
    closer.start()
    with pytest.raises(PeerLost):
        ends.worker.receive(10)
    closer.join()


def test_what_was_sent_before_the_end_still_comes(ends: Ends) -> None:
    ends.main.send(REPLY)
    ends.main.close()
    assert ends.worker.receive(1).message == REPLY


def test_a_question_to_a_peer_that_is_gone_is_told(ends: Ends) -> None:
    ends.main.close()
    with pytest.raises(PeerLost):
        ends.worker.ask(FETCH, (ResumeReply,), 1)


def test_a_message_of_another_pair_is_a_violation(ends: Ends) -> None:
    ends.main.send(TunMtu(1400))
    with pytest.raises(PeerViolation):
        ends.worker.receive(1)


def test_a_peer_that_does_not_read_is_told_in_time(ends: Ends) -> None:
    with pytest.raises(TimeoutError):
        fill(ends, timeout=SHORT)


def test_room_that_comes_later_is_waited_for(ends: Ends) -> None:
    with pytest.raises(TimeoutError):
        fill(ends, timeout=0)
    reader = threading.Timer(SHORT, drain, [ends.main])
    reader.start()
    ends.worker.send(TunMtu(1400), timeout=10)
    reader.join()


def test_a_closed_end_says_that_it_is_closed(ends: Ends) -> None:
    ends.worker.close()
    ends.worker.close()
    with pytest.raises(PeerLost):
        ends.worker.receive(1)


def test_a_closed_end_sends_nothing(ends: Ends) -> None:
    ends.worker.close()
    with pytest.raises(PeerLost):
        ends.worker.send(FETCH)
