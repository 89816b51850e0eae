"""A client is silent by UDP: at this second it is asked, at that second UDP is given up."""

from __future__ import annotations

import math

import pytest

from ocserv_core.protocol.dtls_liveness import DtlsLiveness
from ocserv_core.protocol.liveness import LivenessAction

START = 1000.0


@pytest.fixture
def liveness() -> DtlsLiveness:
    made = DtlsLiveness(30)
    made.restart(START)
    return made


def run(liveness: DtlsLiveness, last_rx: float = START) -> list[tuple[float, str]]:
    """(seconds since the start, action) of a silence, until nothing is due any more."""
    happened = []
    while (now := liveness.next_deadline()) < math.inf:
        action = liveness.on_deadline(now, last_rx)
        if action:
            happened.append((now - START, action.name))
    return happened


def test_a_silent_channel_is_probed_and_then_down(liveness: DtlsLiveness) -> None:
    assert run(liveness) == [(60, "SEND_DPD"), (75, "SEND_DPD"), (90, "DPD_TIMEOUT")]


def test_a_record_puts_the_probe_off(liveness: DtlsLiveness) -> None:
    assert liveness.on_deadline(START + 60, START + 50) is None
    assert liveness.next_deadline() == START + 110


def test_what_is_down_is_not_asked_again(liveness: DtlsLiveness) -> None:
    assert liveness.on_deadline(START + 90, START) is LivenessAction.DPD_TIMEOUT
    assert liveness.on_deadline(START + 200, START) is None
    assert liveness.next_deadline() == math.inf


def test_a_record_brings_it_back(liveness: DtlsLiveness) -> None:
    run(liveness)
    liveness.restart(START + 500)
    assert liveness.next_deadline() == START + 560


def test_without_a_session_there_is_nothing_to_ask(liveness: DtlsLiveness) -> None:
    liveness.stop()
    assert liveness.next_deadline() == math.inf


def test_it_begins_at_rest() -> None:
    assert DtlsLiveness(30).next_deadline() == math.inf


def test_dpd_may_be_off() -> None:
    liveness = DtlsLiveness(0)
    liveness.restart(START)
    assert liveness.next_deadline() == math.inf
