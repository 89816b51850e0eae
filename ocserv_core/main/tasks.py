"""Tasks that nobody awaits: kept from the garbage collector, and an error of theirs is told at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

_log = logging.getLogger(__name__)


class Tasks:
    """The tasks of one owner. What they raise is a bug: it is logged with its traceback, and ends nobody else."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run it until it ends by itself."""
        task = asyncio.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._on_done)
        return task

    @property
    def running(self) -> int:
        """How many have not ended."""
        return len(self._running)

    async def settle(self) -> None:
        """Wait until everything that was begun is done."""
        while self._running:
            await asyncio.wait(self._running)

    def cancel(self) -> None:
        """At the end of the process."""
        for task in self._running:
            task.cancel()

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%r failed", task.get_coro(), exc_info=error)
