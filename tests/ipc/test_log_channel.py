"""A worker's log goes to main, and never holds the worker up."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from ocserv_core.ipc.channel import Channel
from ocserv_core.ipc.log_channel import LogChannel
from ocserv_core.ipc.messages import FromMainToWorker, FromWorkerToMain, LogLine
from ocserv_core.log import NOTICE


class Line:
    """A worker's log and main's end of it."""

    def __init__(self) -> None:
        main, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.main = Channel[Any](main, FromWorkerToMain, trusted=False)
        self.worker = Channel[Any](worker, FromMainToWorker, trusted=True)
        self.handler = LogChannel(self.worker)

    def log(self, text: str, level: int = logging.INFO, **more: Any) -> None:
        self.handler.handle(logging.makeLogRecord({"levelno": level, "msg": text, **more}))

    def heard(self) -> list[LogLine]:
        found = []
        while (received := self.main.receive_now()) is not None:
            found.append(received.message)
        return found


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.main.close()
    made.worker.close()


def test_an_event_becomes_a_line(line: Line) -> None:
    line.log("hello", NOTICE)
    assert line.heard() == [LogLine(NOTICE, "hello")]


def test_a_level_that_main_does_not_know_becomes_the_next_lower(line: Line) -> None:
    for level in (1, 15, 35, 99):
        line.log("", level)
    assert [message.level for message in line.heard()] == [4, 10, 30, 50]


def test_of_a_long_line_the_beginning_and_the_end_are_sent(line: Line) -> None:
    line.log("a bug: " + "x" * 5000 + " ValueError")
    (message,) = line.heard()
    assert len(message.text) == 1024
    assert message.text.startswith("a bug: ")
    assert message.text.endswith(" ValueError")


def test_what_main_does_not_take_is_dropped_and_told_later(line: Line) -> None:
    for _ in range(10_000):
        line.log("x" * 1000)
        if line.handler.dropped == 3:
            break
    taken = len(line.heard())
    line.log("again")
    assert 0 < taken < 10_000
    assert line.heard() == [
        LogLine(logging.WARNING, "3 lines dropped, nobody took them"),
        LogLine(logging.INFO, "again"),
    ]


def test_a_log_without_main_goes_nowhere(line: Line) -> None:
    line.main.close()
    line.log("hello")
    line.worker.close()
    line.log("hello")
    assert line.handler.dropped == 2


def test_a_worker_does_not_tell_what_its_nursery_lost(line: Line) -> None:
    line.handler.dropped = 3
    line.handler.attach(line.handler.channel)
    line.log("hello")
    assert line.heard() == [LogLine(logging.INFO, "hello")]
