"""An end of a channel on an event loop (main, secmod): asyncio's streams know no SOCK_SEQPACKET."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic

from ..errors import PeerLost, PeerViolation
from .messages import Message
from .permits import close_all
from .wire import In, Wire

BUDGET = 32
"""Messages taken from one peer before the loop turns to the others."""

MAX_QUEUE = 4096
"""Messages queued for a peer that does not read; one more and it counts as lost."""


class AsyncChannel(Generic[In]):
    """Calls `on_message(message, fds)` for each message and `on_end(error)` once, at the end of the peer or for
    its violation. `on_message` may raise PeerViolation, which ends the peer likewise."""

    def __init__(
        self,
        sock: socket.socket,
        incoming: Any,
        *,
        trusted: bool,
        on_message: Callable[[In, list[int]], None],
        on_end: Callable[[PeerLost | PeerViolation], None],
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._wire = Wire[In](incoming, accept_large=trusted)
        self._on_message = on_message
        self._on_end = on_end
        self._queue: deque[tuple[Message, list[int]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._on_readable)

    @property
    def closed(self) -> bool:
        """Whether `close` was called or the peer ended."""
        return self._sock.fileno() < 0

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send now or queue. The descriptors stay the caller's. A lost peer is told by `on_end`, not here."""
        if self.closed:
            return
        if self._queue:
            self._enqueue(message, fds)
            return
        try:
            self._wire.send(self._sock, message, fds)
        except BlockingIOError:
            self._enqueue(message, fds)
            self._loop.add_writer(self._sock, self._on_writable)
        except PeerLost as error:
            self._loop.call_soon(self._end, error)

    def drain(self) -> None:
        """Handle everything that the peer has sent so far, now."""
        while not self.closed and self._take(BUDGET):
            pass

    def close(self) -> None:
        """Idempotent; `on_end` is not called."""
        if self.closed:
            return
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        for _, fds in self._queue:
            close_all(fds)
        self._queue.clear()
        self._wire.close(self._sock)

    def _enqueue(self, message: Message, fds: Sequence[int]) -> None:
        if len(self._queue) >= MAX_QUEUE:
            self._loop.call_soon(self._end, PeerLost("the peer does not read its messages"))
            return
        self._queue.append((message, [os.dup(fd) for fd in fds]))

    def _on_writable(self) -> None:
        try:
            while self._queue:
                message, fds = self._queue[0]
                self._wire.send(self._sock, message, fds)
                self._queue.popleft()
                close_all(fds)
        except BlockingIOError:
            return
        except PeerLost as error:
            self._end(error)
            return
        self._loop.remove_writer(self._sock)

    def _on_readable(self) -> None:
        self._take(BUDGET)

    def _take(self, budget: int) -> bool:
        """Handle up to `budget` messages; False when there is none left."""
        try:
            for _ in range(budget):
                if self.closed:
                    return False
                received = self._wire.receive(self._sock)
                self._on_message(received.message, received.fds)
        except BlockingIOError:
            return False
        except (PeerLost, PeerViolation) as error:
            self._end(error)
            return False
        return True

    def _end(self, error: PeerLost | PeerViolation) -> None:
        if not self.closed:
            self.close()
            self._on_end(error)
