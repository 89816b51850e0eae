"""Whether processes grow: PSS sampled in a thread, and the slope of it within each process's life."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import msgspec

from .accounting import pss
from .servers import Server

EVERY = 5.0
WARM_UP: Mapping[str, float] = {"worker": 20.0}
"""Seconds of a process's life that are not judged; a worker's is short when its client roams."""

WARM_UP_OTHERS = 60.0
ALLOWED_SHARE = 0.05
ALLOWED_BYTES = 256 * 1024
"""Growth over the judged time: PSS moves by itself whenever the number of those who share a page changes."""

_SHORTEST = 300.0
"""Seconds below which nothing is judged."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Of one process. age: seconds since it was first seen; size: bytes of PSS."""

    role: str
    pid: int
    age: float
    size: int


class Growth(msgspec.Struct, frozen=True):
    """Of a role. mean, most: bytes; slope: bytes an hour; grown: bytes that the slope makes of `seconds`; None when
    too short."""

    role: str
    samples: int
    mean: float
    most: int
    seconds: float
    slope: float | None

    @property
    def grown(self) -> float | None:
        """Bytes over the judged time."""
        return None if self.slope is None else self.slope * self.seconds / 3600

    @property
    def grows(self) -> bool:
        """Whether that is more than chance and sharing explain."""
        return self.grown is not None and self.grown > ALLOWED_BYTES + ALLOWED_SHARE * self.mean


class Sampler:
    """A context manager: samples the processes of a server until its end."""

    def __init__(self, server: Server) -> None:
        self.samples: list[Sample] = []
        self._server = server
        self._born: dict[int, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(EVERY):
            now = time.monotonic()
            for number, process in enumerate(self._server.processes()):
                born = self._born.setdefault(process.pid, now)
                try:
                    size = pss(process.pid)
                except (OSError, ValueError):
                    continue  # it has just ended
                self.samples.append(Sample(role_of(number, process.title), process.pid, now - born, size))


def role_of(number: int, title: str) -> str:
    """The role of a server's process; `number` 0 is main."""
    if number == 0:
        return "main"
    return next((role for role in ("worker", "nursery", "signer") if role in title), "secmod")


def judge(samples: Iterable[Sample]) -> list[Growth]:
    """A line for each role."""
    roles: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        roles[sample.role].append(sample)
    return [_growth(role, found) for role, found in roles.items()]


def _growth(role: str, samples: Sequence[Sample]) -> Growth:
    sizes = [sample.size for sample in samples]
    judged = [sample for sample in samples if sample.age >= WARM_UP.get(role, WARM_UP_OTHERS)]
    lives: dict[int, list[Sample]] = defaultdict(list)
    for sample in judged:
        lives[sample.pid].append(sample)
    seconds = sum(max(s.age for s in life) - min(s.age for s in life) for life in lives.values())
    slope = _slope(list(lives.values())) if seconds >= _SHORTEST else None
    return Growth(role, len(samples), sum(sizes) / len(sizes), max(sizes), seconds, slope)


def _slope(lives: Sequence[Sequence[Sample]]) -> float | None:
    """Least squares, with each process's own level taken out: bytes an hour."""
    above = below = 0.0
    for life in lives:
        age = sum(sample.age for sample in life) / len(life)
        size = sum(sample.size for sample in life) / len(life)
        above += sum((sample.age - age) * (sample.size - size) for sample in life)
        below += sum((sample.age - age) ** 2 for sample in life)
    return 3600 * above / below if below else None
