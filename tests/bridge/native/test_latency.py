"""native/latency.c against the module `statistics`."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.bridge._native import ffi, lib
from ocserv_core.state import latency as state

if TYPE_CHECKING:
    from ocserv_core.bridge._native import CData

SET = state.SET
LONGEST = 2**32 - 1
STAMP = 1_700_000_000 * 10**9


def latency() -> CData:
    return ffi.new("struct oc_latency *")


def add(to: CData, samples: Sequence[int]) -> None:
    for sample in samples:
        lib.oc_latency_add(to, STAMP, STAMP + sample, 1)


def totals(of: CData) -> tuple[float, float, float, int]:
    return of.median_total, of.mean_total, of.rms_total, of.sets


def expected(samples: Sequence[int]) -> tuple[float, float, float]:
    """Of one set, in microseconds."""
    median = statistics.median(samples)
    deviation = math.sqrt(statistics.fmean((sample - median) ** 2 for sample in samples))
    return median / 1000, statistics.fmean(samples) / 1000, deviation / 1000


def test_both_halves_mean_the_same_set_and_the_same_longest_time() -> None:
    assert lib.OC_LATENCY_SAMPLES == state.SET
    assert LONGEST / 1000 <= state.LONGEST < LONGEST / 1000 + 1


RISING = list(range(SET))
SHAPES = {
    "equal": [7] * SET,
    "rising": RISING,
    "falling": RISING[::-1],
    "rises and falls": RISING[::2] + RISING[::-2],
    "two values": [1000, 3000] * (SET // 2),
    "one far off": [LONGEST, *[50_000] * (SET - 1)],
    "halves that differ": [0] * (SET // 2) + [LONGEST] * (SET // 2),
    "as they are": [int(random.Random(n).lognormvariate(10, 1)) for n in range(SET)],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_set_is_what_statistics_says(shape: str) -> None:
    samples = SHAPES[shape]
    native = latency()
    add(native, samples)
    assert totals(native)[:3] == pytest.approx(expected(samples), rel=1e-12)


@given(st.lists(st.integers(0, LONGEST), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_so_is_any_other(values: list[int], order: random.Random) -> None:
    samples = [order.choice(values) for _ in range(SET)]
    native = latency()
    add(native, samples)
    assert totals(native)[:3] == pytest.approx(expected(samples), rel=1e-9)


@given(st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 700)), max_size=12))
def test_packets_of_one_write_are_a_sample_each(writes: list[tuple[int, int]]) -> None:
    together, apart = latency(), latency()
    for sample, packets in writes:
        lib.oc_latency_add(together, STAMP, STAMP + sample, packets)
        add(apart, [sample] * packets)
    assert totals(together) == totals(apart)
    assert together.waiting == apart.waiting == sum(packets for _, packets in writes) % SET


def test_sets_add_up() -> None:
    native = latency()
    for sample in (1000, 2000, 6000):
        add(native, [sample] * SET)
    assert totals(native) == (9.0, 9.0, 0.0, 3)


def test_what_is_no_set_yet_is_in_no_sum() -> None:
    native = latency()
    add(native, [1000] * (SET - 1))
    assert (totals(native), native.waiting) == ((0.0, 0.0, 0.0, 0), SET - 1)


def test_a_clock_that_goes_back_is_no_time_at_all() -> None:
    native = latency()
    lib.oc_latency_add(native, STAMP, STAMP - 10**9, SET)
    assert totals(native) == (0.0, 0.0, 0.0, 1)


@pytest.mark.parametrize("now", [STAMP + 2**32 - 1, STAMP + 2**32, 2**64 - 1])
def test_a_clock_that_leaps_ahead_counts_as_the_longest(now: int) -> None:
    native = latency()
    lib.oc_latency_add(native, STAMP, now, SET)
    assert native.mean_total == LONGEST / 1000
