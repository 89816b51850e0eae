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
    """One figure. ratio: ours to theirs, of each round; None where theirs is 0 or was not measured."""

    key: str
    label: str
    unit: str
    ours: float
    theirs: float
    ours_spread: tuple[float, float]
    theirs_spread: tuple[float, float]
    ratio: float | None
    ratio_spread: tuple[float, float] | None
    goal: str = ""
    reached: bool | None = None


class Report(msgspec.Struct, frozen=True):
    """Everything of a run."""

    machine: dict[str, str]
    sizes: dict[str, float]
    rows: list[Row]
    rounds: list[Round]


def summarize(rounds: Sequence[Round], ours: str, theirs: str) -> list[Row]:
    """A row for every figure that was measured."""
    measured = [figure for figure in FIGURES if all(figure.key in each[ours] for each in rounds)]
    return [
        _row(figure, [(each[ours][figure.key], each[theirs][figure.key]) for each in rounds]) for figure in measured
    ]


def _row(figure: Figure, pairs: list[tuple[float, float]]) -> Row:
    ours, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    ratios = [mine / other for mine, other in pairs if other]
    ratio = median(ratios) if ratios else None
    goal = figure.goal
    return Row(
        key=figure.key,
        label=figure.label,
        unit=figure.unit,
        ours=median(ours),
        theirs=median(theirs),
        ours_spread=(min(ours), max(ours)),
        theirs_spread=(min(theirs), max(theirs)),
        ratio=ratio,
        ratio_spread=(min(ratios), max(ratios)) if ratios else None,
        goal=str(goal) if goal else "",
        reached=goal.reached(ratio if ratio is not None else float("nan"), median(ours)) if goal else None,
    )


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


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
