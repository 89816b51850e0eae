"""A client's first datagram finds its worker, and a stranger's finds nobody."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from ocserv_core.main import udp as udp_module
from ocserv_core.model import Endpoint
from ocserv_core.system.datagrams import Datagram
from tests.ipc.pairs import open_descriptors, settled_descriptors
from tests.loop import on_loop, turn, until

from .udp_house import CAFE, HOME, Peer, UdpHouse, hello, id_of, is_silent, record


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> UdpHouse:
    return UdpHouse(monkeypatch)


async def assert_nothing_for(peer: Peer, house: UdpHouse, client: socket.socket) -> None:
    """What was sent is dropped: of all that comes after it, the first that is heard is a hello of another client."""
    other = house.peer(CAFE)
    with house.client(CAFE) as stranger:
        stranger.send(hello(other.dtls_id))
        (await other.hear()).flow.close()
    await turn()
    assert peer.heard_now() is None
    assert is_silent(client)


def test_a_hello_comes_to_the_worker_that_it_names(house: UdpHouse) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice, bob = house.peer(), house.peer()
            with house.client() as client:
                client.send(hello(bob.dtls_id))
                heard = await bob.hear()
                assert (heard.message.datagram, heard.message.hello, heard.message.search) == (
                    hello(bob.dtls_id),
                    True,
                    0,
                )
                assert alice.heard_now() is None
                heard.flow.close()

    on_loop(dialogue())


def test_what_follows_a_hello_comes_to_the_worker_alone(house: UdpHouse) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer()
            with house.client() as client:
                client.send(hello(alice.dtls_id))
                heard = await alice.hear()
                with heard.flow as flow:
                    client.send(b"more")
                    assert flow.recv(100) == b"more"
                    flow.send(b"answer")
                    assert client.recv(100) == b"answer"

    on_loop(dialogue())


def test_a_hello_that_is_repeated_is_dropped_for_three_seconds(
    house: UdpHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(udp_module, "time", SimpleNamespace(monotonic=lambda: clock.now))

    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer()
            with house.client() as client, house.client() as again:
                client.send(hello(alice.dtls_id))
                (await alice.hear()).flow.close()
                clock.now += 2.9
                again.send(hello(alice.dtls_id))
                await assert_nothing_for(alice, house, again)
                clock.now += 0.2
                again.send(hello(alice.dtls_id))
                heard = await alice.hear()
                assert heard.flow.getpeername() == again.getsockname()
                heard.flow.close()

    on_loop(dialogue())


DROPPED = {
    "a random of zeros": hello(id_of(1), bytes(32)),
    "an unknown id": hello(bytes(32)),
    "half a hello": hello(id_of(1))[:60],
    "nothing": b"",
    "something else": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("name", DROPPED)
def test_what_is_no_hello_of_ours_is_answered_by_nothing(house: UdpHouse, name: str) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer()
            assert alice.number == 1
            with house.client() as client:
                client.send(DROPPED[name])
                await assert_nothing_for(alice, house, client)

    on_loop(dialogue())


def test_strangers_leave_no_trace(house: UdpHouse) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer()
            before = settled_descriptors()
            for number in range(10_000):
                with house.client(f"127.2.{number // 256}.{number % 256}") as client:
                    client.send(record() if number % 2 else hello(number.to_bytes(32, "little")))
                if number % 50 == 49:
                    await turn(3)
            with house.client(CAFE) as client:
                await assert_nothing_for(alice, house, client)
            house.workers.on_exited(1, 101, 0)
            assert (len(house.associations), len(house.searcher._searches)) == (1, 0)
            assert list(house.associations._addresses) == [HOME]
            house.fakes.pop().close()
            assert open_descriptors() == before

    on_loop(dialogue())


def test_a_hello_that_became_a_session_tells_where_its_client_is_now(house: UdpHouse) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer(HOME)
            with house.client(CAFE) as client, house.client(CAFE) as rebound:
                client.send(hello(alice.dtls_id))
                (await alice.hear()).flow.close()
                house.searcher.on_established(alice.record.number)
                rebound.send(record())
                assert not (await alice.answer(opened=False)).message.hello

    on_loop(dialogue())


def test_after_its_end_nobody_is_found(house: UdpHouse) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer()
            house.workers.on_exited(1, alice.record.pid, 0)
            assert len(house.associations) == 0

    on_loop(dialogue())


@pytest.mark.parametrize("data", [hello(id_of(1)), record()])
def test_who_claims_to_come_from_port_0_gets_nothing(house: UdpHouse, data: bytes) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer()
            house.udp._on_datagram(Datagram(data, Endpoint(HOME, 0), Endpoint(*house.where), 0))
            await turn()
            assert alice.heard_now() is None

    on_loop(dialogue())


@pytest.mark.parametrize("data", [hello(id_of(1)), record()])
def test_a_flow_that_the_kernel_refuses_is_dropped(
    house: UdpHouse, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer()
            house.udp._on_datagram(Datagram(data, Endpoint(HOME, 4000), Endpoint("198.51.100.7", 443), 0))
            await until(lambda: caplog.messages)
            await turn()
            assert (alice.heard_now(), len(house.searcher._searches)) == (None, 0)
        assert "is dropped: no UDP socket from 198.51.100.7:443 to 127.0.0.7:4000" in caplog.text

    on_loop(dialogue())


def test_at_the_end_the_port_is_free_and_nothing_is_left(house: UdpHouse) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer()
            with house.client() as client, house.client() as rebound:
                client.send(hello(alice.dtls_id))
                (await alice.hear()).flow.close()
                rebound.send(record())
                (await alice.hear()).flow.close()
        await turn()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(house.where)

    on_loop(dialogue())
    before = settled_descriptors()
    on_loop(dialogue())
    assert open_descriptors() == before


def test_a_hello_from_a_banned_address_is_dropped_until_it_is_forgiven(house: UdpHouse) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer()
            house.banned.add(HOME)
            with house.client() as client:
                client.send(hello(alice.dtls_id))
                await assert_nothing_for(alice, house, client)
                house.banned.clear()
                client.send(hello(alice.dtls_id))
                (await alice.hear()).flow.close()

    on_loop(dialogue())
