"""How many sign, and when one is started again."""

from __future__ import annotations

import pytest

from ocserv_core.state.signers import MAX_PAUSE, restart_pause, signer_count


@pytest.mark.parametrize(
    ("scale", "max_clients", "processors", "count"),
    [
        (3, 16, 2, 3),
        (1, 0, 64, 1),
        (0, 0, 64, 64),
        (0, 16, 64, 1),
        (0, 499, 64, 1),
        (0, 500, 64, 2),
        (0, 10_000, 64, 21),
        (0, 10_000, 8, 8),
    ],
)
def test_the_number_of_signers(scale: int, max_clients: int, processors: int, count: int) -> None:
    assert signer_count(scale, max_clients, processors) == count


def test_one_that_dies_again_and_again_is_started_ever_later() -> None:
    assert [restart_pause(deaths) for deaths in range(1, 6)] == [0, 1, 2, 4, 8]
    assert restart_pause(10**6) == MAX_PAUSE
