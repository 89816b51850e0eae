"""The circuit breaker of a back end: who fails again and again is left alone for a while, then asked by one login.
Reads no clock: `now` is in seconds of a steady one.

    closed     everybody may ask; `failures` in a row open it
    open       nobody may, until the pause is over
    half open  one login asks (the probe): its success closes the breaker, its failure opens it for another pause
"""

from __future__ import annotations

import enum
import math


class BreakerState(enum.Enum):
    """As an administrator sees it."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class Breaker:
    """One for each instance of a back end."""

    def __init__(self, failures: int, pause: float) -> None:
        """failures: in a row, until it opens. pause: seconds."""
        self._threshold = failures
        self._pause = pause
        self._failures = 0
        self._open_until = -math.inf
        self._probe: object | None = None
        self.epoch = 0
        """Counts the recoveries; who begins to ask notes it."""

    def state(self, now: float) -> BreakerState:
        """Now."""
        if self._failures < self._threshold:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    def wait(self, now: float) -> float:
        """Seconds until somebody may ask again; 0 where that is now."""
        return max(0.0, self._open_until - now) if self.state(now) is BreakerState.OPEN else 0.0

    def admit(self, login: object, now: float) -> bool:
        """Whether this login may ask. It answers with one of on_success, on_failure and release."""
        state = self.state(now)
        if state is BreakerState.HALF_OPEN and self._probe is None:
            self._probe = login
        return state is BreakerState.CLOSED or (state is BreakerState.HALF_OPEN and self._probe is login)

    def on_success(self, login: object) -> None:
        """It was answered, with yes or no. An answer that comes after the breaker has opened is none: it was asked
        before, and only the probe closes it."""
        if self._failures < self._threshold or self._probe is login:
            self.epoch += self._probe is login
            self._failures = 0
        self.release(login)

    def on_failure(self, login: object, now: float, epoch: int) -> bool:
        """It was not answered, and had begun to ask in this epoch: who began before a recovery says nothing of what is
        now. Whether that has opened the breaker."""
        if (
            epoch != self.epoch
            or self.state(now) is BreakerState.OPEN
            or (self._failures >= self._threshold and self._probe is not login)
        ):
            return False
        self._failures += 1
        self.release(login)
        if self._failures < self._threshold:
            return False
        self._open_until = now + self._pause
        return True

    def release(self, login: object) -> None:
        """It asks nothing any more, and what it would have been answered is not known."""
        if self._probe is login:
            self._probe = None
