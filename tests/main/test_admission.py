"""Whether a connection is served at all."""

from __future__ import annotations

import pytest

from ocserv_core.main.admission import Admission


def test_without_a_limit_everybody_is_served() -> None:
    assert not Admission(0).refuses(100000)


@pytest.mark.parametrize(("workers", "refused"), [(0, False), (9, False), (10, True), (11, True)])
def test_the_limit_counts_workers(workers: int, refused: bool) -> None:
    assert Admission(10).refuses(workers) is refused


@pytest.mark.parametrize(("workers", "refused"), [(9, True), (8, False)])
def test_once_full_it_stays_so_until_there_is_room_again(workers: int, refused: bool) -> None:
    admission = Admission(10)
    admission.refuses(10)
    assert admission.refuses(workers) is refused


def test_after_there_was_room_the_limit_holds_again() -> None:
    admission = Admission(10)
    admission.refuses(10)
    admission.refuses(8)
    assert not admission.refuses(9)


def test_a_reload_may_lift_the_limit() -> None:
    admission = Admission(1)
    admission.refuses(1)
    admission.max_clients = 0
    assert not admission.refuses(1)
