"""Kerberos messages of clients (MS-KKDCP), forwarded to key servers: to the addresses of `kkdcp` and to no other, so
many at once and so long. The worker has taken them out of their DER; here they are octets."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ..config.values import KdcProxy
from ..ipc.messages import KdcReply, KdcRequest
from .parking import network_of

_log = logging.getLogger(__name__)

MAX_AT_ONCE = 64
"""Messages on their way over all clients; one more is refused."""

MAX_OF_ONE = 8
"""Messages on their way of one address (IPv6: /64): whoever is in no realm at all may send them."""

PATIENCE = 20.0
"""Seconds for an answer, as the C server has it."""

MAX_REPLY = 64 * 1024
"""Octets of an answer, with its length before it."""

_LENGTH = 4

Hear = Callable[[KdcReply], None]


@dataclass(frozen=True, slots=True)
class KdcRoute:
    """A line of `kkdcp` whose host has its address."""

    proxy: KdcProxy
    family: int
    address: str


class KdcFailure(Exception):
    """The key server gives no answer that can be handed on."""


def resolve(proxy: KdcProxy) -> KdcRoute:
    """The address of its host, which may take a while. OSError."""
    family, _, _, _, address = socket.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)[0]
    return KdcRoute(proxy, family, str(address[0]))


def choose(routes: Sequence[KdcRoute], path: str, realm: str) -> KdcRoute | None:
    """The one of the realm, else the first of the path; realms are compared in any case, since clients write both."""
    of_path = [route for route in routes if route.proxy.path == path]
    named = (route for route in of_path if route.proxy.realm.lower() == realm.lower())
    return next(named, next(iter(of_path), None))


class KdcForwarder:
    """All messages that are on their way."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._tasks: dict[asyncio.Task[None], str] = {}

    def forward(
        self, routes: Sequence[KdcRoute], request: KdcRequest, remote_ip: str, hear: Hear
    ) -> asyncio.Task[None] | None:
        """`hear` gets the answer, or why there is none: later, or at once, and then there is no task."""
        route = choose(routes, request.path, request.realm)
        if route is None:
            hear(KdcReply(b"", "there is no key server behind this path"))
            return None
        network = network_of(remote_ip)
        if len(self._tasks) >= MAX_AT_ONCE or list(self._tasks.values()).count(network) >= MAX_OF_ONE:
            _log.warning("kkdcp: a message of %s is refused: %d are on their way", remote_ip, len(self._tasks))
            hear(KdcReply(b"", "too many Kerberos messages at once"))
            return None
        task = asyncio.create_task(self._forward(route, request.message, hear))
        self._tasks[task] = network
        task.add_done_callback(self._tasks.pop)
        return task

    def end(self) -> None:
        """At the end of the process."""
        for task in self._tasks:
            task.cancel()

    async def _forward(self, route: KdcRoute, message: bytes, hear: Hear) -> None:
        try:
            async with asyncio.timeout(self._patience):
                reply = KdcReply(await _TRANSPORTS[route.proxy.transport](route, message))
        except TimeoutError:
            reply = _failed(route, f"no answer within {self._patience:g} s")
        except (OSError, asyncio.IncompleteReadError) as error:
            reply = _failed(route, _told(error))
        except KdcFailure as failure:
            reply = _failed(route, str(failure))
        except Exception:  # noqa: BLE001 (the top of a task: its worker waits for a reply)
            _log.exception("kkdcp: a message to %s failed by a fault of ours", _name(route))
            reply = KdcReply(b"", "the server failed")
        hear(reply)


def _failed(route: KdcRoute, why: str) -> KdcReply:
    _log.warning("kkdcp: %s: %s", _name(route), why)
    return KdcReply(b"", "the key server does not answer")


def _told(error: OSError | asyncio.IncompleteReadError) -> str:
    # asyncio has words of its own in strerror.
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else "it ended the connection"


def _name(route: KdcRoute) -> str:
    proxy = route.proxy
    return f"the key server of {proxy.realm} ({proxy.transport}@{proxy.host}:{proxy.port})"


async def _by_tcp(route: KdcRoute, message: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(route.address, route.proxy.port, family=route.family)
    try:
        writer.write(message)
        await writer.drain()
        head = await reader.readexactly(_LENGTH)
        length = int.from_bytes(head)
        if length > MAX_REPLY - _LENGTH:
            raise KdcFailure(f"an answer of {length} octets is too long")
        return head + await reader.readexactly(length)
    finally:
        writer.close()


async def _by_udp(route: KdcRoute, message: bytes) -> bytes:
    """The length is of TCP alone."""
    loop = asyncio.get_running_loop()
    transport, answered = await loop.create_datagram_endpoint(
        _Datagram, remote_addr=(route.address, route.proxy.port), family=route.family
    )
    try:
        transport.sendto(message[_LENGTH:])
        answer = await answered.answer
    finally:
        transport.close()
    return len(answer).to_bytes(_LENGTH) + answer


class _Datagram(asyncio.DatagramProtocol):
    """The one datagram that is waited for."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _address: object) -> None:
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


_TRANSPORTS: dict[str, Callable[[KdcRoute, bytes], Awaitable[bytes]]] = {"tcp": _by_tcp, "udp": _by_udp}
