"""When a tunnel is asked whether it lives, and when it ends: DPD, idle, session time, statistics, rekey.

The worker sleeps in the pump until `next_deadline()` and then calls `on_deadline`. Nothing here reads a clock:
every time is a float in seconds of one clock of the caller's choice.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


class LivenessAction(enum.Enum):
    """What the worker is to do now."""

    SEND_DPD = "send a DPD request"
    SEND_REKEY = "send a KeyUpdate"
    REPORT_STATS = "report statistics"
    DPD_TIMEOUT = "the peer is dead"
    IDLE_TIMEOUT = "idle too long"
    SESSION_TIMEOUT = "the session's time is over"


@dataclass(frozen=True, slots=True)
class LivenessSettings:
    """Seconds; 0 turns a timer off. `session_remaining` is what is left of session-timeout at the start, None
    without one. `rekey_time` is only set where the server itself rekeys (TLS 1.3)."""

    dpd: float = 0
    idle_timeout: float = 0
    session_remaining: float | None = None
    stats_report_time: float = 0
    rekey_time: float = 0


# A probe after two silent periods, one more half a period later, the end after three.
_PROBES = (2.0, 2.5)
_DEAD = 3.0


class Liveness:
    """The timers of one tunnel. Since the pump moves packets alone, deadlines are kept from what was last told
    and checked against what is true when they come."""

    def __init__(self, settings: LivenessSettings, now: float) -> None:
        self._settings = settings
        self._last_rx = now
        self._last_data = now
        self._probes = 0
        self._session_end = _after(now, settings.session_remaining)
        self._next_stats = _after(now, settings.stats_report_time or None)
        self._next_rekey = _after(now, settings.rekey_time or None)

    def update(self, settings: LivenessSettings, now: float) -> None:
        """Other settings hold from `now` on; DPD and rekey are agreed with the client and stay."""
        if settings.stats_report_time != self._settings.stats_report_time:
            self._next_stats = _after(now, settings.stats_report_time or None)
        self._session_end = _after(now, settings.session_remaining)
        self._settings = settings

    def next_deadline(self) -> float:
        """When `on_deadline` is to be called next; infinity where no timer runs."""
        return min(self._dpd_due(), self._idle_end(), self._session_end, self._next_stats, self._next_rekey)

    def on_deadline(self, now: float, last_rx: float, last_data: float) -> list[LivenessAction]:
        """What is due. `last_rx`: any frame from the client; `last_data`: a packet of a user, either way.

        An ending stands alone: nothing else matters then. Called too early it returns nothing.
        """
        self._observe(last_rx, last_data)
        ending = self._ending(now)
        if ending is not None:
            return [ending]
        return [*self._due_probe(now), *self._due_periods(now)]

    def _observe(self, last_rx: float, last_data: float) -> None:
        if last_rx > self._last_rx:
            self._last_rx = last_rx
            self._probes = 0
        self._last_data = max(self._last_data, last_data)

    def _ending(self, now: float) -> LivenessAction | None:
        ends = (
            (self._session_end, LivenessAction.SESSION_TIMEOUT),
            (self._idle_end(), LivenessAction.IDLE_TIMEOUT),
            (self._silence(_DEAD), LivenessAction.DPD_TIMEOUT),
        )
        return next((action for due, action in ends if now >= due), None)

    def _due_probe(self, now: float) -> list[LivenessAction]:
        if now < self._dpd_due():
            return []
        # A caller that slept through both probes sends one.
        self._probes = sum(1 for periods in _PROBES if now >= self._silence(periods))
        return [LivenessAction.SEND_DPD]

    def _due_periods(self, now: float) -> list[LivenessAction]:
        due = []
        if now >= self._next_stats:
            self._next_stats = now + self._settings.stats_report_time
            due.append(LivenessAction.REPORT_STATS)
        if now >= self._next_rekey:
            self._next_rekey = now + self._settings.rekey_time
            due.append(LivenessAction.SEND_REKEY)
        return due

    def _dpd_due(self) -> float:
        periods = _PROBES[self._probes] if self._probes < len(_PROBES) else _DEAD
        return self._silence(periods)

    def _silence(self, periods: float) -> float:
        return self._last_rx + periods * self._settings.dpd if self._settings.dpd else math.inf

    def _idle_end(self) -> float:
        return self._last_data + self._settings.idle_timeout if self._settings.idle_timeout else math.inf


def _after(now: float, seconds: float | None) -> float:
    return math.inf if seconds is None else now + max(0.0, seconds)
