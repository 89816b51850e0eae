"""An end of a channel on an event loop (main, secmod): asyncio's streams know no SOCK_SEQPACKET."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic

from ..errors import PeerLost, PeerViolation
from ..system.sockets import is_congested
from .foreign import close_foreign
from .messages import Message
from .permits import close_all
from .wire import In, Received, Wire

_log = logging.getLogger(__name__)

BUDGET = 32
"""Messages taken from one peer before the loop turns to the others."""

MAX_QUEUE = 4096
"""Messages queued for a peer that does not read; one more and it counts as lost."""

MAX_DRAIN = 1024
"""Messages of a peer's last words: more than its socket holds, but one that lives could go on for ever."""


class AsyncChannel(Generic[In]):
    """Calls `on_message(message, fds)` for each message and `on_end(error)` once, at the end of the peer or for
    its violation. `on_message` may raise PeerViolation, which ends the peer likewise.

    Any other error of it is a bug that the peer has found: it is logged with its traceback and ends the peer too.
    `on_message` takes the descriptors that it keeps out of the list, so that the others can be closed then.
    """

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

    @property
    def backlogged(self) -> bool:
        """Whether messages wait for a peer that does not read."""
        return bool(self._queue)

    @property
    def congested(self) -> bool:
        """Whether the peer is behind by half of what the socket holds, or more."""
        return self.backlogged or (not self.closed and is_congested(self._sock))

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

    def drain(self, limit: int = MAX_DRAIN) -> None:
        """Handle what the peer has sent so far, now: at most `limit` messages."""
        self._take(limit)

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

    def _take(self, budget: int) -> None:
        """Handle up to `budget` messages."""
        try:
            for _ in range(budget):
                if self.closed:
                    return
                self._handle(self._wire.receive(self._sock))
        except BlockingIOError:
            return
        except (PeerLost, PeerViolation) as error:
            self._end(error)

    def _handle(self, received: Received[In]) -> None:
        try:
            self._on_message(received.message, received.fds)
        except (PeerLost, PeerViolation):
            raise
        except Exception as error:
            name = type(received.message).__name__
            _log.exception("%s could not be handled", name)
            close_foreign(received.fds)
            raise PeerViolation(f"{name} could not be handled ({type(error).__name__})") from error

    def _end(self, error: PeerLost | PeerViolation) -> None:
        if not self.closed:
            self.close()
            self._on_end(error)
