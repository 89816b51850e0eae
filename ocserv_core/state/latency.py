"""How long packets from clients take through the server, in sums: the worker's since its last report, main's by
intervals of a minute.

A set is 1024 packets; what is summed are the medians, means and deviations of sets, so that sums of all workers add
up. Times are seconds of a clock that never steps: nothing here outlives its process.
"""

from __future__ import annotations

import msgspec

INTERVAL = 60.0
"""Seconds between two reports of a worker, and of an interval of main's."""

SET = 1024
"""Packets of a set, as native/latency.h has it."""

LONGEST = 4_294_968.0
"""Microseconds that a packet takes at most: 32 bits of nanoseconds, rounded up."""

MAX_SETS = 2**24
"""In one report: 286 million packets a second."""


class LatencyTotals(msgspec.Struct, frozen=True, array_like=True):
    """Sums over `sets` sets, in microseconds. rms: the root of the mean square of the deviation from the median."""

    median_total: float = 0.0
    mean_total: float = 0.0
    rms_total: float = 0.0
    sets: int = 0

    def __add__(self, other: LatencyTotals) -> LatencyTotals:
        return LatencyTotals(
            self.median_total + other.median_total,
            self.mean_total + other.mean_total,
            self.rms_total + other.rms_total,
            self.sets + other.sets,
        )

    def __sub__(self, earlier: LatencyTotals) -> LatencyTotals:
        return LatencyTotals(
            self.median_total - earlier.median_total,
            self.mean_total - earlier.mean_total,
            self.rms_total - earlier.rms_total,
            self.sets - earlier.sets,
        )

    @property
    def plausible(self) -> bool:
        """Whether one report of a worker can say so; NaN and infinities cannot be."""
        sums = (self.median_total, self.mean_total, self.rms_total)
        return 1 <= self.sets <= MAX_SETS and all(0.0 <= total <= self.sets * LONGEST for total in sums)

    @property
    def median(self) -> float:
        """The mean of the sets' medians, in microseconds; 0 without a set."""
        return self.median_total / self.sets if self.sets else 0.0

    @property
    def mean(self) -> float:
        """The mean, in microseconds; 0 without a set."""
        return self.mean_total / self.sets if self.sets else 0.0

    @property
    def deviation(self) -> float:
        """The mean of the sets' deviations, in microseconds; 0 without a set."""
        return self.rms_total / self.sets if self.sets else 0.0


class WorkerLatency:
    """What a worker has measured and not told yet. `totals` are always the pump's, which only grow."""

    def __init__(self, now: float) -> None:
        self._told = LatencyTotals()
        self._due = now + INTERVAL

    def next_deadline(self) -> float:
        """When to ask for a report."""
        return self._due

    def report(self, totals: LatencyTotals, now: float) -> LatencyTotals | None:
        """What main is to be told now; None before its time, or where there is nothing to tell."""
        if now < self._due:
            return None
        self._due = now + INTERVAL
        return self.last_report(totals)

    def last_report(self, totals: LatencyTotals) -> LatencyTotals | None:
        """What is left to be told, at the tunnel's end; None where there is nothing."""
        untold, self._told = totals - self._told, totals
        return untold if untold.sets else None


class LatencyIntervals:
    """main's sums: those of the interval under way, and the one before, which is what is shown."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._current = LatencyTotals()
        self.previous = LatencyTotals()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show, nor will be without another report."""
        return not (self._current.sets or self.previous.sets)

    def next_deadline(self) -> float:
        """When the interval under way ends."""
        return self._began + INTERVAL

    def add(self, totals: LatencyTotals) -> None:
        """A worker's report. `roll` comes first, so that it is of the right interval."""
        self._current += totals

    def roll(self, now: float) -> LatencyTotals | None:
        """Begin another interval where it is time: what the one under way had measured, else None."""
        passed = int((now - self._began) // INTERVAL)
        if passed < 1:
            return None
        ended, self._current = self._current, LatencyTotals()
        # When nobody has looked for two intervals, the one before is one without a report.
        self.previous = ended if passed == 1 else LatencyTotals()
        self._began += passed * INTERVAL
        return ended
