"""Keeps a secmod in service: when it dies another is started, with the configuration in force, by the same two phases
as a reload; tunnels go on meanwhile. Whatever hinders it is told and tried again; only a secmod that keeps dying is
no accident."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from ..errors import OcservError, PeerLost, PeerViolation
from .secmod import Secmod

_log = logging.getLogger(__name__)

MAX_DEATHS = 3
DEATHS_WITHIN = 60.0
"""Seconds: three deaths in a minute, and the server ends."""

RETRY_AFTER = 2.0
"""Seconds between two tries to start secmod, when the machine or a file of the configuration hinders it."""


class Keeper:
    """`renew` gives a new secmod the configuration in force; `on_doomed` is called when secmod dies too often."""

    def __init__(self, secmod: Secmod, renew: Callable[[], Awaitable[None]], on_doomed: Callable[[], None]) -> None:
        self._secmod = secmod
        self._renew = renew
        self._on_doomed = on_doomed
        self._deaths: list[float] = []
        self._reviving: asyncio.Task[None] | None = None

    def on_death(self, error: PeerLost | PeerViolation) -> None:
        """secmod was in service and is gone."""
        now = time.monotonic()
        self._deaths = [when for when in self._deaths if now - when < DEATHS_WITHIN] + [now]
        _log.error("secmod (pid %d) ended: %s; it is restarted, tunnels go on", self._secmod.pid, error)
        if len(self._deaths) >= MAX_DEATHS:
            _log.critical("secmod died %d times within %.0f s: the server ends", MAX_DEATHS, DEATHS_WITHIN)
            self._on_doomed()
            return
        self._reviving = asyncio.create_task(self._revive())

    def stop(self) -> None:
        """Start no other."""
        if self._reviving is not None:
            self._reviving.cancel()

    async def _revive(self) -> None:
        while not self._secmod.ready:
            await self._secmod.bury(1.0)
            try:
                self._secmod.start()
                await self._renew()
            except (OcservError, OSError) as error:
                _log.critical("secmod cannot be restarted, nobody can log in: %s; tried again", error)
                await asyncio.sleep(RETRY_AFTER)
            else:
                _log.warning("secmod is back (pid %d)", self._secmod.pid)
