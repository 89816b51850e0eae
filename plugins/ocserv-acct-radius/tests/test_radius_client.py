"""Servers that are dead, slow, or not what they seem; each is a socket of the test's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ocserv_acct_radius import sockets
from ocserv_acct_radius.client import Client
from ocserv_acct_radius.options import read_options
from ocserv_acct_radius.requests import Request
from radius_world import ACCEPT, ACCT_RESPONSE, Hostile, answer, client_file, hostile

from ocserv_core.plugin import Unavailable
from tests.loop import on_loop

ACCESS = Request((("User-Name", "bob"),), password="bobs-password")
SILENT_PORT = 9


def client(folder: Path, *ports: int, **lines: object) -> Client:
    settings = read_options({"config": client_file(folder, *ports, **lines)})
    return Client(settings, settings.file.auth_servers)


def accepts(request: bytes) -> Sequence[bytes]:
    return [answer(request, ACCEPT)]


def nothing(_request: bytes) -> Sequence[bytes]:
    return []


class Later:
    """Answers the n-th request, and none before it."""

    def __init__(self, count: int, code: int = ACCEPT) -> None:
        self.left = count
        self.code = code

    def __call__(self, request: bytes) -> Sequence[bytes]:
        self.left -= 1
        return [answer(request, self.code)] if self.left <= 0 else []


def test_a_request_that_is_lost_is_sent_again_to_the_letter(tmp_path: Path) -> None:
    async def dialogue() -> None:
        async with hostile(Later(2)) as server:
            assert (await client(tmp_path, server.port).ask(ACCESS)).accepted
            assert server.heard[0] == server.heard[1]

    on_loop(dialogue())


def test_an_accounting_request_that_is_lost_is_made_anew(tmp_path: Path) -> None:
    async def dialogue() -> None:
        async with hostile(Later(2, ACCT_RESPONSE)) as server:
            record = Request((("Acct-Status-Type", "Start"),), happened=time.time() - 10)
            await client(tmp_path, server.port).ask(record)
            first, second = server.heard
            assert first[1] != second[1]
            assert first[4:20] != second[4:20]
            delays = [int.from_bytes(octets[22:26], "big") for octets in server.heard]
            assert 10 <= delays[0] < delays[1] < 30

    on_loop(dialogue())


def test_the_answer_to_the_first_of_two_still_counts(tmp_path: Path) -> None:
    heard: list[bytes] = []

    def slow(request: bytes) -> Sequence[bytes]:
        heard.append(request)
        return [answer(heard[0], ACCT_RESPONSE)] if len(heard) == 2 else []

    async def dialogue() -> None:
        async with hostile(slow) as server:
            await client(tmp_path, server.port).ask(Request((("Acct-Status-Type", "Start"),), happened=time.time()))

    on_loop(dialogue())


def test_where_one_is_silent_the_next_is_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def dialogue() -> None:
        async with hostile(nothing) as dead, hostile(accepts) as alive:
            asked = client(tmp_path, dead.port, alive.port, radius_retries=0, radius_deadtime=60)
            assert (await asked.ask(ACCESS)).accepted
            assert (await asked.ask(ACCESS)).accepted
            assert (len(dead.heard), len(alive.heard)) == (1, 2)
            assert f"no answer of 127.0.0.1:{dead.port}: sent 1 times in 1 s" in caplog.text

    on_loop(dialogue())


def test_where_nobody_listens_the_next_is_asked_at_once(tmp_path: Path) -> None:
    async def dialogue() -> None:
        async with hostile(accepts) as alive:
            began = time.monotonic()
            assert (await client(tmp_path, SILENT_PORT, alive.port, radius_timeout=60).ask(ACCESS)).accepted
            assert time.monotonic() - began < 10

    on_loop(dialogue())


def test_where_none_answers_it_is_unavailable_and_each_is_named(tmp_path: Path) -> None:
    async def dialogue() -> None:
        async with hostile(nothing) as dead:
            with pytest.raises(Unavailable) as told:
                await client(tmp_path, dead.port, SILENT_PORT, radius_retries=0).ask(ACCESS)
            assert f"127.0.0.1:{dead.port}: sent 1 times in 1 s; is it up, and its secret right?" in str(told.value)
            assert f"127.0.0.1:{SILENT_PORT}: Connection refused" in str(told.value)

    on_loop(dialogue())


def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    async def dialogue() -> None:
        with pytest.raises(Unavailable, match=r"radius\.invalid"):
            await client(tmp_path, authserver="radius.invalid:1812:x").ask(ACCESS)

    on_loop(dialogue())


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (lambda request: [answer(request, ACCEPT, signed=False)], "no Message-Authenticator"),
        (lambda request: [answer(request, ACCEPT, secret=b"other")], "its authenticator is wrong"),
        (lambda request: [answer(request[:4] + bytes(16), ACCEPT)], "its authenticator is wrong"),
        (lambda request: [bytes((2, request[1])) + b"\xff\xff" + bytes(40)], "it is no RADIUS packet"),
    ],
    ids=["unsigned", "another secret", "replayed", "no packet"],
)
def test_a_reply_that_is_not_the_servers_is_dropped_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, act: object, why: str
) -> None:
    async def dialogue() -> None:
        async with hostile(act) as server:  # type: ignore[arg-type]
            with pytest.raises(Unavailable, match=why):
                await client(tmp_path, server.port, radius_retries=0).ask(ACCESS)
            assert f"radius: reply of 127.0.0.1:{server.port} dropped: {why}" in caplog.text

    on_loop(dialogue())


def test_replies_that_are_dropped_for_one_reason_are_told_once_a_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def dialogue() -> None:
        async with hostile(lambda request: [answer(request, ACCEPT, secret=b"x")] * 50) as server:
            with pytest.raises(Unavailable):
                await client(tmp_path, server.port, radius_retries=0).ask(ACCESS)
            assert caplog.text.count("radius: reply of") == 1

    on_loop(dialogue())


def test_the_right_reply_counts_though_a_wrong_one_came_first(tmp_path: Path) -> None:
    async def dialogue() -> None:
        async with hostile(lambda request: [answer(request, ACCEPT, secret=b"x"), answer(request, ACCEPT)]) as server:
            assert (await client(tmp_path, server.port).ask(ACCESS)).accepted

    on_loop(dialogue())


def test_datagrams_of_others_do_not_reach_it(tmp_path: Path) -> None:
    async def dialogue() -> None:
        loop = asyncio.get_running_loop()
        async with hostile(Later(2)) as server:
            asking = asyncio.create_task(client(tmp_path, server.port).ask(ACCESS))
            await server.wait_for(1)
            transport, _ = await loop.create_datagram_endpoint(lambda: Hostile(nothing), local_addr=("127.0.0.1", 0))
            transport.sendto(answer(server.heard[0], 3), server.clients[0])
            assert (await asking).accepted
            transport.close()

    on_loop(dialogue())


def test_six_hundred_at_once_are_all_answered(tmp_path: Path) -> None:
    async def dialogue() -> None:
        async with hostile(nothing) as server:
            asked = client(tmp_path, server.port, radius_timeout=20)
            asking = [asyncio.create_task(asked.ask(ACCESS)) for _ in range(600)]
            await server.wait_for(600)
            assert len(set(server.clients)) == 3
            for request, sender in zip(server.heard, server.clients, strict=True):
                server.send(answer(request, ACCEPT), sender)
            assert all(reply.accepted for reply in await asyncio.gather(*asking))

    on_loop(dialogue())


def test_after_a_silence_a_server_that_is_back_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def dialogue() -> None:
        async with hostile(Later(2)) as server:
            asked = client(tmp_path, server.port, radius_retries=0, radius_deadtime=60)
            with pytest.raises(Unavailable):
                await asked.ask(ACCESS)
            assert (await asked.ask(ACCESS)).accepted
            assert f"127.0.0.1:{server.port} answers again" in caplog.text

    on_loop(dialogue())


def test_what_is_answered_has_its_identifier_free_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MAX_SOCKETS", 1)

    async def dialogue() -> None:
        async with hostile(accepts) as server:
            asking = client(tmp_path, server.port)
            for _ in range(300):
                await asking.ask(ACCESS)

    on_loop(dialogue())


def test_after_a_silence_the_address_is_asked_for_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def dialogue() -> None:
        opened = []
        loop = asyncio.get_running_loop()
        really = loop.create_datagram_endpoint

        async def open_one(*words: Any, **more: Any) -> Any:
            opened.append(more["remote_addr"])
            return await really(*words, **more)

        async with hostile(Later(3)) as server:
            monkeypatch.setattr(loop, "create_datagram_endpoint", open_one)
            asking = client(tmp_path, server.port, radius_retries=1)
            with pytest.raises(Unavailable):
                await asking.ask(ACCESS)
            for _ in range(2):
                await asking.ask(ACCESS)
            assert opened == [("127.0.0.1", server.port)] * 2

    on_loop(dialogue())
