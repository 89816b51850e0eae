"""native/limit.h: a bucket of a tenth of a second."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.bridge._native import ffi, lib

LEAST = 32768


class Limit:
    def __init__(self, rate: float) -> None:
        self._limit = ffi.new("struct oc_limit *")
        self._limit.rate = rate

    def admits(self, n: int, now: float) -> bool:
        return bool(lib.oc_limit_admits(self._limit, n, now))

    def admitted(self, n: int, now: float) -> int:
        """Packets of n bytes that pass at once."""
        passed = 0
        while self.admits(n, now):
            passed += 1
        return passed


def test_without_a_rate_all_passes() -> None:
    limit = Limit(0)
    assert all(limit.admits(65535, 0.0) for _ in range(1000))


def test_a_burst_of_a_tenth_of_a_second_passes() -> None:
    assert Limit(1_000_000).admitted(1000, 5.0) == 100


def test_a_slow_rate_still_lets_the_longest_packets_through() -> None:
    limit = Limit(1000)
    assert limit.admitted(16384, 100.0) == 2
    assert not limit.admits(16384, 116.0)
    assert limit.admits(16384, 117.0)


def test_what_is_dropped_costs_nothing() -> None:
    limit = Limit(1_000_000)
    limit.admitted(1000, 0.2)
    for _ in range(50):
        assert not limit.admits(10_000, 0.2055)
    assert limit.admitted(1000, 0.2055) == 5


def test_rest_is_saved_up_to_the_burst_only() -> None:
    limit = Limit(1_000_000)
    limit.admitted(1000, 1.0)
    assert limit.admitted(1000, 50.0) == 100


@given(
    st.floats(1.0, 1e9),
    st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 1500)), min_size=1, max_size=200),
)
def test_over_any_time_no_more_passes_than_rate_and_burst(rate: float, offered: list[tuple[float, int]]) -> None:
    limit, now, passed = Limit(rate), 1000.0, 0
    for pause, n in offered:
        now += pause
        passed += n if limit.admits(n, now) else 0
    burst = max(rate / 10, LEAST)
    assert passed <= burst + rate * (now - 1000.0) * 1.000001 + 1


@pytest.mark.parametrize("step", [0.0001, 0.001, 0.01])
def test_the_rate_is_reached(step: float) -> None:
    limit = Limit(10_000_000)
    limit.admitted(1000, 1.0)
    passed = sum(limit.admitted(1000, 1.0 + step * i) for i in range(1, int(1 / step) + 1))
    assert 9_990 <= passed <= 10_001
