"""The figures of the server, made of what ended."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from ocserv_core.ipc.control import Latency, StatusReport
from ocserv_core.ipc.messages import FinalStats, SecmodStats
from ocserv_core.log import NOTICE
from ocserv_core.main.records import WorkerRecord
from ocserv_core.main.status import Status
from ocserv_core.model import DisconnectReason, Endpoint, SessionId, Traffic
from ocserv_core.state.resumption import ResumptionCache
from ocserv_core.system.memfd import MAX_COUNTER
from tests.config.texts import config

WORKER = WorkerRecord(1, 1, Endpoint("192.0.2.7", 40000), Endpoint("192.0.2.1", 443), accepted=0.0)


def final(traffic: Traffic) -> FinalStats:
    """A tunnel ended."""
    return FinalStats(1, SessionId("s"), traffic, DisconnectReason.USER, cookie_lives=False)


def status() -> Status:
    """Of a server without a connection."""
    secmod = cast("Any", SimpleNamespace(stats=SecmodStats(0, 0, 0, 0.0, 0.0), pid=7))
    admission = cast("Any", SimpleNamespace(banned=lambda: [None] * 2))
    made = Status(lambda: config(""), secmod, ResumptionCache(8, 300.0), admission)
    made.workers = cast("Any", SimpleNamespace(records={}, clients_cut_off=0))
    return made


def test_what_ended_adds_up() -> None:
    figures = status()
    for _ in range(2):
        figures.on_tunnel_end(WORKER, final(Traffic(1, 2, 3, 4)))
    report = figures.report()
    assert (report.sessions_handled, report.rx_bytes, report.tx_bytes) == (2, 2, 4)


def test_whatever_workers_counted_the_report_can_be_sent() -> None:
    figures = status()
    for _ in range(200):
        figures.on_tunnel_end(WORKER, final(Traffic(*[MAX_COUNTER] * 4)))
    report = figures.report()
    assert msgspec.json.decode(msgspec.json.encode(report), type=StatusReport) == report
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(report), type=StatusReport) == report


def test_a_final_answer_with_the_most_that_is_believed_can_be_sent() -> None:
    message = final(Traffic(*[MAX_COUNTER] * 4))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=FinalStats) == message


def test_the_latency_of_the_last_minute_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    figures = status()
    monkeypatch.setattr(figures.latency, "shown", lambda: Latency(1500, 4))
    assert figures.report().latency == Latency(1500, 4)
    with caplog.at_level(NOTICE):
        figures.log()
    assert "status: latency: median 1500 us, deviation 4 us" in caplog.messages


def test_the_log_tells_dates_and_leaves_out_what_is_not_known(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(NOTICE):
        status().log()
    told = dict(message.removeprefix("status: ").split(": ", 1) for message in caplog.messages)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", told["up_since"])
    assert (told["secmod_pid"], told["average_auth_time"], "latency" in told) == ("7", "0.0 s", False)
