"""The TCP listeners: accept, ask admission, hand on. Paused while there is nobody to fork a worker."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from ..errors import SystemFailure
from ..system.sockets import Accepted, accept, tune_connection

_log = logging.getLogger(__name__)

BURST = 64
"""Connections accepted before the loop turns to something else."""

PAUSE = 0.5
"""Seconds without accepting when the process is out of descriptors or memory."""


class Listeners:
    """`on_connection` owns the socket that it gets; `ready` says whether a connection can be served now."""

    def __init__(
        self, sockets: list[socket.socket], ready: Callable[[], bool], on_connection: Callable[[Accepted], None]
    ) -> None:
        self._sockets = sockets
        self._ready = ready
        self._on_connection = on_connection
        self._loop = asyncio.get_running_loop()
        self._paused = True

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where they listen."""
        return [listener.getsockname()[:2] for listener in self._sockets]

    def resume(self) -> None:
        """Accept from now on."""
        if self._paused:
            self._paused = False
            for listener in self._sockets:
                self._loop.add_reader(listener, self._accept_burst, listener)

    def pause(self, seconds: float) -> None:
        """Leave connections in the kernel's queue for a while."""
        if not self._paused:
            self._paused = True
            for listener in self._sockets:
                self._loop.remove_reader(listener)
            self._loop.call_later(seconds, self.resume)

    def close(self) -> None:
        """Refuse all further connections."""
        for listener in self._sockets:
            self._loop.remove_reader(listener)
            listener.close()
        self._sockets = []

    def _accept_burst(self, listener: socket.socket) -> None:
        for _ in range(BURST):
            if self._paused:
                return
            if not self._ready():
                self.pause(PAUSE)
                return
            try:
                accepted = accept(listener)
                if accepted is None:
                    return
                tune_connection(accepted.connection)
                self._on_connection(accepted)
            except SystemFailure as failure:
                _log.error("%s; accepting pauses", failure)
                self.pause(PAUSE)
                return
