"""A worker's link, with a main and a secmod that are only these tests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

from ocserv_core.ipc.channel import Channel
from ocserv_core.ipc.messages import FromWorkerToMain, FromWorkerToSecmod, Message, SecmodAttach
from ocserv_core.worker.link import Link


class Ends:
    """`main` and `secmod` are the far ends; what they must say is often said before it is asked."""

    def __init__(self) -> None:
        main, worker_main = _pair()
        secmod, worker_secmod = _pair()
        self.main = Channel[Any](main, FromWorkerToMain, trusted=False)
        self.secmod = Channel[Any](secmod, FromWorkerToSecmod, trusted=False)
        self.link = Link(worker_main, worker_secmod)

    def heard(self, far: Channel[Any]) -> list[Message]:
        """All that a far end has got."""
        messages: list[Message] = []
        while (received := far.receive_now()) is not None:
            messages.append(received.message)
        return messages

    def new_secmod(self) -> Channel[Any]:
        """secmod was restarted: main hands over the new channel. Its far end."""
        ours, theirs = _pair()
        with theirs:
            self.main.send(SecmodAttach(), [theirs.fileno()])
        return Channel[Any](ours, FromWorkerToSecmod, trusted=False)

    def close(self) -> None:
        for channel in (self.main, self.secmod, self.link.main, self.link.secmod):
            channel.close()


def _pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def meanwhile(action: Callable[[], object]) -> threading.Thread:
    """What the other side does while the worker waits."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread
