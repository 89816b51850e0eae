"""What back ends do of their own (`ocserv_serve`), as long as the configuration that names them is in force."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from .instance import Instance

_log = logging.getLogger(__name__)

AGAIN_AFTER = 10.0
"""Seconds from a fault of a back end until it may go on."""

END_WITHIN = 2.0
"""Seconds that a back end has for its end, when the process ends."""


class Serving:
    """Those of one process."""

    def __init__(self, again_after: float = AGAIN_AFTER) -> None:
        self._again_after = again_after
        self._tasks: set[asyncio.Task[None]] = set()

    def use(self, instances: Iterable[Instance]) -> None:
        """These and no others, from when those before them have ended: they may want the same port."""
        before = self._cancel()
        for instance in instances:
            if instance.has("ocserv_serve"):
                task = asyncio.create_task(self._serve(instance, before))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """All have ended, or have had their time."""
        if before := self._cancel():
            await asyncio.wait(before, timeout=END_WITHIN)

    def _cancel(self) -> list[asyncio.Task[None]]:
        for task in self._tasks:
            task.cancel()
        return list(self._tasks)

    async def _serve(self, instance: Instance, before: list[asyncio.Task[None]]) -> None:
        if before:
            await asyncio.wait(before)
        while True:
            try:
                await instance.serve()
            except Exception:  # noqa: BLE001 (a plugin's fault is its own, and nobody else's)
                said = "what the back end '%s' does of its own has failed; it goes on in %g s"
                _log.exception(said, instance.name, self._again_after)
                await asyncio.sleep(self._again_after)
            else:
                return
