"""The table of figures: complete, without a key twice, with the goals of the data plane."""

from __future__ import annotations

import pytest

from benchmarks.cells import MEASURES
from benchmarks.clients import CHANNELS, CLIENTS
from benchmarks.figures import CELLS, CLIENT_LABELS, FIGURES, Goal
from benchmarks.traffic import DIRECTIONS

GOALS = {figure.key: str(figure.goal or "") for figure in FIGURES}


def test_no_key_stands_twice() -> None:
    assert len(GOALS) == len(FIGURES)


def test_the_cells_are_all_channels_and_directions() -> None:
    assert set(CELLS) == {(channel, direction) for channel in CHANNELS for direction in DIRECTIONS}


def test_every_client_has_figures() -> None:
    assert set(CLIENT_LABELS) == set(CLIENTS)


def test_every_direction_has_its_measures() -> None:
    assert set(MEASURES) == {"idle", *DIRECTIONS, *(f"packets-{direction}" for direction in DIRECTIONS)}


@pytest.mark.parametrize(
    ("key", "goal"),
    [
        ("dtls.openconnect.down.server_cpu", "ratio ≤ 0.33"),
        ("tls.own.up.server_cpu", "ratio ≤ 0.2"),
        ("dtls.own.down.gbit", "ratio ≥ 4"),
        ("tls.own.down.gbit", "ratio ≥ 5"),
        ("tls.openconnect.up.gbit", ""),
        ("dtls.own.up.packet_cpu", "ratio ≤ 0.4"),
        ("dtls.own.up.kpps", "ratio ≥ 1.7"),
        ("dtls.openconnect.up.kpps", ""),
        ("dtls.openconnect.down.ping", "ratio ≤ 0.8"),
        ("dtls.own.down.ping", "ratio ≤ 0.5"),
        ("tls.openconnect.idle_ping", "ratio ≤ 1"),
    ],
)
def test_what_is_to_be_reached(key: str, goal: str) -> None:
    assert GOALS[key] == goal


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    assert Goal("ratio", "≤", 0.5).reached(None, 3.0) is None
