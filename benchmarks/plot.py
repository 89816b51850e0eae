"""The data plane's results as one picture: a panel for each kind of figure, a row for each cell, a bar for each wire.

A bar is the ratio to Debian's ocserv, the thin line over it the spread of the rounds, the mark across it what is to be
reached. Pure: reports in, SVG out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .figures import CELLS, CLIENT_LABELS
from .report import Report, Row
from .svg import Picture

COLOURS: Mapping[str, str] = {"veth": "#3b75af", "plain wire": "#e08a3c"}
_GOAL, _GRID, _ONE, _INK, _FAINT = "#b3202a", "#e4e4e4", "#444444", "#222222", "#777777"

_WIDTH, _MARGIN, _GAP = 1240, 24, 40
_LABELS, _VALUES = 150, 108
"""Room for the names of the rows at the left and the numbers at the right of a panel."""

_BAR, _ROW_REST = 10, 9
_HEAD, _FOOT, _TOP, _BOTTOM = 44, 46, 108, 12

_GOAL_NUMBER = re.compile(r"[\d.]+$")


@dataclass(frozen=True, slots=True)
class Panel:
    """name: the last part of the figures' keys; better: which way."""

    name: str
    title: str
    unit: str
    better: str


PANELS = (
    Panel("server_cpu", "Server's CPU for each gigabyte", "CPU-s/GB", "lower"),
    Panel("gbit", "Rate of one TCP stream", "Gbit/s", "higher"),
    Panel("ping", "Ping beside that stream", "ms", "lower"),
    Panel("idle_ping", "Ping when nothing else happens", "ms", "lower"),
    Panel("packet_cpu", "Server's CPU for each 64-byte packet", "µs", "lower"),
    Panel("kpps", "64-byte packets a second, at most", "1000/s", "higher"),
)


@dataclass(frozen=True, slots=True)
class Bars:
    """A row of a panel: its name, whose it is, and by wire what was measured."""

    label: str
    client: str
    rows: Mapping[str, Row]


def draw(reports: Sequence[Report]) -> str:
    """The picture of these reports, one for each wire."""
    panels = [(panel, bars_of(panel, reports)) for panel in PANELS]
    panels = [(panel, bars) for panel, bars in panels if bars]
    height = _row_height(len(reports))
    lines = [panels[number : number + 2] for number in range(0, len(panels), 2)]
    heights = [_HEAD + _FOOT + height * max(len(bars) for _, bars in line) for line in lines]
    title = "ocserv-core's data plane beside Debian's ocserv"
    picture = Picture(_WIDTH, _TOP + sum(heights) + _BOTTOM, title)
    _draw_head(picture, title, reports)
    top, width = float(_TOP), (_WIDTH - 2 * _MARGIN - _GAP) / 2
    for line, tall in zip(lines, heights, strict=True):
        for column, (panel, bars) in enumerate(line):
            _draw_panel(picture, _Frame(_MARGIN + column * (width + _GAP), top, width, height), panel, bars)
        top += tall
    return str(picture)


def bars_of(panel: Panel, reports: Sequence[Report]) -> list[Bars]:
    """The panel's rows: the stock client first. Cells that nobody measured are left out."""
    found = []
    for key, label, client in _cells(panel):
        rows = {report.wire: row for report in reports for row in report.rows if row.key == key}
        if rows:
            found.append(Bars(label, client, rows))
    return found


def ceiling(value: float) -> tuple[float, float]:
    """The end of an axis that holds `value`, and the distance of its marks: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * 5 >= value)
    return step * math.ceil(round(value / step, 6)), step


def _cells(panel: Panel) -> Iterator[tuple[str, str, str]]:
    """The keys of a panel's figures, the names of their rows, and the client."""
    for client, name in CLIENT_LABELS.items():
        if panel.name == "idle_ping":
            for channel in ("dtls", "tls"):
                yield f"{channel}.{client}.idle_ping", f"{channel.upper()}, {name}", client
        else:
            for channel, direction in CELLS:
                yield f"{channel}.{client}.{direction}.{panel.name}", f"{channel.upper()} {direction}, {name}", client


# ---- drawing


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a panel lies, and how tall one of its rows is."""

    x: float
    y: float
    width: float
    row: float

    @property
    def left(self) -> float:
        return self.x + _LABELS

    @property
    def length(self) -> float:
        """Of the axis."""
        return self.width - _LABELS - _VALUES


def _row_height(wires: int) -> float:
    return wires * _BAR + _ROW_REST


def _draw_head(picture: Picture, title: str, reports: Sequence[Report]) -> None:
    picture.text(_MARGIN, 32, title, size=19, bold=True)
    machine = reports[0].machine
    rounds = ", ".join(f"{report.sizes['rounds']:g} over {report.wire}" for report in reports)
    words = f"{machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel']}; rounds: {rounds}; medians"
    picture.text(_MARGIN, 52, words, colour=_FAINT)
    x, y = float(_MARGIN), 80.0
    for report in reports:
        picture.rectangle(x, y - 9, 22, _BAR, COLOURS[report.wire])
        x = _legend(picture, x + 28, y, _WIRES[report.wire])
    picture.line((x, y - 4), (x + 22, y - 4), _INK, 1.2)
    x = _legend(picture, x + 28, y, "lowest to highest round")
    picture.line((x + 4, y - 12), (x + 4, y + 4), _GOAL, 3)
    x = _legend(picture, x + 14, y, "to reach")
    picture.line((x + 4, y - 12), (x + 4, y + 4), _ONE, 1, "4 3")
    x = _legend(picture, x + 14, y, "1 = Debian's ocserv")
    picture.text(x, y, "1.23", colour=_GOAL, size=9)
    _legend(picture, x + 30, y, "not reached")


_WIRES: Mapping[str, str] = {"veth": "wire: veth as it is", "plain wire": "wire: veth without offloads"}


def _legend(picture: Picture, x: float, y: float, words: str) -> float:
    """Where the next entry begins."""
    picture.text(x, y, words)
    return x + 6.1 * len(words) + 22


def _draw_panel(picture: Picture, frame: _Frame, panel: Panel, bars: Sequence[Bars]) -> None:
    end, step = ceiling(max([1.0, *_reach(bars)]))
    bottom = frame.y + _HEAD + frame.row * len(bars)
    picture.text(frame.x, frame.y + 16, panel.title, size=13, bold=True)
    explained = f"{panel.better} is better; in brackets: ocserv-core : ocserv in {panel.unit}"
    picture.text(frame.x, frame.y + 32, explained, colour=_FAINT, size=10)
    for number in range(round(end / step) + 1):
        x = _place(frame, number * step, end)
        picture.line((x, frame.y + _HEAD - 4), (x, bottom), _GRID)
        picture.text(x, bottom + 14, f"{number * step:g}", anchor="middle", size=10, colour=_FAINT)
    picture.text(
        frame.left + frame.length / 2, bottom + 28, "ratio to Debian's ocserv", anchor="middle", size=10, colour=_FAINT
    )
    for number, each in enumerate(bars):
        if number and each.client != bars[number - 1].client:
            y = frame.y + _HEAD + number * frame.row - 0.5
            picture.line((frame.x, y), (frame.left + frame.length, y), _GRID)
        _draw_row(picture, frame, frame.y + _HEAD + number * frame.row, end, each)
    one = _place(frame, 1.0, end)
    picture.line((one, frame.y + _HEAD - 4), (one, bottom), _ONE, 1, "4 3")


def _draw_row(picture: Picture, frame: _Frame, y: float, end: float, bars: Bars) -> None:
    middle = y + frame.row / 2 - 0.5
    picture.text(frame.left - 8, middle + 4, bars.label, anchor="end")
    for number, (wire, row) in enumerate(bars.rows.items()):
        _draw_bar(picture, frame, y + _ROW_REST / 2 + number * _BAR, end, row, COLOURS[wire])
    goal = next((found for row in bars.rows.values() if (found := goal_of(row)) is not None), None)
    if goal is not None:
        x = _place(frame, goal, end)
        picture.line((x, y + 2), (x, y + frame.row - 2), _GOAL, 3)


def _draw_bar(picture: Picture, frame: _Frame, y: float, end: float, row: Row, colour: str) -> None:
    numbers = frame.left + frame.length + 8
    if row.ratio is None or row.ratio_spread is None:
        picture.text(numbers, y + 8.5, f"– ({_short(row.ours)} : {_short(row.theirs)})", size=9, colour=_FAINT)
        return
    x = _place(frame, row.ratio, end)
    hint = f"{row.label}: {row.ratio:.2f}"
    picture.rectangle(frame.left, y + 0.5, x - frame.left, _BAR - 1, colour, hint)
    low, high = (_place(frame, value, end) for value in row.ratio_spread)
    picture.line((low, y + _BAR / 2), (high, y + _BAR / 2), _INK, 1.2)
    for x in (low, high):
        picture.line((x, y + 3), (x, y + _BAR - 3), _INK, 1.2)
    words = f"{row.ratio:.2f} ({_short(row.ours)} : {_short(row.theirs)})"
    picture.text(numbers, y + 8.5, words, size=9, colour=_GOAL if row.reached is False else _INK)


def _place(frame: _Frame, value: float, end: float) -> float:
    return frame.left + frame.length * value / end


def _reach(bars: Sequence[Bars]) -> Iterator[float]:
    """Everything that an axis must hold."""
    for row in (row for each in bars for row in each.rows.values()):
        if row.ratio_spread is not None:
            yield row.ratio_spread[1]
        if (goal := goal_of(row)) is not None:
            yield goal


def goal_of(row: Row) -> float | None:
    """The ratio that is to be reached."""
    found = _GOAL_NUMBER.search(row.goal) if row.goal.startswith("ratio") else None
    return float(found[0]) if found else None


def _short(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.3g}"
