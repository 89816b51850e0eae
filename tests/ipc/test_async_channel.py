"""An end on an event loop."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

import pytest

from ocserv_core.errors import PeerLost, PeerViolation, SystemFailure
from ocserv_core.ipc import async_channel
from ocserv_core.ipc.async_channel import BUDGET, AsyncChannel
from ocserv_core.ipc.channel import Channel
from ocserv_core.ipc.messages import FromMainToWorker, FromWorkerToMain, ResumeReply, SecmodAttach, TunMtu
from ocserv_core.ipc.permits import close_all

from .pairs import open_descriptors, settled_descriptors, some_descriptor


class Ends:
    """main's end on the loop, and what came of it; the worker's is a blocking one."""

    def __init__(self) -> None:
        main, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.worker_socket = worker
        self.worker = Channel[FromMainToWorker](worker, FromMainToWorker, trusted=True)
        self.heard: list[int] = []
        self.ends: list[PeerLost | PeerViolation] = []
        self.refuse_from = 10**9
        self.fails_at = -1
        self.fault: Exception = KeyError("a bug")
        self.main = AsyncChannel[FromWorkerToMain](
            main, FromWorkerToMain, trusted=False, on_message=self._on_message, on_end=self.ends.append
        )

    def _on_message(self, message: FromWorkerToMain, fds: list[int]) -> None:
        assert isinstance(message, TunMtu)
        if message.mtu == self.fails_at:
            raise self.fault
        close_all(fds)
        if message.mtu >= self.refuse_from:
            raise PeerViolation("enough")
        self.heard.append(message.mtu)

    def speak(self, *numbers: int) -> None:
        """The worker says so many things."""
        for number in numbers:
            self.worker.send(TunMtu(number))

    def close(self) -> None:
        self.main.close()
        self.worker.close()


def on_loop(test: Callable[[Ends], Awaitable[None]]) -> None:
    """Run a test's dialogue on a loop of its own; no descriptor may be left of it."""

    async def run() -> None:
        ends = Ends()
        try:
            async with asyncio.timeout(20):
                await test(ends)
        finally:
            ends.close()

    before = settled_descriptors()
    asyncio.run(run())
    assert open_descriptors() == before


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until something holds."""
    while not condition():  # noqa: ASYNC110 (what holds is nobody's event)
        await asyncio.sleep(0)


def fill(ends: Ends, answer: ResumeReply) -> int:
    """Speak to a worker that does not read until one message had to be queued; how many were sent."""
    for count in range(1, 100000):
        ends.main.send(answer)
        if ends.main._queue:
            return count
    raise AssertionError("the kernel's queue has no end")


def test_messages_are_heard_in_their_order() -> None:
    async def test(ends: Ends) -> None:
        ends.speak(1, 2, 3)
        await until(lambda: len(ends.heard) == 3)
        assert ends.heard == [1, 2, 3]

    on_loop(test)


def test_one_turn_of_the_loop_takes_no_more_than_the_budget() -> None:
    async def test(ends: Ends) -> None:
        ends.speak(*range(BUDGET + 5))
        await until(lambda: ends.heard)
        assert len(ends.heard) == BUDGET

    on_loop(test)


def test_drain_hears_all_that_was_said() -> None:
    async def test(ends: Ends) -> None:
        ends.speak(*range(3 * BUDGET + 5))
        ends.main.drain()
        assert len(ends.heard) == 3 * BUDGET + 5

    on_loop(test)


def test_drain_of_a_peer_that_goes_on_and_on_ends() -> None:
    async def test(ends: Ends) -> None:
        ends.speak(*range(8))
        ends.main.drain(5)
        assert ends.heard == [0, 1, 2, 3, 4]

    on_loop(test)


def test_drain_hears_the_last_words_and_then_the_end() -> None:
    async def test(ends: Ends) -> None:
        ends.speak(1)
        ends.worker.close()
        ends.main.drain()
        assert (ends.heard, [type(end) for end in ends.ends]) == ([1], [PeerLost])

    on_loop(test)


def test_drain_of_a_closed_end_hears_nothing() -> None:
    async def test(ends: Ends) -> None:
        ends.speak(1)
        ends.main.close()
        ends.main.drain()
        assert ends.heard == []

    on_loop(test)


def test_the_end_of_the_peer_is_told_once() -> None:
    async def test(ends: Ends) -> None:
        ends.worker.close()
        await until(lambda: ends.ends)
        ends.main.send(ResumeReply(None))
        ends.main.drain()
        await asyncio.sleep(0)
        assert [type(end) for end in ends.ends] == [PeerLost]

    on_loop(test)


def test_sending_to_a_peer_that_is_gone_tells_its_end_later_not_now() -> None:
    async def test(ends: Ends) -> None:
        ends.worker.close()
        ends.main.send(ResumeReply(None))
        assert ends.ends == []
        await until(lambda: ends.ends)

    on_loop(test)


def test_a_violation_ends_the_peer_and_what_it_says_after_is_not_heard() -> None:
    async def test(ends: Ends) -> None:
        ends.refuse_from = 2
        ends.speak(1, 2, 1)
        await until(lambda: ends.ends)
        assert (ends.heard, str(ends.ends[0]), ends.main.closed) == ([1], "enough", True)

    on_loop(test)


@pytest.mark.parametrize("fault", [KeyError("a bug"), BlockingIOError("a bug"), SystemFailure("a bug")])
def test_a_bug_that_a_message_finds_ends_its_peer_and_is_told(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(ends: Ends) -> None:
        ends.fails_at, ends.fault = 2, fault
        ends.speak(1, 2, 3)
        await until(lambda: ends.ends)
        assert (ends.heard, ends.main.closed) == ([1], True)
        assert str(ends.ends[0]) == f"TunMtu could not be handled ({type(fault).__name__})"

    on_loop(test)
    assert "Traceback" in caplog.text
    assert "a bug" in caplog.text


def test_a_bug_leaves_no_descriptor_open() -> None:
    async def test(ends: Ends) -> None:
        fd = some_descriptor()
        ends.fails_at = 1
        ends.worker.send(TunMtu(1), [fd, fd])
        os.close(fd)
        await until(lambda: ends.ends)

    on_loop(test)  # counts


@pytest.mark.parametrize("datagram", [b"\xff", b"\x91\xa7Nothing", b"\xc1"])
def test_nonsense_is_a_violation(datagram: bytes) -> None:
    async def test(ends: Ends) -> None:
        ends.worker_socket.send(datagram)
        await until(lambda: ends.ends)
        assert isinstance(ends.ends[0], PeerViolation)

    on_loop(test)


def test_who_closes_is_not_told_of_the_end() -> None:
    async def test(ends: Ends) -> None:
        ends.main.close()
        ends.main.close()
        ends.main.send(ResumeReply(None))
        await asyncio.sleep(0)
        assert ends.ends == []

    on_loop(test)


def test_a_handler_may_close_the_channel() -> None:
    async def test(ends: Ends) -> None:
        ends.speak(1, 2, 3)
        hear = ends.main._on_message

        def hear_and_close(message: FromWorkerToMain, fds: list[int]) -> None:
            hear(message, fds)
            ends.main.close()

        ends.main._on_message = hear_and_close
        await until(lambda: ends.main.closed)
        assert (ends.heard, ends.ends) == ([1], [])

    on_loop(test)


def test_what_a_slow_peer_does_not_read_is_queued_and_comes_in_order() -> None:
    async def test(ends: Ends) -> None:
        count = fill(ends, ResumeReply(b"first"))
        ends.main.send(ResumeReply(b"last"))
        got: list[FromMainToWorker] = []
        while len(got) <= count:
            await asyncio.sleep(0)
            while (received := ends.worker.receive_now()) is not None:
                got.append(received.message)
        assert got == [ResumeReply(b"first")] * count + [ResumeReply(b"last")]

    on_loop(test)


def test_a_queued_descriptor_may_be_closed_by_its_owner() -> None:
    async def test(ends: Ends) -> None:
        count = fill(ends, ResumeReply(b""))
        fd = some_descriptor()
        inode = os.fstat(fd).st_ino
        ends.main.send(SecmodAttach(), [fd])
        os.close(fd)
        for _ in range(count - 1):
            ends.worker.receive(1)
        await until(lambda: not ends.main._queue)
        ends.worker.receive(1)
        (received,) = ends.worker.receive(1).fds
        assert os.fstat(received).st_ino == inode
        os.close(received)

    on_loop(test)


def test_descriptors_that_were_never_sent_are_closed_with_the_channel() -> None:
    async def test(ends: Ends) -> None:
        fill(ends, ResumeReply(b""))
        fd = some_descriptor()
        ends.main.send(SecmodAttach(), [fd])
        os.close(fd)

    on_loop(test)  # counts


def test_a_peer_that_never_reads_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_channel, "MAX_QUEUE", 10)

    async def test(ends: Ends) -> None:
        fill(ends, ResumeReply(b""))
        for _ in range(20):
            ends.main.send(ResumeReply(b""))
        await until(lambda: ends.ends)
        assert [str(end) for end in ends.ends] == ["the peer does not read its messages"]

    on_loop(test)


def test_a_peer_that_dies_before_it_has_read_is_lost() -> None:
    async def test(ends: Ends) -> None:
        fill(ends, ResumeReply(b""))
        ends.worker.close()
        await until(lambda: ends.ends)
        assert [type(end) for end in ends.ends] == [PeerLost]

    on_loop(test)
