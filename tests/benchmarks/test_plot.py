"""The picture of the results: what it shows, and where."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from benchmarks.plot import PANELS, bars_of, ceiling, draw, goal_of
from benchmarks.report import Report, Round, summarize

SVG = "{http://www.w3.org/2000/svg}"
CPU = "dtls.openconnect.down.server_cpu"


def report(wire: str, *rounds: Round) -> Report:
    """Saved results."""
    machine = {"cpu": "a processor", "cpus": "2", "kernel": "6.18"}
    return Report(machine, {"rounds": len(rounds)}, summarize(rounds, "ours", "theirs"), list(rounds), wire)


def pair(mine: float, other: float, key: str = CPU) -> Round:
    """One figure of both servers."""
    return {"ours": {key: mine}, "theirs": {key: other}}


def texts(picture: str) -> list[str]:
    """The words of a picture, from top to bottom as drawn."""
    return [text.text or "" for text in ET.fromstring(picture).iter(f"{SVG}text")]


def test_a_row_has_a_bar_for_each_wire() -> None:
    (bars,) = bars_of(PANELS[0], [report("veth", pair(2, 8)), report("plain wire", pair(3, 8))])
    assert (bars.label, bars.client, list(bars.rows)) == (
        "DTLS down, openconnect",
        "openconnect",
        ["veth", "plain wire"],
    )


def test_numbers_stand_beside_the_bars() -> None:
    words = texts(draw([report("veth", pair(2, 8))]))
    assert "0.25 (2 : 8)" in words
    assert "Server's CPU for each gigabyte" in words


def test_a_panel_without_figures_is_left_out() -> None:
    assert "Rate of one TCP stream" not in texts(draw([report("veth", pair(2, 8))]))


def test_what_one_server_cannot_is_shown_without_a_ratio() -> None:
    assert "– (– : 8)" in texts(draw([report("veth", {"ours": {}, "theirs": {CPU: 8}})]))


def test_the_goal_is_that_of_the_ratio() -> None:
    (row,) = report("veth", pair(2, 8)).rows
    assert goal_of(row) == 0.33


@pytest.mark.parametrize(
    ("value", "end", "step"), [(1.0, 1.0, 0.2), (1.04, 1.5, 0.5), (4.2, 5, 1), (5.2, 6, 2), (23, 25, 5)]
)
def test_an_axis_ends_at_a_round_number(value: float, end: float, step: float) -> None:
    assert list(ceiling(value)) == pytest.approx([end, step])
