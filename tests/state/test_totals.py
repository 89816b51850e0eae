"""The statistics of `show status`."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ocserv_core.model import DisconnectReason, Traffic
from ocserv_core.state.totals import Period, SecmodCounters, Totals

NOW = 100_000.0
WEEK = 604_800.0


def closed(totals: Totals, **changes: Any) -> Period | None:
    """A session of ten minutes ends."""
    words: dict[str, Any] = {
        "reason": DisconnectReason.USER,
        "traffic": Traffic(1000, 2000, 3, 4),
        "connected": NOW - 600,
        "now": NOW,
        "reset_after": WEEK,
    }
    return totals.on_session_closed(**{**words, **changes})


@pytest.fixture
def totals() -> Totals:
    """The server started a moment ago."""
    return Totals.begin(NOW)


class TestSessions:
    def test_each_is_counted_in_both(self, totals: Totals) -> None:
        closed(totals)
        assert (totals.total_sessions, totals.period.sessions_handled) == (1, 1)

    @pytest.mark.parametrize(
        ("reason", "counted"),
        [
            (DisconnectReason.SESSION_TIMEOUT, (1, 0, 0)),
            (DisconnectReason.IDLE_TIMEOUT, (0, 1, 0)),
            (DisconnectReason.ERROR, (0, 0, 1)),
            (DisconnectReason.USER, (0, 0, 0)),
        ],
    )
    def test_by_reason(self, totals: Totals, reason: DisconnectReason, counted: tuple[int, int, int]) -> None:
        closed(totals, reason=reason)
        period = totals.period
        assert (period.session_timeouts, period.idle_timeouts, period.errors) == counted

    def test_traffic_is_added(self, totals: Totals) -> None:
        closed(totals)
        closed(totals)
        assert totals.period.traffic == Traffic(2000, 4000, 6, 8)

    def test_times_are_whole_minutes(self, totals: Totals) -> None:
        closed(totals, connected=NOW - 119)
        closed(totals, connected=NOW - 180)
        assert (totals.period.session_time.average, totals.period.session_time.maximum) == (120, 180)

    def test_less_than_a_minute_is_no_session_time(self, totals: Totals) -> None:
        closed(totals, connected=NOW - 59)
        assert totals.period.session_time.average == 0


class TestPeriod:
    def test_goes_on_within_its_time(self, totals: Totals) -> None:
        assert closed(totals, now=NOW + WEEK - 1) is None

    def test_ends_with_the_close_after_it(self, totals: Totals) -> None:
        ended = closed(totals, now=NOW + WEEK)
        assert ended is not None
        assert ended.sessions_handled == 1
        assert totals.period == Period(started=NOW + WEEK)

    def test_never_ends_where_that_is_configured(self, totals: Totals) -> None:
        assert closed(totals, now=NOW + 10 * WEEK, reset_after=0) is None

    def test_the_totals_go_on(self, totals: Totals) -> None:
        totals.on_mtu(1400)
        totals.on_secmod_stats(SecmodCounters(auth_failures=3))
        closed(totals, now=NOW + WEEK)
        assert (totals.total_sessions, totals.total_auth_failures, totals.min_mtu) == (1, 3, 1400)


class TestLogins:
    def test_failures_since_secmods_start_are_counted_once(self, totals: Totals) -> None:
        for failures in (1, 1, 3):
            totals.on_secmod_stats(SecmodCounters(auth_failures=failures))
        assert (totals.total_auth_failures, totals.period.auth_failures) == (3, 3)

    def test_a_restarted_secmod_counts_anew(self, totals: Totals) -> None:
        totals.on_secmod_stats(SecmodCounters(5, 2, 4.0, 3.0))
        totals.on_secmod_stats(SecmodCounters(1, 1, 1.0, 1.0))
        assert (totals.total_auth_failures, totals.period.auth_time.count) == (6, 3)

    def test_times_of_successful_logins(self, totals: Totals) -> None:
        totals.on_secmod_stats(SecmodCounters(0, 1, 2.0, 2.0))
        totals.on_secmod_stats(SecmodCounters(0, 2, 8.0, 6.0))
        assert (totals.period.auth_time.average, totals.period.auth_time.maximum) == (4.0, 6.0)

    def test_the_longest_of_an_earlier_period_is_not_this_ones(self, totals: Totals) -> None:
        totals.on_secmod_stats(SecmodCounters(0, 1, 9.0, 9.0))
        closed(totals, now=NOW + WEEK)
        totals.on_secmod_stats(SecmodCounters(0, 2, 10.0, 9.0))
        assert totals.period.auth_time.maximum == 1.0


def test_mtus(totals: Totals) -> None:
    for mtu in (1400, 1290, 1434):
        totals.on_mtu(mtu)
    assert (totals.min_mtu, totals.max_mtu) == (1290, 1434)


def test_they_come_back_as_they_were(totals: Totals) -> None:
    closed(totals)
    totals.on_secmod_stats(SecmodCounters(1, 1, 2.0, 2.0))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(totals), type=Totals) == totals
