"""The timers of a tunnel: at this second the server does that."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocserv_core.protocol.liveness import Liveness, LivenessAction, LivenessSettings

START = 1000.0


def run(settings: LivenessSettings, until: float, *, rx: float = START, data: float = START) -> list[tuple[float, str]]:
    """Follow the deadlines of a silent tunnel; returns (seconds since the start, action)."""
    liveness = Liveness(settings, START)
    happened = []
    for _ in range(1000):
        now = liveness.next_deadline()
        if now > START + until:
            break
        for action in liveness.on_deadline(now, rx, data):
            happened.append((now - START, action.name))
            if action in (LivenessAction.DPD_TIMEOUT, LivenessAction.IDLE_TIMEOUT, LivenessAction.SESSION_TIMEOUT):
                return happened
    return happened


def test_a_silent_client_is_probed_and_then_dead() -> None:
    assert run(LivenessSettings(dpd=30), 1000) == [(60, "SEND_DPD"), (75, "SEND_DPD"), (90, "DPD_TIMEOUT")]


def test_an_idle_client_ends_to_the_second() -> None:
    assert run(LivenessSettings(idle_timeout=40), 1000) == [(40, "IDLE_TIMEOUT")]


def test_control_frames_are_no_activity() -> None:
    liveness = Liveness(LivenessSettings(idle_timeout=40), START)
    assert liveness.on_deadline(START + 40, START + 39, START) == [LivenessAction.IDLE_TIMEOUT]


def test_data_puts_the_idle_timeout_off() -> None:
    liveness = Liveness(LivenessSettings(idle_timeout=40), START)
    assert liveness.on_deadline(START + 40, START, START + 25) == []
    assert liveness.next_deadline() == START + 65


def test_any_frame_puts_the_probe_off() -> None:
    liveness = Liveness(LivenessSettings(dpd=30), START)
    assert liveness.on_deadline(START + 60, START + 50, START) == []
    assert liveness.next_deadline() == START + 110


def test_an_answered_probe_begins_a_new_silence() -> None:
    liveness = Liveness(LivenessSettings(dpd=30), START)
    assert liveness.on_deadline(START + 60, START, START) == [LivenessAction.SEND_DPD]
    assert liveness.on_deadline(START + 75, START + 61, START) == []
    assert liveness.next_deadline() == START + 121


def test_who_slept_through_both_probes_sends_one() -> None:
    liveness = Liveness(LivenessSettings(dpd=30), START)
    assert liveness.on_deadline(START + 80, START, START) == [LivenessAction.SEND_DPD]
    assert liveness.next_deadline() == START + 90


def test_the_session_ends_after_what_was_left_of_it() -> None:
    assert run(LivenessSettings(session_remaining=70.5), 1000) == [(70.5, "SESSION_TIMEOUT")]


@pytest.mark.parametrize("remaining", [0.0, -5.0])
def test_a_session_without_time_left_ends_at_once(remaining: float) -> None:
    assert run(LivenessSettings(session_remaining=remaining), 1000) == [(0, "SESSION_TIMEOUT")]


def test_statistics_are_reported_in_their_time() -> None:
    assert run(LivenessSettings(stats_report_time=10), 35) == [(t, "REPORT_STATS") for t in (10, 20, 30)]


def test_keys_are_renewed_in_their_time() -> None:
    assert run(LivenessSettings(rekey_time=100), 250) == [(100, "SEND_REKEY"), (200, "SEND_REKEY")]


def test_a_late_caller_reports_once() -> None:
    liveness = Liveness(LivenessSettings(stats_report_time=10), START)
    assert liveness.on_deadline(START + 55, START, START) == [LivenessAction.REPORT_STATS]
    assert liveness.next_deadline() == START + 65


def test_other_settings_hold_from_now_on() -> None:
    liveness = Liveness(LivenessSettings(stats_report_time=60, session_remaining=900, idle_timeout=700), START)
    liveness.update(LivenessSettings(stats_report_time=10, session_remaining=25, idle_timeout=0), START + 30)
    happened: list[tuple[float, str]] = []
    while (now := liveness.next_deadline()) < math.inf and len(happened) < 9:
        happened += [(now - START, action.name) for action in liveness.on_deadline(now, now, now)]
        if happened[-1][1] == "SESSION_TIMEOUT":
            break
    assert happened == [(40, "REPORT_STATS"), (50, "REPORT_STATS"), (55, "SESSION_TIMEOUT")]


def test_the_same_period_of_reports_goes_on() -> None:
    liveness = Liveness(LivenessSettings(stats_report_time=60), START)
    liveness.update(LivenessSettings(stats_report_time=60, idle_timeout=500), START + 30)
    assert liveness.next_deadline() == START + 60


def test_an_ending_stands_alone() -> None:
    settings = LivenessSettings(dpd=10, idle_timeout=30, session_remaining=30, stats_report_time=30)
    assert Liveness(settings, START).on_deadline(START + 30, START, START) == [LivenessAction.SESSION_TIMEOUT]


def test_without_timers_there_is_no_deadline() -> None:
    assert Liveness(LivenessSettings(), START).next_deadline() == math.inf


def test_too_early_nothing_is_due() -> None:
    assert Liveness(LivenessSettings(10, 10, 10, 10, 10), START).on_deadline(START + 1, START, START) == []


_SECONDS = st.floats(0, 10_000)


@given(st.tuples(_SECONDS, _SECONDS, _SECONDS, _SECONDS, _SECONDS), st.lists(st.floats(0, 5000), max_size=20))
def test_a_deadline_that_was_met_does_not_come_back(
    times: tuple[float, float, float, float, float], steps: list[float]
) -> None:
    """Whoever calls at each deadline never spins: the next one lies ahead, or something ended."""
    dpd, idle, session, stats, rekey = (t if t >= 1 else 0 for t in times)
    liveness = Liveness(LivenessSettings(dpd, idle, session or None, stats, rekey), START)
    last_rx = START
    for step in steps:
        now = liveness.next_deadline()
        if math.isinf(now):
            return
        last_rx = min(now, last_rx + step)
        actions = liveness.on_deadline(now, last_rx, last_rx)
        if any(action.name.endswith("TIMEOUT") for action in actions):
            return
        assert liveness.next_deadline() > now
