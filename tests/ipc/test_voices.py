"""What main writes for others: in whose name, how much of it, and what it takes for no log line at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from ocserv_core.config.session import SessionConfig
from ocserv_core.errors import PeerViolation
from ocserv_core.ipc.messages import LogLine
from ocserv_core.ipc.voices import BURST, RATE, TokenBucket, Voice
from ocserv_core.log import LogTarget, open_log
from ocserv_core.main.records import TunnelRecord, WorkerRecord
from ocserv_core.main.voices import WorkerVoice
from ocserv_core.model import Endpoint, Lease, SessionId


@pytest.fixture(autouse=True)
def root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:], logging.raiseExceptions = handlers, raises
    root.setLevel(level)


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def hello(text: str = "hello", level: int = logging.INFO) -> LogLine:
    return LogLine(level, text)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_worker_speaks_in_the_name_that_main_gave_it(capsys: pytest.CaptureFixture[str]) -> None:
    open_log("main", LogTarget())
    worker = WorkerRecord(1, 1, Endpoint("192.0.2.7", 40000), Endpoint("192.0.2.1", 443), accepted=0.0)
    voice = WorkerVoice("worker")
    voice.answer_log_line(worker, hello("before the login"))
    worker.tunnel = TunnelRecord(SessionId("s"), "alice", "", Lease(), "vpns0", 5, 0.0, SessionConfig(mtu=1400))
    voice.answer_log_line(worker, hello("ocserv-main: in the tunnel"))
    assert lines(capsys) == [
        "ocserv-worker: 192.0.2.7 before the login",
        "ocserv-worker[alice]: 192.0.2.7 ocserv-main: in the tunnel",
    ]


@pytest.mark.parametrize("level", [0, -1, 21, 51, 2**63])
def test_a_level_that_does_not_exist_is_a_violation(level: int) -> None:
    with pytest.raises(PeerViolation):
        Voice("worker").say(hello(level=level))


def test_a_flood_is_cut_and_its_end_told(capsys: pytest.CaptureFixture[str]) -> None:
    open_log("main", LogTarget())
    clock = Clock()
    voice = Voice("nursery", clock)
    for _ in range(BURST + 7):
        voice.say(hello())
    assert len(lines(capsys)) == BURST
    clock.now += 1.5 / RATE
    voice.say(hello("again"))
    assert lines(capsys) == ["ocserv-nursery: 7 lines dropped", "ocserv-nursery: again"]


def test_at_log_level_8_nothing_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    open_log("main", LogTarget(level=8))
    voice = Voice("worker", Clock())
    for _ in range(3 * BURST):
        voice.say(hello())
    assert len(lines(capsys)) == 3 * BURST


def test_a_bucket_holds_no_more_than_its_burst() -> None:
    bucket = TokenBucket(2, 1.0, now=0.0)
    assert [bucket.take(1000.0) for _ in range(3)] == [True, True, False]


def test_a_bucket_fills_at_its_rate() -> None:
    bucket = TokenBucket(1, 0.5, now=0.0)
    assert [bucket.take(now) for now in (0.0, 1.0, 2.0, 3.0)] == [True, False, True, False]
