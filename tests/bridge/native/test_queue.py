"""A queue that is not seen empty is shortened. Time is what the test says."""

from __future__ import annotations

from ocserv_core.bridge._native import ffi, lib

PATIENCE = lib.OC_QUEUE_PATIENCE


class Queue:
    def __init__(self) -> None:
        self.native = ffi.new("struct oc_queue *")
        self.begin(100.0)

    def begin(self, now: float) -> None:
        self.now = now
        lib.oc_queue_begins(self.native, now)

    def shed_in(self, seconds: float) -> int:
        """How many of the packets that come in that time, one each millisecond, are dropped."""
        dropped = 0
        for _ in range(round(seconds * 1000)):
            self.now += 0.001
            dropped += lib.oc_queue_sheds(self.native, self.now)
        return dropped


def test_a_burst_is_let_through() -> None:
    assert Queue().shed_in(PATIENCE - 0.002) == 0


def test_what_stands_longer_loses_one() -> None:
    queue = Queue()
    queue.shed_in(PATIENCE - 0.002)
    assert queue.shed_in(0.01) == 1


def test_it_loses_more_and_more() -> None:
    queue = Queue()
    queue.shed_in(PATIENCE)
    first, second, third = (queue.shed_in(1.0) for _ in range(3))
    assert lib.OC_QUEUE_INTERVAL < 1 < first < second < third


def test_once_empty_it_has_its_patience_again() -> None:
    queue = Queue()
    queue.shed_in(2.0)
    queue.begin(queue.now)
    assert queue.shed_in(PATIENCE - 0.002) == 0


def test_time_without_a_processor_is_not_the_queue_s() -> None:
    queue = Queue()
    queue.now += 0.05
    lib.oc_queue_excuses(queue.native, 0.05)
    assert queue.shed_in(PATIENCE - 0.002) == 0
    assert queue.shed_in(0.01) == 1


def test_a_long_turn_is_no_excuse() -> None:
    queue = Queue()
    lib.oc_queue_excuses(queue.native, lib.OC_QUEUE_STALL)
    queue.shed_in(PATIENCE - 0.002)
    assert queue.shed_in(0.01) == 1


def test_after_a_long_sleep_of_the_client_one_packet_is_lost_at_once_and_not_many() -> None:
    queue = Queue()
    queue.now += 3600.0
    assert queue.shed_in(0.05) == 1
