"""Growth within each process's life."""

from __future__ import annotations

import pytest

from benchmarks.memory import Sample, judge, role_of

MEGABYTE = 1_000_000


def life(role: str, pid: int, start: int, per_second: float, *, seconds: int = 700) -> list[Sample]:
    """A process that is sampled every 5 s."""
    return [Sample(role, pid, age, int(start + per_second * age)) for age in range(0, seconds, 5)]


def test_a_process_that_stays_as_it_is_does_not_grow() -> None:
    (growth,) = judge(life("main", 1, 28 * MEGABYTE, 0))
    assert (growth.slope, growth.grows) == (0, False)


def test_a_leak_is_seen() -> None:
    (growth,) = judge(life("main", 1, 28 * MEGABYTE, 10_000))
    assert growth.slope == pytest.approx(36 * MEGABYTE, rel=0.01)
    assert growth.grows


def test_a_leak_is_seen_over_many_short_lives() -> None:
    samples = [s for pid in range(10) for s in life("worker", pid, 4 * MEGABYTE, 5000, seconds=160)]
    assert judge(samples)[0].grows


def test_workers_of_different_size_are_no_growth() -> None:
    samples = [s for pid in range(10) for s in life("worker", pid, (4 + pid) * MEGABYTE, 0, seconds=160)]
    assert judge(samples)[0].grows is False


def test_warming_up_is_not_judged() -> None:
    warm = [Sample("main", 1, s.age, s.size - 20 * MEGABYTE * (s.age < 60)) for s in life("main", 1, 28 * MEGABYTE, 0)]
    assert judge(warm)[0].grows is False


def test_a_short_run_is_not_judged() -> None:
    (growth,) = judge(life("main", 1, 28 * MEGABYTE, 100_000, seconds=120))
    assert (growth.slope, growth.grown, growth.grows) == (None, None, False)


@pytest.mark.parametrize(
    ("number", "title", "role"),
    [
        (0, "ocserv: main", "main"),
        (2, "ocserv: worker u0", "worker"),
        (1, "ocserv: nursery", "nursery"),
        (3, "sm", "secmod"),
    ],
)
def test_titles_tell_the_role(number: int, title: str, role: str) -> None:
    assert role_of(number, title) == role
