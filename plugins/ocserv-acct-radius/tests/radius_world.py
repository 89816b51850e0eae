"""What the tests of the RADIUS plugin share: logins and sessions, FreeRADIUS for a test, and a server that answers
whatever a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest
from ocserv_acct_radius.acct import RadiusAcct
from ocserv_acct_radius.auth import RadiusAuth

from ocserv_core.model import AddressPair
from ocserv_core.plugin import (
    BackendContext,
    ClientInfo,
    Lease,
    Login,
    Prompt,
    Session,
    SessionId,
)
from tests.servers.freeradius import FreeRadius, missing

CONTEXT = BackendContext("default", "radius")
SID = SessionId("session-of-28-characters-abc")

needs_freeradius = pytest.mark.skipif(bool(missing()), reason=missing() or "it is here")


def login(username: str = "bob", **more: str) -> Login:
    return Login(username, "", "default", "192.0.2.7", ClientInfo(user_agent="Tester 1.0"), **more)  # type: ignore[arg-type]


def session(attributes: Mapping[str, str | int | list[str]] | None = None, **more: object) -> Session:
    """One of bob's that has a tunnel."""
    values: dict[str, object] = {
        "sid": SID,
        "vhost": "default",
        "username": "bob",
        "group": "",
        "groups": (),
        "attributes": attributes or {},
        "method": "radius",
        "client": ClientInfo(user_agent="Tester 1.0"),
        "remote_ip": "192.0.2.7",
        "local_ip": "192.0.2.1",
        "lease": Lease(ipv4=AddressPair("198.51.100.1", "198.51.100.7", 24)),
        **more,
    }
    return Session(**values)  # type: ignore[arg-type]


class User:
    """One who answers in this order."""

    def __init__(self, *answers: str) -> None:
        self.asked: list[Prompt] = []
        self._answers = list(answers)

    async def ask(self, prompt: Prompt) -> str:
        self.asked.append(prompt)
        return self._answers[len(self.asked) - 1]


@contextlib.contextmanager
def freeradius(folder: Path, users: str, **more: object) -> Iterator[FreeRadius]:
    """Until the end of the block, whatever happens."""
    server = FreeRadius(folder / "freeradius", users, **more)  # type: ignore[arg-type]
    try:
        yield server.start()
    finally:
        server.stop()


def auth(file: str, **options: str) -> RadiusAuth:
    return RadiusAuth({"config": file, **_named(options)}, CONTEXT)


def acct(file: str, **options: str) -> RadiusAcct:
    return RadiusAcct({"config": file, **_named(options)}, CONTEXT)


def _named(options: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in options.items()}


# ---- a server that is not one -------------------------------------------------------------------------------------

ACCEPT, REJECT, ACCT_RESPONSE, CHALLENGE = 2, 3, 5, 11
KEY = b"hostile-secret"


def attribute(code: int, value: bytes) -> bytes:
    return bytes((code, len(value) + 2)) + value


def answer(request: bytes, code: int, attributes: bytes = b"", *, secret: bytes = KEY, signed: bool = True) -> bytes:
    """A reply as RFC 2865 3 and RFC 3579 3.2 have it, by hand: the code under test is not asked."""
    if signed:
        attributes = attribute(80, bytes(16)) + attributes
    head = bytes((code, request[1])) + (20 + len(attributes)).to_bytes(2, "big")
    if signed:
        digest = hmac.digest(secret, head + request[4:20] + attributes, "md5")
        attributes = attribute(80, digest) + attributes[18:]
    return head + hashlib.md5(head + request[4:20] + attributes + secret).digest() + attributes


class Hostile(asyncio.DatagramProtocol):
    """Sends what `act` makes of each request: no datagram, one, or more."""

    def __init__(self, act: Callable[[bytes], Sequence[bytes]]) -> None:
        self.act = act
        self.heard: list[bytes] = []
        self.clients: list[tuple[str, int]] = []
        self.port = 0
        self._came = asyncio.Event()

    async def wait_for(self, count: int) -> None:
        """Until so many requests have come."""
        while len(self.heard) < count:
            self._came.clear()
            await self._came.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.heard.append(data)
        self.clients.append(address)
        self._came.set()
        for reply in self.act(data):
            self.send(reply, address)

    def send(self, octets: bytes, address: tuple[str, int]) -> None:
        self._transport.sendto(octets, address)


@contextlib.asynccontextmanager
async def hostile(act: Callable[[bytes], Sequence[bytes]]) -> AsyncIterator[Hostile]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: Hostile(act), local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()


def client_file(folder: Path, *ports: int, **lines: object) -> str:
    """A configuration with these servers of loopback, whose secret is KEY."""
    servers = ",".join(f"127.0.0.1:{port}:{KEY.decode()}" for port in ports)
    values = {"authserver": servers, "acctserver": servers, "radius_timeout": 1, "radius_retries": 1, **lines}
    path = folder / "client.conf"
    path.write_text("".join(f"{key} {value}\n" for key, value in values.items()))
    return str(path)
