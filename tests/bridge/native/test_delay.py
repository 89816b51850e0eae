"""Round trips of requests within the stream, and what is dropped because of them. Time is what the test says."""

from __future__ import annotations

import pytest

from ocserv_core.bridge._native import ffi, lib

TLS, DTLS = -1, 0


class Delay:
    """A client whose queue the test makes longer and shorter. Round trips in seconds."""

    def __init__(self, *, on: bool = True) -> None:
        self.native = ffi.new("struct oc_delay *", {"on": on, "channel": TLS})
        self.now = 100.0

    def send(self, size: int = lib.OC_DELAY_BYTES) -> bool:
        """So many bytes go out. Whether a request follows them."""
        self.native.sent += size
        return bool(lib.oc_delay_asks(self.native, self.now))

    def round_trip(self, seconds: float, channel: int = TLS, *, queued: int = 100_000) -> None:
        """A request and its answer, with so many bytes sent in between."""
        self.now += 1.0
        assert self.send()
        lib.oc_delay_asked(self.native, channel, self.now)
        self.native.sent = queued
        self.now += seconds
        assert lib.oc_delay_answered(self.native, channel, self.now)

    def sheds(self) -> bool:
        return bool(lib.oc_delay_sheds(self.native, self.now))

    def shed_in(self, seconds: float, step: float = 0.001) -> int:
        """How many of the packets that come in that time, one each step, are dropped."""
        dropped = 0
        for _ in range(round(seconds / step)):
            self.now += step
            dropped += self.sheds()
        return dropped


def test_nothing_is_asked_before_much_was_sent() -> None:
    delay = Delay()
    assert not delay.send(lib.OC_DELAY_BYTES - 1)
    assert delay.send(1)


def test_nothing_is_asked_of_a_client_that_may_not_answer() -> None:
    assert not Delay(on=False).send()


def test_one_request_is_under_way_at_a_time() -> None:
    delay = Delay()
    assert delay.send()
    lib.oc_delay_asked(delay.native, TLS, delay.now)
    delay.now += lib.OC_DELAY_PATIENCE
    assert not delay.send()


def test_one_that_is_not_answered_is_given_up_and_the_next_is_waited_for_longer() -> None:
    delay = Delay()
    for patience in (1, 2, 4, 8):
        assert delay.send()
        lib.oc_delay_asked(delay.native, DTLS, delay.now)
        delay.now += patience * lib.OC_DELAY_PATIENCE - 0.001
        assert not delay.send()
        delay.now += 0.002


def test_a_lost_request_drops_nothing() -> None:
    delay = Delay()
    delay.round_trip(0.001, DTLS)
    delay.now += 1.0
    lib.oc_delay_asked(delay.native, DTLS, delay.now)
    assert delay.shed_in(0.5) == 0


def test_an_answer_by_the_other_channel_or_to_nothing_is_not_ours() -> None:
    delay = Delay()
    assert not lib.oc_delay_answered(delay.native, TLS, delay.now)
    lib.oc_delay_asked(delay.native, DTLS, delay.now)
    assert not lib.oc_delay_answered(delay.native, TLS, delay.now)
    assert lib.oc_delay_answered(delay.native, DTLS, delay.now)


def test_requests_keep_a_distance() -> None:
    delay = Delay()
    delay.round_trip(0.04)
    lib.oc_delay_asked(delay.native, TLS, delay.now)
    lib.oc_delay_answered(delay.native, TLS, delay.now)
    assert not delay.send()
    delay.now += 0.1
    assert delay.send()


def test_a_steady_path_drops_nothing_however_long_it_is() -> None:
    delay = Delay()
    for _ in range(50):
        delay.round_trip(0.3)
        assert delay.shed_in(0.5) == 0


def test_a_client_that_is_slow_to_answer_has_no_queue() -> None:
    delay = Delay()
    delay.round_trip(0.001)
    for _ in range(10):
        delay.round_trip(0.02, queued=10_000)
        assert delay.shed_in(0.1) == 0


def test_a_queue_that_stands_for_an_interval_is_shortened() -> None:
    delay = Delay()
    delay.round_trip(0.001)
    delay.round_trip(0.005)
    assert delay.shed_in(0.009) == 0
    assert delay.shed_in(0.01) == 1


def test_drops_come_faster_while_it_stands() -> None:
    delay = Delay()
    delay.round_trip(0.03)
    drops = []
    for _ in range(3):
        for _ in range(10):
            delay.now -= 0.95
            delay.round_trip(0.05)
        drops.append(delay.shed_in(0.2))
    assert 0 < drops[0] < drops[1] < drops[2]


def test_drops_leave_enough_of_a_stream_to_a_deaf_client() -> None:
    delay = Delay()
    delay.round_trip(0.001)
    delay.now += 1.0
    lib.oc_delay_asked(delay.native, TLS, delay.now)
    delay.native.sent = 100_000
    assert 0 < delay.shed_in(10.0, step=0.0001) <= 10.0 / 0.01 * 8


def test_what_is_old_drops_nothing() -> None:
    delay = Delay()
    delay.round_trip(0.001)
    delay.round_trip(0.2)
    delay.now += 1.0
    assert delay.shed_in(0.1) == 0


def test_a_queue_that_goes_ends_it() -> None:
    delay = Delay()
    delay.round_trip(0.001)
    delay.round_trip(0.005)
    delay.shed_in(0.1)
    delay.round_trip(0.001)
    assert delay.shed_in(0.5) == 0


def test_an_answer_that_does_not_come_counts_as_it_stands() -> None:
    delay = Delay()
    delay.round_trip(0.001)
    delay.now += 1.0
    lib.oc_delay_asked(delay.native, TLS, delay.now)
    delay.native.sent = 100_000
    assert delay.shed_in(0.1) > 0


def test_a_path_that_became_longer_is_believed_in_the_end() -> None:
    delay = Delay()
    delay.round_trip(0.001)
    for _ in range(25):
        delay.round_trip(0.2)
    assert not delay.sheds()


@pytest.mark.parametrize(("round_trip", "interval"), [(0.0001, 0.01), (0.01, 0.04), (0.3, 0.1)])
def test_an_interval_is_a_few_round_trips(round_trip: float, interval: float) -> None:
    delay = Delay()
    delay.round_trip(round_trip)
    assert lib.oc_delay_interval(delay.native) == pytest.approx(interval)
