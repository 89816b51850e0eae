"""Whose keys open a record that came by a flow which the kernel does not know: the candidates behind its address are
asked one after another. A client got another port or another address of ours, and many may be behind one NAT."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import PeerViolation, SystemFailure
from ..ipc.messages import UdpSocket, UdpVerdict
from ..state.associations import Associations, Flow, Search, Searches
from ..system.datagrams import Connect, Datagram, connect_datagram_socket
from .tasks import Tasks
from .workers import Workers

_log = logging.getLogger(__name__)

ANSWER_WITHIN = 1.0
"""Seconds that a candidate has before the next is asked."""


@dataclass(frozen=True, slots=True)
class _Question:
    worker: int
    opened: asyncio.Future[bool]


class Searcher:
    """One task for each search that runs. How many these may be, and who is asked, says state/associations.py."""

    def __init__(
        self,
        associations: Associations,
        workers: Callable[[], Workers],
        connect: Connect = connect_datagram_socket,
    ) -> None:
        self._connect = connect
        self._associations = associations
        self._workers = workers
        self._searches = Searches(associations)
        self._questions: dict[int, _Question] = {}
        self._tasks = Tasks()

    def start(self, datagram: Datagram) -> None:
        """Search, if anybody is there to be asked. A datagram of a flow that is searched for already is dropped."""
        search = self._searches.begin(Flow(datagram.local, datagram.remote), time.monotonic())
        if search is not None:
            self._tasks.start(self._run(search, datagram))

    async def _run(self, search: Search, datagram: Datagram) -> None:
        """What the flow brings meanwhile waits in its socket, for the worker that it belongs to."""
        try:
            with self._connect(datagram.local, datagram.remote, datagram.interface) as flow:
                for worker in search.candidates:
                    message = UdpSocket(datagram.data, hello=False, search=search.number)
                    if self._ask(search, worker, message, flow.fileno()) and await self._opens(search, worker):
                        return
        except SystemFailure as failure:
            _log.warning("a DTLS record is dropped: %s", failure)
        finally:
            self._searches.end(search)

    def _ask(self, search: Search, worker: int, message: UdpSocket, flow: int) -> bool:
        if not self._searches.may_ask(worker) or not self._workers().offer(worker, message, (flow,)):
            return False
        self._searches.asked(worker, search)
        return True

    async def _opens(self, search: Search, worker: int) -> bool:
        question = _Question(worker, asyncio.get_running_loop().create_future())
        self._questions[search.number] = question
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await question.opened
        except TimeoutError:
            return False
        finally:
            del self._questions[search.number]

    def on_verdict(self, worker: int, message: UdpVerdict) -> None:
        """A worker answers, perhaps when the next is asked already. PeerViolation where it was not asked."""
        ip = self._searches.answered(worker, message.search)
        if ip is None:
            raise PeerViolation("a verdict that nobody asked for")
        if message.opened:
            self._associations.move(worker, ip)
        question = self._questions.get(message.search)
        if question is not None and (message.opened or question.worker == worker):
            _settle(question, opened=message.opened)

    def on_established(self, worker: int) -> None:
        """It has DTLS with its client: that is where its last hello came from."""
        self._associations.established(worker)

    def on_worker_end(self, worker: int) -> None:
        """It answers no more."""
        self._searches.forget(worker)
        for question in self._questions.values():
            if question.worker == worker:
                _settle(question, opened=False)

    def close(self) -> None:
        """At the end of the process."""
        self._tasks.cancel()


def _settle(question: _Question, *, opened: bool) -> None:
    if not question.opened.done():
        question.opened.set_result(opened)
