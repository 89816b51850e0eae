"""What a worker tells of its latency and when, and main's minutes."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.state.latency import INTERVAL, LONGEST, MAX_SETS, LatencyIntervals, LatencyTotals, WorkerLatency

NOW = 1000.0
ONE = LatencyTotals(10.0, 12.0, 2.0, 1)
TWO = LatencyTotals(30.0, 40.0, 6.0, 2)
NOTHING = LatencyTotals()

# Whole microseconds add up exactly.
SUMS = st.builds(LatencyTotals, *[st.integers(0, 10**6).map(float)] * 3, st.integers(0, 1000))


def total(of: Iterable[LatencyTotals]) -> LatencyTotals:
    return sum(of, NOTHING)


# ---- sums


def test_what_is_shown_are_means_over_the_sets() -> None:
    assert (TWO.median, TWO.mean, TWO.deviation) == (15.0, 20.0, 3.0)


def test_nothing_has_no_mean() -> None:
    assert (NOTHING.median, NOTHING.mean, NOTHING.deviation) == (0.0, 0.0, 0.0)


@given(SUMS, SUMS)
def test_what_was_added_can_be_taken_away(one: LatencyTotals, other: LatencyTotals) -> None:
    assert one + other - other == one


@pytest.mark.parametrize(
    "totals", [ONE, TWO, LatencyTotals(0, 0, 0, 1), LatencyTotals(LONGEST * 3, LONGEST * 3, LONGEST * 3, 3)]
)
def test_what_a_worker_can_have_measured(totals: LatencyTotals) -> None:
    assert totals.plausible


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, -1e-9, LONGEST * 1.0001])
@pytest.mark.parametrize("place", range(3))
def test_what_none_can_have_measured(wrong: float, place: int) -> None:
    sums = [1.0, 1.0, 1.0]
    sums[place] = wrong
    assert not LatencyTotals(sums[0], sums[1], sums[2], 1).plausible


@pytest.mark.parametrize("sets", [-1, 0, MAX_SETS + 1])
def test_nor_so_many(sets: int) -> None:
    assert not LatencyTotals(0.0, 0.0, 0.0, sets).plausible


# ---- a worker


def test_a_worker_says_nothing_in_its_first_minute() -> None:
    worker = WorkerLatency(NOW)
    assert worker.next_deadline() == NOW + INTERVAL
    assert worker.report(ONE, NOW + INTERVAL - 0.001) is None


def test_then_what_it_has_measured() -> None:
    assert WorkerLatency(NOW).report(ONE, NOW + INTERVAL) == ONE


def test_and_nothing_twice() -> None:
    worker = WorkerLatency(NOW)
    worker.report(ONE, NOW + INTERVAL)
    assert worker.report(ONE + TWO, NOW + INTERVAL + 1) is None
    assert worker.report(ONE + TWO, NOW + 2 * INTERVAL) == TWO


def test_a_minute_without_a_set_is_no_report() -> None:
    worker = WorkerLatency(NOW)
    assert worker.report(NOTHING, NOW + INTERVAL) is None
    assert worker.next_deadline() == NOW + 2 * INTERVAL


def test_the_end_is_told_at_any_time() -> None:
    worker = WorkerLatency(NOW)
    worker.report(ONE, NOW + INTERVAL)
    assert worker.last_report(ONE + TWO) == TWO
    assert worker.last_report(ONE + TWO) is None


@given(st.lists(st.tuples(SUMS, st.floats(0, 3 * INTERVAL)), max_size=20))
def test_reports_add_up_to_what_was_measured(steps: list[tuple[LatencyTotals, float]]) -> None:
    now, totals, reports = NOW, NOTHING, []
    worker = WorkerLatency(now)
    for measured, passed in steps:
        now += passed
        # Without a set there is nothing measured.
        totals += measured if measured.sets else NOTHING
        reports.append(worker.report(totals, now))
    reports.append(worker.last_report(totals))
    assert total(report for report in reports if report) == totals


# ---- main


def test_a_minute_is_shown_when_it_is_over() -> None:
    intervals = LatencyIntervals(NOW)
    intervals.add(ONE)
    intervals.add(TWO)
    assert (intervals.roll(NOW + INTERVAL - 0.001), intervals.previous) == (None, NOTHING)
    assert intervals.roll(NOW + INTERVAL) == intervals.previous == ONE + TWO


def test_and_until_the_next_is() -> None:
    intervals = LatencyIntervals(NOW)
    intervals.add(ONE)
    intervals.roll(NOW + INTERVAL)
    intervals.add(TWO)
    assert (intervals.roll(NOW + 1.5 * INTERVAL), intervals.previous) == (None, ONE)
    assert intervals.roll(NOW + 2 * INTERVAL) == intervals.previous == TWO


def test_what_nobody_looked_at_in_time_is_told_and_not_shown() -> None:
    intervals = LatencyIntervals(NOW)
    intervals.add(ONE)
    assert intervals.roll(NOW + 2 * INTERVAL) == ONE
    assert intervals.previous == NOTHING


def test_minutes_do_not_drift() -> None:
    intervals = LatencyIntervals(NOW)
    intervals.roll(NOW + 3.7 * INTERVAL)
    assert intervals.next_deadline() == NOW + 4 * INTERVAL


def test_it_is_empty_when_nothing_is_shown_nor_will_be() -> None:
    intervals = LatencyIntervals(NOW)
    told = [intervals.empty]
    intervals.add(ONE)
    for minute in range(3):
        told.append(intervals.empty)
        intervals.roll(NOW + (minute + 1) * INTERVAL)
    assert told == [True, False, False, True]


@given(st.lists(st.tuples(SUMS, st.floats(0, 3 * INTERVAL)), max_size=20))
def test_every_report_is_of_one_minute(steps: list[tuple[LatencyTotals, float]]) -> None:
    now, ended = NOW, []
    intervals = LatencyIntervals(now)
    for report, passed in steps:
        now += passed
        ended.append(intervals.roll(now))
        intervals.add(report)
    ended.append(intervals.roll(now + INTERVAL))
    assert total(interval for interval in ended if interval) == total(report for report, _ in steps)
