"""What processes without a log have to say, written by main or secmod in their name: only levels that exist, and at a
bounded rate, so that none fills the disk or hides another's lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ..errors import PeerViolation
from ..log import LEVELS, SENSITIVE, Prefix, write_for
from .messages import LogLine

BURST = 100
RATE = 20.0
"""Lines at once, and lines a second for ever."""


class TokenBucket:
    """`burst` at once, `rate` a second; `now` in seconds of any steady clock."""

    def __init__(self, burst: int, rate: float, now: float) -> None:
        self._burst = burst
        self._rate = rate
        self._tokens = float(burst)
        self._filled = now

    def take(self, now: float) -> bool:
        """Whether there is one."""
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Voice:
    """One process that is written for. `speaker`: who it is, as far as the writer knows."""

    def __init__(self, process: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.speaker = Prefix(process)
        self._clock = clock
        self._bucket = TokenBucket(BURST, RATE, clock())
        self._dropped = 0

    def say(self, message: LogLine) -> None:
        """Write it, or count it as dropped. PeerViolation for a level that does not exist."""
        if message.level not in LEVELS:
            raise PeerViolation(f"a log line of level {message.level}")
        if not (_everything_is_wanted() or self._bucket.take(self._clock())):
            self._dropped += 1
            return
        if self._dropped:
            write_for(self.speaker, logging.WARNING, f"{self._dropped} lines dropped")
            self._dropped = 0
        write_for(self.speaker, message.level, message.text)


def _everything_is_wanted() -> bool:
    """log-level 8 and 9 are for looking into one client: there every line counts."""
    return logging.getLogger().getEffectiveLevel() <= SENSITIVE
