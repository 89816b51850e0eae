"""Who fails again and again is left alone for a while."""

from __future__ import annotations

from ocserv_core.state.breaker import Breaker, BreakerState

PAUSE = 10.0
A, B = "a login", "another"


def opened(failures: int = 3) -> Breaker:
    """Since time 0."""
    breaker = Breaker(failures, PAUSE)
    assert [breaker.on_failure(A, 0.0, breaker.epoch) for _ in range(failures)] == [False] * (failures - 1) + [True]
    return breaker


def test_at_first_everybody_may_ask() -> None:
    breaker = Breaker(3, PAUSE)
    assert breaker.state(0.0) is BreakerState.CLOSED
    assert breaker.admit(A, 0.0)
    assert breaker.admit(B, 0.0)


def test_failures_in_a_row_open_it_for_a_pause() -> None:
    breaker = opened()
    assert breaker.state(9.9) is BreakerState.OPEN
    assert not breaker.admit(A, 9.9)
    assert breaker.wait(2.0) == 8.0


def test_a_success_between_failures_begins_the_row_anew() -> None:
    breaker = Breaker(2, PAUSE)
    breaker.on_failure(A, 0.0, breaker.epoch)
    breaker.on_success(A)
    assert not breaker.on_failure(A, 0.0, breaker.epoch)
    assert breaker.state(0.0) is BreakerState.CLOSED


def test_after_the_pause_one_login_tries_it() -> None:
    breaker = opened()
    assert breaker.admit(A, PAUSE)
    assert breaker.state(PAUSE) is BreakerState.HALF_OPEN
    assert not breaker.admit(B, PAUSE)
    assert breaker.admit(A, PAUSE)
    assert breaker.wait(PAUSE) == 0.0


def test_the_probe_s_success_closes_it() -> None:
    breaker = opened()
    breaker.admit(A, PAUSE)
    breaker.on_success(A)
    assert breaker.admit(B, PAUSE)
    assert breaker.state(PAUSE) is BreakerState.CLOSED


def test_the_probe_s_failure_opens_it_for_another_pause() -> None:
    breaker = opened()
    breaker.admit(A, 12.0)
    assert breaker.on_failure(A, 15.0, breaker.epoch)
    assert breaker.wait(15.0) == PAUSE


def test_a_probe_that_learns_nothing_leaves_its_place_to_the_next() -> None:
    breaker = opened()
    breaker.admit(A, PAUSE)
    breaker.release(A)
    assert breaker.admit(B, PAUSE)


def test_who_asked_before_it_opened_neither_closes_nor_prolongs_it() -> None:
    breaker = opened()
    assert not breaker.on_failure(B, 5.0, breaker.epoch)
    breaker.on_success(B)
    assert breaker.wait(5.0) == 5.0
    breaker.admit(A, PAUSE)
    breaker.on_success(B)
    assert not breaker.on_failure(B, PAUSE, breaker.epoch)
    assert breaker.state(PAUSE) is BreakerState.HALF_OPEN


def test_a_failure_that_began_before_a_recovery_says_nothing_of_what_is_now() -> None:
    breaker = Breaker(failures=1, pause=PAUSE)
    old = breaker.epoch
    assert breaker.on_failure(A, 0.0, old)
    assert breaker.admit(B, PAUSE)
    breaker.on_success(B)
    assert not breaker.on_failure(A, PAUSE + 1, old)
    assert breaker.state(PAUSE + 1) is BreakerState.CLOSED
    assert breaker.on_failure(A, PAUSE + 2, breaker.epoch)
