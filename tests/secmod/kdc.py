"""Key servers that answer what a test wants, on loopback; they know nothing of Kerberos."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

from ocserv_core.config.values import KdcProxy
from ocserv_core.secmod.kdc import KdcRoute

LOOPBACK = "127.0.0.1"


def route_to(port: int, transport: str = "tcp", path: str = "/KdcProxy", realm: str = "R") -> KdcRoute:
    """A line of `kkdcp`."""
    return KdcRoute(KdcProxy(path, realm, transport, LOOPBACK, port), socket.AF_INET, LOOPBACK)


@contextlib.asynccontextmanager
async def silent_key_server() -> AsyncIterator[KdcRoute]:
    """One that takes every connection, and says nothing."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        yield route_to(listener.getsockname()[1])


@contextlib.asynccontextmanager
async def tcp_key_server(reply: bytes, heard: list[bytes]) -> AsyncIterator[KdcRoute]:
    """One that says this after it has heard something, and ends the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(65536))
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    async with server:
        yield route_to(server.sockets[0].getsockname()[1])


@contextlib.asynccontextmanager
async def udp_key_server(answer: Callable[[bytes], bytes]) -> AsyncIterator[KdcRoute]:
    """One that answers each datagram."""

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
            self.transport.sendto(answer(data), address)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=(LOOPBACK, 0))
    yield route_to(transport.get_extra_info("sockname")[1], "udp")
    transport.close()
