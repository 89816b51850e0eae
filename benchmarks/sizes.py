"""How much of everything is done. Chosen by __main__.py; the measures only read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """One run. Seconds, counts, bytes."""

    rounds: int
    iperf_seconds: int
    logins: int
    connects: int
    parallel: int
    forms: int
    idle_clients: int
    idle_bytes: int
    idle_seconds: float


FULL = Sizes(
    rounds=3,
    iperf_seconds=6,
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
    iperf_seconds=2,
    logins=20,
    connects=20,
    parallel=4,
    forms=20,
    idle_clients=5,
    idle_bytes=100_000,
    idle_seconds=3.0,
)
"""Shows that everything works; its figures mean little."""
