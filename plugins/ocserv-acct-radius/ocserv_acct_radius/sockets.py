"""Sockets to one server. An identifier is one octet, so a socket has 256 requests under way at most; when all are in
use there is another socket, and one that nobody has used for a while is closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from .radcli import Server
from .replies import Dropped, Reply, check
from .requests import Sent

_log = logging.getLogger(__name__)

MAX_SOCKETS = 32
"""To one server: 8192 requests under way."""

IDLE = 30.0
"""Seconds without a request after which a socket is closed: a configuration that is in force no more leaves none
open, and a server whose name has got another address is found there."""

Answer = asyncio.Future[Reply]


class Full(Exception):
    """There are too many requests under way."""


class Exchange:
    """One request to one server, sent once or more often, until one of these is answered."""

    def __init__(self, wire: Wire, *, signed: bool) -> None:
        self.answer: Answer = asyncio.get_running_loop().create_future()
        self.dropped = ""
        self._wire = wire
        self._signed = signed
        self._numbers: list[int] = []
        self._last: Sent | None = None

    def send(self, build: Callable[[int], Sent]) -> None:
        """Send what `build` makes with a fresh identifier; replies to what was sent before still count. Full."""
        number = self._wire.enter()
        self._numbers.append(number)
        self._last = build(number)
        self._wire.sent[number] = (self._last, self)
        self._wire.send(self._last.octets)

    def repeat(self) -> None:
        """Send the last one again, to the letter."""
        assert self._last is not None
        self._wire.send(self._last.octets)

    def on_reply(self, sent: Sent, octets: bytes) -> None:
        """A datagram that has the identifier of one of ours."""
        if self.answer.done():
            return
        try:
            self.answer.set_result(check(sent, octets, signed=self._signed))
        except Dropped as why:
            # Once for a request: who can send in the server's name shall not fill the log.
            if str(why) != self.dropped:
                _log.warning("radius: reply of %s dropped: %s", self._wire.server, why)
            self.dropped = str(why)

    def on_refusal(self, error: OSError) -> None:
        """The kernel knows that nobody is there."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def close(self) -> None:
        """Its identifiers may be used again."""
        self.answer.cancel()
        self._wire.leave(self._numbers)


class Wire(asyncio.DatagramProtocol):
    """One socket, connected: the kernel lets through what comes from the server's address and port."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.sent: dict[int, tuple[Sent, Exchange]] = {}
        self.own_address = ""
        self.closed = False
        self._taken: set[int] = set()
        self._next = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._idle: asyncio.TimerHandle | None = None

    @property
    def full(self) -> bool:
        """Whether all identifiers are in use."""
        return len(self._taken) == 256

    def enter(self) -> int:
        """An identifier; those used last come last. Full."""
        if self.full:
            raise Full
        while self._next in self._taken:
            self._next = (self._next + 1) % 256
        number, self._next = self._next, (self._next + 1) % 256
        self._taken.add(number)
        self.keep()
        return number

    def leave(self, numbers: list[int]) -> None:
        """They are free again."""
        for number in numbers:
            self._taken.discard(number)
            self.sent.pop(number, None)
        if not self._taken and not self.closed:
            self._idle = asyncio.get_running_loop().call_later(IDLE, self.close)

    def keep(self) -> None:
        """It is in use."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def send(self, octets: bytes) -> None:
        """To the server."""
        if self._transport is not None and not self.closed:
            self._transport.sendto(octets)

    def close(self) -> None:
        """For good."""
        self.closed = True
        self.keep()
        if self._transport is not None:
            self._transport.close()

    # ---- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Its socket is open."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.own_address = str(transport.get_extra_info("sockname")[0])

    def datagram_received(self, data: bytes, _address: object) -> None:
        """A reply, to something that is under way or that is over (a second answer to what was sent twice)."""
        found = self.sent.get(data[1]) if len(data) >= 20 else None
        if found is not None:
            found[1].on_reply(found[0], data)

    def error_received(self, exc: OSError) -> None:  # type: ignore[override]  # it is one
        """ICMP: nobody listens there, or there is no way."""
        for exchange in {found[1] for found in self.sent.values()}:
            exchange.on_refusal(exc)


class Pool:
    """The sockets to one server."""

    def __init__(self, server: Server, bind_address: str) -> None:
        self._server = server
        self._bind_address = bind_address
        self._wires: list[Wire] = []
        self._opening = asyncio.Lock()

    async def wire(self) -> Wire:
        """A socket with room for a request. OSError where the server's name is unknown or there is no way to it,
        Full where there are too many."""
        found = self._with_room()
        if found is None:
            async with self._opening:
                found = self._with_room() or await self._open()
        found.keep()
        return found

    def forget(self) -> None:
        """The server was silent: the next request asks for its address anew. What is under way is not touched."""
        for wire in self._wires:
            if not wire.sent:
                wire.close()
        self._wires.clear()

    def _with_room(self) -> Wire | None:
        self._wires = [wire for wire in self._wires if not wire.closed]
        return next((wire for wire in self._wires if not wire.full), None)

    async def _open(self) -> Wire:
        if len(self._wires) >= MAX_SOCKETS:
            raise Full
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_datagram_endpoint(
            lambda: Wire(self._server),
            remote_addr=(self._server.host, self._server.port),
            local_addr=(self._bind_address, 0) if self._bind_address else None,
        )
        self._wires.append(wire)
        return wire
