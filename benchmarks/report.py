"""Medians, ratios and spread of the rounds; as a table for people and as JSON for programs. No I/O."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from statistics import median

import msgspec

from .figures import FIGURES, Figure

Round = dict[str, dict[str, float]]
"""By the server's name: the figures of one round, by their keys."""


class Row(msgspec.Struct, frozen=True):
    """One figure. ours, theirs: None where a server could not be measured; ratio: ours to theirs, of each round; None
    where one of them is not there, or theirs is 0."""

    key: str
    label: str
    unit: str
    ours: float | None
    theirs: float | None
    ours_spread: tuple[float, float] | None
    theirs_spread: tuple[float, float] | None
    ratio: float | None
    ratio_spread: tuple[float, float] | None
    goal: str = ""
    reached: bool | None = None


class Report(msgspec.Struct, frozen=True):
    """Everything of a run. wire: what lay between the namespaces; failures: what could not be measured, a line each."""

    machine: dict[str, str]
    sizes: dict[str, float]
    rows: list[Row]
    rounds: list[Round]
    wire: str = "veth"
    failures: list[str] = []


def summarize(rounds: Sequence[Round], ours: str, theirs: str) -> list[Row]:
    """A row for every figure that was measured, at one server at least. A round that lacks it is left out."""
    keys = {key for each in rounds for figures in each.values() for key in figures}
    return [_row(figure, rounds, ours, theirs) for figure in FIGURES if figure.key in keys]


def _row(figure: Figure, rounds: Sequence[Round], ours: str, theirs: str) -> Row:
    key = figure.key
    mine = [each[ours][key] for each in rounds if key in each[ours]]
    other = [each[theirs][key] for each in rounds if key in each[theirs]]
    pairs = [(each[ours][key], each[theirs][key]) for each in rounds if key in each[ours] and key in each[theirs]]
    ratios = [one / another for one, another in pairs if another]
    ratio, value = _median(ratios), _median(mine)
    goal = figure.goal
    return Row(
        key=key,
        label=figure.label,
        unit=figure.unit,
        ours=value,
        theirs=_median(other),
        ours_spread=_spread(mine),
        theirs_spread=_spread(other),
        ratio=ratio,
        ratio_spread=_spread(ratios),
        goal=str(goal) if goal else "",
        reached=goal.reached(ratio, value) if goal else None,
    )


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _spread(values: Sequence[float]) -> tuple[float, float] | None:
    return (min(values), max(values)) if values else None


def describe(report: Report) -> str:
    """One line: the machine, the sizes, the wire; then a line for each thing that could not be measured."""
    words = report.machine | {"rounds": f"{report.sizes['rounds']:g}", "wire": report.wire}
    return "\n".join([", ".join(f"{name}: {value}" for name, value in words.items()), *report.failures])


def machine() -> dict[str, str]:
    """What of this machine decides about the figures."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    with open("/proc/loadavg", encoding="ascii") as file:
        load = file.read().split()[0]
    return {
        "cpus": str(os.cpu_count()),
        "cpu": models[0] if models else platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load at start": load,
    }


_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("figure", lambda row: row.label),
    ("unit", lambda row: row.unit),
    ("ocserv-core", lambda row: _number(row.ours)),
    ("ocserv", lambda row: _number(row.theirs)),
    ("ratio", lambda row: "" if row.ratio is None else f"{row.ratio:.2f}"),
    ("spread", lambda row: "" if row.ratio_spread is None else "–".join(f"{x:.2f}" for x in row.ratio_spread)),
    ("to reach", lambda row: row.goal),
    ("", lambda row: "" if row.reached is None else "reached" if row.reached else "NOT reached"),
)


def table(rows: Sequence[Row]) -> str:
    """Lines of a Markdown table, in columns that line up."""
    cells = [[title for title, _ in _COLUMNS], *([text(row) for _, text in _COLUMNS] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_COLUMNS))]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    )


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
