"""The channel to secmod, of a host or of a child: its socket blocks, and it does no more than it must."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from ..ipc.messages import Message
from ..ipc.wire import Received, Wire


class Line:
    """Like Channel, of which it takes over the descriptor. `incoming` is the union of messages that secmod may send."""

    def __init__(self, fd: int, incoming: Any) -> None:
        self._sock = socket.socket(fileno=fd)
        self._sock.setblocking(True)
        self._wire = Wire[Any](incoming, accept_large=True)

    def fileno(self) -> int:
        """For poll."""
        return self._sock.fileno()

    def send(self, message: Message, fds: Sequence[int] = (), timeout: float = 0.0) -> None:
        """PeerLost. It waits for room as long as it takes: secmod always reads, or ends us."""
        del timeout
        self._wire.send(self._sock, message, fds)

    def receive(self) -> Received[Any]:
        """The next message, whenever it comes. PeerLost, PeerViolation."""
        return self._wire.receive(self._sock)
