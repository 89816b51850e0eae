"""The firewall of restricted clients: rules in place before a client has its tunnel, gone after its device is. What a
server before this one has left is removed at the start: until then it stays shut, since a device may outlive main."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import SystemFailure
from ..state.firewall import is_restricted, rules_of
from ..system.nftables import Nftables, add_client, remove_client, remove_table
from .records import TunnelRecord
from .side_thread import SideThread

_log = logging.getLogger(__name__)

ANSWERS_WITHIN = 10.0
"""Seconds that a client waits for its rules."""


class Firewall:
    """One table. Transactions run one after another in a thread of their own, in the order of the calls."""

    def __init__(self, table: str, open_nftables: Callable[[], Nftables] = Nftables) -> None:
        self._table = table
        self._open = open_nftables
        self._nftables: Nftables | None = None
        self._thread = SideThread("nftables")
        self._used = False

    async def start(self) -> None:
        """Remove what a server with the same state folder has left."""
        try:
            await self._run(remove_table(self._table))
        except SystemFailure as failure:
            _log.info(
                "no client can be restricted to routes or ports, and those who are to be are refused: %s", failure
            )

    async def close(self) -> None:
        """Remove the table."""
        try:
            if self._used:
                await self._run(remove_table(self._table))
        except SystemFailure as failure:
            _log.error("the firewall's table %s stays: %s", self._table, failure)
        finally:
            self._thread.close()

    async def add(self, tunnel: TunnelRecord) -> None:
        """Put a client's rules in place, where it is restricted. SystemFailure: it must not have its tunnel."""
        if not is_restricted(tunnel.config):
            return
        self._used = True
        rules = rules_of(tunnel.config)
        done = self._begin(add_client(self._table, _chain(tunnel), tunnel.index, rules))
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                await asyncio.shield(done)
        except TimeoutError:
            # It stands in the queue behind what it takes back.
            await self.remove(tunnel)
            raise SystemFailure(f"nftables does not answer within {ANSWERS_WITHIN:g} s") from None

    async def remove(self, tunnel: TunnelRecord) -> None:
        """Remove a client's rules, if it has any."""
        if not is_restricted(tunnel.config):
            return
        try:
            await self._run(remove_client(self._table, _chain(tunnel), tunnel.index, rules_of(tunnel.config)))
        except SystemFailure as failure:
            _log.error("the firewall's rules for %s stay: %s", tunnel.device, failure)

    async def _run(self, commands: Sequence[dict[str, Any]]) -> None:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                await asyncio.shield(self._begin(commands))
        except TimeoutError:
            raise SystemFailure(f"nftables does not answer within {ANSWERS_WITHIN:g} s") from None

    def _begin(self, commands: Sequence[dict[str, Any]]) -> asyncio.Future[None]:
        return self._thread.call(self._transact, commands)

    def _transact(self, commands: Sequence[dict[str, Any]]) -> None:
        """In the thread."""
        if self._nftables is None:
            self._nftables = self._open()
        self._nftables.run(commands)


def table_of(state_dir: str) -> str:
    """The table of the server with this state folder, of which each has its own."""
    return f"ocserv_{hashlib.sha256(os.path.realpath(state_dir).encode()).hexdigest()[:12]}"


def _chain(tunnel: TunnelRecord) -> str:
    """Of this device alone: another that gets its name may be there before its rules are gone."""
    return f"{re.sub('[^A-Za-z0-9_]', '_', tunnel.device)}_{tunnel.index}"
