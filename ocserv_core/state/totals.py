"""main's statistics, as `occtl show status` shows them: since the start, and since the last reset of the period.

Fed by main when a connection ends and when secmod tells its counters. A period ends when a connection closes and
server-stats-reset-time is over.
"""

from __future__ import annotations

import msgspec

from ..model import DisconnectReason, Traffic

SHORTEST_COUNTED = 60.0
"""Seconds: shorter sessions count, but not in the mean and maximum of session times."""


class Mean(msgspec.Struct):
    """A mean and a maximum of seconds."""

    count: int = 0
    total: float = 0.0
    maximum: float = 0.0

    def add(self, total: float, count: int = 1, maximum: float = 0.0) -> None:
        """`count` more measurements of `total` seconds together, the longest `maximum`."""
        self.count += count
        self.total += total
        self.maximum = max(self.maximum, maximum, total / count if count else 0.0)

    @property
    def average(self) -> float:
        """Seconds; 0 where nothing was measured."""
        return self.total / self.count if self.count else 0.0


class Period(msgspec.Struct):
    """What is counted since the last reset. Session times are whole minutes, in seconds."""

    started: float
    sessions_handled: int = 0
    session_timeouts: int = 0
    idle_timeouts: int = 0
    errors: int = 0
    auth_failures: int = 0
    session_time: Mean = msgspec.field(default_factory=Mean)
    auth_time: Mean = msgspec.field(default_factory=Mean)
    traffic: Traffic = Traffic()


class SecmodCounters(msgspec.Struct, frozen=True):
    """What secmod tells: counted since its start, seconds of successful logins."""

    auth_failures: int = 0
    auth_successes: int = 0
    auth_seconds_total: float = 0.0
    auth_seconds_max: float = 0.0


_COUNTED_REASONS = {
    DisconnectReason.SESSION_TIMEOUT: "session_timeouts",
    DisconnectReason.IDLE_TIMEOUT: "idle_timeouts",
    DisconnectReason.ERROR: "errors",
}


class Totals(msgspec.Struct):
    """All of it; plain data. `total_sessions` counts the sessions that closed. MTUs are 0 where none was seen and are
    never reset."""

    started: float
    period: Period
    total_sessions: int = 0
    total_auth_failures: int = 0
    min_mtu: int = 0
    max_mtu: int = 0
    secmod: SecmodCounters = SecmodCounters()

    @classmethod
    def begin(cls, now: float) -> Totals:
        """The statistics of a server that starts now."""
        return cls(started=now, period=Period(started=now))

    def on_session_closed(
        self,
        *,
        reason: DisconnectReason,
        traffic: Traffic,
        connected: float,
        now: float,
        reset_after: float,
    ) -> Period | None:
        """A tunnel's connection, open since `connected`, ended.

        reset_after: server-stats-reset-time in seconds, 0 for never. Returns the period that this ended, to be
        written to the log, or None.
        """
        self.total_sessions += 1
        period = self.period
        period.sessions_handled += 1
        period.traffic += traffic
        if reason in _COUNTED_REASONS:
            field = _COUNTED_REASONS[reason]
            setattr(period, field, getattr(period, field) + 1)
        if now - connected >= SHORTEST_COUNTED:
            minutes = (now - connected) // 60
            period.session_time.add(minutes * 60)
        if not reset_after or now - period.started < reset_after:
            return None
        self.period = Period(started=now)
        return period

    def on_secmod_stats(self, told: SecmodCounters) -> None:
        """secmod's counters; where they are lower than before it was restarted, and counts anew."""
        before = self.secmod if told.auth_failures >= self.secmod.auth_failures else SecmodCounters()
        if told.auth_successes < before.auth_successes:
            before = SecmodCounters()
        self.secmod = told
        failures = told.auth_failures - before.auth_failures
        self.total_auth_failures += failures
        self.period.auth_failures += failures
        successes = told.auth_successes - before.auth_successes
        longest = told.auth_seconds_max if told.auth_seconds_max > before.auth_seconds_max else 0.0
        if successes:
            self.period.auth_time.add(told.auth_seconds_total - before.auth_seconds_total, successes, longest)

    def on_mtu(self, mtu: int) -> None:
        """A tunnel uses this MTU, in bytes."""
        self.min_mtu = min(self.min_mtu or mtu, mtu)
        self.max_mtu = max(self.max_mtu, mtu)
