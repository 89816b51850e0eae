"""A record of an unknown flow comes to the client whose keys open it, also where many are behind one address."""

from __future__ import annotations

import pytest

from ocserv_core.main import searcher as searcher_module
from ocserv_core.model import DisconnectReason
from tests.ipc.pairs import open_descriptors, settled_descriptors
from tests.loop import on_loop, turn, until

from .udp_house import CAFE, HOME, UdpHouse, hello, is_silent, record


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> UdpHouse:
    return UdpHouse(monkeypatch)


async def is_over(house: UdpHouse) -> None:
    await until(lambda: not len(house.searcher._searches))


async def is_cut_off(house: UdpHouse, pid: int) -> None:
    await until(lambda: house.killed)
    assert house.killed == [pid]


def test_the_client_behind_the_address_is_asked(house: UdpHouse) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice, bob = house.peer(HOME), house.peer(CAFE)
            with house.client(HOME) as client:
                client.send(record())
                heard = await alice.answer(opened=True)
                assert (heard.message.datagram, heard.message.hello) == (record(), False)
                await is_over(house)
                assert bob.heard_now() is None
                heard.flow.close()

    on_loop(dialogue())


def test_of_two_behind_one_address_the_second_may_be_the_one(house: UdpHouse) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice, bob = house.peer(), house.peer()
            before = settled_descriptors()
            with house.client() as client:
                client.send(record())
                first = await alice.answer(opened=False)
                client.send(record(b"while they are asked"))
                second = await bob.answer(opened=True)
                assert second.message == first.message
                await is_over(house)
                with second.flow as flow:
                    assert flow.recv(100) == record(b"while they are asked")
                    flow.send(b"answer")
                    assert client.recv(100) == b"answer"
                assert alice.heard_now() is None
            assert open_descriptors() == before

    on_loop(dialogue())


def test_where_its_keys_opened_something_a_client_is_looked_for_from_now_on(house: UdpHouse) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer(HOME)
            with house.client(HOME) as client, house.client(CAFE) as elsewhere:
                client.send(record())
                asked = await alice.hear()
                elsewhere.send(hello(alice.dtls_id))
                (await alice.hear()).flow.close()
                house.searcher.on_established(alice.record.number)
                assert list(house.associations._addresses) == [CAFE]
                alice.say(asked.message.search, opened=True)
                await is_over(house)
                assert list(house.associations._addresses) == [HOME]
                asked.flow.close()

    on_loop(dialogue())


def test_where_nobody_s_keys_open_it_the_socket_goes_and_the_next_is_searched_anew(house: UdpHouse) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer()
            before = settled_descriptors()
            with house.client() as client:
                client.send(record())
                first = await alice.answer(opened=False)
                await is_over(house)
                assert open_descriptors() == before + 1
                client.send(record())
                second = await alice.answer(opened=False)
                assert second.message.search != first.message.search
                await is_over(house)
                assert is_silent(client)
            assert open_descriptors() == before

    on_loop(dialogue())


def test_a_flow_is_searched_for_once_at_a_time(house: UdpHouse) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer()
            with house.client() as client:
                for _ in range(3):
                    client.send(record())
                heard = await alice.hear()
                await turn()
                assert alice.heard_now() is None
                heard.flow.close()

    on_loop(dialogue())


def test_a_candidate_that_dies_is_passed_over(house: UdpHouse) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice, bob = house.peer(), house.peer()
            with house.client() as client:
                client.send(record())
                (await alice.hear()).flow.close()
                house.workers.on_exited(1, alice.record.pid, -9)
                (await bob.answer(opened=True)).flow.close()
                await is_over(house)

    on_loop(dialogue())


def test_a_candidate_that_is_silent_is_passed_over(house: UdpHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searcher_module, "ANSWER_WITHIN", 0.01)

    async def dialogue() -> None:
        async with house.serving():
            alice, bob = house.peer(), house.peer()
            with house.client() as client:
                client.send(record())
                late = await alice.hear()
                late.flow.close()
                heard = await bob.hear()
                # Its word, late as it is, ends neither it nor the search.
                alice.say(late.message.search, opened=False)
                heard.flow.close()
                bob.say(heard.message.search, opened=True)
                await is_over(house)
            assert house.killed == []

    on_loop(dialogue())


def test_a_candidate_that_is_late_may_still_be_the_one(house: UdpHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice, bob, carol = house.peer(), house.peer(), house.peer()
            with house.client() as client:
                monkeypatch.setattr(searcher_module, "ANSWER_WITHIN", 0.01)
                client.send(record())
                late = await alice.hear()
                monkeypatch.setattr(searcher_module, "ANSWER_WITHIN", 30.0)
                heard = await bob.hear()
                alice.say(late.message.search, opened=True)
                await is_over(house)
                bob.say(heard.message.search, opened=False)
                await turn()
                assert (carol.heard_now(), house.killed) == (None, [])
                late.flow.close()
                heard.flow.close()

    on_loop(dialogue())


def test_without_a_candidate_that_answers_a_search_ends(house: UdpHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searcher_module, "ANSWER_WITHIN", 0.01)

    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer()
            with house.client() as client:
                client.send(record())
                (await alice.hear()).flow.close()
                await is_over(house)

    on_loop(dialogue())


# ---- verdicts that nobody asked for


def test_a_verdict_that_nobody_asked_for_ends_the_worker(house: UdpHouse) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer()
            alice.say(1, opened=True)
            await is_cut_off(house, alice.record.pid)
            assert alice.record.reason is DisconnectReason.ERROR

    on_loop(dialogue())


@pytest.mark.parametrize("opened", [True, False])
def test_a_verdict_on_what_another_was_asked_ends_the_worker(house: UdpHouse, *, opened: bool) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice, bob = house.peer(HOME), house.peer(CAFE)
            with house.client(HOME) as client:
                client.send(record())
                heard = await alice.hear()
                bob.say(heard.message.search, opened=opened)
                await is_cut_off(house, bob.record.pid)
                assert len(house.searcher._searches) == 1
                heard.flow.close()

    on_loop(dialogue())


def test_a_second_verdict_ends_the_worker(house: UdpHouse) -> None:
    async def dialogue() -> None:
        async with house.serving():
            alice = house.peer()
            with house.client() as client:
                client.send(record())
                heard = await alice.answer(opened=False)
                alice.say(heard.message.search, opened=True)
                await is_cut_off(house, alice.record.pid)

    on_loop(dialogue())
