"""The networks behind clients: route-add-cmd for each when its tunnel comes up, route-del-cmd at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..config.route_command import fill_route_command
from ..config.server import ServerOptions
from ..errors import SystemFailure
from ..system.scripts import spawn_script
from .records import TunnelRecord
from .scripts import end_group

_log = logging.getLogger(__name__)

SHELL = "/bin/sh"

ROUTED_WITHIN = 10.0
"""Seconds that a command may take; it is killed then, and has failed."""


class Iroutes:
    """`options`: of the configuration of the moment. `_added`: by device, what is to be taken back."""

    def __init__(self, options: Callable[[], ServerOptions]) -> None:
        self._options = options
        self._added: dict[int, list[str]] = {}

    async def add(self, tunnel: TunnelRecord) -> bool:
        """Run route-add-cmd for each of its networks, one after another: whether all of them succeeded. Where one
        does not, the caller takes back those before it."""
        command = self._options().route_add_cmd
        for route in tunnel.config.iroutes:
            if not command:
                _log.warning("%s: no route to %s, since route-add-cmd is not set", tunnel.device, route)
                continue
            self._added.setdefault(tunnel.index, []).append(route)
            if not await _run("route-add-cmd", command, route, tunnel):
                self._added[tunnel.index].remove(route)
                return False
        return True

    async def remove(self, tunnel: TunnelRecord) -> None:
        """Run route-del-cmd for each that was added, all at once."""
        command, routes = self._options().route_del_cmd, self._added.pop(tunnel.index, [])
        if command:
            await asyncio.gather(*(_run("route-del-cmd", command, route, tunnel) for route in routes))


async def _run(option: str, command: str, route: str, tunnel: TunnelRecord) -> bool:
    """As the C server does it: by the shell. Whether it ended with 0; what went wrong is in the log."""
    filled = fill_route_command(command, route, tunnel.device)
    try:
        pid = spawn_script(SHELL, {}, frozenset(), ("-c", filled))
    except SystemFailure as failure:
        _log.error("%s: %s", option, failure)
        return False
    status = await end_group(pid, ROUTED_WITHIN)
    if status:
        _log.warning("%s (%s) ends with %d", option, filled, status)
    return status == 0
