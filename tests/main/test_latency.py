"""The minutes of the server's latency: what is shown of them, and what the log says."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from ocserv_core.ipc.control import Latency
from ocserv_core.main import latency as latency_module
from ocserv_core.main.latency import ServerLatency
from ocserv_core.state import latency as state
from ocserv_core.state.latency import INTERVAL, LatencyTotals
from tests.loop import on_loop, until

MEASURED = LatencyTotals(3001.0, 4000.0, 8.0, 2)
LINE = "latency of the last interval: median 1500 us, mean 2000 us, deviation 4 us, of 2048 packets"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time that main sees; the loop has its own."""
    made = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(latency_module, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


def test_the_last_whole_minute_is_shown(clock: SimpleNamespace) -> None:
    async def dialogue() -> None:
        latency = ServerLatency()
        shown = [latency.shown()]
        latency.add(MEASURED)
        shown.append(latency.shown())
        for _ in range(2):
            clock.now += INTERVAL
            shown.append(latency.shown())
        assert shown == [None, None, Latency(1500, 4), None]

    on_loop(dialogue())


def test_a_report_after_its_minute_is_of_the_next(clock: SimpleNamespace) -> None:
    async def dialogue() -> None:
        latency = ServerLatency()
        latency.add(MEASURED)
        clock.now += INTERVAL
        latency.add(LatencyTotals(1.0, 1.0, 1.0, 1))
        assert latency.shown() == Latency(1500, 4)

    on_loop(dialogue())


def test_a_minute_with_a_report_is_a_line_in_the_log_when_it_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(state, "INTERVAL", 0.02)

    async def dialogue() -> None:
        latency = ServerLatency()
        latency.add(MEASURED)
        await until(lambda: latency._timer is None)

    with caplog.at_level(logging.INFO):
        on_loop(dialogue())
    assert caplog.messages == [LINE]


def test_a_server_without_a_report_has_no_clock_running() -> None:
    async def dialogue() -> None:
        latency = ServerLatency()
        latency.shown()
        assert latency._timer is None

    on_loop(dialogue())
