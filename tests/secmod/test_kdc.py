"""Kerberos messages on their way to key servers and back."""

from __future__ import annotations

import asyncio
import socket

import pytest

from ocserv_core.config.values import KdcProxy
from ocserv_core.ipc.messages import KdcReply, KdcRequest
from ocserv_core.secmod.kdc import MAX_AT_ONCE, MAX_OF_ONE, MAX_REPLY, KdcForwarder, KdcRoute, choose, resolve
from tests.loop import on_loop, turn, until

from .kdc import route_to, silent_key_server, tcp_key_server, udp_key_server

MESSAGE = b"\0\0\0\x05hello"
REQUEST = KdcRequest("default", "/KdcProxy", "R", MESSAGE)
ALICE = "192.0.2.7"


async def forwarded(*routes: KdcRoute, patience: float = 10.0) -> KdcReply:
    """What comes of REQUEST."""
    heard: asyncio.Future[KdcReply] = asyncio.get_running_loop().create_future()
    KdcForwarder(patience).forward(routes, REQUEST, ALICE, heard.set_result)
    return await heard


# ---- the way ------------------------------------------------------------------------------------------------------


def test_by_tcp_the_length_goes_along() -> None:
    async def dialogue() -> None:
        heard: list[bytes] = []
        async with tcp_key_server(b"\0\0\0\x02ok", heard) as route:
            assert await forwarded(route) == KdcReply(b"\0\0\0\x02ok")
        assert heard == [MESSAGE]

    on_loop(dialogue())


def test_by_udp_it_does_not() -> None:
    async def dialogue() -> None:
        async with udp_key_server(bytes.upper) as route:
            assert await forwarded(route) == KdcReply(b"\0\0\0\x05HELLO")

    on_loop(dialogue())


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"", "it ended the connection"),
        (b"\0\0\0\x05hell", "it ended the connection"),
        (MAX_REPLY.to_bytes(4), f"an answer of {MAX_REPLY} octets is too long"),
    ],
)
def test_an_answer_that_cannot_be_handed_on_is_none(reply: bytes, why: str, caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue() -> None:
        async with tcp_key_server(reply, []) as route:
            assert await forwarded(route) == KdcReply(b"", "the key server does not answer")

    on_loop(dialogue())
    assert why in caplog.text


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_key_server_that_is_not_there_is_told(transport: str, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    on_loop(_is_refused(route_to(port, transport)))
    assert f"kkdcp: the key server of R ({transport}@127.0.0.1:{port}): Connection refused" in caplog.text


async def _is_refused(route: KdcRoute) -> None:
    assert (await forwarded(route)).failure == "the key server does not answer"


def test_one_that_says_nothing_has_its_time(caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue() -> None:
        async with silent_key_server() as route:
            assert (await forwarded(route, patience=0.05)).failure == "the key server does not answer"

    on_loop(dialogue())
    assert "no answer within 0.05 s" in caplog.text


# ---- how many -----------------------------------------------------------------------------------------------------


def test_of_one_address_so_many_are_on_their_way_and_no_more() -> None:
    async def dialogue() -> None:
        heard: list[KdcReply] = []
        forwarder = KdcForwarder()
        async with silent_key_server() as route:
            for number in range(MAX_OF_ONE + 1):
                forwarder.forward((route,), REQUEST, f"2001:db8::{number:x}", heard.append)
            assert heard == [KdcReply(b"", "too many Kerberos messages at once")]
            assert forwarder.forward((route,), REQUEST, ALICE, heard.append) is not None
            forwarder.end()
            await turn()

    on_loop(dialogue())


def test_over_all_there_is_a_bound_too() -> None:
    async def dialogue() -> None:
        heard: list[KdcReply] = []
        forwarder = KdcForwarder()
        async with silent_key_server() as route:
            for number in range(MAX_AT_ONCE + 1):
                forwarder.forward((route,), REQUEST, f"192.0.2.{number}", heard.append)
            assert heard == [KdcReply(b"", "too many Kerberos messages at once")]
            forwarder.end()
            await turn()

    on_loop(dialogue())


def test_who_is_done_makes_room() -> None:
    async def dialogue() -> None:
        heard: list[KdcReply] = []
        forwarder = KdcForwarder()
        async with tcp_key_server(b"\0\0\0\x02ok", []) as route:
            for number in range(MAX_OF_ONE * 3):
                forwarder.forward((route,), REQUEST, ALICE, heard.append)
                await until(lambda: len(heard) > number)  # noqa: B023 (it is awaited here)
        assert heard == [KdcReply(b"\0\0\0\x02ok")] * MAX_OF_ONE * 3

    on_loop(dialogue())


# ---- which --------------------------------------------------------------------------------------------------------

FIRST, SECOND, ELSEWHERE = route_to(1, realm="A.TEST"), route_to(2, realm="B.TEST"), route_to(3, path="/other")


@pytest.mark.parametrize(
    ("path", "realm", "route"),
    [
        ("/KdcProxy", "A.TEST", FIRST),
        ("/KdcProxy", "b.test", SECOND),
        ("/KdcProxy", "", FIRST),
        ("/KdcProxy", "C.TEST", FIRST),
        ("/other", "A.TEST", ELSEWHERE),
        ("/nowhere", "A.TEST", None),
    ],
)
def test_the_realm_chooses_and_else_it_is_the_first_of_the_path(path: str, realm: str, route: KdcRoute | None) -> None:
    assert choose((FIRST, SECOND, ELSEWHERE), path, realm) == route


def test_the_host_of_a_line_has_an_address() -> None:
    proxy = KdcProxy("/KdcProxy", "R", "udp", "::1", 88)
    assert resolve(proxy) == KdcRoute(proxy, socket.AF_INET6, "::1")


def test_a_host_without_an_address_is_an_error() -> None:
    with pytest.raises(OSError, match=r"not known|No address|Temporary failure"):
        resolve(KdcProxy("/KdcProxy", "R", "udp", "no-such-host.invalid", 88))
