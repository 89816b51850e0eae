"""Whose datagrams are whose, and that strangers leave no trace."""

from __future__ import annotations

import pytest

from ocserv_core.model import Endpoint
from ocserv_core.state.associations import (
    MAX_CANDIDATES,
    MAX_OWED,
    MAX_SEARCHES,
    Associations,
    Flow,
    Search,
    Searches,
)

NOW = 50.0
HOME, CAFE = "192.0.2.7", "198.51.100.7"
ALICE, BOB = 1, 2
HERE = Endpoint("192.0.2.1", 443)


def id_of(worker: int) -> bytes:
    return worker.to_bytes(32, "big")


def flow(ip: str = HOME, port: int = 4000) -> Flow:
    return Flow(HERE, Endpoint(ip, port))


@pytest.fixture
def known() -> Associations:
    """Alice is at home."""
    known = Associations()
    known.add(ALICE, id_of(ALICE), HOME)
    return known


@pytest.fixture
def searches(known: Associations) -> Searches:
    return Searches(known)


def begun(searches: Searches, where: Flow | None = None, now: float = NOW) -> Search:
    search = searches.begin(where or flow(), now)
    assert search is not None
    return search


# ---- hellos


def test_an_id_is_its_worker_s(known: Associations) -> None:
    known.add(BOB, id_of(BOB), HOME)
    assert [known.owner(id_of(worker), HOME, NOW) for worker in (ALICE, BOB)] == [ALICE, BOB]


@pytest.mark.parametrize("unknown", [b"", id_of(ALICE)[:-1], id_of(BOB)])
def test_an_unknown_id_is_nobody_s(known: Associations, unknown: bytes) -> None:
    assert known.owner(unknown, HOME, NOW) is None


def test_an_id_ends_with_its_connection(known: Associations) -> None:
    known.remove(ALICE)
    assert (known.owner(id_of(ALICE), HOME, NOW), len(known)) == (None, 0)


def test_the_end_of_a_connection_without_dtls_is_nothing(known: Associations) -> None:
    known.remove(BOB)
    assert len(known) == 1


@pytest.mark.parametrize(("later", "owner"), [(0.0, None), (2.99, None), (3.0, ALICE)])
def test_a_repeated_hello_is_dropped_for_three_seconds(known: Associations, later: float, owner: int | None) -> None:
    known.hello_passed(ALICE, HOME, NOW)
    assert known.owner(id_of(ALICE), HOME, NOW + later) == owner


def test_one_client_s_hello_delays_no_other_s(known: Associations) -> None:
    known.add(BOB, id_of(BOB), HOME)
    known.hello_passed(ALICE, HOME, NOW)
    assert known.owner(id_of(BOB), HOME, NOW) == BOB


# ---- addresses


def test_a_client_is_looked_for_where_its_tcp_comes_from(known: Associations) -> None:
    assert (known.begin_search(HOME, NOW), known.begin_search(CAFE, NOW)) == ((ALICE,), ())


def test_a_hello_from_elsewhere_delays_none_from_home(known: Associations) -> None:
    known.hello_passed(ALICE, CAFE, NOW)
    assert known.owner(id_of(ALICE), CAFE, NOW) is None
    assert known.owner(id_of(ALICE), HOME, NOW) == ALICE


def test_a_hello_alone_proves_no_address(known: Associations) -> None:
    known.hello_passed(ALICE, CAFE, NOW)
    assert (known.begin_search(HOME, NOW), known.begin_search(CAFE, NOW)) == ((ALICE,), ())


def test_with_dtls_it_is_looked_for_where_its_hello_came_from(known: Associations) -> None:
    known.hello_passed(ALICE, CAFE, NOW)
    known.established(ALICE)
    assert (known.begin_search(HOME, NOW), known.begin_search(CAFE, NOW)) == ((), (ALICE,))


def test_after_its_end_it_is_looked_for_nowhere(known: Associations) -> None:
    known.move(ALICE, CAFE)
    known.remove(ALICE)
    assert [known.begin_search(ip, NOW) for ip in (HOME, CAFE)] == [(), ()]


def test_behind_one_address_so_many_are_asked_and_the_next_time_the_others(known: Associations) -> None:
    for worker in range(2, 41):
        known.add(worker, id_of(worker), HOME)
    asked = [known.begin_search(HOME, NOW) for _ in range(3)]
    assert [len(candidates) for candidates in asked] == [MAX_CANDIDATES] * 3
    assert set().union(*asked) == set(range(1, 41))


def test_four_searches_a_second_of_one_address(known: Associations) -> None:
    known.add(BOB, id_of(BOB), CAFE)
    at = [NOW, NOW + 0.2, NOW + 0.4, NOW + 0.6, NOW + 0.99, NOW + 1.0, NOW + 1.1]
    assert [bool(known.begin_search(HOME, now)) for now in at] == [True, True, True, True, False, True, False]
    assert known.begin_search(CAFE, NOW + 0.6)


def test_strangers_leave_no_trace(known: Associations, searches: Searches) -> None:
    for number in range(10_000):
        ip = f"203.0.{number // 256}.{number % 256}"
        assert known.owner(number.to_bytes(32, "little"), HOME, NOW) is None
        assert searches.begin(flow(ip, 1 + number), NOW) is None
    assert (len(searches), list(known._addresses)) == (0, [HOME])


def test_who_roams_leaves_no_trace(known: Associations) -> None:
    for number in range(1000):
        known.hello_passed(ALICE, f"203.0.113.{number % 256}", NOW + 3 * number)
        known.established(ALICE)
    known.remove(ALICE)
    assert (known._addresses, known._by_id) == ({}, {})


# ---- searches


def test_a_search_asks_the_candidates_behind_the_address(searches: Searches) -> None:
    assert begun(searches).candidates == (ALICE,)


def test_one_search_at_a_time_for_a_flow(searches: Searches) -> None:
    first = begun(searches)
    assert searches.begin(flow(), NOW) is None
    assert begun(searches, flow(port=4001)).number != first.number
    searches.end(first)
    assert begun(searches).number not in (0, first.number)


def test_so_many_searches_at_a_time(known: Associations, searches: Searches) -> None:
    for number in range(MAX_SEARCHES + 1):
        known.add(100 + number, id_of(100 + number), f"203.0.113.{number}")
    running = [begun(searches, flow(f"203.0.113.{number}")) for number in range(MAX_SEARCHES)]
    last = flow(f"203.0.113.{MAX_SEARCHES}")
    assert searches.begin(last, NOW) is None
    searches.end(running[0])
    assert begun(searches, last)


def test_an_answer_is_taken_once_and_only_from_who_was_asked(searches: Searches) -> None:
    search = begun(searches)
    searches.asked(ALICE, search)
    assert searches.answered(BOB, search.number) is None
    assert searches.answered(ALICE, search.number + 1) is None
    assert searches.answered(ALICE, search.number) == HOME
    assert searches.answered(ALICE, search.number) is None


def test_an_answer_that_comes_after_the_search_is_taken(searches: Searches) -> None:
    search = begun(searches)
    searches.asked(ALICE, search)
    searches.end(search)
    assert searches.answered(ALICE, search.number) == HOME


def test_who_owes_too_many_answers_is_asked_no_more(searches: Searches) -> None:
    asked = [begun(searches, flow(port=1 + number), NOW + number) for number in range(MAX_OWED)]
    for search in asked:
        assert searches.may_ask(ALICE)
        searches.asked(ALICE, search)
    assert not searches.may_ask(ALICE)
    searches.answered(ALICE, asked[0].number)
    assert searches.may_ask(ALICE)


def test_who_is_gone_owes_nothing(searches: Searches) -> None:
    search = begun(searches)
    searches.asked(ALICE, search)
    searches.forget(ALICE)
    assert searches.answered(ALICE, search.number) is None
    assert searches._owed == {}
