"""Who waits for their user, and for how long without a connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.secmod.parking import ORPHAN_LIFE, Parking, network_of, orphan_deadline

HERE, ELSEWHERE = "192.0.2.7", "192.0.2.8"


def test_so_many_of_one_address_may_wait() -> None:
    parking = Parking(2)
    assert [parking.park(handle, HERE) for handle in "ab"] == [None, None]


def test_with_one_more_the_oldest_falls_out() -> None:
    parking = Parking(2)
    assert [parking.park(handle, HERE) for handle in "abcd"] == [None, None, "a", "b"]


def test_another_address_has_its_own_places() -> None:
    parking = Parking(1)
    parking.park("a", HERE)
    assert parking.park("b", ELSEWHERE) is None


def test_a_place_that_was_left_is_free() -> None:
    parking = Parking(1)
    parking.park("a", HERE)
    parking.leave("a")
    assert (parking.park("b", HERE), len(parking)) == (None, 1)


def test_who_waits_again_is_the_youngest() -> None:
    parking = Parking(2)
    for handle in "aba":
        parking.park(handle, HERE)
    assert parking.park("c", HERE) == "b"


def test_only_one_place_and_one_address() -> None:
    parking = Parking(1)
    assert [parking.park(handle, HERE) for handle in "abc"] == [None, "a", "b"]


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
    ],
)
def test_whom_an_address_stands_for(ip: str, network: str) -> None:
    assert network_of(ip) == network


@pytest.mark.parametrize(("own", "until"), [(1000.0, 100.0 + ORPHAN_LIFE), (101.0, 101.0)])
def test_an_orphan_s_deadline(own: float, until: float) -> None:
    assert orphan_deadline(own, 100.0) == until


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef"), st.sampled_from((HERE, ELSEWHERE)))))
def test_whatever_happens_no_address_has_more_than_its_places(steps: list[tuple[bool, str, str]]) -> None:
    parking, waiting = Parking(2), dict[str, str]()
    for parks, handle, ip in steps:
        waiting.pop(handle, None)
        if parks:
            fallen = parking.park(handle, ip)
            waiting[handle] = ip
            waiting.pop(fallen or "", None)
        else:
            parking.leave(handle)
        assert len(parking) == len(waiting)
        assert all(list(waiting.values()).count(address) <= 2 for address in (HERE, ELSEWHERE))
