"""The server probes, the path lets through or not: the largest packet is found."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.protocol.mtu_discovery import AGAIN, GRAIN, INTERVAL, TRIES, MtuDiscovery, floor_of

START = 1000.0
OFFER = 1434
OVERHEAD = 66
FLOOR = floor_of(inner_ipv6=False)

MOST_PROBES = 12 * TRIES
"""Offer, floor and present size, then a binary search."""


def fresh(offer: int = OFFER, floor: int = FLOOR) -> MtuDiscovery:
    made = MtuDiscovery(offer, overhead=OVERHEAD, floor=floor)
    made.restart(START)
    return made


def search(discovery: MtuDiscovery, carries: Callable[[int], bool]) -> list[int]:
    """Until it rests: every probe sent, of which those that the path carries are answered half an interval later."""
    sent: list[int] = []
    while len(sent) <= MOST_PROBES:
        now = discovery.next_deadline()
        probe = discovery.on_deadline(now)
        if probe is None:
            return sent
        sent.append(probe)
        if carries(probe):
            discovery.on_answer(now + INTERVAL / 2)
        if discovery.next_deadline() > now + AGAIN / 2:
            return sent
    raise AssertionError(f"no end: {sent}")


def up_to(path: int) -> Callable[[int], bool]:
    return lambda size: size <= path


def test_an_offer_that_comes_through_takes_one_probe() -> None:
    discovery = fresh()
    assert search(discovery, up_to(1500)) == [OFFER]
    assert discovery.data_mtu == OFFER


def test_a_narrower_path_is_found() -> None:
    discovery = fresh()
    sent = search(discovery, up_to(1300))
    # The offer is lost, the smallest is answered, so it is the size's fault.
    assert sent[:4] == [OFFER] * TRIES + [FLOOR]
    assert 1300 - GRAIN < discovery.data_mtu <= 1300


def test_before_something_is_answered_nothing_is_lowered() -> None:
    discovery = fresh()
    assert search(discovery, up_to(0)) == [OFFER] * TRIES + [FLOOR] * TRIES
    assert discovery.data_mtu == OFFER


def test_while_it_searches_no_packet_is_as_large_as_one_that_was_lost() -> None:
    discovery = fresh()
    probes: list[int] = []

    def carries(size: int) -> bool:
        probes.append(size)
        if FLOOR in probes[:-1]:
            lost = [probe for probe in probes if probe > 1000 and probes.count(probe) == TRIES and probe != size]
            assert discovery.data_mtu < min(lost)
        return size <= 1000

    search(discovery, carries)
    assert discovery.data_mtu <= 1000


def test_a_probe_is_repeated_before_it_counts_as_lost() -> None:
    discovery = fresh()
    times = [(n * INTERVAL, discovery.on_deadline(START + n * INTERVAL)) for n in range(TRIES)]
    assert times == [(0.0, OFFER), (1.0, OFFER), (2.0, OFFER)]
    discovery.on_answer(START + 2.5)
    assert discovery.data_mtu == OFFER


def test_too_early_nothing_is_sent() -> None:
    discovery = fresh()
    discovery.on_deadline(START)
    assert discovery.on_deadline(START + INTERVAL / 2) is None


def test_an_answer_to_nothing_says_nothing() -> None:
    discovery = fresh()
    assert not discovery.waiting
    discovery.on_answer(START)
    assert discovery.on_deadline(START) == OFFER
    assert discovery.waiting


def test_late_answers_to_a_repeated_probe_do_not_count_for_the_next() -> None:
    discovery = fresh()
    for n in range(TRIES + 2):  # the offer is lost, the floor sent twice
        sent = discovery.on_deadline(START + n * INTERVAL)
    assert sent == FLOOR
    now = START + (TRIES + 1) * INTERVAL + 0.1
    discovery.on_answer(now)
    discovery.on_answer(now + 0.9)
    assert discovery.next_deadline() == pytest.approx(now + INTERVAL + 0.1)
    assert discovery.data_mtu < OFFER


def test_after_some_minutes_it_looks_again() -> None:
    discovery = fresh()
    search(discovery, up_to(1300))
    found = discovery.data_mtu
    sent = search(discovery, up_to(1500))
    assert (found <= 1300, sent, discovery.data_mtu) == (True, [OFFER], OFFER)


def test_what_was_found_is_kept_while_it_looks_again() -> None:
    discovery = fresh()
    search(discovery, up_to(1300))
    found = discovery.data_mtu
    seen: set[int] = set()

    def carries(size: int) -> bool:
        seen.add(discovery.data_mtu)
        return size <= 1300

    sent = search(discovery, carries)
    assert sent[TRIES : TRIES + 2] == [FLOOR, found]
    assert min(seen) == found


def test_a_path_that_narrowed_without_a_word_is_noticed() -> None:
    discovery = fresh()
    search(discovery, up_to(1500))
    search(discovery, up_to(1000))
    assert 1000 - GRAIN < discovery.data_mtu <= 1000


# ---- the kernel's word ------------------------------------------------------------------------------------------


def test_the_kernels_number_counts_at_once() -> None:
    discovery = fresh()
    assert discovery.on_deadline(START) == OFFER
    discovery.on_too_big(1400, START)
    assert (discovery.data_mtu, discovery.next_deadline()) == (1400 - OVERHEAD, START)
    assert discovery.on_deadline(START) == 1400 - OVERHEAD


def test_the_same_number_again_changes_nothing() -> None:
    discovery = fresh()
    discovery.on_too_big(1400, START)
    discovery.on_deadline(START)
    discovery.on_too_big(1400, START)
    assert discovery.waiting


def test_a_refusal_without_a_number_goes_half_the_way_down() -> None:
    discovery = fresh()
    discovery.on_deadline(START)
    discovery.on_too_big(None, START)
    assert discovery.data_mtu == (FLOOR + OFFER - 1) // 2


def test_a_refusal_while_it_rests_wakes_it() -> None:
    discovery = fresh()
    search(discovery, up_to(1500))
    discovery.on_too_big(1400, START + 60)
    assert discovery.next_deadline() == START + 60


def test_where_not_even_the_floor_fits_dtls_is_of_no_use() -> None:
    discovery = fresh(floor=floor_of(inner_ipv6=True))
    discovery.on_too_big(1280, START)
    assert (discovery.data_mtu, discovery.too_narrow) == (1280, True)
    assert discovery.next_deadline() == START + AGAIN


def test_a_new_path_begins_without_the_old_ones_faults() -> None:
    discovery = fresh()
    discovery.on_too_big(500, START)
    discovery.restart(START + 1)
    assert not discovery.too_narrow
    assert search(discovery, up_to(1500)) == [OFFER]


# ---- the peer's probes ------------------------------------------------------------------------------------------


def test_a_larger_probe_of_the_peer_raises() -> None:
    discovery = fresh()
    search(discovery, up_to(1000))
    discovery.on_peer_probe(1200)
    assert discovery.data_mtu == 1200


def test_the_peer_raises_nothing_above_the_offer() -> None:
    discovery = fresh()
    search(discovery, up_to(1000))
    discovery.on_peer_probe(9000)
    assert discovery.data_mtu == OFFER


def test_the_peer_raises_nothing_above_the_kernels_word() -> None:
    discovery = fresh()
    discovery.on_too_big(1400, START)
    discovery.on_peer_probe(OFFER)
    assert discovery.data_mtu == 1400 - OVERHEAD


def test_a_smaller_probe_of_the_peer_says_nothing() -> None:
    discovery = fresh()
    discovery.on_peer_probe(100)
    assert discovery.data_mtu == OFFER


def test_the_peer_ends_a_search_that_it_has_answered() -> None:
    discovery = fresh()
    discovery.on_deadline(START)
    for n in range(1, TRIES + 1):
        discovery.on_deadline(START + n * INTERVAL)
    discovery.on_answer(START + TRIES * INTERVAL)
    discovery.on_peer_probe(OFFER)
    search(discovery, up_to(0))
    assert discovery.data_mtu == OFFER


# ---- rest -------------------------------------------------------------------------------------------------------


def test_it_begins_at_rest_with_the_offer() -> None:
    discovery = MtuDiscovery(OFFER, overhead=OVERHEAD, floor=FLOOR)
    assert (discovery.data_mtu, discovery.next_deadline()) == (OFFER, math.inf)


def test_it_stops_with_the_session() -> None:
    discovery = fresh()
    discovery.on_deadline(START)
    discovery.stop()
    assert (discovery.waiting, discovery.next_deadline()) == (False, math.inf)


def test_an_offer_below_the_floor_is_the_floor() -> None:
    discovery = fresh(offer=500)
    assert search(discovery, up_to(0)) == [500] * TRIES
    assert discovery.data_mtu == 500


# ---- always -----------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.just(("deadline", 0)),
        st.just(("deadline", 0)),
        st.just(("answer", 0)),
        st.tuples(st.just("peer"), st.integers(0, 2000)),
        st.tuples(st.just("big"), st.one_of(st.none(), st.integers(0, 2000))),
        st.just(("restart", 0)),
    ),
    max_size=60,
)


@given(st.integers(100, 1500), st.sampled_from([576, 1280]), STEPS)
def test_it_stays_between_floor_and_offer_and_ends(offer: int, floor: int, steps: list[tuple[str, int | None]]) -> None:
    discovery = fresh(offer, floor)
    low, now = min(floor, offer), START
    for what, number in steps:
        if what == "deadline" and math.isfinite(discovery.next_deadline()):
            now = max(now, discovery.next_deadline())
            probe = discovery.on_deadline(now)
            assert probe is None or low <= probe <= offer
            assert discovery.next_deadline() > now
        elif what == "answer":
            discovery.on_answer(now)
        elif what == "peer":
            discovery.on_peer_probe(number or 0)
        elif what == "big":
            discovery.on_too_big(number, now)
        elif what == "restart":
            discovery.restart(now)
        assert low <= discovery.data_mtu <= offer
    search(discovery, up_to(0))
    assert low <= discovery.data_mtu <= offer


@given(st.integers(576, 1500), st.integers(576, 1434))
def test_what_is_found_is_what_the_path_carries(path: int, before: int) -> None:
    discovery = fresh()
    search(discovery, up_to(before))
    search(discovery, up_to(path))
    best = min(path, OFFER)
    assert best - GRAIN < discovery.data_mtu <= best


@given(st.integers(576 + OVERHEAD, 1600))
def test_a_kernel_without_numbers_ends_the_search_too(path_mtu: int) -> None:
    discovery = fresh()
    refusals = 0
    while (probe := discovery.on_deadline(now := discovery.next_deadline())) is not None:
        if probe + OVERHEAD > path_mtu:
            refusals += 1
            discovery.on_too_big(None, now)
        else:
            discovery.on_answer(now)
        if discovery.next_deadline() > now + AGAIN / 2:
            break
        assert refusals < MOST_PROBES
    assert discovery.data_mtu + OVERHEAD <= path_mtu
