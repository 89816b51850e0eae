"""The log of a process that holds no terminal and no file (nursery, worker, host, child): main or secmod writes for
it."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

from ..errors import PeerLost
from ..log import LEVELS
from .messages import MAX_LOG_LINE, LogLine, Message

_CUT = " ... "
_HEAD = 300


class Sender(Protocol):
    """What a line is sent by: a Channel, or the like."""

    def send(self, message: Message, fds: Sequence[int] = (), timeout: float = 10.0) -> None: ...


class LogChannel(logging.Handler):
    """Sends each event to the one who writes. It never waits: what is not taken at once is dropped, and counted."""

    def __init__(self, channel: Sender) -> None:
        super().__init__()
        self.attach(channel)

    def attach(self, channel: Sender) -> None:
        """Another; whoever is forked has its own, and nothing to tell of what its parent could not say."""
        self.channel = channel
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """One LogLine."""
        try:
            if self.dropped:
                self._send(logging.WARNING, f"{self.dropped} lines dropped, nobody took them")
                self.dropped = 0
            self._send(_known(record.levelno), _shortened(self.format(record)))
        except (TimeoutError, PeerLost):
            self.dropped += 1

    def _send(self, level: int, text: str) -> None:
        self.channel.send(LogLine(level, text), timeout=0)


def _known(level: int) -> int:
    """A level that the log knows: the next lower one."""
    return LEVELS[max(0, bisect_right(LEVELS, level) - 1)]


def _shortened(text: str) -> str:
    """What a traceback is about stands at its end."""
    if len(text) <= MAX_LOG_LINE:
        return text
    return text[:_HEAD] + _CUT + text[_HEAD + len(_CUT) - MAX_LOG_LINE :]
