"""What is done outside of the server for one tunnel, in this order: its firewall, the scripts, the routes to what is
behind its client. Each step that was taken is taken back at its end, or where a later one fails."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from ..errors import SystemFailure
from ..model import Traffic
from .firewall import Firewall
from .iroutes import Iroutes
from .records import TunnelRecord, WorkerRecord
from .scripts import Scripts

_log = logging.getLogger(__name__)


class Outside:
    """Between sessions.py and those who do it."""

    def __init__(self, scripts: Scripts, firewall: Firewall, iroutes: Iroutes) -> None:
        self._scripts = scripts
        self._firewall = firewall
        self._iroutes = iroutes

    async def enter(self, worker: WorkerRecord, tunnel: TunnelRecord, gone: Callable[[], Awaitable[object]]) -> bool:
        """Before the client hears of its tunnel: whether it may be."""
        if not self._scripts.has_firewall and not await self._shut(tunnel):
            return False
        entered = False
        try:
            entered = await self._scripts.connect(worker, tunnel, gone) and await self._add_iroutes(worker, tunnel)
        finally:
            if not entered:
                await self.leave(tunnel)
        return entered

    async def _shut(self, tunnel: TunnelRecord) -> bool:
        """Who cannot be restricted gets no tunnel, as where the C server's firewall script fails."""
        try:
            await self._firewall.add(tunnel)
        except SystemFailure as failure:
            _log.error("'%s' is to be restricted and gets no tunnel: %s", tunnel.username, failure)
            return False
        return True

    async def _add_iroutes(self, worker: WorkerRecord, tunnel: TunnelRecord) -> bool:
        """connect-script has agreed: where the routes do not, disconnect-script takes that back."""
        if await self._iroutes.add(tunnel):
            return True
        await self._scripts.disconnect(worker, tunnel, Traffic())
        return False

    async def run_disconnect_script(self, worker: WorkerRecord, tunnel: TunnelRecord, traffic: Traffic) -> None:
        """To its end."""
        await self._scripts.disconnect(worker, tunnel, traffic)

    async def leave(self, tunnel: TunnelRecord) -> None:
        """When the device is gone: the next connection of the session must find neither routes nor rules."""
        await self._iroutes.remove(tunnel)
        if not self._scripts.has_firewall:
            await self._firewall.remove(tunnel)

    async def update_host(self, worker: WorkerRecord, tunnel: TunnelRecord) -> None:
        """The client has told its host's name."""
        await self._scripts.update_host(worker, tunnel)
