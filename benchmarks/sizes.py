"""How much of everything is done. Chosen by the doors; the measures only read it."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class Sizes:
    """One run of the connection measures. Seconds, counts, bytes."""

    rounds: int
    logins: int
    connects: int
    parallel: int
    forms: int
    idle_clients: int
    idle_bytes: int
    idle_seconds: float


FULL = Sizes(
    rounds=3,
    logins=200,
    connects=200,
    parallel=4,
    forms=100,
    idle_clients=50,
    idle_bytes=1_000_000,
    idle_seconds=60.0,
)

QUICK = Sizes(
    rounds=1,
    logins=20,
    connects=20,
    parallel=4,
    forms=20,
    idle_clients=5,
    idle_bytes=100_000,
    idle_seconds=3.0,
)
"""Shows that everything works; its figures mean little."""


@dataclass(frozen=True, slots=True)
class DataSizes:
    """One run of the data-plane measures. Seconds; packet_rate: packets a second below saturation; packet_limit: the
    most that is offered."""

    rounds: int
    seconds: int
    idle_pings: int
    packet_seconds: float
    packet_rate: int
    packet_limit: int


DATA_FULL = DataSizes(rounds=5, seconds=6, idle_pings=65, packet_seconds=3.0, packet_rate=40_000, packet_limit=400_000)
DATA_QUICK = DataSizes(rounds=1, seconds=2, idle_pings=25, packet_seconds=1.0, packet_rate=40_000, packet_limit=400_000)

AnySizes = TypeVar("AnySizes", Sizes, DataSizes)


def add_sizes(parser: argparse.ArgumentParser, full: AnySizes) -> None:
    """An option for each of the fields."""
    for field in dataclasses.fields(full):
        value = getattr(full, field.name)
        option = "--" + field.name.replace("_", "-")
        parser.add_argument(option, type=type(value), metavar="N", help=f"{value} in a full run")


def chosen_sizes(arguments: argparse.Namespace, base: AnySizes) -> AnySizes:
    """`base`, with what was given on the command line."""
    given = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(base)}
    return dataclasses.replace(base, **{name: value for name, value in given.items() if value is not None})
