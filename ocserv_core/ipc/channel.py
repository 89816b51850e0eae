"""A blocking end of a channel: straight-line code asks and waits (workers, nursery, tests)."""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from ..errors import ClientGone, PeerLost
from .messages import Message
from .wire import In, Received, Wire

Answer = TypeVar("Answer")


class Channel(Generic[In]):
    """One end of a SOCK_SEQPACKET pair. `incoming` is the union of messages that the peer may send."""

    def __init__(self, sock: socket.socket, incoming: Any, *, trusted: bool) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._wire = Wire[In](incoming, accept_large=trusted)
        self._client = -1
        self._set_aside: deque[Received[In]] = deque()

    def fileno(self) -> int:
        """For poll."""
        return self._sock.fileno()

    @property
    def waiting(self) -> bool:
        """Whether a message was set aside while an answer was awaited: poll does not tell."""
        return bool(self._set_aside)

    def send(self, message: Message, fds: Sequence[int] = (), timeout: float = 10.0) -> None:
        """Send, waiting at most `timeout` seconds for room. PeerLost, TimeoutError."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._wire.send(self._opened(), message, fds)
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
            else:
                return

    def receive(self, timeout: float | None) -> Received[In]:
        """The next message, in order. PeerLost, PeerViolation; TimeoutError after `timeout` seconds."""
        if self._set_aside:
            return self._set_aside.popleft()
        return self._receive(None if timeout is None else time.monotonic() + timeout)

    def receive_now(self) -> Received[In] | None:
        """The next message if one is there."""
        try:
            return self.receive(0)
        except TimeoutError:
            return None

    def ask(
        self, message: Message, answers: tuple[type[Answer], ...], timeout: float, client: int = -1
    ) -> tuple[Answer, list[int]]:
        """Send, and wait for the first message of the types `answers`. Others that come before are set aside
        for `receive`. client: a descriptor of TCP, whose peer's end ends the wait. Errors as `send` and `receive`;
        ClientGone."""
        deadline = time.monotonic() + timeout
        self._client = client
        try:
            return self._ask(message, answers, deadline)
        finally:
            self._client = -1

    def _ask(self, message: Message, answers: tuple[type[Answer], ...], deadline: float) -> tuple[Answer, list[int]]:
        self.send(message, timeout=max(0.0, deadline - time.monotonic()))
        while True:
            received = self._receive(deadline)
            if isinstance(received.message, answers):
                return received.message, received.fds
            self._set_aside.append(received)

    def close(self) -> None:
        """Idempotent."""
        if self._sock.fileno() >= 0:
            self._wire.close(self._sock)

    def _receive(self, deadline: float | None) -> Received[In]:
        while True:
            try:
                return self._wire.receive(self._opened())
            except BlockingIOError:
                self._wait(select.POLLIN, deadline)

    def _opened(self) -> socket.socket:
        if self._sock.fileno() < 0:
            raise PeerLost("the channel is closed")
        return self._sock

    def _wait(self, event: int, deadline: float | None) -> None:
        poll = select.poll()
        poll.register(self._sock, event)
        if self._client >= 0:
            poll.register(self._client, select.POLLRDHUP)
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        ready = poll.poll(left)
        if not ready:
            raise TimeoutError("no answer in time")
        if all(fd == self._client for fd, _ in ready):
            raise ClientGone("the client is gone")
