"""The latency that workers report (option latency-stats): kept by intervals of a minute, the last of which occtl shows.
Each that had a report is a line in the log."""

from __future__ import annotations

import asyncio
import logging
import time

from ..ipc.control import Latency
from ..state.latency import SET, LatencyIntervals, LatencyTotals

_log = logging.getLogger(__name__)


class ServerLatency:
    """All workers' sums. The clock runs only as long as there is something to show."""

    def __init__(self) -> None:
        self._intervals = LatencyIntervals(time.monotonic())
        self._timer: asyncio.TimerHandle | None = None

    def add(self, totals: LatencyTotals) -> None:
        """A worker's report."""
        self._roll()
        self._intervals.add(totals)
        if self._timer is None:
            self._start_timer()

    def shown(self) -> Latency | None:
        """Of the last whole interval; None where it had no report."""
        self._roll()
        previous = self._intervals.previous
        return Latency(round(previous.median), round(previous.deviation)) if previous.sets else None

    def _start_timer(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._intervals.next_deadline() - time.monotonic(), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._roll()
        if not self._intervals.empty:
            self._start_timer()

    def _roll(self) -> None:
        ended = self._intervals.roll(time.monotonic())
        if ended is not None and ended.sets:
            _log_interval(ended)


def _log_interval(totals: LatencyTotals) -> None:
    _log.info(
        "latency of the last interval: median %.0f us, mean %.0f us, deviation %.0f us, of %d packets",
        totals.median,
        totals.mean,
        totals.deviation,
        totals.sets * SET,
    )
