"""A request, until a server has answered it: again after a while, and then the next server."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from ocserv_core.plugin import Unavailable

from .deadtime import Order
from .options import Settings
from .radcli import Server
from .replies import Reply
from .requests import Request, Sent, build
from .sockets import Exchange, Full, Pool, Wire

_log = logging.getLogger(__name__)


class Silent(Exception):
    """This server has not answered; the text says how."""


class Client:
    """The servers of one list. Used on one event loop; opens nothing before the first request."""

    def __init__(self, settings: Settings, servers: Sequence[Server]) -> None:
        self._settings = settings
        self._servers = tuple(servers)
        self._order = Order(servers, settings.file.deadtime)
        self._pools: dict[Server, Pool] = {}

    @property
    def patience(self) -> float:
        """Seconds after which every server has had its chances."""
        file = self._settings.file
        return len(self._servers) * file.timeout * (file.retries + 1)

    async def ask(self, request: Request) -> Reply:
        """The first answer. Unavailable where no server gives one; ValueError where a value does not fit."""
        silent = []
        for server in self._order.at(time.monotonic()):
            try:
                reply = await self._ask_one(server, request)
            except Silent as silence:
                silent.append(f"{server}: {silence}")
                self._order.silent(server, time.monotonic())
                self._pool(server).forget()
                _log.warning("radius: no answer of %s: %s", server, silence)
            else:
                if self._order.answered(server):
                    _log.info("radius: %s answers again", server)
                return reply
        raise Unavailable(f"no RADIUS server answers ({'; '.join(silent)})")

    async def _ask_one(self, server: Server, request: Request) -> Reply:
        try:
            wire = await self._pool(server).wire()
        except OSError as error:
            raise Silent(error.strerror or str(error)) from None
        except Full:
            raise Silent("too many requests to it are under way") from None
        exchange = Exchange(wire, signed=self._settings.require_message_authenticator)
        try:
            return await self._send_until_answered(exchange, wire, request)
        finally:
            exchange.close()

    async def _send_until_answered(self, exchange: Exchange, wire: Wire, request: Request) -> Reply:
        def fresh(number: int) -> Sent:
            return build(request, number, wire.server.secret, time.time(), wire.own_address)

        file = self._settings.file
        try:
            for sending in range(file.retries + 1):
                if sending == 0 or (request.changes and not wire.full):
                    exchange.send(fresh)
                else:
                    exchange.repeat()
                done, _ = await asyncio.wait([exchange.answer], timeout=file.timeout)
                if done:
                    return exchange.answer.result()
        except OSError as error:
            raise Silent(error.strerror or str(error)) from None
        except Full:
            raise Silent("too many requests to it are under way") from None
        why = f"last reply dropped: {exchange.dropped}" if exchange.dropped else "is it up, and its secret right?"
        raise Silent(f"sent {file.retries + 1} times in {file.timeout * (file.retries + 1):g} s; {why}")

    def _pool(self, server: Server) -> Pool:
        return self._pools.setdefault(server, Pool(server, self._settings.file.bind_address))
