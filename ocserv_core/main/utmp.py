"""Sessions in utmp and wtmp (`use-utmp`), in a thread of their own: another program may hold the file's lock. Nothing
waits for them, and no session fails by them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from ..config.server import ServerOptions
from ..errors import SystemFailure
from ..system.utmp import write_login, write_logout
from .records import TunnelRecord, WorkerRecord
from .side_thread import SideThread

_log = logging.getLogger(__name__)

WRITTEN_WITHIN = 0.3
"""Seconds that the end of the server waits for what is to be recorded; a lock may be held for longer."""


class Utmp:
    """Records in the order of the calls. `_recorded`: the workers whose end is to be told."""

    def __init__(self, options: Callable[[], ServerOptions]) -> None:
        self._options = options
        self._thread = SideThread("utmp")
        self._said = ""
        self._recorded: set[int] = set()

    def on_up(self, worker: WorkerRecord, tunnel: TunnelRecord) -> None:
        """A tunnel is up."""
        if not self._options().use_utmp:
            return
        self._recorded.add(worker.number)
        self._start(write_login, tunnel.device, worker.pid, tunnel.username, worker.remote.ip, time.time())

    def on_down(self, worker: WorkerRecord, tunnel: TunnelRecord) -> None:
        """A tunnel has ended; a reload may have turned the records off meanwhile."""
        if worker.number not in self._recorded:
            return
        self._recorded.remove(worker.number)
        self._start(write_logout, tunnel.device, worker.pid, time.time())

    async def close(self) -> None:
        """Who has gone with the server is recorded; what still waits then is given up."""
        if not await self._thread.settle(WRITTEN_WITHIN):
            _log.error("the ends of sessions are not recorded: utmp is locked by another program")
        self._thread.close()

    def _start(self, write: Callable[..., None], *arguments: object) -> None:
        self._thread.call(write, *arguments).add_done_callback(self._on_written)

    def _on_written(self, writing: asyncio.Future[None]) -> None:
        try:
            writing.result()
        except SystemFailure as failure:
            # Once: each session would say the same.
            level = logging.DEBUG if str(failure) == self._said else logging.WARNING
            self._said = str(failure)
            _log.log(level, "sessions are not recorded: %s", failure)
        except asyncio.CancelledError:
            return
